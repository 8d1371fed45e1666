//! Facts as JSON, one flat object each, and back.
//!
//! Readers ignore fields that they don't know. What they can't read is told apart by its remedy: a major version from the future
//! is put back for a while (readers are deployed before writers), anything else is a dead letter. The envelope (CloudEvents
//! headers) is the runtime's; the type and the subject in it come from here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Fact, FactBody, Itinerary, Joined, Money, Plan, Position, Price, Reason, Speaker, TripId,
};

/// The major version that is spoken and understood here.
const VERSION: &str = "v1";

/// What the wire may bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireFact {
    /// Something about a trip.
    Trip(Fact),
    /// A leg service is there.
    Joined(Joined),
}

/// Why a message could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A known fact in a major version from the future: worth waiting for an upgrade.
    #[error("{kind} is of a major version that is not understood here")]
    UnknownVersion {
        /// The type as it came.
        kind: String,
    },
    /// No fact of ours.
    #[error("{kind:?} is no fact of this choreography")]
    UnknownType {
        /// The type as it came.
        kind: String,
    },
    /// A fact of ours with something wrong in it.
    #[error("{0}")]
    Malformed(String),
}

/// A fact about a trip, flat. What a fact has no use for is absent.
#[derive(Serialize, Deserialize)]
struct TripData {
    trip: TripId,
    itinerary: Itinerary,
    deadline: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Vec<Money>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
}

/// A reason as it may come, before [`Reason::new`] has tidied it.
#[derive(Deserialize)]
pub(crate) struct ReasonText {
    code: String,
    #[serde(default)]
    message: String,
}

impl From<ReasonText> for Reason {
    fn from(text: ReasonText) -> Self {
        Self::new(text.code, text.message)
    }
}

pub(crate) fn kind(speaker: &str, name: &str) -> String {
    format!("{speaker}.{name}.{VERSION}")
}

impl Fact {
    /// The data as it travels.
    pub fn to_json(&self) -> String {
        let Fact {
            trip,
            plan:
                Plan {
                    itinerary,
                    deadline,
                    budget,
                },
            said,
            ..
        } = self.clone();
        let mut data = TripData {
            trip,
            itinerary,
            deadline,
            budget,
            position: None,
            price: None,
            total: None,
            reason: None,
        };
        match said {
            FactBody::Requested | FactBody::Confirmed => {}
            FactBody::Cancelled { reason } => data.reason = Some(reason),
            FactBody::Reserved {
                position,
                price: Price { price, total },
            } => {
                (data.position, data.price, data.total) =
                    (Some(position), Some(price), Some(total));
            }
            FactBody::Rejected { position, reason }
            | FactBody::Released { position, reason }
            | FactBody::Settled { position, reason } => {
                (data.position, data.reason) = (Some(position), Some(reason));
            }
        }
        to_json(&data)
    }
}

/// Structs of text and numbers always have a JSON form.
pub(crate) fn to_json(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap_or_default()
}

/// Reads a fact: its type, whom it is about (`ce-subject`: the trip, or the leg that joined) and its data.
pub fn read(kind: &str, entity: &str, data: &[u8]) -> Result<WireFact, WireError> {
    let (speaker, name) = read_kind(kind)?;
    if let (Speaker::Leg(leg), "joined") = (&speaker, name) {
        let joined: Joined = read_data(data)?;
        return if joined.leg == *leg && entity == leg.as_str() {
            Ok(WireFact::Joined(joined))
        } else {
            Err(WireError::Malformed(format!(
                "{kind} about {entity:?} speaks for {}",
                joined.leg
            )))
        };
    }
    let data: TripData = read_data(data)?;
    if entity.parse() != Ok(data.trip) {
        return Err(WireError::Malformed(format!(
            "the envelope is about {entity:?}, the data about {}",
            data.trip
        )));
    }
    let plan = Plan {
        itinerary: data.itinerary,
        deadline: data.deadline,
        budget: data.budget,
    };
    let position = read_position(&speaker, name, &plan.itinerary, data.position);
    let reason = data.reason.ok_or_else(|| missing(kind, "reason"));
    let said = match name {
        "requested" => FactBody::Requested,
        "confirmed" => FactBody::Confirmed,
        "cancelled" => FactBody::Cancelled { reason: reason? },
        "reserved" => {
            let price = data.price.ok_or_else(|| missing(kind, "price"))?;
            let total = data.total.ok_or_else(|| missing(kind, "total"))?;
            FactBody::Reserved {
                position: position?,
                price: Price { price, total },
            }
        }
        "rejected" => FactBody::Rejected {
            position: position?,
            reason: reason?,
        },
        "released" => FactBody::Released {
            position: position?,
            reason: reason?,
        },
        "settled" => FactBody::Settled {
            position: position?,
            reason: reason?,
        },
        _ => return Err(WireError::UnknownType { kind: kind.into() }),
    };
    Ok(WireFact::Trip(Fact {
        speaker,
        trip: data.trip,
        plan,
        said,
    }))
}

/// `flight.reserved.v1`: who, what, and in which version. Whether this one may say that is judged here too.
fn read_kind(kind: &str) -> Result<(Speaker, &str), WireError> {
    let unknown = || WireError::UnknownType { kind: kind.into() };
    let mut parts = kind.split('.');
    let (Some(who), Some(name), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(unknown());
    };
    let (speaker, names) = match who {
        "booking" => (
            Speaker::Booking,
            ["requested", "confirmed", "cancelled", "settled"],
        ),
        leg => (
            Speaker::Leg(leg.parse().map_err(|_| unknown())?),
            ["reserved", "rejected", "released", "joined"],
        ),
    };
    if !names.contains(&name) {
        return Err(unknown());
    }
    if version == VERSION {
        return Ok((speaker, name));
    }
    let number = version.strip_prefix('v').unwrap_or_default();
    if !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()) {
        return Err(WireError::UnknownVersion { kind: kind.into() });
    }
    Err(unknown())
}

fn read_data<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, WireError> {
    // serde would take a list for a struct too.
    if data.trim_ascii_start().first() != Some(&b'{') {
        return Err(WireError::Malformed("the data is not a JSON object".into()));
    }
    serde_json::from_slice(data).map_err(|e| WireError::Malformed(e.to_string()))
}

/// A leg speaks for a position that is its own; booking may settle any that there is.
fn read_position(
    speaker: &Speaker,
    name: &str,
    itinerary: &Itinerary,
    position: Option<Position>,
) -> Result<Position, WireError> {
    let position = position.ok_or_else(|| missing(name, "position"))?;
    let owner = itinerary.name_at(position);
    let may = match speaker {
        Speaker::Booking => owner.is_some(),
        Speaker::Leg(leg) => owner == Some(leg),
    };
    if may {
        Ok(position)
    } else {
        Err(WireError::Malformed(format!(
            "position {position} is not one that {} can speak for",
            speaker.as_str()
        )))
    }
}

fn missing(kind: &str, field: &str) -> WireError {
    WireError::Malformed(format!("{kind} without its {field}"))
}
