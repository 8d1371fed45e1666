//! What is played with the leg, and in which order. Scenes that disturb nobody are played all at once; what may stop the leg comes later, each
//! for itself, so that what broke it has a name. Each scene is a file's; what it shows beyond its own promise is the judge's.

mod asking;
mod endings;
mod load;
mod places;
mod restart;
mod stock;
mod strange;
mod waiting;

use anyhow::Result;
use choreography::{LegName, Position};
use futures::future::{BoxFuture, join_all};
use futures::stream::{self, StreamExt as _};

use crate::Say;
use crate::kit::{Halt, Kit, Scene};
use crate::promise::Promise;
use crate::trip::cancelled;

/// A scene: what it tries, what it needs that may not be there, and how it goes.
type Played<'k> = (&'static [Promise], &'static str, BoxFuture<'k, Scene>);

/// Plays everything.
pub(crate) async fn play<'k>(kit: &'k Kit<'k>, say: Say<'_>) -> Scene {
    if !answers(kit, say).await? {
        return Ok(());
    }
    // While it is quiet, and before what is not acknowledged keeps it from hearing anything.
    let consumer = "it has no durable consumer that would tell";
    let acknowledged = Box::pin(strange::acknowledged(kit));
    trouble(one(kit, (&[Promise::Acknowledges], consumer, acknowledged)).await)?;
    say("the table: turns, refusals, cancellations, in both orders");
    let waiting = join_all(
        waiting::scenes(kit)
            .into_iter()
            .map(|scene| one(kit, scene)),
    );
    let rest = async {
        let scenes = [
            asking::scenes(kit),
            endings::scenes(kit),
            places::scenes(kit),
            stock::scenes(kit),
        ];
        let scenes = scenes.into_iter().flatten().map(|scene| one(kit, scene));
        // Each holds three at most, and waiting ones have some.
        let at_once = (kit.options.at_once.saturating_sub(load::OTHERS) / 3).max(1);
        let played: Vec<Scene> = stream::iter(scenes)
            .buffer_unordered(at_once)
            .collect()
            .await;
        played.into_iter().try_for_each(trouble)?;
        if kit.options.trips == 0 {
            kit.verdicts().not_tried(
                Promise::ComesToItsEnd,
                "no trips with faults were asked for (--trips)",
            );
            return Ok(());
        }
        if !kit.alive().await? {
            kit.verdicts()
                .not_tried(Promise::ComesToItsEnd, "the leg answers nothing any more");
            return Ok(());
        }
        say(&format!(
            "{} trips with repeats, losses and in another order",
            kit.options.trips
        ));
        trouble(load::play(kit).await)
    };
    let (waited, rest): (Vec<Scene>, Scene) = tokio::join!(waiting, rest);
    rest?;
    waited.into_iter().try_for_each(trouble)?;
    say("what it may not know, and what nobody can read");
    for scene in strange::scenes(kit) {
        alone(kit, scene).await?;
    }
    if matches!(kit.options.restart, crate::Restart::By(..)) {
        say("killed and started again");
    }
    alone(kit, restart::scene(kit)).await
}

/// Whether it answers its first turn, so that there is something to play with; what is known without that is on account.
async fn answers<'k>(kit: &'k Kit<'k>, say: Say<'_>) -> Scene<bool> {
    say("whether it answers at all, and holds at once");
    let begun = stock::at_once(kit).await;
    let silent = matches!(begun, Err(Halt::Broken)) && kit.price().is_none();
    if silent && !kit.wire.has_reader(kit.leg.as_str()).await? {
        // What an earlier run left on the broker says nothing of this one.
        nothing_more(kit, "nobody reads from its consumer: does it run?");
        return Ok(false);
    }
    presence(kit).await?;
    if silent {
        nothing_more(kit, "it did not take --item at its first turn");
        return Ok(false);
    }
    if trouble_or_broken(begun)? {
        give_back(kit).await;
    }
    Ok(true)
}

/// Plays a scene, if the leg still answers.
async fn alone<'k>(kit: &'k Kit<'k>, scene: Played<'k>) -> Scene {
    if !kit.alive().await? {
        for promise in scene.0 {
            kit.verdicts()
                .not_tried(*promise, "the leg answers nothing any more");
        }
        return Ok(());
    }
    trouble(one(kit, scene).await)
}

async fn one<'k>(kit: &'k Kit<'k>, (promises, needs, scene): Played<'k>) -> Scene {
    let played = scene.await;
    if matches!(played, Err(Halt::NotTried)) {
        for promise in promises {
            kit.verdicts().not_tried(*promise, needs);
        }
    }
    played
}

/// What a scene broke is on account; only trouble ends the play.
fn trouble(played: Scene) -> Scene {
    match played {
        Err(Halt::Trouble(error)) => Err(Halt::Trouble(error)),
        Ok(()) | Err(Halt::Broken | Halt::NotTried) => Ok(()),
    }
}

/// Whether a scene broke something, and so left its trips as they are.
fn trouble_or_broken(played: Scene) -> Scene<bool> {
    let broken = played.is_err();
    trouble(played).map(|()| broken)
}

fn nothing_more(kit: &Kit<'_>, why: &str) {
    for promise in Promise::ALL {
        kit.verdicts().not_tried(*promise, why);
    }
}

