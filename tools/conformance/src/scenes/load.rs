//! Many trips, each with a story and with faults drawn from the seed: what is said comes twice, under a new id, in another order, or not at all until
//! somebody asks again. Each has to come to its end; what else it shows is the judge's.

use std::sync::atomic::{AtomicU32, Ordering};

use choreography::Position;
use fastrand::Rng;
use futures::future::join_all;

use crate::kit::{Halt, Kit, Scene};
use crate::parts::Part;
use crate::promise::Promise;
use crate::trip::{Say, Trip, cancelled, confirmed};

/// Holds that other scenes may have meanwhile.
pub(super) const OTHERS: usize = 4;
/// After so many trips that broke something, more would add nothing.
const BROKEN_MAX: u32 = 5;

/// Plays them, as many at a time as can be held.
pub(super) async fn play(kit: &Kit<'_>) -> Scene {
    let (next, broken) = (AtomicU32::new(0), AtomicU32::new(0));
    // Two positions a trip at most.
    let lanes = (kit.options.at_once.saturating_sub(OTHERS) / 2).max(1);
    let lanes = (0..lanes).map(|_| async {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= kit.options.trips || broken.load(Ordering::Relaxed) >= BROKEN_MAX {
                return Ok(());
            }
            match one(kit, number).await {
                Ok(()) => {}
                Err(Halt::Broken | Halt::NotTried) => {
                    broken.fetch_add(1, Ordering::Relaxed);
                }
                Err(trouble) => return Err(trouble),
            }
        }
    });
    join_all(lanes).await.into_iter().collect::<Scene>()?;
    if broken.load(Ordering::Relaxed) >= BROKEN_MAX {
        let played = next.load(Ordering::Relaxed).min(kit.options.trips);
        let why = format!(
            "given up after {played} of {} trips, of which {BROKEN_MAX} broke something",
            kit.options.trips
        );
        kit.verdicts().not_tried(Promise::ComesToItsEnd, &why);
    }
    Ok(())
}

/// How a trip goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    Confirmed,
    Cancelled,
    CancelledFirst,
    RejectedBehind,
    Refused,
}

/// One trip's luck.
struct Luck(Rng);

impl Luck {
    fn one_in(&mut self, times: u32) -> bool {
        self.0.u32(..times) == 0
    }
}

async fn one(kit: &Kit<'_>, number: u32) -> Scene {
    let mut luck = Luck(Rng::with_seed(
        kit.options
            .seed
            .wrapping_mul(1_000_003)
            .wrapping_add(u64::from(number)),
    ));
    let story = match luck.0.u32(..20) {
        0..8 => Story::Confirmed,
        8..12 => Story::Cancelled,
        12..15 => Story::CancelledFirst,
        15..18 => Story::RejectedBehind,
        _ if kit.bodies.refused.is_some() => Story::Refused,
        _ => Story::Cancelled,
    };
    let mut parts = Vec::new();
    if luck.one_in(3) {
        parts.push(Part::Before);
    }
    parts.push(if story == Story::Refused {
        Part::Refused
    } else {
        Part::Item
    });
    if story == Story::RejectedBehind || luck.one_in(2) {
        parts.push(Part::After);
        if story != Story::RejectedBehind && story != Story::Refused && luck.one_in(4) {
            parts.push(Part::Item);
        }
    }
    let trip = kit.trip(&parts)?;
    let own: Vec<Position> = trip.plan.itinerary.positions_of(&kit.leg).collect();
    played(&trip, story, &own, &mut luck).await?;
    // What came of it is over; whoever comes late finds it over.
    if luck.one_in(4) {
        for position in &own {
            trip.ask(
                Promise::StaysLetGo,
                trip.turn(*position),
                *position,
                &["released", "rejected"],
            )
            .await?;
        }
    }
    trip.kept(Promise::ComesToItsEnd);
    trip.close();
    Ok(())
}

async fn played(trip: &Trip<'_>, story: Story, own: &[Position], luck: &mut Luck) -> Scene {
    if story == Story::CancelledFirst {
        say(trip, vec![cancelled(), trip.turn(own[0])], luck).await?;
    } else {
        for position in own {
            say(trip, vec![trip.turn(*position)], luck).await?;
            taken(trip, story, *position).await?;
        }
    }
    match story {
        Story::Confirmed => {
            let mut facts = vec![confirmed()];
            if luck.one_in(2) {
                facts.push(trip.turn(own[0]));
            }
            say(trip, facts, luck).await?;
        }
        Story::RejectedBehind => {
            let behind = own[0] + 1;
            say(trip, vec![trip.rejected(behind)], luck).await?;
        }
        Story::Cancelled | Story::CancelledFirst | Story::Refused => {}
    }
    let again = vec![cancelled(); 1 + usize::from(luck.one_in(5))];
    say(trip, again, luck).await?;
    for position in own {
        trip.ask(
            Promise::ComesToItsEnd,
            cancelled(),
            *position,
            &["released", "rejected"],
        )
        .await?;
    }
    Ok(())
}

/// Its turn was said, and perhaps lost: it is asked as whoever waits asks.
async fn taken(trip: &Trip<'_>, story: Story, position: Position) -> Scene {
    let wanted = if story == Story::Refused {
        "rejected"
    } else {
        "reserved"
    };
    let word = trip
        .ask(
            Promise::ComesToItsEnd,
            trip.turn(position),
            position,
            &["reserved", "rejected"],
        )
        .await?;
    let name = word.says().map_or("?", |(_, name)| name);
    match (name, wanted) {
        (name, wanted) if name == wanted => Ok(()),
        ("rejected", _) => Err(trip.broken(
            Promise::GivesBack,
            format!(
                "fewer than {} are held, and there is nothing left: something was not given back",
                trip.kit.options.at_once
            ),
        )),
        (name, _) => Err(trip.broken(
            Promise::RefusalStays,
            format!("what it refuses it has to reject, and it says {name}"),
        )),
    }
}

/// Says these facts as an unreliable broker would bring them.
async fn say(trip: &Trip<'_>, mut facts: Vec<Say>, luck: &mut Luck) -> Scene {
    if luck.one_in(6) {
        facts.reverse();
    }
    let mut said = Vec::new();
    for fact in facts {
        if luck.one_in(10) {
            continue; // lost
        }
        said.push(trip.say(fact.clone()).await?);
        if luck.one_in(10) {
            trip.say(fact).await?;
        }
        if luck.one_in(6)
            && let Some(old) = said.get(luck.0.usize(..said.len()))
        {
            trip.echo(old).await?;
        }
    }
    Ok(())
}
