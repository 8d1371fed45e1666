//! The payment's half of the protocol: a total, pure function from what a record is and what it hears to what it becomes, says and asks.
//!
//! To the trip it is a leg like any other, and the last one: it holds money as others hold seats. What is different is that the money lies
//! with somebody else, who is asked and may not answer. So there are states for *asked and not answered*. In each at most one call is open: under
//! way, or pausing after a no; `rejected` and `released` may have one too, which closes the payment at the provider. A call is performed beside the loop, at least once, and what comes back as an [`Answer`] was said
//! for good; a timeout is none. There is no I/O, no clock, no `Result` here; what cannot happen keeps the record, says nothing and names an
//! anomaly.
//!
//! | record | its turn | `confirmed` | `cancelled` | the answer |
//! |---|---|---|---|---|
//! | none | opening, ask to open; not acceptable: rejected, say rejected; far too late: released, say released | – and an alarm | released (tombstone), say released | – and an alarm |
//! | opening | – | – and an alarm | remembered | opened: authorising, ask to authorise (off: voiding, ask to void); a no: rejected, say rejected (off: released, say released) |
//! | authorising | – | – and an alarm | remembered | authorised: held, say reserved (off: voiding, ask to void); a no: rejected, say rejected and ask to void (off: voiding, ask to void); voided: rejected, say rejected (off: released, say released); captured: refunding, ask to refund, and an alarm |
//! | held | say reserved again | capturing, ask to capture | voiding, ask to void | *lapsed at the provider*: released, say released |
//! | capturing | say reserved again | – | remembered | captured: captured (off: refunding, ask to refund); a no: unpaid (off: voiding, ask to void); voided: unpaid (off: released, say released) |
//! | captured | say reserved again | – | refunding, ask to refund | *taken back at the provider*: unpaid and an alarm |
//! | unpaid | say reserved again | – | voiding, ask to void | *captured after all*: capturing, ask to capture |
//! | voiding | – | – | – | voided: released, say released; captured: refunding, ask to refund; a no: ask again after a pause |
//! | refunding | – | – | – | refunded: released, say released; a no: ask again after a pause |
//! | released | say released again | – ; if it lapsed: unpaid | say released again | as rejected; of one that lapsed and is not off, *taken*: an alarm alone |
//! | rejected | say rejected again | – and an alarm | say rejected again | *held or taken*: ask to void; voided: –; captured: ask to refund, and an alarm; a no: ask to void again after a pause |
//!
//! A later leg's `rejected` is as `cancelled`, but `released` and `rejected` say nothing again, and `capturing`, `captured` and `unpaid` stay as they
//! are and raise an alarm. Two calls make one authorisation: *open* makes a
//! payment that holds nothing and has an id, *authorise* confirms that id. So whatever is lost, late or forgotten by either side, there is one
//! payment that could be authorised, and closing it closes all.
//!
//! `held` and `unpaid` wait, and so re-announce. Of an unpaid trip booking may have heard the lapse before it said `confirmed` anew, or the two
//! may have passed each other: only asking tells that it is over (found by the model). A payment that lapsed says `released`; if nothing is heard
//! of its trip until an hour behind the deadline it needs attention, for booking may have been confirming just then. `unpaid` needs attention at
//! once: booking decides, so a person cancels the trip there, and it comes back as any other.

mod answers;
pub mod call;
mod record;
mod turn;

pub use call::{Answer, Purpose, Request};
use choreography::{Fact, FactBody, LegName, Money, Now, Position, Reason};
pub use record::{ATTENTION_US, Record, State};

/// What is known of the provider when something is judged: a value, like the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Nothing bad.
    Up,
    /// It did not answer for some time, or does not take our key: nothing new is begun.
    Down,
}