/// What the broker knows of the leg.
async fn presence(kit: &Kit<'_>) -> Result<()> {
    match kit.wire.joined_before().await? {
        Some(Ok(())) => kit.verdicts().kept(Promise::Joins),
        Some(Err(error)) => kit.verdicts().broken(Promise::Joins, error, Vec::new()),
        None => kit.verdicts().not_tried(
            Promise::Joins,
            "the stream has no `joined` of it: it may be older than the stream reaches back; a restart would show it",
        ),
    }
    let Some(info) = kit.wire.consumer(kit.leg.as_str()).await? else {
        let what = format!(
            "the stream {} has no consumer {}",
            choreography::STREAM,
            kit.leg
        );
        kit.verdicts().broken(Promise::Consumer, what, Vec::new());
        return Ok(());
    };
    let mut wrong = Vec::new();
    if info.config.durable_name.is_none() {
        wrong.push(String::from("it is not durable"));
    }
    if info.config.ack_policy != async_nats::jetstream::consumer::AckPolicy::Explicit {
        wrong.push(format!(
            "its acknowledgements are {:?}, not Explicit",
            info.config.ack_policy
        ));
    }
    let filters = [
        vec![info.config.filter_subject.clone()],
        info.config.filter_subjects.clone(),
    ]
    .concat();
    let missing = not_heard(&kit.leg, &filters);
    if !missing.is_empty() {
        wrong.push(format!("it does not take in {}", missing.join(", ")));
    }
    if wrong.is_empty() {
        kit.verdicts().kept(Promise::Consumer);
    } else {
        kit.verdicts()
            .broken(Promise::Consumer, wrong.join("; "), Vec::new());
    }
    Ok(())
}

/// Which subjects a leg has to hear that none of these filters takes in. No filter takes in everything.
fn not_heard(leg: &LegName, filters: &[String]) -> Vec<String> {
    let filters: Vec<&String> = filters.iter().filter(|filter| !filter.is_empty()).collect();
    let mut needed = choreography::filters_for_leg(leg);
    needed.retain(|subject| {
        !filters.is_empty() && !filters.iter().any(|filter| covers(filter, subject))
    });
    needed
}

/// Whether a filter takes in all that another one does: NATS has `*` for one token and `>` for the rest.
fn covers(filter: &str, other: &str) -> bool {
    let (mut filter, mut other) = (filter.split('.'), other.split('.'));
    loop {
        match (filter.next(), other.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(token), Some(there)) if token == there || (token == "*" && there != ">") => {}
            _ => return false,
        }
    }
}

/// Cancels what was left under way, and puts it before the judge.
async fn give_back(kit: &Kit<'_>) {
    let trips = kit.wire.open_trips();
    let trips = trips.into_iter().filter_map(|trip| kit.again(trip));
    // Whatever comes of it: what is broken has its line already, and trouble here would hide it.
    let alive = kit.alive().await.unwrap_or(false);
    join_all(trips.map(|trip| async move {
        let positions: Vec<Position> = trip.plan.itinerary.positions_of(&kit.leg).collect();
        if alive {
            for position in positions {
                let wanted = ["released", "rejected"];
                let _ = trip.is_answered(cancelled(), position, &wanted).await;
            }
        } else {
            // It finds that in the stream when it is back.
            let _ = trip.say(cancelled()).await;
        }
        trip.close();
    }))
    .await;
}

/// Ends the play: what is under way is given back, and what belongs to no trip under way is looked at.
pub(crate) async fn sweep(kit: &Kit<'_>) {
    give_back(kit).await;
    let (strays, lost) = kit.wire.strays();
    for word in strays
        .iter()
        .filter(|word| word.says().is_some_and(|(_, name)| name == "reserved"))
    {
        let what = "it says reserved of a trip that it had given back";
        kit.verdicts()
            .broken(Promise::StaysLetGo, what, vec![word.line()]);
    }
    for line in lost {
        kit.verdicts().broken(
            Promise::Envelope,
            "nobody can tell which trip that is about",
            vec![line],
        );
    }
    for joined in kit.wire.joined() {
        match joined {
            Ok(()) => kit.verdicts().kept(Promise::Joins),
            Err(error) => kit.verdicts().broken(Promise::Joins, error, Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{covers, not_heard};

    #[test]
    fn a_filter_covers_what_it_takes_in() {
        for (filter, other) in [
            (">", "trips.*.rejected"),
            ("trips.>", "trips.*.*.car"),
            ("trips.*.*.car", "trips.*.*.car"),
            ("trips.*.*.*", "trips.*.*.car"),
        ] {
            assert!(covers(filter, other), "{filter} {other}");
        }
        for (filter, other) in [
            ("trips.booking.*", "trips.*.rejected"),
            ("trips.*", "trips.*.rejected"),
            ("trips.*.*.car", "trips.*.*.cart"),
            ("trips.*.rejected.>", "trips.*.rejected"),
        ] {
            assert!(!covers(filter, other), "{filter} {other}");
        }
    }

    #[test]
    fn what_no_filter_takes_in_is_named() {
        let car = "car".parse();
        let car = car.unwrap_or_else(|_| unreachable!("a leg's name"));
        assert!(not_heard(&car, &[]).is_empty());
        assert!(not_heard(&car, &choreography::filters_for_leg(&car)).is_empty());
        assert_eq!(
            not_heard(&car, &[String::new(), String::from("trips.*.*.car")]),
            [
                "trips.booking.confirmed",
                "trips.booking.cancelled",
                "trips.*.rejected"
            ]
        );
    }
}
