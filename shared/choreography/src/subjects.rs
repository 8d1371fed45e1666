//! Where facts are published and what is listened for, as NATS subjects. Held against [`crate::TABLE`] by a test.

use crate::{Fact, FactBody, LegName, Role, Speaker, TABLE};

impl FactBody {
    /// The fact's name in the table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Reserved { .. } => "reserved",
            Self::Rejected { .. } => "rejected",
            Self::Confirmed => "confirmed",
            Self::Cancelled { .. } => "cancelled",
            Self::Released { .. } => "released",
            Self::Settled { .. } => "settled",
        }
    }
}

impl Speaker {
    /// As the first token behind `trips.`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Booking => "booking",
            Self::Leg(leg) => leg.as_str(),
        }
    }
}

impl Fact {
    /// The wire's type, with its major version: `flight.reserved.v1`.
    pub fn kind(&self) -> String {
        crate::wire::kind(self.speaker.as_str(), self.said.name())
    }

    /// Where it is published: `trips.flight.reserved.hotel`.
    pub fn subject(&self) -> String {
        let (speaker, name) = (self.speaker.as_str(), self.said.name());
        let next = match self.said {
            FactBody::Requested => Some(0),
            FactBody::Reserved { position, .. } => Some(position.saturating_add(1)),
            _ => None,
        };
        match next.map(|position| self.plan.itinerary.name_at(position)) {
            Some(Some(leg)) => format!("trips.{speaker}.{name}.{leg}"),
            Some(None) => format!("trips.{speaker}.{name}.booking"),
            None => format!("trips.{speaker}.{name}"),
        }
    }
}

/// What a leg listens for: its turn, booking's word, and any leg's rejection.
pub fn filters_for_leg(leg: &LegName) -> Vec<String> {
    vec![
        format!("trips.*.*.{leg}"),
        "trips.booking.confirmed".into(),
        "trips.booking.cancelled".into(),
        "trips.*.rejected".into(),
    ]
}

/// What booking listens for: the last leg's `reserved`, every refusal and return, and who has joined.
pub fn filters_for_booking() -> Vec<String> {
    [
        "trips.*.*.booking",
        "trips.*.rejected",
        "trips.*.released",
        "trips.*.joined",
    ]
    .map(String::from)
    .into()
}

/// The wire's types of all that this one says by the table: `flight.reserved.v1` and so on.
pub fn kinds_of(speaker: &Speaker) -> Vec<String> {
    let role = match speaker {
        Speaker::Booking => Role::Booking,
        Speaker::Leg(_) => Role::Leg,
    };
    let own = TABLE.iter().filter(|line| line.said_by == role);
    own.map(|line| crate::wire::kind(speaker.as_str(), line.fact))
        .collect()
}
