//! What an operator relies on: a list of what is stuck that is whole however it is turned over, a replica that says when it leaves, and
//! ids that are kept as long as the settings say.

use std::time::Duration;

use booking::core::State;
use booking::view::TripView;
use choreography::TripId;
use e2e_tests::trip::{flight, trip};
use e2e_tests::{Load, SERVICES, World, eventually, fixtures, on_both_databases};
use reqwest::Method;
use serde::Deserialize;
use uuid::Uuid;

on_both_databases![
    the_stuck_are_listed_whole_page_by_page,
    who_drains_says_so_and_still_takes_trips with |setup| setup.setting("DRAIN_NOTICE_MS", "1500"),
    who_is_replaced_leaves_nothing_fetched_behind with |setup| {
        let setup = setup.replicas(2).setting("ACK_WAIT_MS", "60000");
        setup.setting("REANNOUNCE_FIRST_MS", "60000").setting("REANNOUNCE_MAX_MS", "60000")
    },
    ids_are_kept_as_long_as_the_settings_say with |setup| setup.setting("INBOX_KEEP_S", "600"),
];

#[derive(Deserialize)]
struct Page {
    items: Vec<TripView>,
    next_cursor: Option<String>,
}

/// The pages of a list, each with no more trips than that.
async fn pages(world: &World, path: &str, limit: usize) -> Vec<Vec<TripId>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/bookings/stuck?{path}limit={limit}{cursor}");
        let Page { items, next_cursor } = world.get("booking", &path).await;
        pages.push(items.iter().map(|trip| trip.trip).collect());
        match next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
        assert!(pages.len() < 100, "it does not end");
    }
}

/// Seven trips that wait for a flight that is down. The last four of them changed in one moment, longest ago: a page may end among
/// them. And the second and the third are new.
async fn the_stuck_are_listed_whole_page_by_page(world: &mut World) {
    world.seats("RT100", 10).await;
    world.kill("flight", 0).await;
    let asked = trip([flight("RT100", 1)]);
    let mut trips = Vec::new();
    for _ in 0..7 {
        trips.push(world.ask(&asked).await.trip);
    }
    for changed in [
        "update trip set changed_us = (select min(changed_us) from trip) - 3601000000 where trip in (select trip from trip order by trip desc limit 4)",
        "update trip set changed_us = changed_us - 3600000000 where trip = (select min(trip) from trip)",
    ] {
        world.by_hand("booking", changed).await;
    }
    let longest_first = [3, 4, 5, 6, 0, 1, 2].map(|number| trips[number]);
    for limit in 1..=7 {
        let pages = pages(world, "", limit).await;
        let (_, full) = pages.split_last().unwrap();
        assert!(full.iter().all(|page| page.len() == limit), "{pages:?}");
        assert_eq!(pages.concat(), longest_first, "{limit} on a page");
    }
    for limit in [2, 10] {
        let old = pages(world, "older_than_s=1800&", limit).await;
        assert_eq!(old.concat(), longest_first[..5]);
    }
    let older = pages(world, "older_than_s=7200&", 2).await;
    assert!(older.concat().is_empty());
    world.restart("flight", 0).await;
    for trip in trips {
        world.until_state(trip, State::Confirmed).await;
    }
    assert!(pages(world, "", 2).await.concat().is_empty());
}

/// A load balancer has to learn of it before requests fail.
async fn who_drains_says_so_and_still_takes_trips(world: &mut World) {
    world.seats("RT100", 10).await;
    let client = (**world).clone();
    let seen = async {
        let answer = eventually("it is not ready", async || {
            let ready = client.request(Method::GET, "booking", "/readyz");
            match client.try_send(ready).await {
                Some(answer) if answer.status == 200 => None,
                answer => Some(answer),
            }
        })
        .await;
        let answer = answer.unwrap_or_else(|| panic!("it left without a word"));
        let missing = answer.problem(503).detail;
        assert!(missing.contains("draining"), "{missing}");
        client.ask(&trip([flight("RT100", 1)])).await.trip
    };
    let ((), taken) = tokio::join!(world.stop("booking", 0), seen);
    world.restart("booking", 0).await;
    world.until_state(taken, State::Confirmed).await;
}

/// What the broker has given to a replica that leaves is applied there or goes to another at once. Left behind, it would come again only
/// when the acknowledgement wait is over, and somebody would wait for it.
async fn who_is_replaced_leaves_nothing_fetched_behind(world: &mut World) {
    let crowd = Load::gather(world).await;
    for replica in [0, 1, 0, 1] {
        for service in SERVICES {
            crowd.until_more_are_decided(20).await;
            world.stop(service, replica).await;
            world.restart(service, replica).await;
        }
    }
    let tally = crowd.go_home().await;
    assert!(
        tally.slowest < Duration::from_secs(30),
        "somebody waited for {:?}",
        tally.slowest
    );
}

/// At every start, and now and then, ids are forgotten that are older than that; and no others, so that an echo is known as one.
async fn ids_are_kept_as_long_as_the_settings_say(world: &mut World) {
    world.seats("RT100", 10).await;
    let view = world.book(&trip([flight("RT100", 1)])).await;
    let old = "insert into inbox (id, seen_us) select 'old', min(seen_us) - 600000000 from inbox";
    world.by_hand("flight", old).await;
    world.stop("flight", 0).await;
    world.restart("flight", 0).await;
    let flights = world.database_url("flight").to_owned();
    eventually("what is old is forgotten", async || {
        let old = fixtures::texts(&flights, "select id from inbox where id = 'old'").await;
        old.is_empty().then_some(())
    })
    .await;
    let words = world.timeline.of(view.trip).into_iter();
    let request = words
        .into_iter()
        .find(|word| word.fact() == "booking.requested");
    let request = request.unwrap();
    let id = request.header("ce-id");
    let known = format!("select id from inbox where id = '{id}'");
    assert_eq!(fixtures::texts(&flights, &known).await, [id]);

    // The echo is met with silence: a question that comes after it is answered, and it was not.
    let mut question = request.clone();
    let asked = Uuid::now_v7().to_string();
    question.headers.insert("ce-id", asked.as_str());
    let answers = |id: &str| {
        let words = world.timeline.of(view.trip).into_iter();
        words
            .filter(|word| word.header("ce-causationid") == id)
            .count()
    };
    let before = answers(id);
    world.say_again(&request).await;
    world.say_again(&question).await;
    eventually("the question is answered", async || {
        (answers(&asked) > 0).then_some(())
    })
    .await;
    assert_eq!(answers(id), before);
}
