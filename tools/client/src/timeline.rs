//! One trip's story: its facts as the stream has them, in order, for people. Who said what, about which leg, why, for how much, and who
//! listens. It proves nothing: what the stream no longer has is not in it, and the truth is in the databases.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow};
use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use booking::view::TripView;
use choreography::{
    Fact, FactBody, Itinerary, Money, Position, Reason, Role, Speaker, TABLE, WireFact,
};
use futures::StreamExt as _;
use jiff::Timestamp;
use serde::Serialize;

use crate::is_final;
use crate::paint::{Paint, Tone, visible};

/// How far the clocks of a service and the broker may lie apart.
const CLOCKS_APART: Duration = Duration::from_secs(2);
/// For so long, what is said of a trip that is final may still be an answer to what was said before.
const EPILOGUE: Duration = Duration::from_secs(60);
/// The most of the stream that is read for one trip, and for how long.
const READ_MAX: usize = 1_000_000;
const READ_WITHIN: Duration = Duration::from_secs(15);

/// One fact, told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// `ce-time`: when it was decided.
    pub at: Timestamp,
    /// `ce-id`.
    pub id: String,
    /// `ce-causationid`: the fact or command that it answers.
    pub cause: Option<String>,
    /// `booking`, or a leg.
    pub speaker: String,
    /// Such as `reserved`.
    pub fact: String,
    /// Of which place on the itinerary it speaks.
    pub position: Option<Position>,
    /// What that leg costs.
    pub price: Option<Money>,
    /// What it costs up to and with that leg.
    pub total: Vec<Money>,
    /// Why it happened, for programs and for people.
    pub reason: Option<Reason>,
    /// Who listens for it.
    pub hearers: Vec<String>,
    /// Whether the same was said before: an answer was slow, and it was asked again.
    pub again: bool,
}

/// A trip's facts in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Timeline {
    /// What was said.
    pub facts: Vec<Told>,
    /// Whether the reading came to the end of the stream.
    pub complete: bool,
}

impl Timeline {
    /// Reads a trip's facts out of the stream, from the moment on that it was asked for until it was final, or until now.
    ///
    /// # Errors
    /// When the broker has no such stream or does not answer.
    pub async fn read(context: &Context, trip: &TripView) -> Result<Self> {
        let mut story = Self::default();
        let stream = context
            .get_stream(choreography::STREAM)
            .await
            .map_err(|error| {
                anyhow!("the broker has no stream {}: {error}", choreography::STREAM)
            })?;
        let last = stream.cached_info().state.last_sequence;
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartTime {
                start_time: (SystemTime::from(trip.created) - CLOCKS_APART).into(),
            },
            ack_policy: AckPolicy::None,
            memory_storage: true,
            inactive_threshold: READ_WITHIN,
            ..pull::Config::default()
        };
        let consumer = stream
            .create_consumer(config)
            .await
            .map_err(|e| anyhow!("{e}"))?;
        let read = story.read_from(&consumer, last, trip).await;
        // Where it may not be deleted, or this process ends before, the broker does so by itself a little later.
        let _ = stream.delete_consumer(&consumer.cached_info().name).await;
        // A fact that was said again stands at its repetition in the stream.
        story.facts.sort_by_key(|told| told.at);
        read.map(|()| story)
    }

    async fn read_from(
        &mut self,
        consumer: &PullConsumer,
        last: u64,
        trip: &TripView,
    ) -> Result<()> {
        if consumer.cached_info().num_pending == 0 {
            self.complete = true;
            return Ok(());
        }
        let mut messages = consumer.messages().await.map_err(|e| anyhow!("{e}"))?;
        let id = trip.trip.to_string();
        let end = is_final(trip).then(|| SystemTime::from(trip.changed) + EPILOGUE);
        let reading = async {
            for _ in 0..READ_MAX {
                let Some(Ok(message)) = messages.next().await else {
                    return;
                };
                if header(&message.headers, "ce-subject") == Some(id.as_str()) {
                    self.hear(&message.headers, &message.payload);
                }
                let Ok(info) = message.info() else { return };
                let over = end.is_some_and(|end| SystemTime::from(info.published) > end);
                if over || info.pending == 0 || info.stream_sequence >= last {
                    self.complete = true;
                    return;
                }
            }
        };
        // Out of time is no error: what was read so far is told, and that it is not all.
        let _ = tokio::time::timeout(READ_WITHIN, reading).await;
        Ok(())
    }

    /// Adds a message, if it can be read as a fact of a trip.
    pub fn hear(&mut self, headers: &Option<HeaderMap>, data: &[u8]) {
        let get = |name: &str| header(headers, name);
        let (Some(kind), Some(entity)) = (get("ce-type"), get("ce-subject")) else {
            return;
        };
        let Ok(WireFact::Trip(fact)) = choreography::read(kind, entity, data) else {
            return;
        };
        let mut told = Told::of(&fact);
        told.id = get("ce-id").unwrap_or_default().to_owned();
        told.cause = get("ce-causationid").map(str::to_owned);
        told.at = get("ce-time")
            .and_then(|time| time.parse().ok())
            .unwrap_or_default();
        if self.facts.iter().any(|before| before.id == told.id) {
            return; // an echo
        }
        told.again = self.facts.iter().any(|before| {
            (&before.speaker, &before.fact, before.position)
                == (&told.speaker, &told.fact, told.position)
        });
        self.facts.push(told);
    }

    /// Each fact once, such as `flight.reserved`, in the order of its first saying.
    #[must_use]
    pub fn outline(&self) -> Vec<String> {
        let first = self.facts.iter().filter(|told| !told.again);
        first
            .map(|told| format!("{}.{}", told.speaker, told.fact))
            .collect()
    }

    /// As a timeline, one line a fact.
    #[must_use]
    pub fn timeline(&self, paint: Paint) -> String {
        let begun = self.facts.first().map(|told| told.at).unwrap_or_default();
        let mut text = String::new();
        for told in &self.facts {
            let _ = writeln!(text, "{}", told.line(begun, paint));
        }
        if !self.complete {
            let _ = writeln!(
                text,
                "  … the stream goes on; this is as far as it was read"
            );
        }
        text
    }
}

