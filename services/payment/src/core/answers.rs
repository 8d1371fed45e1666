//! What a record makes of the provider's words: the answer to the call that is under way, or news that nobody asked for.
//!
//! An answer is known by its call's key, so that one that comes twice, or comes after the same was asked anew, changes nothing. News is heard
//! only while no call is under way: then the answer will say what there is to know, and at most one of both moves the record. News comes in any
//! order, so where it says that something was taken of what is not paid, or is there of what is over, it decides nothing: the provider is asked,
//! and its answer tells how things stand by now.

use choreography::{Now, Reason};

use super::call::{Answer, Purpose};
use super::record::{ATTENTION_US, Record, State};
use super::{Reaction, ask, ask_for, ask_in, enter, say_in};

/// An answer that is of another question than the one asked: it is asked again.
const STRAY: &str = "answer-to-another-question";

/// The provider has money of a trip that is over here.
const MONEY: &str = "money-behind-a-release";

/// A call was answered.
pub(super) fn answered(mut record: Record, key: &str, answer: &Answer, now: &Now) -> Reaction {
    let Some(purpose) = record.asked.filter(|purpose| record.key(*purpose) == key) else {
        return Reaction::silent(record); // answered before
    };
    record.asked = None;
    match record.state {
        State::Opening => opened(record, answer, now),
        State::Authorising => authorised(record, answer, now),
        State::Capturing => captured(record, answer, now),
        State::Voiding => voided(record, answer, now),
        State::Refunding => refunded(record, answer, now),
        State::Rejected | State::Released => closed(record, purpose, answer, now),
        State::None | State::Held | State::Captured | State::Unpaid => Reaction::odd(record, STRAY),
    }
}

/// The provider says by itself how one of its payments stands.
pub(super) fn told(mut record: Record, intent: &str, answer: &Answer, now: &Now) -> Reaction {
    if record.asked.is_some() {
        return Reaction::silent(record);
    }
    if record.intent.as_deref() != Some(intent) {
        return Reaction::odd(record, "another-payment");
    }
    match (record.state, answer) {
        (State::Held, Answer::Voided | Answer::Refunded) => {
            record.because(&lapsed());
            say_in(record, State::Released, now)
        }
        (State::Held | State::Unpaid, Answer::Authorised) => Reaction::silent(record),
        // Whether it stays so is booking's to decide: it is captured once more, or given back, with the same end.
        (State::Held, Answer::Captured) => Reaction::odd(record, "captured-by-somebody-else"),
        (State::Captured, Answer::Captured | Answer::Authorised | Answer::Opened { .. }) => {
            Reaction::silent(record) // news comes in any order
        }
        (State::Captured, Answer::Voided | Answer::Refunded) => {
            record.trouble = Some(String::from("the money was given back at the provider"));
            record.enter(State::Unpaid, now);
            Reaction::odd(record, "taken-back-at-the-provider")
        }
        // Or it was, and was given back since.
        (State::Unpaid, Answer::Captured) => asked_to_capture(record, now),
        (State::Unpaid, _) => Reaction::silent(record),
        (State::Voiding, Answer::Voided | Answer::Refunded | Answer::Captured) => {
            voided(record, answer, now)
        }
        // A refund is told of when it is begun already: only the answer says that it is done.
        (State::Voiding | State::Refunding | State::Opening | State::Authorising, _)
        | (State::Capturing, _) => Reaction::silent(record), // it asks again anyway
        (State::Released, Answer::Captured) if !record.is_off() => lapsed_and_taken(record),
        (State::Released, _) if !record.is_off() => Reaction::silent(record),
        (State::Released | State::Rejected, Answer::Authorised | Answer::Captured) => {
            asked_to_close(record, now)
        }
        (State::Released | State::Rejected, Answer::Voided | Answer::Refunded) => {
            nothing_left(record)
        }
        (State::Released | State::Rejected, _) => Reaction::silent(record),
        (State::None | State::Held | State::Captured, _) => Reaction::odd(record, STRAY),
    }
}

/// The provider let the authorisation go, or somebody did there.
fn lapsed() -> Reason {
    Reason::new(
        "authorisation-expired",
        "the payment provider no longer holds the money",
    )
}

fn opened(mut record: Record, answer: &Answer, now: &Now) -> Reaction {
    match answer {
        Answer::Opened { intent } => {
            record.intent = Some(intent.clone());
            let next = if record.is_off() {
                State::Voiding
            } else {
                State::Authorising
            };
            ask_in(record, next, now)
        }
        // There is no payment that could be closed.
        Answer::Declined { reason } | Answer::Refused { reason } => never_held(record, reason, now),
        Answer::Authorised | Answer::Captured | Answer::Voided | Answer::Refunded => {
            pause(record, STRAY, now)
        }
    }
}

fn authorised(mut record: Record, answer: &Answer, now: &Now) -> Reaction {
    match answer {
        Answer::Authorised | Answer::Declined { .. } | Answer::Refused { .. }
            if record.is_off() =>
        {
            ask_in(record, State::Voiding, now)
        }
        Answer::Authorised => say_in(record, State::Held, now),
        Answer::Declined { reason } | Answer::Refused { reason } => {
            let mut refused = never_held(record, reason, now);
            refused.record.attention_us = Some(now.now_us().saturating_add(ATTENTION_US));
            let closing = ask(refused.record);
            Reaction {
                said: refused.said,
                ..closing
            }
        }
        Answer::Voided | Answer::Refunded => never_held(record, &lapsed(), now),
        Answer::Captured => {
            let message = "the payment provider took the money before the trip was confirmed";
            let reason = Reason::new("captured-too-early", message);
            if !record.is_off() {
                record.call_off(&reason, now);
            }
            let back = ask_in(record, State::Refunding, now);
            Reaction {
                anomaly: back.anomaly.or(Some("captured-too-early")),
                ..back
            }
        }
        Answer::Opened { .. } => pause(record, STRAY, now),
    }
}

