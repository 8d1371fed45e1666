//! Services, clocks, legs and trips.

use super::*;

#[test]
fn services() {
    becomes(
        |s| s.services[1].alive = Err("refused".into()),
        "flight",
        "answers",
        Wrong,
    );
    becomes(
        |s| s.services[1].ready = vec![Err("Missing: NATS".into()); 6],
        "flight",
        "ready",
        Wrong,
    );
    becomes(
        |s| s.services[1].ready[3] = Err("it is draining".into()),
        "flight",
        "ready",
        Warning,
    );
    becomes(
        |s| s.services[1].about = s.services[2].about.clone(),
        "flight",
        "version",
        Wrong,
    );
    becomes(
        |s| s.services[1].about.as_mut().unwrap().1 = "9.9.9".into(),
        "flight",
        "version",
        Warning,
    );
    becomes(|s| s.services[1].about = None, "flight", "version", Warning);
}

#[test]
fn dead_letters_and_what_cannot_happen() {
    let kept = |last_us| Letters {
        count: 2,
        more: false,
        last_us,
        reason: "odd".into(),
    };
    becomes(
        |s| s.services[1].letters = Some(Ok(kept(NOW_US - MINUTE_US))),
        "flight",
        "dead-letters",
        Wrong,
    );
    becomes(
        |s| s.services[1].letters = Some(Ok(kept(NOW_US - 2 * DAY_US))),
        "flight",
        "dead-letters",
        Warning,
    );
    becomes(
        |s| {
            s.services[1].letters = None;
            found(s).letters = Some(kept(NOW_US));
        },
        "flight",
        "dead-letters",
        Wrong,
    );
    becomes(
        |s| {
            let metrics = s.services[1].metrics.as_mut().unwrap();
            metrics.anomalies.insert("unknown-trip".into(), 1);
        },
        "flight",
        "anomalies",
        Warning,
    );
    becomes(
        |s| {
            s.services.remove(1);
        },
        "flight",
        "answers",
        NotLookedAt,
    );
}

#[test]
fn clocks() {
    let off = |us: i64| {
        vec![
            Ahead::seen((NOW_US, NOW_US + SECOND_US), NOW_US, NOW_US),
            Ahead::seen((NOW_US + us, NOW_US + us + SECOND_US), NOW_US, NOW_US),
        ]
    };
    becomes(
        |s| s.services[1].clocks = off(3 * SECOND_US),
        "flight",
        "clock",
        Warning,
    );
    becomes(
        |s| s.services[1].clocks = off(-40 * SECOND_US),
        "flight",
        "clock",
        Wrong,
    );
    becomes(
        |s| found(s).clock = Some(Ahead::seen((0, 0), NOW_US, NOW_US)),
        "flight",
        "clock",
        Wrong,
    );
    let mut seen = healthy();
    seen.services[1].clocks = off(2 * SECOND_US);
    assert!(ill(&seen).is_empty());
}

#[test]
fn what_booking_knows_of_legs_and_trips() {
    fn booking(seen: &mut Seen) -> &mut Booking {
        seen.services[0].booking.as_mut().unwrap()
    }
    becomes(
        |s| {
            booking(s).legs.as_mut().unwrap().remove("hotel");
        },
        "booking",
        "legs",
        Wrong,
    );
    becomes(
        |s| {
            booking(s)
                .legs
                .as_mut()
                .unwrap()
                .insert("hotel".into(), joined(NOW_US - 20 * MINUTE_US));
        },
        "booking",
        "legs",
        Warning,
    );
    let trip = |undoing, needs_attention, deadline_us| Unfinished {
        trip: String::from("0190"),
        undoing,
        needs_attention,
        deadline_us,
        waits_for: vec!["hotel".into()],
    };
    becomes(
        |s| booking(s).unfinished = Ok(vec![trip(true, true, 0)]),
        "booking",
        "trips",
        Wrong,
    );
    becomes(
        |s| booking(s).unfinished = Ok(vec![trip(true, false, 0)]),
        "booking",
        "trips",
        Warning,
    );
    becomes(
        |s| booking(s).unfinished = Ok(vec![trip(false, false, NOW_US - 2 * MINUTE_US)]),
        "booking",
        "trips",
        Wrong,
    );
    let mut seen = healthy();
    booking(&mut seen).unfinished = Ok(vec![trip(false, false, NOW_US + MINUTE_US)]);
    assert!(ill(&seen).is_empty());
}
