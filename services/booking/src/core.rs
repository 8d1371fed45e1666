//! Booking's half of the protocol: the one decider, as a total, pure function from what a trip is and what it hears to what it
//! becomes and says.
//!
//! A trip is a row, time is a value; there is no I/O, no clock, no `Result`. What cannot happen keeps the trip, says nothing and
//! names an anomaly. The outcome is set at the pivot and when `undoing` is entered; `closed` says that everything is back.
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

use choreography::{Fact, FactBody, Now, Plan, Position, Price, Reason, TripId};
pub use trip::{Outcome, Progress, Settled, State, Trip};

/// How long closed trips are kept after the later of their deadline and their last change. Confirmed trips are never dropped.
pub const KEPT_US: i64 = 7 * 24 * 3_600 * 1_000_000;

/// How long a trip may be undoing before somebody should look.
pub const ATTENTION_US: i64 = 3_600 * 1_000_000;

/// What a trip may hear.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A leg said something about it.
    Fact(&'a Fact),
    /// Its timer went off.
    Due {
        /// Asking would add nothing now: its last announcement is still in the outbox, or the answer may be under way. It only moves.
        waiting: bool,
    },
    /// The traveller cancels. Of a trip that is on its way back already, it is no news and no error.
    Cancel {
        /// Why it happened, for programs and for people.
        reason: &'a Reason,
    },
    /// An operator settles a position by hand, for a leg that nobody answers for.
    Settle {
        /// Which position of its itinerary.
        position: Position,
        /// Why it happened, for programs and for people.
        reason: &'a Reason,
    },
}

/// What came of it.
pub type Reaction = choreography::Reaction<Trip>;

/// A traveller asks for a trip.
pub fn request(trip: TripId, plan: &Plan, traveller: Option<String>, now: &Now) -> Reaction {
    let mut record = Trip::new(trip, plan, traveller, now);
    record.due_us = Some(record.deadline_us.min(now.wake_us(0)));
    Reaction::say(record, FactBody::Requested)
}

/// What a trip does with what it hears.
pub fn react(trip: Trip, heard: Input<'_>, now: &Now) -> Reaction {
    match heard {
        Input::Fact(fact) => hear(trip, fact, now),
        Input::Due { waiting } => due(trip, waiting, now),
        Input::Cancel { reason } => cancel(trip, reason, now),
        Input::Settle { position, reason } => settle(trip, position, reason, now),
    }
}

fn hear(trip: Trip, fact: &Fact, now: &Now) -> Reaction {
    if trip.state == State::None {
        return Reaction::odd(trip, "unknown-trip");
    }
    match &fact.said {
        FactBody::Reserved { position, price } if trip.positions().last() == Some(*position) => {
            reserved(trip, price, now)
        }
        FactBody::Rejected { position, reason } => rejected(trip, *position, reason, now),
        FactBody::Released { position, reason } => released(trip, *position, reason, now),
        FactBody::Requested
        | FactBody::Reserved { .. }
        | FactBody::Confirmed
        | FactBody::Cancelled { .. }
        | FactBody::Settled { .. } => Reaction::odd(trip, "not-for-booking"),
    }
}

/// Every leg holds.
fn reserved(mut trip: Trip, price: &Price, now: &Now) -> Reaction {
    match trip.state {
        State::None => Reaction::silent(trip),
        State::Pending => {
            trip.confirm(price, now);
            Reaction::say(trip, FactBody::Confirmed)
        }
        State::Confirmed => Reaction::say(trip, FactBody::Confirmed),
        State::Undoing | State::Closed => say_cancelled(trip),
    }
}

/// A leg that never held: neither does any behind it, for their turn has not come.
fn rejected(mut trip: Trip, position: Position, reason: &Reason, now: &Now) -> Reaction {
    match trip.state {
        State::Pending | State::Undoing => {
            if trip.state == State::Pending {
                trip.undo(Outcome::Rejected, reason, now);
            }
            let mut news = trip.settle(position, Settled::Rejected);
            for behind in trip.positions().filter(|behind| *behind > position) {
                news |= trip.settle(behind, Settled::Behind);
            }
            Reaction::silent(answered(trip, news, now))
        }
        State::Confirmed => Reaction::odd(trip, "rejected-after-the-pivot"),
        State::None | State::Closed => Reaction::silent(trip),
    }
}

/// A leg holds nothing any more. Of a pending trip it is the first that booking hears of a refusal: the refuser's own word is still
/// under way, or the leg found the request far too late.
fn released(mut trip: Trip, position: Position, reason: &Reason, now: &Now) -> Reaction {
    match trip.state {
        State::Pending | State::Undoing => {
            let refused = trip.state == State::Pending;
            if refused {
                let outcome = if reason.code == "late" {
                    Outcome::Expired
                } else {
                    Outcome::Rejected
                };
                trip.undo(outcome, reason, now);
            }
            let news = trip.settle(position, Settled::Released);
            let mut trip = answered(trip, news, now);
            if refused && trip.state == State::Undoing {
                // Who refused said so before, and that is lost: it is asked after a look, and not only after another pause.
                trip.put_off(now);
            }
            Reaction::silent(trip)
        }
        State::Confirmed => Reaction::odd(trip, "released-after-the-pivot"),
        State::None | State::Closed => Reaction::silent(trip),
    }
}

fn due(mut trip: Trip, waiting: bool, now: &Now) -> Reaction {
    if !matches!(trip.state, State::Pending | State::Undoing) {
        trip.due_us = None;
        return Reaction::silent(trip);
    }
    if trip.due_us.is_some_and(|due_us| !now.is_due(due_us)) {
        return Reaction::silent(trip); // moved by something earlier in the same batch
    }
    if trip.state == State::Pending && now.now_us() >= trip.deadline_us {
        let reason = Reason::new("deadline", "not every leg had answered by the deadline");
        trip.undo(Outcome::Expired, &reason, now);
        return say_cancelled(trip);
    }
    if waiting {
        trip.put_off(now);
        return Reaction::silent(trip);
    }
    trip.tries = trip.tries.saturating_add(1);
    trip.wait(now);
    match trip.state {
        State::Pending => Reaction::say(trip, FactBody::Requested),
        State::None | State::Confirmed | State::Undoing | State::Closed => say_cancelled(trip),
    }
}

fn cancel(mut trip: Trip, reason: &Reason, now: &Now) -> Reaction {
    match trip.state {
        State::None => Reaction::refuse(trip, "there is no such trip"),
        State::Pending | State::Confirmed => {
            trip.undo(Outcome::Cancelled, reason, now);
            say_cancelled(trip)
        }
        State::Undoing | State::Closed => Reaction::silent(trip),
    }
}

fn settle(mut trip: Trip, position: Position, reason: &Reason, now: &Now) -> Reaction {
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
                answered(trip, true, now),
                FactBody::Settled {
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
fn answered(mut trip: Trip, news: bool, now: &Now) -> Trip {
    if trip.waiting_for().is_empty() {
        trip.close(now);
    } else if news {
        trip.wait(now);
    }
    trip
}

fn say_cancelled(trip: Trip) -> Reaction {
    let reason = trip
        .reason()
        .unwrap_or_else(|| Reason::new("cancelled", ""));
    Reaction::say(trip, FactBody::Cancelled { reason })
}
