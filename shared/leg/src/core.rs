//! The leg's half of the protocol: a total, pure function from what a record is and what it hears to what it becomes and says.
//!
//! [`react`] judges one position of one trip. The record is a row, the stock is the batch's [`StockView`], time is a value; there is no
//! I/O, no clock, no `Result`. "No seats" is a fact, not an error; what cannot happen keeps the record, says nothing and names an
//! anomaly. What a flight or a room is, it does not know: that is the service's [`LegPolicy`].
//!
//! | record | its turn | `confirmed` | `cancelled` | a later leg `rejected` |
//! |---|---|---|---|---|
//! | none | held, say reserved; no room: rejected, say rejected; far too late: released, say released | – and an alarm | released (tombstone), say released | released, say released |
//! | held | say reserved again | confirmed | released, say released | released, say released |
//! | confirmed | say reserved again | – | released, say released | – and an alarm |
//! | released | say released again | – | say released again | – |
//! | rejected | say rejected again | – and an alarm | say rejected again | – |
//!
//! `held` is the only state that waits: it says reserved again whenever its timer goes off.

pub mod details;
mod record;
mod stock;
mod turn;

use choreography::{Fact, FactBody, LegName, Money, Now, Position, Reason};
use jiff::Timestamp;
pub use record::{Record, State};
pub use stock::{Delta, Hold, Stock, StockView};

/// How long released and rejected records are kept after the later of the trip's deadline and their last change: until no question
/// about them can come any more.
pub const KEPT_US: i64 = 7 * 24 * 3_600 * 1_000_000;

/// How long after the trip's deadline a leg still takes a hold. It is what makes forgetting safe: a record is dropped long after
/// this, so that a request that was lost for a week finds no record, but no hold either.
pub const LATE_US: i64 = 3_600 * 1_000_000;

/// What a leg service itself decides: asked at every fact, for rows to load; it judges at its turn only.
pub trait LegPolicy {
    /// Which stock the leg takes, from its own JSON object of the itinerary. What cannot be read or accepted is a reason, recorded
    /// as `rejected`.
    fn needs(&self, details: &str, now: Timestamp) -> Result<Vec<Hold>, Reason>;
}

/// What a record may hear.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Somebody said something about the trip.
    Fact(&'a Fact),
    /// Its timer went off.
    Due {
        /// Asking would add nothing now: its last announcement is still in the outbox, or the answer may be under way. It only moves.
        waiting: bool,
    },
}

/// What came of it.
pub type Reaction = choreography::Reaction<Record>;