impl Told {
    fn of(fact: &Fact) -> Self {
        let (name, position, price, reason) = match &fact.said {
            FactBody::Requested => ("requested", None, None, None),
            FactBody::Confirmed => ("confirmed", None, None, None),
            FactBody::Cancelled { reason } => ("cancelled", None, None, Some(reason)),
            FactBody::Reserved { position, price } => {
                ("reserved", Some(*position), Some(price), None)
            }
            FactBody::Rejected { position, reason } => {
                ("rejected", Some(*position), None, Some(reason))
            }
            FactBody::Released { position, reason } => {
                ("released", Some(*position), None, Some(reason))
            }
            FactBody::Settled { position, reason } => {
                ("settled", Some(*position), None, Some(reason))
            }
        };
        Self {
            at: Timestamp::UNIX_EPOCH,
            id: String::new(),
            cause: None,
            speaker: match &fact.speaker {
                Speaker::Booking => String::from("booking"),
                Speaker::Leg(leg) => leg.to_string(),
            },
            fact: name.to_owned(),
            position,
            price: price.map(|price| price.price),
            total: price.map(|price| price.total.clone()).unwrap_or_default(),
            reason: reason.cloned(),
            hearers: hearers(name, position, &fact.plan.itinerary),
            again: false,
        }
    }

    fn line(&self, begun: Timestamp, paint: Paint) -> String {
        let offset = self.at.duration_since(begun).as_secs_f64();
        let tone = match self.fact.as_str() {
            "confirmed" => Tone::Good,
            "rejected" | "cancelled" => Tone::Bad,
            "released" | "settled" => Tone::Back,
            _ => Tone::Plain,
        };
        let fact = paint.tone(tone, &format!("{:<9}", self.fact));
        let place = self
            .position
            .map_or_else(|| "  ".into(), |position| format!("#{position}"));
        let mut line = format!("  {offset:>+8.3} s  {:<8} {fact} {place:<3}", self.speaker);
        let mut words: Vec<String> = Vec::new();
        if let Some(price) = &self.price {
            words.push(price.to_string());
            if self.total.as_slice() != [*price] {
                let total: Vec<String> = self.total.iter().map(ToString::to_string).collect();
                words.push(format!("({} in all)", total.join(" + ")));
            }
        }
        if let Some(reason) = &self.reason {
            let (code, message) = (visible(&reason.code), visible(&reason.message));
            words.push(format!("{code}: {message}"));
        }
        if self.again {
            words.push(String::from("(said again)"));
        }
        if !self.hearers.is_empty() {
            words.push(paint.tone(Tone::Quiet, &format!("→ {}", self.hearers.join(", "))));
        }
        let _ = write!(line, " {}", words.join("  "));
        line.trim_end().to_owned()
    }
}

/// Who listens to it, each once, as [`TABLE`] has it for this itinerary.
fn hearers(fact: &str, position: Option<Position>, itinerary: &Itinerary) -> Vec<String> {
    let names = || itinerary.legs().iter().map(ToString::to_string);
    let booking = || String::from("booking");
    let line = TABLE.iter().find(|line| line.fact == fact);
    let mut hearers = Vec::new();
    for role in line.iter().flat_map(|line| line.heard_by) {
        let next = position.map_or(0, |position| usize::from(position) + 1);
        match role {
            Role::Booking => hearers.push(booking()),
            Role::Next => hearers.push(names().nth(next).unwrap_or_else(booking)),
            Role::EveryLeg => hearers.extend(names()),
            Role::LegsBefore => hearers.extend(names().take(position.unwrap_or(0).into())),
            Role::Leg => {}
        }
    }
    let mut seen = BTreeSet::new();
    hearers.retain(|name| seen.insert(name.clone()));
    hearers
}

