//! The provider is down while trips are made: those that nobody pays for go on as before, those that have to be paid for are refused early or wait, and
//! all of them are final afterwards. For seconds here; for a minute by `OUTAGE_S=60`.

use std::time::{Duration, Instant};

use booking::core::State;
use e2e_tests::trip::{flight, stay, trip};
use e2e_tests::{Engine, Setup, World, eventually, play};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::many::are_final;
use super::{agrees, house, paid};

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

fn median(took: &[Duration]) -> Duration {
    took[took.len() / 2]
}

fn p99(took: &[Duration]) -> Duration {
    took[took.len() * 99 / 100]
}

/// Waits until the payment leg says whether the provider is down.
async fn until_it_is_said(world: &World, down: bool) {
    eventually("it is said whether the provider is down", async || {
        let told: Value = world.get("payment", "/provider").await;
        (told["down"] == down).then_some(())
    })
    .await;
}

async fn scene(world: &mut World) {
    let mut provider = house(world).await;
    world.seats("RT100", 1_000_000).await;
    world.rooms("LIS", 1_000_000).await;
    let within = outage();
    let world = &*world;
    let (before, mut trips) = futures::join!(unpaid(world, within), asked(world, within));
    provider
        .throw(json!({"failure": "down", "retry_after_s": 1}))
        .await;
    let (during, meanwhile) = futures::join!(unpaid(world, within), asked(world, within));
    until_it_is_said(world, true).await;
    eventually("new payments are refused early", async || {
        // One that is let in when a try is due knows nothing until the provider is back.
        let asked = world.ask(&paid("pm_card_visa").deadline_s(5)).await.trip;
        let view = world
            .until(asked, "it is refused, or too late", |view| {
                view.outcome.is_some()
            })
            .await;
        let code = view.reason.map(|reason| reason.code);
        (code.as_deref() == Some("payment-unavailable")).then_some(())
    })
    .await;
    provider.mend().await;
    trips.extend(&meanwhile);
    are_final(world, &trips).await;
    agrees(world, &provider).await;
    until_it_is_said(world, false).await;
    let paid = world.book(&paid("pm_card_visa")).await;
    assert_eq!(paid.state, State::Confirmed);
    let (was, is) = (median(&before), median(&during));
    let slowest = (p99(&before), p99(&during));
    eprintln!(
        "unpaid trips: {} before, p50 {was:?}, p99 {:?}; {} during {within:?} of outage, p50 {is:?}, p99 {:?}; {} paid ones",
        before.len(),
        slowest.0,
        during.len(),
        slowest.1,
        trips.len()
    );
    assert!(
        is < was * 3 + Duration::from_millis(500),
        "{is:?} and not {was:?}"
    );
    agrees(world, &provider).await;
    provider.stop().await;
}
