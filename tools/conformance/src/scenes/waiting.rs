//! What takes its time: a hold that nobody answers asks again, and stays.

use std::time::Duration;

use choreography::Position;
use jiff::Timestamp;

use super::Played;
use crate::kit::{Halt, Kit, Scene};
use crate::parts::{self, Part};
use crate::promise::Promise;

const POSITION: Position = 0;

pub(super) fn scenes<'k>(kit: &'k Kit<'k>) -> Vec<Played<'k>> {
    vec![
        (
            &[Promise::AsksAgain],
            "nobody waited for it (--asks-within 0s)",
            Box::pin(asks_again(kit)),
        ),
        (&[Promise::NoClock], "", Box::pin(stays(kit))),
    ]
}

async fn asks_again(kit: &Kit<'_>) -> Scene {
    let within = kit.options.asks_within;
    if within.is_zero() {
        return Err(Halt::NotTried);
    }
    let trip = kit.trip(&[Part::Item, Part::After])?;
    trip.hold(Promise::Turn, POSITION).await?;
    let from = trip.words();
    if trip
        .hears(from, POSITION, &["reserved"], within)
        .await
        .is_none()
    {
        let again = trip.words() > from;
        let seconds = within.as_secs_f64();
        return Err(if again {
            trip.broken(
                Promise::NewId,
                "a hold asks again under an id that was there before",
            )
        } else {
            trip.broken(
                Promise::AsksAgain,
                format!("a hold that nobody answers says nothing for {seconds} s"),
            )
        });
    }
    trip.kept(Promise::AsksAgain);
    trip.ends().await
}

/// Past the trip's deadline, which is booking's to keep.
async fn stays(kit: &Kit<'_>) -> Scene {
    let deadline = parts::in_s(1);
    let trip = kit.trip_with(&[Part::Item, Part::After], deadline, None)?;
    trip.hold(Promise::Turn, POSITION).await?;
    let left = Duration::try_from(deadline.duration_since(Timestamp::now())).unwrap_or_default();
    let watched = left + kit.options.watch;
    if trip
        .hears(0, POSITION, &["released", "rejected"], watched)
        .await
        .is_some()
    {
        return Err(trip.broken(Promise::NoClock, "a hold that nobody cancelled is let go"));
    }
    trip.hold(Promise::NoClock, POSITION).await?;
    trip.ends().await
}
