//! What at-least-once delivery, outbox and inbox carry by themselves: in these worlds nobody who waits asks again for an hour, so
//! whatever is lost stays lost, and the trip it was about is never final.
//!
//! - [`matrix`]: a service dies at every point that there is, of a trip that goes through, is refused or is cancelled.
//! - [`keeping`]: a database that is locked, a broker that acknowledges nothing, a fact that cannot be saved.
//! - [`proof`]: without inbox, outbox, re-announcing and whatever else guards a trip, these very tests are red.
//!
//! Not here: what re-announcing mends (the scenarios and `faults.rs` do that), and faults that nobody named.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod keeping;
mod matrix;
mod proof;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use booking::core::State;
use booking::view::TripView;
use choreography::TripId;
use e2e_tests::{Setup, World};
use reqwest::Method;

/// How long a trip may take to become final when nothing is lost: a few acknowledgement waits. Only a test that fails waits that
/// long; [`proof`] runs some that should, and is less patient (in seconds).
const PATIENCE: &str = "CRASH_PATIENCE_S";
static PATIENT_FOR: LazyLock<Duration> = LazyLock::new(|| {
    let seconds = std::env::var(PATIENCE).map(|seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds.unwrap_or(60))
});

/// A world in which nobody asks again: neither a trip, nor a hold, nor a leg for its being there.
fn nobody_asks_again(setup: Setup) -> Setup {
    let hour = "3600000";
    setup
        .setting("REANNOUNCE_FIRST_MS", hour)
        .setting("REANNOUNCE_MAX_MS", hour)
        .setting("JOIN_INTERVAL_MS", hour)
}

/// A trip as booking shows it; none while booking does not answer.
async fn look(world: &World, trip: TripId) -> Option<TripView> {
    let request = world.request(Method::GET, "booking", &format!("/bookings/{trip}"));
    let answer = world.try_send(request).await?;
    assert_eq!(answer.status, 200, "{}", answer.text);
    Some(answer.json())
}

/// Waits until a trip is in its last state.
async fn until_final(world: &World, trip: TripId, state: State) {
    let until = Instant::now() + *PATIENT_FOR;
    loop {
        let is = world.show(trip).await.state;
        if is == state {
            return;
        }
        let lost = "something was lost";
        assert!(
            Instant::now() < until,
            "{lost}: the trip is {is:?} and not {state:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
