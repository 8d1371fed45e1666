//! What is heavy, at default pauses: three thousand trips of sixteen legs cancelled at once, a broker that loses everything with a
//! thousand trips under way, a hundred thousand facts that wait for a service that was away. Each says how long it took until all were
//! at rest, and what the services needed in memory.
//!
//! Minutes each, so it runs by name only: `cargo test -p e2e-tests --bench heavy -- --nocapture --test-threads 1`. The same shapes, small
//! enough for every day, are in `stalls.rs` and `faults.rs`.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::time::{Duration, Instant};

use booking::core::State;
use e2e_tests::trip::{flight, stay, trip};
use e2e_tests::{SERVICES, Setup, World, on_both_databases};

on_both_databases![
    three_thousand_trips_of_sixteen_legs_are_cancelled_at_once with super::heavy,
    the_broker_loses_everything_with_a_thousand_trips_under_way with super::heavy,
    a_hundred_thousand_facts_wait_for_a_service_that_was_away with super::heavy,
];

fn heavy(setup: Setup) -> Setup {
    setup
        .at_default_pace()
        .setting("PENDING_MAX", "100000")
        .within(Duration::from_secs(20 * 60))
}

/// Waits until every trip is final, and says how long that took.
async fn until_final(world: &mut World, since: Instant) {
    let open = "select count(*) from trip where state in ('pending', 'undoing')";
    loop {
        let trips = world.number("booking", open).await;
        if trips == 0 {
            break;
        }
        eprintln!(
            "  {:5.1} s: {trips} trips are open",
            since.elapsed().as_secs_f64()
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    eprintln!("  at rest after {:.1} s", since.elapsed().as_secs_f64());
    for service in SERVICES {
        let peak_kb = world.memory_peak_kb(service, 0).unwrap_or(0);
        eprintln!("  {service}: {} MiB at most", peak_kb / 1_024);
    }
}

async fn messages(world: &World) -> u64 {
    let mut stream = world.jetstream().get_stream("TRIPS").await.unwrap();
    stream.info().await.unwrap().state.last_sequence
}

async fn three_thousand_trips_of_sixteen_legs_are_cancelled_at_once(world: &mut World) {
    const TRIPS: usize = 3_000;
    world.seats("RT100", 100_000).await;
    world.pause("flight", 0).await;
    let long = trip::<16>(std::array::from_fn(|_| flight("RT100", 1)));
    let trips = world.ask_many(&long, TRIPS).await;
    world.cancel_many(&trips).await;
    let (before, since) = (messages(world).await, Instant::now());
    world.resume("flight", 0).await;
    until_final(world, since).await;
    let said = messages(world).await - before;
    eprintln!("  {said} messages for {} releases", TRIPS * 16);
    let after = world.book(&trip([flight("RT100", 1)])).await;
    assert_eq!(after.state, State::Confirmed);
}

async fn the_broker_loses_everything_with_a_thousand_trips_under_way(world: &mut World) {
    world.seats("RT100", 100_000).await;
    world.rooms("LIS", 100_000).await;
    world.pause("hotel", 0).await;
    let both = trip([flight("RT100", 1), stay("LIS", 1, 1)]).deadline_s(900);
    let trips = world.ask_many(&both, 1_000).await;
    let since = Instant::now();
    world.wipe_broker().await;
    world.resume("hotel", 0).await;
    until_final(world, since).await;
    for trip in &trips {
        assert_eq!(world.show(*trip).await.state, State::Confirmed);
    }
}

async fn a_hundred_thousand_facts_wait_for_a_service_that_was_away(world: &mut World) {
    const FACTS: u64 = 100_000;
    world.seats("RT100", 1_000_000).await;
    world.kill("flight", 0).await;
    let short = trip([flight("RT100", 1)]);
    let waiting = async || {
        let stream = world.jetstream().get_stream("TRIPS").await.unwrap();
        stream.consumer_info("flight").await.unwrap().num_pending
    };
    let mut trips = 0;
    let mut facts = 0;
    while facts < FACTS {
        let some = world.ask_many(&short, 2_000).await;
        // Half of them are off before flight hears of them.
        world.cancel_many(&some[..1_000]).await;
        trips += some.len();
        facts = waiting().await;
    }
    let since = Instant::now();
    world.restart("flight", 0).await;
    eprintln!(
        "  {facts} facts of {trips} trips wait; flight is ready after {:.1} s",
        since.elapsed().as_secs_f64()
    );
    until_final(world, since).await;

    // Questions that were asked again meanwhile are heard too.
    while !world.is_at_rest().await {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    eprintln!(
        "  everything is heard after {:.1} s",
        since.elapsed().as_secs_f64()
    );

    // And a consumer that is declared again does not hear all of it again before a new trip.
    let stream = world.jetstream().get_stream("TRIPS").await.unwrap();
    stream.delete_consumer("flight").await.unwrap();
    let since = Instant::now();
    let after = world.book(&short).await;
    assert_eq!(after.state, State::Confirmed);
    let stored = messages(world).await;
    eprintln!(
        "  after its consumer was deleted, with {stored} messages stored: a trip in {:.2} s",
        since.elapsed().as_secs_f64()
    );
}