fn header<'a>(headers: &'a Option<HeaderMap>, name: &str) -> Option<&'a str> {
    headers.as_ref()?.get(name).map(|value| value.as_str())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use choreography::{Currency, Plan, Price};

    use super::*;

    const TRIP: &str = "01890000-0000-7000-8000-000000000001";

    fn say(story: &mut Timeline, at_ms: i64, id: &str, speaker: Speaker, said: FactBody) {
        let legs = r#"[{"leg":"flight"},{"leg":"hotel"},{"leg":"flight"}]"#;
        let fact = Fact {
            speaker,
            trip: TRIP.parse().unwrap(),
            plan: Plan {
                itinerary: Itinerary::parse(legs).unwrap(),
                deadline: Timestamp::UNIX_EPOCH,
                budget: None,
            },
            said,
        };
        let at = Timestamp::from_millisecond(at_ms).unwrap().to_string();
        let mut headers = HeaderMap::new();
        headers.insert("ce-type", fact.kind().as_str());
        headers.insert("ce-subject", TRIP);
        headers.insert("ce-id", id);
        headers.insert("ce-time", at.as_str());
        story.hear(&Some(headers), fact.to_json().as_bytes());
    }

    fn leg(name: &str) -> Speaker {
        Speaker::Leg(name.parse().unwrap())
    }

    fn price(position: Position, of: i64, in_all: i64) -> FactBody {
        let eur = |minor| Money::new(minor, Currency::EUR);
        let price = Price {
            price: eur(of),
            total: vec![eur(in_all)],
        };
        FactBody::Reserved { position, price }
    }

    #[test]
    fn a_story_is_told_line_by_line() {
        let sold_out = || Reason::new("sold-out", "none left");
        let mut story = Timeline {
            complete: true,
            ..Timeline::default()
        };
        say(
            &mut story,
            1_000,
            "a",
            Speaker::Booking,
            FactBody::Requested,
        );
        say(
            &mut story,
            1_004,
            "b",
            leg("flight"),
            price(0, 14_900, 14_900),
        );
        say(
            &mut story,
            1_004,
            "b",
            leg("flight"),
            price(0, 14_900, 14_900),
        );
        say(
            &mut story,
            1_009,
            "c",
            leg("hotel"),
            price(1, 9_900, 24_800),
        );
        say(
            &mut story,
            31_009,
            "d",
            leg("hotel"),
            price(1, 9_900, 24_800),
        );
        let (position, reason) = (2, sold_out());
        say(
            &mut story,
            31_012,
            "e",
            leg("flight"),
            FactBody::Rejected { position, reason },
        );
        let (position, reason) = (1, sold_out());
        say(
            &mut story,
            31_015,
            "f",
            leg("hotel"),
            FactBody::Released { position, reason },
        );
        story.hear(&None, b"no fact at all");
        assert_eq!(
            story.timeline(Paint::OFF).lines().collect::<Vec<_>>(),
            [
                "    +0.000 s  booking  requested     → flight",
                "    +0.004 s  flight   reserved  #0  149.00 EUR  → hotel",
                "    +0.009 s  hotel    reserved  #1  99.00 EUR  (248.00 EUR in all)  → flight",
                "   +30.009 s  hotel    reserved  #1  99.00 EUR  (248.00 EUR in all)  (said again)  → flight",
                "   +30.012 s  flight   rejected  #2  sold-out: none left  → booking, flight, hotel",
                "   +30.015 s  hotel    released  #1  sold-out: none left  → booking",
            ]
        );
        assert_eq!(
            story.outline(),
            [
                "booking.requested",
                "flight.reserved",
                "hotel.reserved",
                "flight.rejected",
                "hotel.released"
            ]
        );
    }

    #[test]
    fn booking_speaks_to_every_leg_once_and_hears_the_last_one() {
        let legs = Itinerary::parse(r#"[{"leg":"flight"},{"leg":"hotel"},{"leg":"flight"}]"#);
        let legs = legs.unwrap();
        assert_eq!(hearers("confirmed", None, &legs), ["flight", "hotel"]);
        assert_eq!(hearers("cancelled", None, &legs), ["flight", "hotel"]);
        assert_eq!(hearers("reserved", Some(2), &legs), ["booking"]);
        assert_eq!(hearers("rejected", Some(0), &legs), ["booking"]);
        assert!(hearers("settled", Some(0), &legs).is_empty());
    }
}
