//! What must hold in every state of the saga's model, and what must be reached in some. How states come about, `saga.rs` says.

use booking::core::{self as b, Outcome, Trip};
use leg::core::{self as l, Record, Stock};
use stateright::Property;

use crate::saga::{Act, Rows, Saga, World};
use crate::words::{Word, holds};

pub(crate) fn all() -> Vec<Property<Saga>> {
    vec![
        Property::always("a confirmed trip lacks no leg", |_, world: &World| {
            let lacks = |rows: &Rows| {
                rows.trip.state == b::State::Confirmed && !rows.legs.iter().all(holds)
            };
            !world.trips.iter().any(lacks)
        }),
        Property::always("a closed trip holds nothing", |_, world: &World| {
            let over = |rows: &&Rows| matches!(rows.trip.state, b::State::Closed | b::State::None);
            world.trips.iter().filter(over).all(back)
        }),
        Property::always("capacity adds up", adds_up),
        Property::always(
            "a trip has an outcome once it has turned",
            |_, world: &World| {
                world.trips.iter().all(|rows| {
                    let turned = !matches!(rows.trip.state, b::State::Pending | b::State::None);
                    rows.trip.outcome.is_some() == turned
                })
            },
        ),
        Property::always("what was decided stays decided", |_, world: &World| {
            let firm = |rows: &Rows| rows.legs.iter().any(|leg| leg.state == l::State::Confirmed);
            let pending = |rows: &&Rows| rows.trip.state == b::State::Pending;
            !world.flipped && !world.trips.iter().filter(pending).any(firm)
        }),
        Property::always("what became of a trip was said", was_said),
        Property::always("a cancellation was said", a_cancellation_was_said),
        Property::always("nothing impossible happens", |_, world: &World| !world.odd),
        Property::always("it comes to rest", Saga::comes_to_rest),
        Property::sometimes("a trip comes back", |_, world: &World| {
            world
                .trips
                .iter()
                .any(|rows| rows.trip.state == b::State::Closed)
        }),
        Property::sometimes(
            "a trip goes through, or there is no room for it",
            |saga: &Saga, world: &World| {
                saga.stocks.iter().any(|stock| stock.total == 0) || world.trips.iter().any(firm)
            },
        ),
    ]
}

pub(crate) fn firm(rows: &Rows) -> bool {
    rows.trip.state == b::State::Confirmed
        && rows.legs.iter().all(|leg| leg.state == l::State::Confirmed)
}

/// Whether an act undoes what was decided: a trip is again where it was before, or something else became of it. What a traveller cancels
/// may have been confirmed, and what is forgotten is not taken back.
pub(crate) fn flips(before: &Trip, act: Act, after: &Trip) -> bool {
    if before == after || matches!(act, Act::Forget(..)) {
        return false;
    }
    let cancelled = matches!(act, Act::Cancel(_))
        && before.outcome == Some(Outcome::Confirmed)
        && after.outcome == Some(Outcome::Cancelled);
    let otherwise = before.outcome.is_some() && before.outcome != after.outcome;
    before.progress() > after.progress() || (otherwise && !cancelled)
}

/// Nothing is held, and booking knows it.
pub(crate) fn back(rows: &Rows) -> bool {
    matches!(rows.trip.state, b::State::Closed | b::State::None) && !rows.legs.iter().any(holds)
}

/// Nothing is oversold, nothing is lost, and each stock row counts exactly what the trips' records hold of it.
fn adds_up(_: &Saga, world: &World) -> bool {
    let count = |stock: &Stock, state| {
        let rows = world
            .trips
            .iter()
            .flat_map(|rows| &rows.legs)
            .filter(|leg| leg.state == state);
        let held = rows
            .flat_map(Record::holds)
            .filter(|hold| hold.key == stock.key);
        held.map(|hold| hold.quantity).sum::<i64>()
    };
    world.stocks.iter().all(|stock| {
        stock.free >= 0
            && stock.held == count(stock, l::State::Held)
            && stock.confirmed == count(stock, l::State::Confirmed)
            && stock.held + stock.confirmed + stock.free == stock.total
    })
}

/// Of a trip that went through, or was refused and came back, the stream has had the fact that says so: whoever only listens has heard
/// it. Also where any committed fact may be lost: the one who waited for it would not be at rest otherwise.
fn was_said(_: &Saga, world: &World) -> bool {
    let of = |trip: usize, is: fn(&Word) -> bool| {
        let mut said = world.said.iter();
        said.any(|(other, word)| *other == trip && is(word))
    };
    world.trips.iter().enumerate().all(|(trip, rows)| {
        let refused = rows.trip.outcome == Some(Outcome::Rejected);
        let comes = |word: &Word| matches!(word, Word::Rejected(_) | Word::Released(_));
        (!firm(rows) || of(trip, |word| *word == Word::Confirmed))
            && (!(refused && back(rows)) || of(trip, comes))
    })
}

/// Where there is an outbox, or nobody listens who can ask nobody.
fn a_cancellation_was_said(saga: &Saga, world: &World) -> bool {
    let quiet = saga.unkept && !saga.listened;
    quiet
        || world.trips.iter().enumerate().all(|(trip, rows)| {
            let off = matches!(
                rows.trip.outcome,
                Some(Outcome::Cancelled | Outcome::Expired)
            );
            let in_hand = world.hand.contains_key(&(trip, Word::Cancelled));
            let over = rows.trip.state == b::State::Closed && !in_hand;
            !(off && over) || world.said.contains(&(trip, Word::Cancelled))
        })
}
