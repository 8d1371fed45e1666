//! The itinerary: an ordered list of legs, relayed byte for byte with what a service does not know in it.
//!
//! It is read in two steps. The names are read always, so that everybody can see whose turn it is; a leg's own details are read by
//! that leg alone, but for counts and dates that booking checks. Nothing here knows what any leg's details look like.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::value::RawValue;

use crate::ids::{LegName, LegNameError, Position};

/// Legs an itinerary has at most.
pub const LEGS_MAX: usize = 16;

/// What a trip consists of, in order. Cheap to clone.
#[derive(Clone)]
pub struct Itinerary {
    raw: Arc<RawValue>,
    legs: Arc<[LegName]>,
}

/// What is wrong with an itinerary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItineraryError {
    /// Not a JSON list at all.
    #[error("the itinerary is not a JSON list: {0}")]
    NotAList(String),
    /// Too few or too many.
    #[error("an itinerary has 1 to {LEGS_MAX} legs, this one has {0}")]
    Length(usize),
    /// A leg must be an object that says which leg it is.
    #[error("leg {0} of the itinerary is not an object with a \"leg\": {1}")]
    Leg(Position, String),
    /// It says so, but with an impossible name.
    #[error("leg {0} of the itinerary: {1}")]
    Name(Position, LegNameError),
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    leg: Cow<'a, str>,
}

impl Itinerary {
    /// Reads the names and keeps the text as it is.
    pub fn parse(raw: &str) -> Result<Self, ItineraryError> {
        let raw: Box<RawValue> =
            serde_json::from_str(raw).map_err(|e| ItineraryError::NotAList(e.to_string()))?;
        Self::from_raw(raw)
    }

    /// The same for JSON that was already cut out of its surroundings.
    pub fn from_raw(raw: Box<RawValue>) -> Result<Self, ItineraryError> {
        let list: Vec<&RawValue> =
            serde_json::from_str(raw.get()).map_err(|e| ItineraryError::NotAList(e.to_string()))?;
        if !(1..=LEGS_MAX).contains(&list.len()) {
            return Err(ItineraryError::Length(list.len()));
        }
        let legs = (0..)
            .zip(&list)
            .map(|(position, leg)| name(position, leg))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            raw: raw.into(),
            legs,
        })
    }

    /// The text as it came.
    pub fn raw(&self) -> &str {
        self.raw.get()
    }

    /// The names in order.
    pub fn legs(&self) -> &[LegName] {
        &self.legs
    }

    /// How many legs: 1 to 16.
    #[expect(clippy::len_without_is_empty, reason = "an itinerary is never empty")]
    pub fn len(&self) -> usize {
        self.legs.len()
    }

    /// Every position, in order.
    pub fn positions(&self) -> impl Iterator<Item = Position> + use<> {
        (0..).take(self.legs.len())
    }

    /// The position behind which only booking comes.
    pub fn last(&self) -> Position {
        self.positions().last().unwrap_or(0)
    }

    /// Who owns this position.
    pub fn name_at(&self, position: Position) -> Option<&LegName> {
        self.legs.get(usize::from(position))
    }

    /// Where this leg stands: nowhere, once, or several times.
    pub fn positions_of(&self, leg: &LegName) -> impl Iterator<Item = Position> {
        (0..)
            .zip(self.legs.iter())
            .filter(move |(_, name)| *name == leg)
            .map(|(position, _)| position)
    }

    /// That leg's own JSON object, whole: for the leg to read at its turn.
    pub fn details(&self, position: Position) -> Option<&str> {
        let list: Vec<&RawValue> = serde_json::from_str(self.raw.get()).ok()?;
        list.get(usize::from(position)).map(|leg| leg.get())
    }
}

fn name(position: Position, leg: &RawValue) -> Result<LegName, ItineraryError> {
    // serde would take a list for a struct too.
    if !leg.get().starts_with('{') {
        return Err(ItineraryError::Leg(position, "not an object".into()));
    }
    let head: Head = serde_json::from_str(leg.get())
        .map_err(|e| ItineraryError::Leg(position, e.to_string()))?;
    head.leg
        .parse()
        .map_err(|e| ItineraryError::Name(position, e))
}

/// Two itineraries are the same when their bytes are.
impl PartialEq for Itinerary {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw()
    }
}

impl Eq for Itinerary {}

impl std::hash::Hash for Itinerary {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.raw().hash(state);
    }
}

impl fmt::Debug for Itinerary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw())
    }
}

impl Serialize for Itinerary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (*self.raw).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Itinerary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_raw(Box::<RawValue>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
