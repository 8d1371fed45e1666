//! A leg says that it is there, and which of its details anybody can check without knowing what they mean.
//!
//! That lets booking refuse nonsense at the door (no seats, a date long past) with a clear answer, for legs that it knows
//! nothing about. It is a courtesy: the leg itself judges everything again at its turn.

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{LegName, Reason};

/// The fact `<leg>.joined`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Joined {
    /// Who is there.
    pub leg: LegName,
    /// Fields of its details that are whole numbers of at least 1.
    #[serde(default)]
    pub counts: Vec<String>,
    /// Fields of its details that are local calendar dates, not in the past.
    #[serde(default)]
    pub dates: Vec<String>,
}

impl Joined {
    /// The wire's type.
    pub fn kind(&self) -> String {
        crate::wire::kind(self.leg.as_str(), "joined")
    }

    /// Where it is published.
    pub fn subject(&self) -> String {
        format!("trips.{}.joined", self.leg)
    }

    /// The data as it travels.
    pub fn to_json(&self) -> String {
        crate::wire::to_json(self)
    }

    /// Looks a leg's details over. A field that is not there is for the leg to miss.
    pub fn check(&self, details: &str, now: Timestamp) -> Result<(), Reason> {
        let details: Map<String, Value> = serde_json::from_str(details).unwrap_or_default();
        for (name, value) in self
            .counts
            .iter()
            .filter_map(|name| Some((name, details.get(name)?)))
        {
            if value.as_i64().is_none_or(|count| count < 1) {
                let message = format!(
                    "{} of {} is {value}, and has to be a whole number of at least 1",
                    name, self.leg
                );
                return Err(Reason::new("quantity", message));
            }
        }
        // Somewhere it is still yesterday.
        let yesterday = now.to_zoned(TimeZone::UTC).date().saturating_sub(1.day());
        for (name, value) in self
            .dates
            .iter()
            .filter_map(|name| Some((name, details.get(name)?)))
        {
            match value.as_str().and_then(|text| text.parse::<Date>().ok()) {
                None => {
                    let message = format!(
                        "{} of {} is {value}, and has to be a date such as \"2030-06-03\"",
                        name, self.leg
                    );
                    return Err(Reason::new("unreadable-details", message));
                }
                Some(date) if date < yesterday => {
                    return Err(Reason::new(
                        "past",
                        format!("{} of {}, {date}, is in the past", name, self.leg),
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
