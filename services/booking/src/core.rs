//! Booking's half of the protocol: the one decider, as a total, pure function from what a trip is and what it hears to what it
//! becomes and says.
//!
//! A trip is a row, time is a value; there is no I/O, no clock, no `Result`. What cannot happen keeps the trip, says nothing and
//! names an anomaly. The outcome is decided when `undoing` is entered; `closed` says that everything is back.
//!
//! | state | last leg `reserved` | a leg `rejected` | a leg `released` | deadline | traveller cancels |
//! |---|---|---|---|---|---|
//! | pending | confirmed, say confirmed: **the pivot** | undoing; it and all after it settled | undoing; it is settled | undoing, say cancelled | undoing, say cancelled |
//! | confirmed | say confirmed again | – and an alarm | – and an alarm | – | undoing, say cancelled |
//! | undoing | say cancelled again | it and all after it settled | it is settled | – | – |
//! | closed | say cancelled again | – | – | – | – |
//!
//! All settled: closed. `pending` says requested whenever its timer goes off, `undoing` says cancelled, even if it never did; they
//! are the only states that wait.

mod trip;

use choreography::{Fact, Moment, Plan, Position, Price, Reason, Said, TripId};
pub use trip::{Outcome, Settled, State, Trip};

/// How long closed trips are kept after the later of their deadline and their last change. Confirmed trips are never dropped.
pub const KEPT_US: i64 = 7 * 24 * 3_600 * 1_000_000;

/// How long a trip may be undoing before somebody should look.
pub const ATTENTION_US: i64 = 3_600 * 1_000_000;

/// What a trip may hear.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// A leg said something about it.
    Fact(&'a Fact),
    /// Its timer went off.
    Due {
        /// Asking would add nothing now: its last announcement is still in the outbox, or the answer may be under way. It only moves.
        waiting: bool,
    },
    /// The traveller cancels. Of a trip that is on its way back already, it is no news and no error.
    Cancel {
        /// Why.
        reason: &'a Reason,
    },
    /// An operator settles a position by hand, for a leg that nobody answers for.
    Settle {
        /// Which.
        position: Position,
        /// Why.
        reason: &'a Reason,
    },
}

/// What came of it.
pub type Reaction = choreography::Reaction<Trip>;

/// A traveller asks for a trip.
pub fn request(trip: TripId, plan: &Plan, traveller: Option<String>, moment: &Moment) -> Reaction {
    let mut record = Trip::new(trip, plan, traveller, moment);
    record.due_us = Some(record.deadline_us.min(moment.wake_us(0)));
    Reaction::say(record, Said::Requested)
}

/// What a trip does with what it hears.
pub fn react(trip: Trip, heard: Heard<'_>, moment: &Moment) -> Reaction {
    match heard {
        Heard::Fact(fact) => hear(trip, fact, moment),
        Heard::Due { waiting } => due(trip, waiting, moment),
        Heard::Cancel { reason } => cancel(trip, reason, moment),
        Heard::Settle { position, reason } => settle(trip, position, reason, moment),
    }
}

fn hear(trip: Trip, fact: &Fact, moment: &Moment) -> Reaction {
    if trip.state == State::None {
        return Reaction::odd(trip, "unknown-trip");
    }
    match &fact.said {
        Said::Reserved { position, price } if trip.positions().last() == Some(*position) => {
            reserved(trip, price, moment)
        }
        Said::Rejected { position, reason } => rejected(trip, *position, reason, moment),
        Said::Released { position, reason } => released(trip, *position, reason, moment),
        Said::Requested
        | Said::Reserved { .. }
        | Said::Confirmed
        | Said::Cancelled { .. }
        | Said::Settled { .. } => Reaction::odd(trip, "not-for-booking"),
    }
}

/// Every leg holds.
fn reserved(mut trip: Trip, price: &Price, moment: &Moment) -> Reaction {
    match trip.state {
        State::None => Reaction::silent(trip),
        State::Pending => {
            trip.confirm(price, moment);
            Reaction::say(trip, Said::Confirmed)
        }
        State::Confirmed => Reaction::say(trip, Said::Confirmed),
        State::Undoing | State::Closed => say_cancelled(trip),
    }
}

