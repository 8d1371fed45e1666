//! What is asked of the provider, and what it may answer for good: values, as rows keep them. How either is said in the provider's own
//! words is the provider module's; so is all that is no answer (a timeout, a full house, a key that is not known any more).

use choreography::{Position, Reason, TripId};
use serde::{Deserialize, Serialize};

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Make a payment that nothing is authorised of yet, to have its id.
    Open,
    /// Hold the money.
    Authorise,
    /// Take what is held.
    Capture,
    /// Let go of what is held, or of a payment that never held anything.
    Void,
    /// Give back what was taken.
    Refund,
}

impl Purpose {
    /// As the record's state, the idempotency key and the runtime's row have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Authorise => "authorise",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
        }
    }

    /// Whether it goes before new authorisations: a trip is on its way back, or was promised to its traveller.
    #[must_use]
    pub fn goes_first(self) -> bool {
        matches!(self, Self::Capture | Self::Void | Self::Refund)
    }
}

/// All that a call needs. There is no secret in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Request {
    /// What it is for.
    pub purpose: Purpose,
    /// The provider's idempotency key: the trip, the position, the purpose, and how often it was refused.
    pub key: String,
    /// For which trip.
    pub trip: TripId,
    /// For which place on its itinerary.
    pub position: Position,
    /// The provider's id of the payment; none while it is to be opened.
    pub intent: Option<String>,
    /// How much, in the currency's smallest unit.
    pub amount_minor: i64,
    /// ISO 4217, in capitals.
    pub currency: String,
    /// The provider's id of what it is paid with.
    pub method: String,
}

/// What the provider said for good.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// The payment is there, and nothing is authorised.
    Opened {
        /// The provider's id of it.
        intent: String,
    },
    /// The money is held.
    Authorised,
    /// The money is taken.
    Captured,
    /// Nothing is held any more, and nothing was taken.
    Voided,
    /// What was taken is given back.
    Refunded,
    /// Whoever issued the card says no.
    Declined {
        /// Why, in our words.
        reason: Reason,
    },
    /// Any other no that asking once more would not change.
    Refused {
        /// Why, in our words.
        reason: Reason,
    },
}
