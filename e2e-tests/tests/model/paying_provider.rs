//! The provider in the payment's model: what it has, and what each of its moods makes of a call. What is asked of it and when, `paying.rs` says.

use payment::core::{Answer, Purpose, Request};

use crate::paying::World;
use crate::words::reason;

/// So many of the provider's payments: one more than there should be.
const INTENTS_MAX: usize = 2;

/// What becomes of one of the provider's payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Status {
    Open,
    Authorised,
    Captured,
    Voided,
    Refunded,
}

/// A payment at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Intent {
    pub(crate) status: Status,
    /// It once held money.
    pub(crate) authorised: bool,
    /// It once was taken.
    pub(crate) captured: bool,
}

/// A call, but for what is the same for all: its purpose, its payment, and which of its keys it has.
pub(crate) type Ask = (Purpose, Option<usize>, i64);

/// An answer, but for its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reply {
    Opened(usize),
    Authorised,
    Captured,
    Voided,
    Refunded,
    Declined,
    Refused,
}

/// How the provider takes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Does,
    /// It has forgotten the key.
    Forgot,
    Refuses,
    /// It says how things stand.
    Looks,
}

pub(crate) fn ask(call: &Request) -> Ask {
    let intent = call.intent.as_deref().and_then(number);
    let again = i64::from(!call.key.ends_with(call.purpose.as_str()));
    (call.purpose, intent, again)
}

pub(crate) fn name(intent: usize) -> String {
    format!("pi_{intent}")
}

fn number(name: &str) -> Option<usize> {
    name.strip_prefix("pi_")?.parse().ok()
}

pub(crate) fn words(reply: Reply) -> Answer {
    match reply {
        Reply::Opened(intent) => Answer::Opened {
            intent: name(intent),
        },
        Reply::Authorised => Answer::Authorised,
        Reply::Captured => Answer::Captured,
        Reply::Voided => Answer::Voided,
        Reply::Refunded => Answer::Refunded,
        Reply::Declined => Answer::Declined { reason: reason() },
        Reply::Refused => Answer::Refused { reason: reason() },
    }
}

fn stands(number: usize, intent: Intent) -> Reply {
    match intent.status {
        Status::Open => Reply::Opened(number),
        Status::Authorised => Reply::Authorised,
        Status::Captured => Reply::Captured,
        Status::Voided => Reply::Voided,
        Status::Refunded => Reply::Refunded,
    }
}

/// The provider takes a call, the first time or again, by what its payment is by now. If the call still waits, an answer is on its way.
pub(crate) fn process(world: &mut World, ask: Ask, mood: Mood) {
    let reply = match ask {
        (Purpose::Open, _, again) => open(world, again, mood),
        (purpose, Some(number), _) => {
            let intent = &mut world.intents[number];
            let no = change(intent, purpose, mood);
            no.unwrap_or_else(|| stands(number, *intent))
        }
        (_, None, _) => return,
    };
    world.refused |= matches!(reply, Reply::Declined | Reply::Refused | Reply::Voided);
    world.wire.insert(ask);
    if world.row == Some(ask) {
        world.answers.insert(reply);
    }
}

fn open(world: &mut World, again: i64, mood: Mood) -> Reply {
    let there = world.intents.len();
    let known = there > usize::try_from(again).unwrap_or(0);
    match mood {
        Mood::Refuses => Reply::Refused,
        Mood::Does | Mood::Looks if known => Reply::Opened(usize::try_from(again).unwrap_or(0)),
        _ if there == INTENTS_MAX => Reply::Opened(there - 1),
        _ => {
            world.intents.push(Intent {
                status: Status::Open,
                authorised: false,
                captured: false,
            });
            Reply::Opened(there)
        }
    }
}

/// What a call makes of a payment, or a no.
fn change(intent: &mut Intent, purpose: Purpose, mood: Mood) -> Option<Reply> {
    let from = match purpose {
        Purpose::Open => None,
        Purpose::Authorise => Some((Status::Open, Status::Authorised)),
        Purpose::Capture => Some((Status::Authorised, Status::Captured)),
        Purpose::Void if intent.status == Status::Open => Some((Status::Open, Status::Voided)),
        Purpose::Void => Some((Status::Authorised, Status::Voided)),
        Purpose::Refund => Some((Status::Captured, Status::Refunded)),
    };
    let (from, to) = from?;
    if from != intent.status || mood == Mood::Looks {
        return None; // it says how things stand
    }
    if mood == Mood::Refuses {
        let declines = purpose == Purpose::Authorise;
        return Some(if declines {
            Reply::Declined
        } else {
            Reply::Refused
        });
    }
    intent.status = to;
    intent.authorised |= to == Status::Authorised;
    intent.captured |= to == Status::Captured;
    None
}
