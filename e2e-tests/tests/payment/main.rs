//! Trips that are paid for, while the provider is broken in every way: whole stacks of processes, each with a provider of its own, and at the end of
//! each the audit, and the provider's list held against the trips, to the cent. How the client treats each failure is in `provider`.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod failures;
mod many;
mod outage;
mod paying;
mod secrets;

use std::collections::BTreeMap;

use booking::core::State;
use booking::view::TripView;
use choreography::TripId;
use e2e_tests::trip::{Asked, ROOM_PRICE, SEAT_PRICE, flight, stay, trip};
use e2e_tests::{Sandbox, World, eventually, program};
use futures::{StreamExt as _, stream};
use payment::provider::{Listed, Stage};
use serde_json::json;

/// What a trip of [`paid`] costs.
const PRICE: i64 = SEAT_PRICE + ROOM_PRICE;

/// A seat, a room, and the card that they are paid with.
fn paid(card: &str) -> Asked {
    let payment = json!({"leg": "payment", "method": card});
    trip([flight("RT100", 1), stay("LIS", 1, 1), payment])
}

/// A provider, and the leg that pays there, in a running stack; and plenty to book.
async fn open(world: &mut World) -> Sandbox {
    open_with(world, &[]).await
}

async fn open_with(world: &mut World, settings: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::start().await;
    let (url, key) = (sandbox.url(), sandbox.key_file().display().to_string());
    let mut all: BTreeMap<&str, &str> = BTreeMap::from([
        ("PROVIDER_URL", url.as_str()),
        ("PROVIDER_KEY_FILE", key.as_str()),
        ("PROVIDER_TIMEOUT_MS", "2000"),
        ("PROVIDER_CALLS_PER_S", "10000"),
        ("PROVIDER_PROBE_FIRST_MS", "50"),
        ("PROVIDER_PROBE_MAX_MS", "400"),
        ("PROVIDER_KEY_PROBE_MS", "2000"),
        ("CALL_TIMEOUT_MS", "3000"),
        ("CALL_RETRY_FIRST_MS", "50"),
        ("CALL_RETRY_MAX_MS", "500"),
    ]);
    all.extend(settings.iter().copied());
    let all: Vec<(&str, &str)> = all.into_iter().collect();
    let args = ["serve", "payment"].map(Into::into).to_vec();
    world.start_foreign("payment", program(), args, &all).await;
    world.until_open(&["flight", "hotel", "payment"]).await;
    world.seats("RT100", 100_000).await;
    world.rooms("LIS", 100_000).await;
    sandbox
}

/// Waits until each of these trips is final.
async fn finals(world: &World, trips: &[TripId]) -> Vec<TripView> {
    let looks = stream::iter(trips).map(|trip| async move {
        world
            .until(*trip, "it is final", |view| {
                matches!(view.state, State::Confirmed | State::Closed)
            })
            .await
    });
    looks.buffered(16).collect().await
}

/// The provider's list against what became of the trips: a trip that goes through is paid for once, and of all others nobody has paid. Waits until
/// what is owed to the provider is done.
async fn reconcile(sandbox: &Sandbox, trips: &[TripView]) {
    let mut wrong = Vec::new();
    for _ in 0..600 {
        wrong = differences(&sandbox.payments().await, trips);
        if wrong.is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!(
        "{} differences, such as {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(3)]
    );
}

fn differences(listed: &[Listed], trips: &[TripView]) -> Vec<String> {
    let mut by_trip: BTreeMap<&str, Vec<&Listed>> = BTreeMap::new();
    for payment in listed {
        let trip = payment.trip.as_deref().unwrap();
        by_trip.entry(trip).or_default().push(payment);
    }
    let mut wrong = Vec::new();
    for trip in trips {
        let its = by_trip
            .remove(trip.trip.to_string().as_str())
            .unwrap_or_default();
        let kept = |it: &&&Listed| it.captured_minor - it.refunded_minor != 0;
        let taken: i64 = its
            .iter()
            .map(|it| it.captured_minor - it.refunded_minor)
            .sum();
        let held = its
            .iter()
            .filter(|it| it.stage == Stage::Authorised)
            .count();
        let once = its.iter().filter(kept).count() <= 1;
        let due = if trip.state == State::Confirmed {
            PRICE
        } else {
            0
        };
        if taken != due || held > 0 || !once {
            let (id, state) = (trip.trip, trip.state);
            wrong.push(format!("{id} is {state:?}, and the provider has {its:?}"));
        }
    }
    wrong.extend(by_trip.keys().map(|trip| format!("nobody knows of {trip}")));
    wrong
}

/// Waits until a measure of the payment leg is that.
async fn until_measure(world: &World, name: &str, value: f64) {
    eventually(&format!("{name} is {value}"), async || {
        let is = world.metrics("payment", name, "").await;
        (is == [value]).then_some(())
    })
    .await;
}
