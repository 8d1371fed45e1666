//! Several positions of the leg on one itinerary: each is a leg of its own.

use super::Played;
use crate::kit::{Kit, Scene};
use crate::parts::Part;
use crate::promise::Promise;
use crate::trip::confirmed;

pub(super) fn scenes<'k>(kit: &'k Kit<'k>) -> Vec<Played<'k>> {
    vec![
        (&[Promise::OwnPositions], "", Box::pin(there_and_back(kit))),
        (&[Promise::OwnPositions], "", Box::pin(side_by_side(kit))),
        (
            &[],
            "--refused-item was not given: what does it refuse?",
            Box::pin(refused_by_itself(kit)),
        ),
    ]
}

async fn there_and_back(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Item, Part::After, Part::Item])?;
    trip.hold(Promise::OwnPositions, 0).await?;
    kit.settled().await?;
    let early = trip.look(|exchange| {
        exchange
            .said()
            .any(|(_, word)| word.says().is_some_and(|(at, _)| at == 2))
    });
    if early == Some(true) {
        return Err(trip.broken(
            Promise::WaitsItsTurn,
            "it was the turn of position 0, and position 2 says something",
        ));
    }
    trip.hold(Promise::OwnPositions, 2).await?;
    trip.say(confirmed()).await?;
    trip.hold(Promise::OwnPositions, 0).await?;
    trip.hold(Promise::OwnPositions, 2).await?;
    trip.ends().await
}

/// The second hears the first: nobody else says it.
async fn side_by_side(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Item, Part::Item])?;
    trip.hold(Promise::OwnPositions, 0).await?;
    let within = kit.options.answer_within;
    if trip.hears(0, 1, &["reserved"], within).await.is_none() {
        return Err(trip.broken(Promise::OwnPositions, "its position 0 said reserved, whose turn is position 1's, and that one does not say reserved"));
    }
    trip.kept(Promise::OwnPositions);
    trip.ends().await
}

/// The second refuses, and the first gives back: it hears its own rejection.
async fn refused_by_itself(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Item, Part::Refused])?;
    trip.hold(Promise::OwnPositions, 0).await?;
    let within = kit.options.answer_within;
    if trip.hears(0, 1, &["rejected"], within).await.is_none() {
        return Err(trip.broken(
            Promise::OwnPositions,
            "its position 1 gets its turn from its position 0, and does not say rejected",
        ));
    }
    if trip.hears(0, 0, &["released"], within).await.is_none() {
        return Err(trip.broken(
            Promise::OwnPositions,
            "its position 1 rejected, and its position 0 does not give back",
        ));
    }
    trip.kept(Promise::OwnPositions);
    trip.ends().await
}
