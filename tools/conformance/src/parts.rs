//! What the kit says: the facts of booking and of the neighbours, as they would say them, and the itineraries on which it does. No broker.

use anyhow::{Context as _, Result, bail};
use choreography::{
    Fact, FactBody, Itinerary, LegName, Money, Plan, Position, Price, Reason, Speaker, TripId,
};
use client::paint::visible;
use jiff::Timestamp;
use runtime::Event;
use serde_json::Value;
use uuid::Uuid;

/// The neighbours: legs that nobody speaks for but the kit. What they sell is there to be relayed as it is: spaces, the order of fields,
/// numbers too large for any type, escapes.
const BEFORE: &str = r#"{"zeta":1,"leg":"kit-before", "miles":123456789012345678901234567890.10, "note":"\u00fc\/ü" }"#;
const AFTER: &str = r#"{ "leg" : "kit-after" , "mileage":12345678901234567890.50,"extras":["child seat","\u00fc", null,2e0] }"#;

/// One place on an itinerary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// A neighbour in front.
    Before,
    /// A neighbour behind.
    After,
    /// What the leg takes.
    Item,
    /// What it refuses.
    Refused,
    /// Of which there is one.
    Last,
    /// What it cannot read: its own name, and nonsense.
    Nonsense,
}

/// The bodies of the leg's own positions.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    pub(crate) item: String,
    pub(crate) refused: Option<String>,
    pub(crate) last: Option<String>,
    nonsense: String,
}

impl Bodies {
    /// Each has to be an object of this leg.
    pub(crate) fn of(
        leg: &LegName,
        item: &str,
        refused: Option<&str>,
        last: Option<&str>,
    ) -> Result<Self> {
        let check = |what: &str, body: &str| {
            let itinerary = Itinerary::parse(&format!("[{body}]"))
                .with_context(|| format!("{what} {}", visible(body)))?;
            if itinerary.name_at(0) != Some(leg) {
                bail!(
                    "{what} {} is not a position of {leg}: it has to have \"leg\":\"{leg}\"",
                    visible(body)
                );
            }
            Ok(body.to_owned())
        };
        let mut nonsense: Value =
            serde_json::from_str(item).with_context(|| format!("--item {}", visible(item)))?;
        for (name, value) in nonsense.as_object_mut().into_iter().flatten() {
            if name != "leg" {
                *value = serde_json::json!([{"nobody": "can read this"}]);
            }
        }
        Ok(Self {
            item: check("--item", item)?,
            refused: refused
                .map(|body| check("--refused-item", body))
                .transpose()?,
            last: last.map(|body| check("--last-item", body)).transpose()?,
            nonsense: nonsense.to_string(),
        })
    }

    /// None where the caller gave no such body.
    pub(crate) fn itinerary(&self, parts: &[Part]) -> Option<Itinerary> {
        let body = |part: &Part| match part {
            Part::Before => Some(BEFORE),
            Part::After => Some(AFTER),
            Part::Item => Some(self.item.as_str()),
            Part::Refused => self.refused.as_deref(),
            Part::Last => self.last.as_deref(),
            Part::Nonsense => Some(self.nonsense.as_str()),
        };
        let bodies: Option<Vec<&str>> = parts.iter().map(body).collect();
        Itinerary::parse(&format!("[ {}\t]", bodies?.join(" ,"))).ok()
    }
}

/// So many seconds from now, as a deadline: to the microsecond, as booking says it.
pub(crate) fn in_s(seconds: i64) -> Timestamp {
    let us = Timestamp::now().as_microsecond();
    choreography::instant(us.saturating_add(seconds.saturating_mul(1_000_000)))
}

pub(crate) fn reason(code: &str) -> Reason {
    Reason::new(code, "said by the conformance kit")
}

/// What a neighbour in front costs.
pub(crate) fn before_price(currency: choreography::Currency) -> Price {
    let price = Money::new(100, currency);
    Price {
        price,
        total: vec![price],
    }
}

/// What makes it the turn of a position: booking's request, or the word of the leg before.
pub(crate) fn turn(plan: &Plan, position: Position, price: Price) -> (Speaker, FactBody) {
    match position
        .checked_sub(1)
        .and_then(|at| Some((at, plan.itinerary.name_at(at)?)))
    {
        None => (Speaker::Booking, FactBody::Requested),
        Some((position, name)) => (
            Speaker::Leg(name.clone()),
            FactBody::Reserved { position, price },
        ),
    }
}

/// A fact as an event of its speaker, under this id.
pub(crate) fn event(
    id: Uuid,
    trip: TripId,
    plan: &Plan,
    speaker: Speaker,
    said: FactBody,
) -> (Event, String) {
    let source = format!("/{}", speaker.as_str());
    let fact = Fact {
        speaker,
        trip,
        plan: plan.clone(),
        said,
    };
    let event = Event {
        id,
        aggregatetype: String::from("trip"),
        aggregateid: trip.to_string(),
        kind: fact.kind(),
        payload: fact.to_json(),
        subject: fact.subject(),
        causation_id: None,
        time_us: Timestamp::now().as_microsecond(),
        traceparent: None,
        tracestate: None,
        attempt: 0,
    };
    (event, source)
}
