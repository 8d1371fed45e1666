//! Who books the trips: the saga, or its rival. A name alone; how each is driven is `run`'s.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// How a trip's parts come to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// The services, by choreography.
    Saga,
    /// A coordinator, by two-phase commit over their databases.
    TwoPhase,
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "saga" => Ok(Self::Saga),
            "two-phase" => Ok(Self::TwoPhase),
            _ => Err(String::from(
                "give saga, two-phase, or both: saga,two-phase",
            )),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Saga => "saga",
            Self::TwoPhase => "two-phase",
        })
    }
}
