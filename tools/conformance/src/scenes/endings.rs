//! How trips come back: cancelled, or refused by another leg, before and after the leg's turn, and in both orders.

use super::Played;
use crate::kit::{Kit, Scene};
use crate::parts::Part;
use crate::promise::Promise;
use crate::trip::{cancelled, confirmed};

pub(super) fn scenes<'k>(kit: &'k Kit<'k>) -> Vec<Played<'k>> {
    vec![
        (
            &[Promise::CancelledHeld],
            "",
            Box::pin(cancelled_while_held(kit)),
        ),
        (
            &[Promise::CancelledHeld],
            "",
            Box::pin(cancelled_when_firm(kit)),
        ),
        (
            &[Promise::Tombstone],
            "",
            Box::pin(cancelled_first(kit, &[Part::Item, Part::After], 0)),
        ),
        (
            &[Promise::Tombstone],
            "",
            Box::pin(cancelled_first(kit, &[Part::Before, Part::Item], 1)),
        ),
        (
            &[Promise::Tombstone],
            "",
            Box::pin(at_the_same_time(kit, true)),
        ),
        (
            &[Promise::Tombstone],
            "",
            Box::pin(at_the_same_time(kit, false)),
        ),
        (
            &[Promise::LaterRejected],
            "",
            Box::pin(rejected_behind(kit)),
        ),
        (
            &[Promise::LaterRejected],
            "",
            Box::pin(rejected_behind_first(kit)),
        ),
        (
            &[Promise::EarlierRejected],
            "",
            Box::pin(rejected_before(kit)),
        ),
        (&[Promise::Firm], "", Box::pin(firm(kit))),
    ]
}

async fn cancelled_while_held(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Before, Part::Item])?;
    trip.hold(Promise::Turn, 1).await?;
    trip.ask(Promise::CancelledHeld, cancelled(), 1, &["released"])
        .await?;
    trip.ask(Promise::Question, cancelled(), 1, &["released"])
        .await?;
    trip.ask(Promise::StaysLetGo, trip.turn(1), 1, &["released"])
        .await?;
    trip.ends().await
}

async fn cancelled_when_firm(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Item])?;
    trip.hold(Promise::Turn, 0).await?;
    trip.say(confirmed()).await?;
    trip.hold(Promise::Question, 0).await?;
    trip.ask(Promise::CancelledHeld, cancelled(), 0, &["released"])
        .await?;
    trip.ask(Promise::StaysLetGo, trip.turn(0), 0, &["released"])
        .await?;
    trip.ends().await
}

async fn cancelled_first(kit: &Kit<'_>, parts: &[Part], position: u16) -> Scene {
    let trip = kit.trip(parts)?;
    trip.ask(Promise::Tombstone, cancelled(), position, &["released"])
        .await?;
    trip.ask(
        Promise::Tombstone,
        trip.turn(position),
        position,
        &["released"],
    )
    .await?;
    trip.ask(Promise::Question, cancelled(), position, &["released"])
        .await?;
    trip.ask(
        Promise::Tombstone,
        trip.turn(position),
        position,
        &["released"],
    )
    .await?;
    trip.ends().await
}

/// Neither waits for the answer to the other.
async fn at_the_same_time(kit: &Kit<'_>, cancelled_first: bool) -> Scene {
    let trip = kit.trip(&[Part::Item])?;
    let mut both = [cancelled(), trip.turn(0)];
    if !cancelled_first {
        both.reverse();
    }
    for say in both {
        trip.say(say).await?;
    }
    let within = kit.options.answer_within;
    if trip.hears(0, 0, &["released"], within).await.is_none() {
        return Err(trip.broken(
            Promise::CancelledHeld,
            "asked for and cancelled at the same time, and it does not say released",
        ));
    }
    trip.ask(Promise::Tombstone, trip.turn(0), 0, &["released"])
        .await?;
    trip.ends().await
}

async fn rejected_behind(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Item, Part::After])?;
    trip.hold(Promise::Turn, 0).await?;
    trip.ask(Promise::LaterRejected, trip.rejected(1), 0, &["released"])
        .await?;
    trip.ask(Promise::LaterRejected, trip.turn(0), 0, &["released"])
        .await?;
    trip.ends().await
}

/// It cannot have been its turn then; a turn that was lost on the way comes all the same.
async fn rejected_behind_first(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Before, Part::Item, Part::After])?;
    trip.ask(Promise::LaterRejected, trip.rejected(2), 1, &["released"])
        .await?;
    trip.ask(Promise::LaterRejected, trip.turn(1), 1, &["released"])
        .await?;
    trip.ends().await
}

async fn rejected_before(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Before, Part::Item])?;
    trip.say(trip.rejected(0)).await?;
    kit.settled().await?;
    let said = trip.look(|exchange| exchange.said().count()).unwrap_or(0);
    if said > 0 {
        return Err(trip.broken(
            Promise::EarlierRejected,
            "the leg before it rejected, and it says something of it",
        ));
    }
    trip.kept(Promise::EarlierRejected);
    trip.ends().await
}

async fn firm(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Item, Part::After])?;
    trip.hold(Promise::Turn, 0).await?;
    trip.say(confirmed()).await?;
    trip.hold(Promise::Question, 0).await?;
    trip.say(trip.rejected(1)).await?;
    trip.hold(Promise::Firm, 0).await?;
    let let_go = trip.look(|exchange| {
        let mut said = exchange.said().filter_map(|(_, word)| word.says());
        said.any(|(_, name)| name == "released")
    });
    if let_go == Some(true) {
        let what = "a leg behind it rejected after the confirmation, and it gives back";
        return Err(trip.broken(Promise::Firm, what));
    }
    trip.ends().await
}
