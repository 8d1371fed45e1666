//! What was said of one trip, by the kit and by the leg, in the order in which it passed: what the judge looks at, and what a report shows of
//! a broken promise. It waits for nothing and publishes nothing.

use std::fmt::Write as _;
use std::time::Duration;

use async_nats::HeaderMap;
use choreography::{Fact, FactBody, LegName, Plan, Position, Speaker, TripId, WireFact};
use client::paint::visible;
use jiff::Timestamp;
use uuid::Uuid;

/// The most of a message that cannot be read that is kept for the report, in characters.
const SHOWN_MAX: usize = 200;

/// One message.
#[derive(Debug, Clone)]
pub struct Word {
    /// When it passed, since the kit began.
    pub at: Duration,
    /// Whether the kit said it.
    pub ours: bool,
    /// Where it was said.
    pub subject: String,
    /// `ce-id`.
    pub id: Option<Uuid>,
    /// `ce-causationid`.
    pub cause: Option<Uuid>,
    /// `ce-time`.
    pub time: Option<Timestamp>,
    /// What it says, or what is wrong with it.
    pub fact: Result<Fact, String>,
    /// What is special about it, such as that it is a repeat.
    pub note: &'static str,
}

impl Word {
    /// Reads a message as whoever hears it reads it: the envelope, then the fact.
    #[must_use]
    pub fn read(at: Duration, ours: bool, message: &async_nats::Message) -> Self {
        let header = |name: &str| header(message.headers.as_ref(), name);
        let fact = runtime::Message::open(message).and_then(|opened| {
            match choreography::read(&opened.kind, &opened.entity, &opened.payload) {
                Ok(WireFact::Trip(fact)) => Ok(fact),
                Ok(WireFact::Joined(_)) => Err(String::from("it is about no trip")),
                Err(error) => Err(error.to_string()),
            }
        });
        let data = || String::from_utf8_lossy(&message.payload);
        let quoted = |error: String| {
            let shown: String = data().chars().take(SHOWN_MAX).collect();
            format!(
                "{} {}: {}",
                header("ce-type").unwrap_or("?"),
                visible(&shown),
                visible(&error)
            )
        };
        Self {
            at,
            ours,
            subject: message.subject.to_string(),
            id: header("ce-id").and_then(|id| id.parse().ok()),
            cause: header("ce-causationid").and_then(|id| id.parse().ok()),
            time: header("ce-time").and_then(|time| time.parse().ok()),
            fact: fact.map_err(quoted),
            note: "",
        }
    }

    /// The position that it speaks for, and the fact's name.
    #[must_use]
    pub fn says(&self) -> Option<(Position, &'static str)> {
        let fact = self.fact.as_ref().ok()?;
        let position = match &fact.said {
            FactBody::Reserved { position, .. }
            | FactBody::Rejected { position, .. }
            | FactBody::Released { position, .. }
            | FactBody::Settled { position, .. } => *position,
            FactBody::Requested | FactBody::Confirmed | FactBody::Cancelled { .. } => return None,
        };
        Some((position, fact.said.name()))
    }

    /// In one line.
    #[must_use]
    pub fn line(&self) -> String {
        let who = if self.ours { "kit" } else { "leg" };
        let mut line = format!("{:>9.3} s  {who}  ", self.at.as_secs_f64());
        match &self.fact {
            Ok(fact) => line += &told(fact),
            Err(wrong) => line += wrong,
        }
        let _ = write!(line, "  on {}", visible(&self.subject));
        let short = |id: Uuid| {
            let text = id.simple().to_string();
            text.get(26..).unwrap_or_default().to_owned()
        };
        match self.id {
            Some(id) => line += &format!("  id …{}", short(id)),
            None => line += "  without an id",
        }
        if let Some(cause) = self.cause {
            let _ = write!(line, " because of …{}", short(cause));
        }
        if !self.note.is_empty() {
            let _ = write!(line, " ({})", self.note);
        }
        line
    }
}

fn told(fact: &Fact) -> String {
    let speaker = match &fact.speaker {
        Speaker::Booking => "booking",
        Speaker::Leg(leg) => leg.as_str(),
    };
    let name = fact.said.name();
    match &fact.said {
        FactBody::Reserved { position, price } => {
            let total: Vec<String> = price.total.iter().map(ToString::to_string).collect();
            format!(
                "{speaker}.{name} #{position} {} (total {})",
                price.price,
                total.join(" + ")
            )
        }
        FactBody::Rejected { position, reason }
        | FactBody::Released { position, reason }
        | FactBody::Settled { position, reason } => {
            format!("{speaker}.{name} #{position} ({})", visible(&reason.code))
        }
        FactBody::Cancelled { reason } => format!("{speaker}.{name} ({})", visible(&reason.code)),
        FactBody::Requested | FactBody::Confirmed => format!("{speaker}.{name}"),
    }
}

pub(crate) fn header<'a>(headers: Option<&'a HeaderMap>, name: &str) -> Option<&'a str> {
    headers?.get(name).map(async_nats::HeaderValue::as_str)
}

/// All that was said of one trip.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The leg that is looked at.
    pub leg: LegName,
    /// Of which trip.
    pub trip: TripId,
    /// What the kit asked for.
    pub plan: Plan,
    /// In order.
    pub words: Vec<Word>,
}

impl Exchange {
    /// What the leg said, with its place among all words; a message that came again under the same id counts once.
    pub fn said(&self) -> impl Iterator<Item = (usize, &Word)> {
        self.words.iter().enumerate().filter(|(at, word)| {
            let known = || {
                let before = self.words.iter().take(*at);
                before
                    .filter(|other| !other.ours)
                    .any(|other| other.id == word.id)
            };
            !word.ours && (word.id.is_none() || !known())
        })
    }

    /// The story, a line for each message.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.words.iter().map(Word::line).collect()
    }
}
