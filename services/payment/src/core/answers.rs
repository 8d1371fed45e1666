//! What a record makes of the provider's words: the answer to the call that is under way, or news that nobody asked for.
//!
//! An answer is known by its call's key, so that one that comes twice, or comes after the same was asked anew, changes nothing. News is heard
//! only while no call is under way: then the answer will say what there is to know, and at most one of both moves the record.

use choreography::{Now, Reason};

use super::call::Answer;
use super::record::{ATTENTION_US, Record, State};
use super::{Reaction, ask, ask_in, enter, say_in};

/// An answer that is of another question than the one asked: it is asked again.
const STRAY: &str = "answer-to-another-question";

/// The provider has money of a trip that is over here.
const MONEY: &str = "money-behind-a-release";

/// A call was answered.
pub(super) fn answered(mut record: Record, key: &str, answer: &Answer, now: &Now) -> Reaction {
    let expected = record.asked.map(|purpose| record.key(purpose));
    if expected.as_deref() != Some(key) {
        return Reaction::silent(record); // answered before
    }
    record.asked = None;
    match record.state {
        State::Opening => opened(record, answer, now),
        State::Authorising => authorised(record, answer, now),
        State::Capturing => captured(record, answer, now),
        State::Voiding => voided(record, answer, now),
        State::Refunding => refunded(record, answer, now),
        State::Rejected => closed(record, answer, now),
        State::None | State::Held | State::Captured | State::Unpaid | State::Released => {
            Reaction::odd(record, STRAY)
        }
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
        (State::Unpaid, Answer::Captured) => {
            record.trouble = None;
            enter(record, State::Captured, now)
        }
        (State::Unpaid, _) => Reaction::silent(record),
        (State::Voiding, Answer::Voided | Answer::Refunded | Answer::Captured) => {
            voided(record, answer, now)
        }
        (State::Refunding, Answer::Voided | Answer::Refunded) => refunded(record, answer, now),
        (State::Voiding | State::Refunding | State::Opening | State::Authorising, _)
        | (State::Capturing, _) => Reaction::silent(record), // it asks again anyway
        (State::Released | State::Rejected, Answer::Authorised | Answer::Captured) => {
            Reaction::odd(record, MONEY)
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
        Answer::Captured => enter(record, State::Captured, now),
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

/// A rejected payment was closed at the provider, or is to be.
fn closed(mut record: Record, answer: &Answer, now: &Now) -> Reaction {
    match answer {
        Answer::Voided | Answer::Refunded => {
            record.trouble = None;
            record.attention_us = None;
            record.keep_for_a_while();
            Reaction::silent(record)
        }
        Answer::Captured => {
            record.trouble = Some(String::from("the provider took money that it had refused"));
            record.attention_us = Some(now.now_us());
            Reaction::odd(record, MONEY)
        }
        Answer::Declined { reason } | Answer::Refused { reason } => refused(record, reason, now),
        Answer::Authorised | Answer::Opened { .. } => {
            let still = Reason::new("still-there", "the provider did not let go of it");
            refused(record, &still, now)
        }
    }
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
