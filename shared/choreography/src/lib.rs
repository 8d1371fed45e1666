//! The saga. A trip either goes through, or comes all the way back; this crate says who tells whom what on the way.
//!
//! A **trip** is an ordered itinerary of **legs** (a flight, then a hotel), each owned by a service with a database of its own.
//! Nobody commands anybody. A service says what happened to *it*, as a **fact**; who cares, reacts:
//!
//! ```text
//!   goes through                        is refused by the hotel             comes back
//!
//!   booking   requested ─► flight       booking   requested ─► flight       booking  cancelled ─► every leg
//!   flight    reserved  ─► hotel        flight    reserved  ─► hotel        hotel    released  ─► booking
//!   hotel     reserved  ─► booking      hotel     rejected  ─► booking      flight   released  ─► booking
//!   booking   confirmed ─► every leg                        └► flight
//!             (the pivot)               flight    released  ─► booking
//! ```
//!
//! - **The itinerary travels with the trip.** Every fact carries it, so each service can see whether it is next (the speaker's
//!   position + 1 is mine; `requested` counts as -1). No service knows another by name, and a new leg joins by existing.
//! - **One decider.** Only booking turns a trip confirmed or cancelled. A leg never lets go of a hold by its own clock: it asks.
//! - **`rejected` is said only by a leg that never held.** Any other refusal is `released`. So booking may count what lies behind a
//!   rejection as settled.
//! - **Who waits, re-announces**: booking while pending (`requested`) and while undoing (`cancelled`), a leg while it holds
//!   (`reserved`). Under a new id each time, for a new id is a question and the same id an echo. The broker may forget everything.
//! - **Facts climb**: requested < reserved(0) < … < reserved(n) < confirmed, cancelled < rejected < released. Every reaction says
//!   something strictly higher than what it heard, so no two services can talk for ever.
//!
//! [`TABLE`] below is the whole conversation, and the code is held against it by a test. What each state does with each fact is in
//! `leg::core` and `booking::core`. This crate does no I/O, reads no clock and rolls no dice.

mod backoff;
mod ids;
mod itinerary;
mod joined;
mod money;
mod reaction;
mod subjects;
mod wire;

pub use backoff::{Backoff, Now, STEADY_TRIES, instant};
pub use ids::{FactId, LegName, LegNameError, Position, TripId};
pub use iso_currency::Currency;
pub use itinerary::{Itinerary, ItineraryError, LEGS_MAX};
use jiff::Timestamp;
pub use joined::Joined;
pub use money::Money;
pub use reaction::Reaction;
use serde::{Deserialize, Serialize};
pub use subjects::{filters_for_booking, filters_for_leg, kinds_of};
pub use wire::{WireError, WireFact, read};

/// The name of the stream that carries all facts.
pub const STREAM: &str = "TRIPS";
/// The conversation for programs: an AsyncAPI 3.0 document, made of [`TABLE`] and the golden files, and held against them by a test.
pub const ASYNCAPI: &str = include_str!("../asyncapi.json");
/// The subjects that [`STREAM`] takes in.
pub const STREAM_SUBJECTS: &str = "trips.>";

/// Who says what, who hears it, and under which subject. `<leg>` is the speaker, `<next>` the leg behind it, or booking behind the
/// last; behind booking is the first leg. A subject names who is next, so that the broker delivers a fact only where it matters.
#[rustfmt::skip]
pub const TABLE: &[Line] = &[
    Line { fact: "requested", said_by: Role::Booking, heard_by: &[Role::Next],                      subject: "trips.booking.requested.<next>" },
    Line { fact: "reserved",  said_by: Role::Leg,     heard_by: &[Role::Next],                      subject: "trips.<leg>.reserved.<next>" },
    Line { fact: "rejected",  said_by: Role::Leg,     heard_by: &[Role::Booking, Role::LegsBefore], subject: "trips.<leg>.rejected" },
    Line { fact: "confirmed", said_by: Role::Booking, heard_by: &[Role::EveryLeg],                  subject: "trips.booking.confirmed" },
    Line { fact: "cancelled", said_by: Role::Booking, heard_by: &[Role::EveryLeg],                  subject: "trips.booking.cancelled" },
    Line { fact: "released",  said_by: Role::Leg,     heard_by: &[Role::Booking],                   subject: "trips.<leg>.released" },
    Line { fact: "settled",   said_by: Role::Booking, heard_by: &[],                                subject: "trips.booking.settled" },
    Line { fact: "joined",    said_by: Role::Leg,     heard_by: &[Role::Booking],                   subject: "trips.<leg>.joined" },
];