/// A leg that never held: neither does any behind it, for their turn has not come.
fn rejected(mut trip: Trip, position: Position, reason: &Reason, moment: &Moment) -> Reaction {
    match trip.state {
        State::Pending | State::Undoing => {
            if trip.state == State::Pending {
                trip.undo(Outcome::Rejected, reason, moment);
            }
            let mut news = trip.settle(position, Settled::Rejected);
            for behind in trip.positions().filter(|behind| *behind > position) {
                news |= trip.settle(behind, Settled::Behind);
            }
            Reaction::silent(answered(trip, news, moment))
        }
        State::Confirmed => Reaction::odd(trip, "rejected-after-the-pivot"),
        State::None | State::Closed => Reaction::silent(trip),
    }
}

/// A leg holds nothing any more. Of a pending trip it is the first that booking hears of a refusal: the refuser's own word is still
/// under way, or the leg found the request far too late.
fn released(mut trip: Trip, position: Position, reason: &Reason, moment: &Moment) -> Reaction {
    match trip.state {
        State::Pending | State::Undoing => {
            if trip.state == State::Pending {
                let outcome = if reason.code == "late" {
                    Outcome::Expired
                } else {
                    Outcome::Rejected
                };
                trip.undo(outcome, reason, moment);
            }
            let news = trip.settle(position, Settled::Released);
            Reaction::silent(answered(trip, news, moment))
        }
        State::Confirmed => Reaction::odd(trip, "released-after-the-pivot"),
        State::None | State::Closed => Reaction::silent(trip),
    }
}

fn due(mut trip: Trip, waiting: bool, moment: &Moment) -> Reaction {
    if !matches!(trip.state, State::Pending | State::Undoing) {
        trip.due_us = None;
        return Reaction::silent(trip);
    }
    if trip.due_us.is_some_and(|due_us| !moment.is_due(due_us)) {
        return Reaction::silent(trip); // moved by something earlier in the same batch
    }
    if trip.state == State::Pending && moment.now_us() >= trip.deadline_us {
        let reason = Reason::new("deadline", "not every leg had answered by the deadline");
        trip.undo(Outcome::Expired, &reason, moment);
        return say_cancelled(trip);
    }
    if waiting {
        trip.put_off(moment);
        return Reaction::silent(trip);
    }
    trip.tries = trip.tries.saturating_add(1);
    trip.wait(moment);
    match trip.state {
        State::Pending => Reaction::say(trip, Said::Requested),
        State::None | State::Confirmed | State::Undoing | State::Closed => say_cancelled(trip),
    }
}

fn cancel(mut trip: Trip, reason: &Reason, moment: &Moment) -> Reaction {
    match trip.state {
        State::None => Reaction::refuse(trip, "there is no such trip"),
        State::Pending | State::Confirmed => {
            trip.undo(Outcome::Cancelled, reason, moment);
            say_cancelled(trip)
        }
        State::Undoing | State::Closed => Reaction::silent(trip),
    }
}

fn settle(mut trip: Trip, position: Position, reason: &Reason, moment: &Moment) -> Reaction {
    match trip.state {
        State::None => Reaction::refuse(trip, "there is no such trip"),
        State::Pending => Reaction::refuse(trip, "the trip is still pending: cancel it first"),
        State::Confirmed => Reaction::refuse(trip, "the trip is confirmed: cancel it first"),
        _ if !trip.positions().any(|mine| mine == position) => {
            Reaction::refuse(trip, "the itinerary has no such position")
        }
        State::Undoing => {
            if !trip.settle(position, Settled::ByHand) {
                return Reaction::refuse(trip, "that position is settled already");
            }
            Reaction::say(
                answered(trip, true, moment),
                Said::Settled {
                    position,
                    reason: reason.clone(),
                },
            )
        }
        // A leg that came back after it had been settled by hand may still hold, and hears it now.
        State::Closed => say_cancelled(trip),
    }
}

/// After an answer: closed if it was the last one, else a little more patience.
fn answered(mut trip: Trip, news: bool, moment: &Moment) -> Trip {
    if trip.waiting_for().is_empty() {
        trip.close(moment);
    } else if news {
        trip.wait(moment);
    }
    trip
}

fn say_cancelled(trip: Trip) -> Reaction {
    let reason = trip
        .reason()
        .unwrap_or_else(|| Reason::new("cancelled", ""));
    Reaction::say(trip, Said::Cancelled { reason })
}
