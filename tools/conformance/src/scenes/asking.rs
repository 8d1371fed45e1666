//! Turns, questions and echoes, budgets and deadlines: what a leg says when it is asked.

use choreography::{Currency, Money};

use super::Played;
use crate::kit::{Halt, Kit, Scene};
use crate::parts::{self, Part};
use crate::promise::Promise;
use crate::trip::{cancelled, confirmed};

pub(super) fn scenes<'k>(kit: &'k Kit<'k>) -> Vec<Played<'k>> {
    let refused = "--refused-item was not given: what does it refuse?";
    vec![
        (&[Promise::Turn], "", Box::pin(between_two(kit))),
        (&[Promise::Echo], "", Box::pin(echoes(kit))),
        (
            &[Promise::RefusalStays],
            refused,
            Box::pin(refusal(kit, &[Part::Refused], 0)),
        ),
        (
            &[],
            refused,
            Box::pin(refusal(kit, &[Part::Before, Part::Refused, Part::After], 1)),
        ),
        (&[Promise::Unreadable], "", Box::pin(nonsense(kit))),
        (&[Promise::TooLate], "", Box::pin(too_late(kit))),
        (&[Promise::Budget], "", Box::pin(budgets(kit))),
    ]
}

/// It hears of the trip before its turn, is asked twice, and what surrounds it is hard to relay.
async fn between_two(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Before, Part::Item, Part::After])?;
    trip.say(trip.turn(0)).await?;
    kit.settled().await?;
    let early = trip.look(|exchange| exchange.said().count()).unwrap_or(0);
    if early > 0 {
        return Err(trip.broken(
            Promise::WaitsItsTurn,
            "the trip was asked of the leg before it, and it says something",
        ));
    }
    trip.hold(Promise::Turn, 1).await?;
    trip.hold(Promise::Question, 1).await?;
    trip.hold(Promise::Question, 1).await?;
    trip.ends().await
}

/// Of a trip that waits for nothing any more, so that nothing is said of it unasked.
async fn echoes(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Item])?;
    let asked = trip.say(trip.turn(0)).await?;
    let within = kit.options.answer_within;
    if trip.hears(0, 0, &["reserved"], within).await.is_none() {
        return Err(trip.broken(Promise::Turn, "it does not answer its turn with reserved"));
    }
    let firm = trip.say(confirmed()).await?;
    // A question that is answered after it: the confirmation has been heard.
    trip.hold(Promise::Question, 0).await?;
    kit.settled().await?;
    silent(kit, &trip, &[&asked, &firm]).await?;
    trip.hold(Promise::Question, 0).await?;
    let off = trip.say(cancelled()).await?;
    if trip.hears(0, 0, &["released"], within).await.is_none() {
        return Err(trip.broken(
            Promise::CancelledHeld,
            "confirmed and then cancelled, it does not say released",
        ));
    }
    kit.settled().await?;
    silent(kit, &trip, &[&asked, &firm, &off]).await?;
    trip.ends().await
}

/// What was said before, once more under the same ids.
async fn silent(kit: &Kit<'_>, trip: &crate::trip::Trip<'_>, said: &[&crate::trip::Said]) -> Scene {
    let from = trip.words();
    for said in said {
        trip.echo(said).await?;
        trip.echo(said).await?;
    }
    kit.settled().await?;
    // An answer to what was asked twice, for it was slow, names another cause.
    let ids: Vec<_> = said.iter().map(|said| said.event.id).collect();
    let answered = trip.look(|exchange| {
        let words = exchange.said().filter(|(at, _)| *at >= from);
        words
            .filter(|(_, word)| word.cause.is_none_or(|cause| ids.contains(&cause)))
            .count()
    });
    match answered {
        Some(0) | None => {
            trip.kept(Promise::Echo);
            Ok(())
        }
        Some(times) => Err(trip.broken(Promise::Echo, format!("what it had heard before came again under the same ids, and it answers {times} times"))),
    }
}

async fn refusal(kit: &Kit<'_>, parts: &[Part], position: u16) -> Scene {
    let trip = kit.trip(parts)?;
    for (promise, said) in [
        (Promise::Turn, trip.turn(position)),
        (Promise::RefusalStays, trip.turn(position)),
        (Promise::Question, cancelled()),
        (Promise::RefusalStays, trip.turn(position)),
    ] {
        trip.ask(promise, said, position, &["rejected"]).await?;
    }
    trip.kept(Promise::RejectedNeverHeld);
    trip.ends().await
}

async fn nonsense(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Nonsense, Part::After])?;
    let any = ["rejected", "reserved", "released"];
    trip.ask(Promise::Unreadable, trip.turn(0), 0, &any).await?;
    trip.ask(
        Promise::Unreadable,
        cancelled(),
        0,
        &["rejected", "released"],
    )
    .await?;
    trip.ends().await
}

async fn too_late(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip_with(&[Part::Item, Part::After], parts::in_s(-2 * 3_600), None)?;
    trip.ask(Promise::TooLate, trip.turn(0), 0, &["released"])
        .await?;
    trip.ask(Promise::TooLate, trip.turn(0), 0, &["released"])
        .await?;
    trip.ends().await?;
    let trip = kit.trip_with(&[Part::Item, Part::After], parts::in_s(-1_800), None)?;
    trip.hold(Promise::TooLate, 0).await?;
    trip.ends().await
}

/// What the neighbour in front costs counts too.
async fn budgets(kit: &Kit<'_>) -> Scene {
    let price = kit.price().ok_or(Halt::NotTried)?;
    let before = parts::before_price(price.currency).price;
    let exact = before.checked_add(price).ok_or(Halt::NotTried)?;
    let short = Money::new(exact.amount_minor.saturating_sub(1), exact.currency);
    let other = if price.currency == Currency::EUR {
        Currency::USD
    } else {
        Currency::EUR
    };
    let foreign = Money::new(i64::from(i32::MAX), other);
    for (budget, wanted) in [
        (exact, "reserved"),
        (short, "rejected"),
        (foreign, "rejected"),
    ] {
        let trip = kit.trip_with(
            &[Part::Before, Part::Item],
            parts::in_s(3_600),
            Some(budget),
        )?;
        let budget = trip.ask(Promise::Budget, trip.turn(1), 1, &[wanted]).await;
        if matches!(budget, Err(Halt::Trouble(_))) {
            return budget.map(drop);
        }
        trip.ends().await?;
    }
    Ok(())
}
