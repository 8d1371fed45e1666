//! What is sold: held once, given back, never sold twice. A black box tells how much there is only by what it refuses, so the kit takes all that it
//! was told to be there, again and again.

use anyhow::anyhow;
use choreography::FactBody;
use futures::future::join_all;

use super::Played;
use crate::kit::{Halt, Kit, Scene};
use crate::parts::Part;
use crate::promise::Promise;
use crate::trip::{Unanswered, cancelled};

pub(super) fn scenes<'k>(kit: &'k Kit<'k>) -> Vec<Played<'k>> {
    let needs = "--last-item was not given: of what is there exactly one?";
    vec![(
        &[Promise::NeverOversold],
        needs,
        Box::pin(the_last_one(kit)),
    )]
}

/// The first turn of all, which tells the price; then as many holds at once as were said to be possible: once more after all were given back, and
/// once more after each was asked for three times.
pub(crate) async fn at_once(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Item])?;
    let price = trip.hold(Promise::Turn, 0).await?;
    kit.learn_price(price.price);
    trip.ends().await?;
    let wanted = kit.options.at_once;
    let taken = take_all(kit, 0).await?;
    if taken < wanted {
        return Err(Halt::Trouble(anyhow!(
            "--item has to be there {wanted} times at once, and {taken} were taken: give another one, or --at-once {taken}"
        )));
    }
    for (promise, questions, what) in [
        (Promise::GivesBack, 2, "were held and given back"),
        (
            Promise::HoldsOnce,
            0,
            "were held, asked for twice more and given back",
        ),
    ] {
        let taken = take_all(kit, questions).await?;
        if taken < wanted {
            let what = format!("{wanted} {what}; the next time only {taken} are there");
            kit.verdicts().broken(promise, what, Vec::new());
            return Err(Halt::Broken);
        }
        kit.verdicts().kept(promise);
    }
    Ok(())
}

/// Holds as many as there should be, asks so many more times for each, and cancels them; how many were taken.
async fn take_all(kit: &Kit<'_>, questions: usize) -> Scene<usize> {
    let asking = (0..kit.options.at_once).map(|_| async {
        let trip = kit.trip(&[Part::Item])?;
        let word = match trip
            .is_answered(trip.turn(0), 0, &["reserved", "rejected"])
            .await?
        {
            Ok(word) => word,
            Err(Unanswered::OldId | Unanswered::Wrong(_) | Unanswered::Silence) => {
                return Err(trip.broken(
                    Promise::Turn,
                    "many trips at once, and one is not answered with reserved or rejected",
                ));
            }
        };
        let held = word.says().is_some_and(|(_, name)| name == "reserved");
        for _ in 0..if held { questions } else { 0 } {
            trip.hold(Promise::Question, 0).await?;
        }
        Ok((trip, held))
    });
    let trips = join_all(asking)
        .await
        .into_iter()
        .collect::<Scene<Vec<_>>>()?;
    let taken = trips.iter().filter(|(_, held)| *held).count();
    let ending = trips.into_iter().map(|(trip, _)| trip.ends());
    join_all(ending).await.into_iter().collect::<Scene>()?;
    Ok(taken)
}

/// There is one, and several want it.
async fn the_last_one(kit: &Kit<'_>) -> Scene {
    let (first, second) = (kit.trip(&[Part::Last])?, kit.trip(&[Part::Last])?);
    let turn = first.is_answered(first.turn(0), 0, &["reserved"]).await?;
    if turn.is_err() {
        let why = "--last-item is not there, or not taken";
        kit.verdicts().not_tried(Promise::NeverOversold, why);
        first.ends().await?;
        return Ok(());
    }
    let refused = second
        .ask(Promise::NeverOversold, second.turn(0), 0, &["rejected"])
        .await?;
    if let Ok(FactBody::Rejected { reason, .. }) = refused.fact.map(|fact| fact.said)
        && reason.code.is_empty()
    {
        return Err(second.broken(Promise::RefusalStays, "it rejects without a reason"));
    }
    first
        .ask(Promise::CancelledHeld, cancelled(), 0, &["released"])
        .await?;
    // It is there now, and the refusal stands.
    second
        .ask(Promise::RefusalStays, second.turn(0), 0, &["rejected"])
        .await?;
    let third = kit.trip(&[Part::Last])?;
    third
        .ask(Promise::GivesBack, third.turn(0), 0, &["reserved"])
        .await?;
    third.hold(Promise::HoldsOnce, 0).await?;
    third.hold(Promise::HoldsOnce, 0).await?;
    third
        .ask(Promise::CancelledHeld, cancelled(), 0, &["released"])
        .await?;
    let fourth = kit.trip(&[Part::Last])?;
    fourth
        .ask(Promise::HoldsOnce, fourth.turn(0), 0, &["reserved"])
        .await?;
    for trip in [first, second, third, fourth] {
        trip.ends().await?;
    }
    Ok(())
}
