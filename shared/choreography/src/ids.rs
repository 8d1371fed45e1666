//! The names of things: a trip, a fact, a leg, a place on an itinerary.
//!
//! Newtypes, so that a trip's id cannot be passed where a fact's is meant. Nothing here makes an id: that takes a clock and a die,
//! and both stay outside (`TripId::from(Uuid::now_v7())`).

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A place on the itinerary, counted from 0. A leg is a position, not a service: one service may own several.
pub type Position = u16;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The bare id.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A trip, from the request to the last release (UUIDv7, so that ids sort by age).
    TripId
}
id! {
    /// One saying of a fact. Said again, it has a new one: a new id is a question, the same id is an echo.
    FactId
}

/// The name of a leg: `flight`, `hotel`, whatever joins later. `[a-z0-9-]{1,32}`, and never `booking`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LegName(Arc<str>);

/// What is wrong with a leg's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LegNameError {
    /// Names are subject tokens, so they are short and plain.
    #[error("a leg's name is 1 to 32 characters of a-z, 0-9 and '-'")]
    Shape,
    /// `booking` is the one who decides; a leg of that name would hear its own decisions.
    #[error("no leg may be called 'booking'")]
    Booking,
}

impl LegName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LegName {
    type Err = LegNameError;

    fn from_str(text: &str) -> Result<Self, LegNameError> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if !(1..=32).contains(&text.len()) || !text.bytes().all(plain) {
            return Err(LegNameError::Shape);
        }
        if text == "booking" {
            return Err(LegNameError::Booking);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for LegName {
    type Error = LegNameError;

    fn try_from(text: String) -> Result<Self, LegNameError> {
        text.parse()
    }
}

impl From<LegName> for String {
    fn from(name: LegName) -> Self {
        name.as_str().into()
    }
}

impl fmt::Display for LegName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
