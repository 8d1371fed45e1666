//! The provider is down while trips are made: those that nobody pays for go on as before, those that have to be paid for are refused early or wait, and
//! all of them are final afterwards. For seconds here; for a minute by `OUTAGE_S=60`.

use std::time::{Duration, Instant};

use booking::core::State;
use booking::view::TripView;
use e2e_tests::trip::{flight, stay, trip};
use e2e_tests::{Engine, Setup, World, play};
use futures::{StreamExt as _, stream};
use serde_json::json;

use super::{finals, open, paid, reconcile, until_measure};

fn outage() -> Duration {
    let seconds = std::env::var("OUTAGE_S")
        .ok()
        .and_then(|it| it.parse().ok());
    Duration::from_secs(seconds.unwrap_or(4))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trips_that_nobody_pays_for_go_on_while_the_provider_is_down() {
    let test = "trips_that_nobody_pays_for_go_on_while_the_provider_is_down";
    let setup = Setup::on(Engine::Sqlite).within(outage() + Duration::from_secs(240));
    play(test, setup, scene).await;
}

/// Trips without payment for so long, four at a time: how long each took, sorted.
async fn unpaid(world: &World, within: Duration) -> Vec<Duration> {
    let until = Instant::now() + within;
    let one = trip([flight("RT100", 1), stay("LIS", 1, 1)]);
    let travellers = stream::iter(0..4).map(|_| async {
        let mut took = Vec::new();
        while Instant::now() < until {
            let begun = Instant::now();
            assert_eq!(world.book(&one).await.state, State::Confirmed);
            took.push(begun.elapsed());
        }
        took
    });
    let took: Vec<Vec<Duration>> = travellers.buffer_unordered(4).collect().await;
    let mut took = took.concat();
    took.sort_unstable();
    took
}

/// Trips that have to be paid for, two at a time, for so long.
async fn asked(world: &World, within: Duration) -> Vec<choreography::TripId> {
    let until = Instant::now() + within;
    let travellers = stream::iter(0..2).map(|_| async {
        let mut trips = Vec::new();
        while Instant::now() < until {
            trips.push(world.ask(&paid("pm_card_visa")).await.trip);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        trips
    });
    let trips: Vec<Vec<_>> = travellers.buffer_unordered(2).collect().await;
    trips.concat()
}

fn p99(took: &[Duration]) -> Duration {
    took[took.len() * 99 / 100]
}

async fn scene(world: &mut World) {
    let sandbox = open(world).await;
    let within = outage();
    let world = &*world;
    let (before, mut trips) = futures::join!(unpaid(world, within), asked(world, within));
    sandbox
        .throw(json!({"failure": "down", "retry_after_s": 1}))
        .await;
    let (during, refused) = futures::join!(unpaid(world, within), asked(world, within));
    until_measure(world, "roundtrip_provider_down", 1.0).await;
    let early = world.book(&paid("pm_card_visa")).await;
    assert_eq!(early.reason.unwrap().code, "payment-unavailable");
    sandbox.mend().await;
    trips.extend(&refused);
    let all = finals(world, &trips).await;
    let is_refused = |view: &&TripView| {
        view.reason
            .as_ref()
            .is_some_and(|it| it.code == "payment-unavailable")
    };
    let count = all.iter().filter(is_refused).count();
    assert!(count > 0, "none of {} was refused early", refused.len());
    reconcile(&sandbox, &all).await;
    until_measure(world, "roundtrip_provider_down", 0.0).await;
    assert_eq!(
        world.book(&paid("pm_card_visa")).await.state,
        State::Confirmed
    );
    let (before, during, n) = (p99(&before), p99(&during), during.len());
    eprintln!(
        "unpaid trips: p99 {before:?} before, {during:?} during ({n}); paid trips: {} asked, {count} refused early, all final",
        all.len()
    );
    assert!(
        during < before * 3 + Duration::from_millis(200),
        "{during:?} and not {before:?}"
    );
}
