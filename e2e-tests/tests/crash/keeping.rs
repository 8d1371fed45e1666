//! What is kept until it is safe elsewhere: a batch that cannot be saved yet, a fact that the broker has not acknowledged, a fact
//! that cannot be saved at all, a hold whose word was lost; and that what is kept is not said without end. Not about dying in
//! between: that is the [matrix](crate::matrix).

use std::time::{Duration, Instant};

use booking::core::State;
use e2e_tests::trip::{Asked, flight, stay, trip};
use e2e_tests::{SERVICES, Setup, Stock, World, eventually, on_both_databases};
use futures::future::{join, join_all};

use crate::{nobody_asks_again, until_final};

on_both_databases![
    what_cannot_be_saved_yet_is_tried_again with super::nothing_comes_twice,
    what_the_broker_has_not_acknowledged_stays_in_the_outbox with crate::nobody_asks_again,
    what_cannot_be_saved_at_all_is_a_dead_letter_and_may_be_said_again with crate::nobody_asks_again,
    what_the_broker_forgot_is_said_again,
    a_broker_that_answers_late_is_not_buried_under_repeats with super::short_leases,
];

const SEATS: i64 = 200;
const OUTBOX: &str = "select count(*) from outbox";

/// Not even from the broker, which waits an hour for an acknowledgement.
fn nothing_comes_twice(setup: Setup) -> Setup {
    nobody_asks_again(setup).setting("ACK_WAIT_MS", "3600000")
}

/// As long as rows belong to a publisher where leases are short.
const LEASE: Duration = Duration::from_millis(200);

/// So that many of them pass before consumers miss their broker.
fn short_leases(setup: Setup) -> Setup {
    nobody_asks_again(setup).setting("OUTBOX_LEASE_MS", &LEASE.as_millis().to_string())
}

/// Seats and rooms, and what everybody asks for.
async fn put_up(world: &World) -> Asked {
    world.seats("RT100", SEATS).await;
    world.rooms("LIS", SEATS).await;
    world.until_at_rest().await;
    trip([flight("RT100", 1), stay("LIS", 1, 1)]).deadline_s(3_600)
}

fn sold(trips: i64) -> Stock {
    Stock::of(0, trips, SEATS - trips)
}

/// A counter of a service's only replica.
async fn counted(world: &World, service: &str, name: &str, label: &str) -> f64 {
    world.metrics(service, name, label).await[0]
}

/// Every database is locked for longer than its service waits for a lock. A command's caller waits; of a fact nobody else would ever
/// hear again.
async fn what_cannot_be_saved_yet_is_tried_again(world: &mut World) {
    let asked = put_up(world).await;
    let mut locks = Vec::new();
    for service in SERVICES {
        locks.push((service, world.lock(service).await));
    }
    let world = &*world;
    let unlock = async {
        for (service, lock) in locks {
            let failures = "roundtrip_batch_failures_total";
            eventually(&format!("{service} tries again"), async || {
                (counted(world, service, failures, "retry").await > 0.0).then_some(())
            })
            .await;
            drop(lock);
        }
    };
    let (asked, ()) = join(world.ask(&asked), unlock).await;
    until_final(world, asked.trip, State::Confirmed).await;
    world.until_flight("RT100", sold(1)).await;
    world.until_nights("LIS", 1, sold(1)).await;
}

/// The broker takes facts from the wire and dies with them; so does who said them, once the broker had long enough to answer.
async fn what_the_broker_has_not_acknowledged_stays_in_the_outbox(world: &mut World) {
    let asked = put_up(world).await;
    world.pause_broker();
    let mut trips = Vec::new();
    for _ in 0..3 {
        trips.push(world.ask(&asked).await.trip);
    }
    let failures = "roundtrip_publish_failures_total";
    eventually("booking has waited for each acknowledgement", async || {
        (counted(world, "booking", failures, "").await >= 3.0).then_some(())
    })
    .await;
    let kept = world.number("booking", OUTBOX).await;
    assert_eq!(kept, 3, "in the outbox, of 3 that nobody acknowledged");
    world.kill("booking", 0).await;
    world.kill_broker().await;
    world.restart_broker().await;
    world.restart("booking", 0).await;
    for trip in trips {
        until_final(world, trip, State::Confirmed).await;
    }
    world.until_flight("RT100", sold(3)).await;
}

/// Somebody meddled with the stock: what the trip has cannot be given back.
async fn what_cannot_be_saved_at_all_is_a_dead_letter_and_may_be_said_again(world: &mut World) {
    let asked = put_up(world).await;
    let poisoned = world.book(&asked).await.trip;
    world.until_flight("RT100", sold(1)).await;
    let meddle = "update seat set confirmed = 0, free = 200";
    world.by_hand("flight", meddle).await;
    world.cancel_soon(poisoned).await;
    let letter = eventually("flight keeps what it cannot save", async || {
        world.letters("flight").await.pop()
    })
    .await;
    assert_eq!(letter["type"], "booking.cancelled.v1");
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.contains("constraint"), "{reason}");
    world.until_heard("flight").await;
    let view = world.book(&asked).await;
    assert_eq!(view.state, State::Confirmed, "it stops no other");
    assert_eq!(world.show(poisoned).await.state, State::Undoing);

    world.until_flight("RT100", sold(1)).await;
    let mend = "update seat set confirmed = confirmed + 1, free = free - 1";
    world.by_hand("flight", mend).await;
    let words = world.timeline.of(poisoned);
    let cancelled = words.iter().find(|word| word.fact() == "booking.cancelled");
    world.say_again(cancelled.expect("it was said")).await;
    until_final(world, poisoned, State::Closed).await;
    world.until_flight("RT100", sold(1)).await;
    world.until_nights("LIS", 1, sold(1)).await;
    let letters = world.letters("flight").await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["count"], 1, "it came back: {letters:?}");
}

/// Flight holds a seat and has said so; that is forgotten before the hotel has heard it.
async fn what_the_broker_forgot_is_said_again(world: &mut World) {
    let asked = put_up(world).await;
    world.kill("hotel", 0).await;
    let trip = world.ask(&asked).await.trip;
    world
        .until_flight("RT100", Stock::of(1, 0, SEATS - 1))
        .await;
    for service in ["booking", "flight"] {
        eventually("everything was said", async || {
            (world.number(service, OUTBOX).await == 0).then_some(())
        })
        .await;
    }
    world.wipe_broker().await;
    world.restart("hotel", 0).await;
    until_final(world, trip, State::Confirmed).await;
    world.until_flight("RT100", sold(1)).await;
}

/// For the time of many leases the broker acknowledges nothing; each fact goes out a few times, and not once for each lease.
async fn a_broker_that_answers_late_is_not_buried_under_repeats(world: &mut World) {
    const TRIPS: usize = 100;
    put_up(world).await;
    let asked = trip([flight("RT100", 1)]).deadline_s(3_600);
    world.pause_broker();
    let trips = join_all((0..TRIPS).map(|_| world.ask(&asked))).await;
    let until = Instant::now() + 10 * LEASE;
    eventually("ten leases are over", async || {
        (Instant::now() > until).then_some(())
    })
    .await;
    world.resume_broker();
    for booked in trips {
        until_final(world, booked.trip, State::Confirmed).await;
    }
    world.until_at_rest().await;
    let words = world.timeline.all();
    let requested = words
        .iter()
        .filter(|word| word.fact() == "booking.requested");
    let said = requested.count();
    assert!(
        said <= 5 * TRIPS,
        "buried under repeats: {TRIPS} facts took {said} messages"
    );
    eprintln!("{TRIPS} facts took {said} messages");
}