fn captured(mut record: Record, answer: &Answer, now: &Now) -> Reaction {
    match answer {
        Answer::Captured if record.is_off() => ask_in(record, State::Refunding, now),
        Answer::Captured => {
            record.trouble = None;
            enter(record, State::Captured, now)
        }
        Answer::Voided | Answer::Refunded if record.is_off() => {
            say_in(record, State::Released, now)
        }
        Answer::Voided | Answer::Refunded => {
            record.trouble = Some(lapsed().message);
            enter(record, State::Unpaid, now)
        }
        Answer::Declined { .. } | Answer::Refused { .. } if record.is_off() => {
            ask_in(record, State::Voiding, now)
        }
        Answer::Declined { reason } | Answer::Refused { reason } => {
            record.trouble = Some(reason.message.clone());
            enter(record, State::Unpaid, now)
        }
        Answer::Authorised | Answer::Opened { .. } => pause(record, STRAY, now),
    }
}

fn voided(record: Record, answer: &Answer, now: &Now) -> Reaction {
    match answer {
        Answer::Voided | Answer::Refunded => say_in(record, State::Released, now),
        Answer::Captured => ask_in(record, State::Refunding, now),
        Answer::Declined { reason } | Answer::Refused { reason } => refused(record, reason, now),
        Answer::Authorised | Answer::Opened { .. } => {
            let still = Reason::new("still-there", "the provider did not let go of it");
            refused(record, &still, now)
        }
    }
}

fn refunded(record: Record, answer: &Answer, now: &Now) -> Reaction {
    match answer {
        Answer::Refunded | Answer::Voided => say_in(record, State::Released, now),
        Answer::Declined { reason } | Answer::Refused { reason } => refused(record, reason, now),
        Answer::Captured | Answer::Authorised | Answer::Opened { .. } => {
            let still = Reason::new("still-there", "the provider did not give it back");
            refused(record, &still, now)
        }
    }
}

/// What is over here was closed at the provider too, or is to be.
fn closed(mut record: Record, purpose: Purpose, answer: &Answer, now: &Now) -> Reaction {
    match answer {
        Answer::Voided | Answer::Refunded => nothing_left(record),
        Answer::Captured if purpose == Purpose::Void => {
            record.trouble = Some(String::from(
                "the provider took money of a trip that does not go",
            ));
            let told = record.needs_attention(now.now_us());
            if !told {
                record.attention_us = Some(now.now_us());
            }
            let back = ask_for(record, Purpose::Refund);
            Reaction {
                anomaly: back.anomaly.or((!told).then_some(MONEY)),
                ..back
            }
        }
        Answer::Captured => {
            let still = Reason::new("still-there", "the provider did not give it back");
            refused(record, &still, now)
        }
        Answer::Declined { reason } | Answer::Refused { reason } => refused(record, reason, now),
        Answer::Authorised | Answer::Opened { .. } => {
            let still = Reason::new("still-there", "the provider did not let go of it");
            refused(record, &still, now)
        }
    }
}

/// The provider has nothing of a trip that is over here: nobody has to look.
fn nothing_left(mut record: Record) -> Reaction {
    record.trouble = None;
    record.attention_us = None;
    record.due_us = None;
    record.keep_for_a_while();
    Reaction::silent(record)
}

/// A trip that is over here may have money at the provider: it is asked to let go, which also says how things stand. Under a new key, for
/// to a known one it says again what it said then.
pub(super) fn asked_to_close(mut record: Record, now: &Now) -> Reaction {
    record.refusals = record.refusals.saturating_add(1);
    let hour = now.now_us().saturating_add(ATTENTION_US);
    record.attention_us = record.attention_us.or(Some(hour));
    ask_for(record, Purpose::Void)
}

/// A trip that is firm and unpaid may have been paid for after all: the money is asked for anew, which also says how things stand. Until
/// that is known a person has to look as before.
fn asked_to_capture(mut record: Record, now: &Now) -> Reaction {
    record.refusals = record.refusals.saturating_add(1);
    let attention_us = record.attention_us;
    let mut asking = ask_in(record, State::Capturing, now);
    asking.record.attention_us = attention_us;
    asking
}

/// It lapsed, and booking's word on it is awaited; it is looked into when the trip turns out to be off.
fn lapsed_and_taken(mut record: Record) -> Reaction {
    let told = "the provider told of money that it took although it had let go of it";
    record.trouble = Some(String::from(told));
    Reaction::odd(record, MONEY)
}

/// Nothing is held, and nothing ever was.
fn never_held(mut record: Record, reason: &Reason, now: &Now) -> Reaction {
    if record.is_off() {
        return say_in(record, State::Released, now);
    }
    record.because(reason);
    say_in(record, State::Rejected, now)
}

/// A call that has to succeed was refused: it is asked again, under a new key, for as long as it takes.
fn refused(mut record: Record, reason: &Reason, now: &Now) -> Reaction {
    record.trouble = Some(reason.message.clone());
    record.refusals = record.refusals.saturating_add(1);
    let mut paused = pause(record, STRAY, now);
    paused.anomaly = None;
    paused
}

fn pause(mut record: Record, anomaly: &'static str, now: &Now) -> Reaction {
    record.tries = record.tries.saturating_add(1);
    record.due_us = Some(now.wake_us(record.tries));
    Reaction::odd(record, anomaly)
}
