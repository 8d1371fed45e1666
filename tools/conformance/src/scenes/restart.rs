//! Killed in the middle and started again: what it knew it knows, and what was said to it meanwhile it deals with.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::Played;
use crate::Restart;
use crate::kit::{Halt, Kit, Scene};
use crate::parts::Part;
use crate::promise::Promise;
use crate::trip::{Say, Trip, cancelled, confirmed};

/// Trips that are asked for while it is killed, and the pause between two.
const MEANWHILE: usize = 20;
/// As many holds as other trips have meanwhile, at most.
const STATES: usize = 6;
const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn scene<'k>(kit: &'k Kit<'k>) -> Played<'k> {
    (
        &[Promise::KeepsState, Promise::LosesNothing],
        "nobody killed it and started it again (--restart-command)",
        Box::pin(killed(kit)),
    )
}

/// A trip in some state, and what it has to say of it.
struct Known<'k> {
    trip: Trip<'k>,
    ask: Say,
    says: &'static str,
}

async fn killed(kit: &Kit<'_>) -> Scene {
    let Restart::By(restart, within) = &kit.options.restart else {
        return Err(Halt::NotTried);
    };
    let known = before(kit).await?;
    let joined = kit.wire.joined().len();
    // It is killed while it works: until the command is over, trips are asked for.
    let meanwhile = async {
        let mut trips = Vec::new();
        for _ in 0..kit
            .options
            .at_once
            .saturating_sub(STATES)
            .clamp(1, MEANWHILE)
        {
            let trip = kit.trip(&[Part::Item, Part::After])?;
            trip.say(trip.turn(0)).await?;
            trips.push(trip);
            tokio::time::sleep(PAUSE).await;
        }
        Scene::Ok(trips)
    };
    let restarting = async {
        tokio::time::sleep(PAUSE * 3).await;
        Scene::Ok(restart().await?)
    };
    let (meanwhile, restarted) = tokio::join!(meanwhile, restarting);
    restarted?;
    let meanwhile = meanwhile?;
    if !back(kit, *within).await? {
        let what = format!(
            "it does not answer within {} s of being started again",
            within.as_secs_f64()
        );
        kit.verdicts().broken(Promise::KeepsState, what, Vec::new());
        return Err(Halt::Broken);
    }
    after(known).await?;
    nothing_lost(kit, meanwhile).await?;
    if kit.wire.joined().len() == joined {
        kit.verdicts().broken(
            Promise::Joins,
            "it was started again, and did not say joined",
            Vec::new(),
        );
    }
    Ok(())
}

/// One trip in each state that there is.
async fn before<'k>(kit: &'k Kit<'k>) -> Scene<Vec<Known<'k>>> {
    let mut known = Vec::new();
    let parts = [Part::Before, Part::Item, Part::After];
    for state in ["held", "confirmed", "released", "tombstone", "rejected"] {
        let rejected = [Part::Before, Part::Refused, Part::After];
        let trip = match kit.trip(if state == "rejected" {
            &rejected
        } else {
            &parts
        }) {
            Err(Halt::NotTried) => continue,
            trip => trip?,
        };
        match state {
            "rejected" => drop(
                trip.ask(Promise::Turn, trip.turn(1), 1, &["rejected"])
                    .await?,
            ),
            "tombstone" => drop(
                trip.ask(Promise::Tombstone, cancelled(), 1, &["released"])
                    .await?,
            ),
            _ => drop(trip.hold(Promise::Turn, 1).await?),
        }
        if state == "confirmed" {
            trip.say(confirmed()).await?;
            trip.hold(Promise::Question, 1).await?;
        }
        if state == "released" {
            trip.ask(Promise::CancelledHeld, cancelled(), 1, &["released"])
                .await?;
        }
        let says = match state {
            "held" | "confirmed" => "reserved",
            "rejected" => "rejected",
            _ => "released",
        };
        known.push(Known {
            ask: trip.turn(1),
            trip,
            says,
        });
    }
    Ok(known)
}

async fn back(kit: &Kit<'_>, within: Duration) -> Scene<bool> {
    let until = Instant::now() + within;
    loop {
        if kit.alive().await? {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
    }
}

/// Each says what it said before, at the price of before; the judge looks at that.
async fn after(known: Vec<Known<'_>>) -> Scene {
    for Known { trip, ask, says } in known {
        match trip.ask(Promise::KeepsState, ask, 1, &[says]).await {
            Ok(_) | Err(Halt::Broken) => {}
            Err(trouble) => return Err(trouble),
        }
        if let Err(Halt::Trouble(error)) = trip.ends().await {
            return Err(Halt::Trouble(error));
        }
    }
    Ok(())
}

/// Without being asked again: what it had not acknowledged comes again by itself, once the broker's patience is over.
async fn nothing_lost(kit: &Kit<'_>, meanwhile: Vec<Trip<'_>>) -> Scene {
    let consumer = kit.wire.consumer(kit.leg.as_str()).await?;
    let patience = consumer.map_or(Duration::from_secs(30), |info| info.config.ack_wait);
    let until = Instant::now() + patience + kit.options.answer_within;
    for trip in &meanwhile {
        let left = until.saturating_duration_since(Instant::now());
        if trip.hears(0, 0, &["reserved"], left).await.is_none() {
            return Err(trip.broken(Promise::LosesNothing, "it was asked for this trip while it was killed and started again, and never says anything of it"));
        }
        kit.verdicts().kept(Promise::LosesNothing);
    }
    let ending = meanwhile.into_iter().map(Trip::ends);
    join_all(ending).await.into_iter().collect()
}