/// What a fact means to one position.
enum Means<'a> {
    Turn { total: &'a [Money] },
    Confirmed,
    Cancelled(&'a Reason),
    LaterRejected(&'a Reason),
    Nothing,
}

/// *Before* and *after* compare positions, never names.
fn means(fact: &Fact, mine: Position) -> Means<'_> {
    match &fact.said {
        FactBody::Requested if mine == 0 => Means::Turn { total: &[] },
        FactBody::Reserved { position, price } if position.checked_add(1) == Some(mine) => {
            Means::Turn {
                total: &price.total,
            }
        }
        FactBody::Confirmed => Means::Confirmed,
        FactBody::Cancelled { reason } => Means::Cancelled(reason),
        FactBody::Rejected { position, reason } if *position > mine => Means::LaterRejected(reason),
        _ => Means::Nothing,
    }
}

/// The positions of this leg that a fact concerns. Each is judged by [`react`], all in one transaction; none: nothing is written.
pub fn positions(leg: &LegName, fact: &Fact) -> Vec<Position> {
    let mine = fact.plan.itinerary.positions_of(leg);
    mine.filter(|position| !matches!(means(fact, *position), Means::Nothing))
        .collect()
}

/// What a position does with what it hears.
pub fn react(
    leg: &LegName,
    policy: &dyn LegPolicy,
    record: Record,
    heard: Input<'_>,
    shelf: &mut StockView,
    now: &Now,
) -> Reaction {
    match heard {
        Input::Due { waiting } => due(record, waiting, now),
        Input::Fact(fact) if fact.plan.itinerary.name_at(record.position) != Some(leg) => {
            Reaction::odd(record, "not-mine")
        }
        Input::Fact(fact) => match means(fact, record.position) {
            Means::Turn { total } => turn(policy, record, fact, total, shelf, now),
            Means::Confirmed => confirmed(record, shelf, now),
            Means::Cancelled(reason) => cancelled(record, fact, reason, shelf, now),
            Means::LaterRejected(reason) => later_rejected(record, fact, reason, shelf, now),
            Means::Nothing => Reaction::silent(record),
        },
    }
}

fn turn(
    policy: &dyn LegPolicy,
    record: Record,
    fact: &Fact,
    total: &[Money],
    shelf: &mut StockView,
    now: &Now,
) -> Reaction {
    match record.state {
        State::None => say(turn::taken(policy, record, fact, total, shelf, now)),
        // Passing the question on is the answer: the one who asked hears it from behind.
        State::Held | State::Confirmed | State::Released | State::Rejected => say(record),
    }
}

fn confirmed(mut record: Record, shelf: &mut StockView, now: &Now) -> Reaction {
    match record.state {
        State::Held => {
            shelf.confirm(&record.holds());
            record.enter(State::Confirmed, now);
            Reaction::silent(record)
        }
        // Released: cancelled after it was confirmed, and the two facts passed each other.
        State::Confirmed | State::Released => Reaction::silent(record),
        State::None | State::Rejected => Reaction::odd(record, "confirmed-without-a-hold"),
    }
}

fn cancelled(
    record: Record,
    fact: &Fact,
    reason: &Reason,
    shelf: &mut StockView,
    now: &Now,
) -> Reaction {
    match record.state {
        State::None | State::Held | State::Confirmed => {
            say(released(record, fact, reason, shelf, now))
        }
        State::Released | State::Rejected => say(record),
    }
}

fn later_rejected(
    record: Record,
    fact: &Fact,
    reason: &Reason,
    shelf: &mut StockView,
    now: &Now,
) -> Reaction {
    match record.state {
        State::None | State::Held => say(released(record, fact, reason, shelf, now)),
        State::Confirmed => Reaction::odd(record, "rejected-behind-a-confirmed-leg"),
        State::Released | State::Rejected => Reaction::silent(record),
    }
}

/// Only a hold waits for an answer.
fn due(mut record: Record, waiting: bool, now: &Now) -> Reaction {
    if record.state != State::Held {
        record.due_us = None;
        return Reaction::silent(record);
    }
    if record.due_us.is_some_and(|due_us| !now.is_due(due_us)) {
        return Reaction::silent(record); // moved by something earlier in the same batch
    }
    if waiting {
        record.due_us = Some(now.look_again_us(record.tries));
        return Reaction::silent(record);
    }
    record.tries = record.tries.saturating_add(1);
    record.due_us = Some(now.wake_us(record.tries));
    say(record)
}

/// Gives back what was held or firm, if anything was, and leaves a tombstone that a late request finds.
fn released(
    mut record: Record,
    fact: &Fact,
    reason: &Reason,
    shelf: &mut StockView,
    now: &Now,
) -> Record {
    match record.state {
        State::Held => shelf.release_held(&record.holds()),
        State::Confirmed => shelf.release_confirmed(&record.holds()),
        State::None | State::Released | State::Rejected => record.adopt(&fact.plan),
    }
    record.refuse(State::Released, reason, now);
    record
}

/// Says what the record's state has to say, the first time or again.
fn say(record: Record) -> Reaction {
    match record.announcement() {
        Some(said) => Reaction::say(record, said),
        None => Reaction::odd(record, "unreadable-record"),
    }
}

/// Whether the fact asks again what brought the record to its state: while the first answer is still on its way to the broker, it serves for
/// both. So many repeated questions do not make as many answers, just when the load is highest. `before` is the state in which the record
/// heard it.
pub fn is_answered(before: State, heard: Input<'_>, record: &Record) -> bool {
    let state = record.state;
    let Input::Fact(fact) = heard else {
        return false;
    };
    before == state
        && match &fact.said {
            FactBody::Requested | FactBody::Reserved { .. } => {
                matches!(state, State::Held | State::Rejected)
            }
            // A trip is cancelled for one reason, however often that is said.
            FactBody::Cancelled { reason } => {
                state == State::Released && record.reason().as_ref() == Some(reason)
            }
            _ => false,
        }
}