/// What a record may hear.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Somebody said something about the trip.
    Fact(&'a Fact, Standing),
    /// Its timer went off.
    Due {
        /// Saying it again would add nothing now: its last announcement is still in the outbox, or the answer may be under way.
        waiting: bool,
    },
    /// A call was answered.
    Answered {
        /// The call's idempotency key.
        key: &'a str,
        /// What the provider said.
        answer: &'a Answer,
    },
    /// The provider said something that nobody asked for.
    Told {
        /// Of which of its payments.
        intent: &'a str,
        /// What it said.
        answer: &'a Answer,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// The record as it is now.
    pub record: Record,
    /// What is to be said, under a new id.
    pub said: Option<FactBody>,
    /// What is to be asked of the provider, in the same transaction.
    pub call: Option<Request>,
    /// Something that cannot happen did: to be counted and looked into.
    pub anomaly: Option<&'static str>,
}

impl Reaction {
    fn silent(record: Record) -> Self {
        Self {
            record,
            said: None,
            call: None,
            anomaly: None,
        }
    }

    fn odd(record: Record, anomaly: &'static str) -> Self {
        Self {
            anomaly: Some(anomaly),
            ..Self::silent(record)
        }
    }
}

/// What a fact means to one position.
enum Means<'a> {
    Turn { total: &'a [Money] },
    Confirmed,
    Off { reason: &'a Reason, by_leg: bool },
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
        FactBody::Cancelled { reason } => Means::Off {
            reason,
            by_leg: false,
        },
        FactBody::Rejected { position, reason } if *position > mine => Means::Off {
            reason,
            by_leg: true,
        },
        _ => Means::Nothing,
    }
}

/// The positions of this leg that a fact concerns. Each is judged by [`react`], all in one transaction; none: nothing is written.
#[must_use]
pub fn positions(leg: &LegName, fact: &Fact) -> Vec<Position> {
    let mine = fact.plan.itinerary.positions_of(leg);
    mine.filter(|position| !matches!(means(fact, *position), Means::Nothing))
        .collect()
}

/// What a position does with what it hears.
#[must_use]
pub fn react(leg: &LegName, record: Record, heard: Input<'_>, now: &Now) -> Reaction {
    match heard {
        Input::Due { waiting } => due(record, waiting, now),
        Input::Answered { key, answer } => answers::answered(record, key, answer, now),
        Input::Told { intent, answer } => answers::told(record, intent, answer, now),
        Input::Fact(fact, _) if fact.plan.itinerary.name_at(record.position) != Some(leg) => {
            Reaction::odd(record, "not-mine")
        }
        Input::Fact(fact, provider) => match means(fact, record.position) {
            Means::Turn { total } => turn(record, fact, total, provider, now),
            Means::Confirmed => confirmed(record, now),
            Means::Off { reason, by_leg } => off(record, fact, reason, by_leg, now),
            Means::Nothing => Reaction::silent(record),
        },
    }
}

fn turn(record: Record, fact: &Fact, total: &[Money], provider: Standing, now: &Now) -> Reaction {
    match record.state {
        State::None => {
            let record = turn::taken(record, fact, total, provider, now);
            if record.state == State::Opening {
                ask(record)
            } else {
                say(record)
            }
        }
        // It is at it; whoever asked will hear.
        State::Opening | State::Authorising | State::Voiding | State::Refunding => {
            Reaction::silent(record)
        }
        // Passing the question on is the answer: the one who asked hears it from behind.
        State::Held
        | State::Capturing
        | State::Captured
        | State::Unpaid
        | State::Released
        | State::Rejected => say(record),
    }
}

fn confirmed(record: Record, now: &Now) -> Reaction {
    match record.state {
        State::Held => ask_in(record, State::Capturing, now),
        // It lapsed while booking was confirming: the trip is firm and nobody pays for it. A person has to know.
        State::Released if !record.is_off() => enter(record, State::Unpaid, now),
        State::Capturing
        | State::Captured
        | State::Unpaid
        | State::Voiding
        | State::Refunding
        | State::Released => Reaction::silent(record),
        State::None | State::Opening | State::Authorising | State::Rejected => {
            Reaction::odd(record, "confirmed-without-a-hold")
        }
    }
}

/// The trip is off.
fn off(mut record: Record, fact: &Fact, reason: &Reason, by_leg: bool, now: &Now) -> Reaction {
    match record.state {
        State::Capturing | State::Captured | State::Unpaid if by_leg => {
            Reaction::odd(record, "rejected-behind-a-confirmed-leg")
        }
        State::None => {
            record.adopt(&fact.plan);
            record.call_off(reason, now);
            say_in(record, State::Released, now)
        }
        // What is under way is waited for: only its answer tells what there is to undo.
        State::Opening | State::Authorising | State::Capturing => {
            if !record.is_off() {
                record.call_off(reason, now);
            }
            Reaction::silent(record)
        }
        State::Held | State::Unpaid => {
            record.call_off(reason, now);
            ask_in(record, State::Voiding, now)
        }
        State::Captured => {
            record.call_off(reason, now);
            ask_in(record, State::Refunding, now)
        }
        State::Voiding | State::Refunding => Reaction::silent(record),
        State::Released | State::Rejected if by_leg => Reaction::silent(record),
        State::Released => {
            if record.is_off() {
                return say(record);
            }
            record.undo = 1; // a `confirmed` that passed this on its way finds a trip that is off
            record.attention_us = None;
            record.keep_for_a_while();
            if record.trouble.is_none() {
                return say(record);
            }
            // The provider told of money behind the lapse.
            let said = say(record.clone()).said;
            let closing = answers::asked_to_close(record, now);
            Reaction { said, ..closing }
        }
        State::Rejected => say(record),
    }
}

/// Who waits asks again what becomes of the trip; a refused call is asked again.
fn due(mut record: Record, waiting: bool, now: &Now) -> Reaction {
    let open = record.forget_us.is_none();
    let pauses = open && record.asked.is_none() && record.state.asks().is_some();
    let pauses = pauses && record.due_us.is_some();
    if !record.state.waits() && !pauses {
        record.due_us = None;
        return Reaction::silent(record);
    }
    if record.due_us.is_some_and(|due_us| !now.is_due(due_us)) {
        return Reaction::silent(record); // moved by something earlier in the same batch
    }
    if pauses {
        return match record.state {
            State::Authorising | State::Capturing if record.is_off() => {
                ask_in(record, State::Voiding, now)
            }
            _ => ask(record),
        };
    }
    if waiting {
        record.due_us = Some(now.look_again_us(record.tries));
        return Reaction::silent(record);
    }
    record.tries = record.tries.saturating_add(1);
    record.due_us = Some(now.wake_us(record.tries));
    say(record)
}

/// Says what the record's state has to say, the first time or again.
fn say(record: Record) -> Reaction {
    match record.announcement() {
        Some(said) => Reaction {
            said: Some(said),
            ..Reaction::silent(record)
        },
        None => Reaction::odd(record, "unreadable-record"),
    }
}

fn say_in(mut record: Record, state: State, now: &Now) -> Reaction {
    record.enter(state, now);
    say(record)
}

/// Asks the provider what the record's state has to ask, the first time or again.
fn ask(record: Record) -> Reaction {
    match record.state.asks() {
        Some(purpose) => ask_for(record, purpose),
        None => Reaction::odd(record, "unreadable-record"),
    }
}

fn ask_for(mut record: Record, purpose: Purpose) -> Reaction {
    match record.ask(purpose) {
        Some(call) => Reaction {
            call: Some(call),
            ..Reaction::silent(record)
        },
        None => Reaction::odd(record, "unreadable-record"),
    }
}

fn ask_in(mut record: Record, state: State, now: &Now) -> Reaction {
    record.enter(state, now);
    ask(record)
}

fn enter(mut record: Record, state: State, now: &Now) -> Reaction {
    record.enter(state, now);
    Reaction::silent(record)
}

/// Whether the fact asks again what brought the record to its state: while the first answer is still on its way to the broker, it serves for
/// both. `before` is the state in which the record heard it.
#[must_use]
pub fn is_answered(before: State, heard: Input<'_>, record: &Record) -> bool {
    let state = record.state;
    let Input::Fact(fact, _) = heard else {
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