/// One line of [`TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// What is said; the wire's type is `<speaker>.<fact>.v1`.
    pub fact: &'static str,
    /// Who says it.
    pub said_by: Role,
    /// Who hears it.
    pub heard_by: &'static [Role],
    /// Where it is published.
    pub subject: &'static str,
}

/// A part in the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one who decides.
    Booking,
    /// A leg of the itinerary.
    Leg,
    /// The first leg after `requested`; after a leg the one behind it, or booking behind the last.
    Next,
    /// Every leg of the itinerary.
    EveryLeg,
    /// The legs before the speaker, who may be holding. The subject cannot name them, so every leg receives it and looks.
    LegsBefore,
}

/// What somebody says about a trip.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FactBody {
    /// Booking: somebody wants this trip.
    Requested,
    /// A leg: I hold it, at this price.
    Reserved {
        /// The speaker's.
        position: Position,
        /// Recorded at the hold, and said again verbatim.
        price: Price,
    },
    /// A leg that never held: I will not.
    Rejected {
        /// The speaker's.
        position: Position,
        /// Why it happened, for programs and for people.
        reason: Reason,
    },
    /// Booking: every leg holds, so it is firm. The pivot.
    Confirmed,
    /// Booking: it is off; give back what you hold.
    Cancelled {
        /// Why it happened, for programs and for people.
        reason: Reason,
    },
    /// A leg: I hold nothing for it any more. The compensating fact.
    Released {
        /// The speaker's.
        position: Position,
        /// Why it happened, for programs and for people.
        reason: Reason,
    },
    /// Booking: an operator settled this position by hand, for a leg that nobody answers for.
    Settled {
        /// The position settled.
        position: Position,
        /// The operator's word.
        reason: Reason,
    },
}

/// Something that happened to a trip. Its id, its cause and its time are the envelope's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fact {
    /// Who says it.
    pub speaker: Speaker,
    /// Of which trip.
    pub trip: TripId,
    /// What was asked for.
    pub plan: Plan,
    /// What happened.
    pub said: FactBody,
}

/// Who says it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// The one who decides.
    Booking,
    /// A leg.
    Leg(LegName),
}

/// What was asked for. Travels with every fact of a trip and never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// The legs, in order.
    pub itinerary: Itinerary,
    /// When booking gives up waiting.
    pub deadline: Timestamp,
    /// What all legs together may cost; the leg that would exceed it refuses.
    pub budget: Option<Money>,
}

/// What a leg costs, and all legs up to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Price {
    /// This leg.
    pub price: Money,
    /// Up to and with this leg: one sum per currency, sorted by code.
    pub total: Vec<Money>,
}

/// Why something did not happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "wire::ReasonText")]
pub struct Reason {
    /// For programs, kebab-case: `sold-out`, `budget`, `deadline`, …
    pub code: String,
    /// For people.
    pub message: String,
}

impl Reason {
    /// Reasons come from travellers, operators and foreign legs, and end in every database on the way: control characters become
    /// spaces, a message is cut at 500 characters and a code at 64. They are never a ground to refuse a fact.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let tidy = |text: String, max| {
            text.chars()
                .take(max)
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect()
        };
        Self {
            code: tidy(code.into(), 64),
            message: tidy(message.into(), 500),
        }
    }
}
