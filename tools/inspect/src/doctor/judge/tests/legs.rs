//! Legs that this program has no service for, and legs that nobody speaks for.

use super::*;

/// A car has joined, with a consumer as `shared/leg` declares it.
fn with_a_car() -> Seen {
    let mut seen = healthy();
    let car = joined(NOW_US - MINUTE_US);
    legs(&mut seen).insert("car".into(), car);
    let mut consumer = consumer(&mut seen).clone();
    consumer.name = "car".into();
    consumer.config = expected().consumer("car").unwrap();
    let broker = seen.broker.as_mut().unwrap();
    broker.consumers.as_mut().unwrap().push(consumer);
    seen
}

fn legs(seen: &mut Seen) -> &mut std::collections::BTreeMap<String, Joined> {
    let booking = seen.services[0].booking.as_mut().unwrap();
    booking.legs.as_mut().unwrap()
}

fn of_the_car(seen: &mut Seen) -> &mut Consumer {
    let broker = seen.broker.as_mut().unwrap();
    broker.consumers.as_mut().unwrap().last_mut().unwrap()
}

fn a(subject: &str, check: &'static str, verdict: Verdict) -> (String, &'static str, Verdict) {
    (subject.to_owned(), check, verdict)
}

#[test]
fn what_is_not_known_of_a_leg_that_joined_is_not_looked_at() {
    let unseen = [
        a("car", "answers", NotLookedAt),
        a("car", "opens", NotLookedAt),
    ];
    assert_eq!(ill(&with_a_car()), unseen);

    // Its database has tables of its own, and over HTTP it has two paths: neither is wrong.
    let mut seen = with_a_car();
    let mut car = seen.services[1].clone();
    (car.name, car.service) = ("car".into(), "car".into());
    (car.about, car.metrics, car.letters) = (None, None, Some(Err("404".into())));
    seen.services.push(car);
    seen.databases.push(Database {
        name: "car".into(),
        postgres: true,
        found: Ok(Found::default()),
    });
    let unseen = [
        a("car", "dead-letters", NotLookedAt),
        a("car", "schema", NotLookedAt),
    ];
    assert_eq!(ill(&seen), unseen);
    seen.services.last_mut().unwrap().http = false;
    assert_eq!(ill(&seen), unseen[1..]);

    // It may hear in its own way.
    of_the_car(&mut seen).config.max_deliver = 5;
    assert_eq!(ill(&seen)[0], a("consumer car", "config", Warning));
    let broker = seen.broker.as_mut().unwrap();
    broker.consumers.as_mut().unwrap().pop();
    assert_eq!(ill(&seen)[0], a("consumer car", "consumer", Warning));
}

#[test]
fn a_leg_that_nobody_speaks_for_is_a_warning_until_it_is_retired() {
    becomes(
        |s| consumer(s).silent = true,
        "consumer flight",
        "listens",
        Warning,
    );
    becomes(
        |s| {
            let flight = consumer(s);
            (flight.silent, flight.pending, flight.took) = (true, 3, Some(false));
        },
        "consumer flight",
        "listens",
        Warning,
    );
    let mut seen = with_a_car();
    let car = of_the_car(&mut seen);
    (car.silent, car.pending, car.took) = (true, 3, Some(false));
    assert!(ill(&seen).contains(&a("consumer car", "listens", Warning)));
    let car = legs(&mut seen).get_mut("car").unwrap();
    (car.retired, car.said_us) = (true, NOW_US - 60 * MINUTE_US);
    assert_eq!(ill(&seen), [], "retired, and so nobody's concern");
}
