//! What a leg may not know, what nobody can read, and what is of a later version: each stops nothing.

use std::time::Duration;

use async_nats::HeaderMap;
use choreography::FactBody;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Played;
use crate::judge::{self, Answer};
use crate::kit::{Halt, Kit, Scene};
use crate::parts::{self, Part};
use crate::promise::Promise;
use crate::trip::{Say, TRIES, Trip, cancelled};

/// How often the consumer is looked at, and the pause between two looks.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn scenes<'k>(kit: &'k Kit<'k>) -> Vec<Played<'k>> {
    let consumer = "it has no durable consumer that would tell";
    vec![
        (&[Promise::UnknownFields], "", Box::pin(unknown_fields(kit))),
        (&[Promise::Malformed], "", Box::pin(malformed(kit))),
        (&[Promise::Newer], consumer, Box::pin(newer(kit))),
    ]
}

/// Each of the facts that a leg hears, with more in it than anybody knows.
async fn unknown_fields(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Item, Part::After])?;
    for (say, wanted) in [(trip.turn(0), "reserved"), (cancelled(), "released")] {
        let (from, mut questions) = (trip.words(), Vec::new());
        let mut answered = false;
        for share in TRIES {
            questions.push(with_more(&trip, say.clone()).await?);
            let within = kit.options.answer_within * share / 100;
            let right = trip.until(within, |exchange| {
                let answer = judge::answer(exchange, from, &questions, 0, &[wanted]);
                matches!(answer, Answer::Right(_)).then_some(())
            });
            answered = right.await.is_some();
            if answered {
                break;
            }
        }
        if !answered {
            let what = format!(
                "{} with fields and headers that it cannot know is not answered with {wanted}",
                say.1.name()
            );
            return Err(trip.broken(Promise::UnknownFields, what));
        }
    }
    trip.kept(Promise::UnknownFields);
    trip.ends().await
}

async fn with_more(trip: &Trip<'_>, (speaker, said): Say) -> Scene<Uuid> {
    let id = Uuid::now_v7();
    let (event, source) = parts::event(id, trip.id, &trip.plan, speaker, said);
    let mut headers = event.headers(&source);
    headers.insert("ce-novelty", "1");
    headers.insert("X-Nobody-Knows", "what this is");
    // In front, so that the itinerary stays as it is, byte for byte.
    let more = r#"{"novelty":{"a":[1,{"b":null}]},"priority":"high","#;
    let data = event.payload.replacen('{', more, 1);
    trip.raw(
        event.subject,
        Some(headers),
        data.into_bytes(),
        "with fields and headers that nobody knows",
    )
    .await?;
    Ok(id)
}

async fn malformed(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Item, Part::After])?;
    let (speaker, said) = trip.turn(0);
    for (what, spoil) in SPOILT {
        let (event, source) = parts::event(
            Uuid::now_v7(),
            trip.id,
            &trip.plan,
            speaker.clone(),
            said.clone(),
        );
        let mut message = Message {
            headers: Some(event.headers(&source)),
            data: event.payload.into_bytes(),
        };
        spoil(&mut message);
        trip.raw(event.subject, message.headers, message.data, what)
            .await?;
        if !kit.alive().await? {
            return Err(trip.broken(
                Promise::Malformed,
                format!("after a message with {what} it answers nothing any more"),
            ));
        }
    }
    trip.hold(Promise::Malformed, 0).await?;
    trip.ends().await
}

struct Message {
    headers: Option<HeaderMap>,
    data: Vec<u8>,
}

impl Message {
    fn set(&mut self, name: &'static str, value: &str) {
        if let Some(headers) = &mut self.headers {
            headers.insert(name, value);
        }
    }

    fn without(&mut self, gone: &str) {
        let headers = self.headers.take().unwrap_or_default();
        let mut kept = HeaderMap::new();
        for (name, values) in headers.iter() {
            let name: &str = name.as_ref();
            if let (true, Some(value)) = (name != gone, values.first()) {
                kept.insert(name, value.as_str());
            }
        }
        self.headers = Some(kept);
    }

    fn field(&mut self, name: &str, value: Value) {
        let mut data: Value = serde_json::from_slice(&self.data).unwrap_or_default();
        if let Some(fields) = data.as_object_mut() {
            fields.insert(name.to_owned(), value);
        }
        self.data = data.to_string().into_bytes();
    }
}

/// Makes it so.
type Spoil = fn(&mut Message);

/// What can be wrong with a message that is on its way to the leg.
#[rustfmt::skip]
const SPOILT: &[(&str, Spoil)] = &[
    ("no headers at all", |it| it.headers = None),
    ("no headers and no data", |it| { it.headers = None; it.data.clear(); }),
    ("no data", |it| it.data.clear()),
    ("data that are no JSON", |it| it.data = b"{\"trip\":".to_vec()),
    ("data that are no text", |it| it.data = vec![0xff, 0xfe, 0x00, 0x80]),
    ("a list for data", |it| it.data = b"[1,2,3]".to_vec()),
    ("deep data", |it| it.data = "[".repeat(20_000).into_bytes()),
    ("no ce-id", |it| it.without("ce-id")),
    ("a ce-id that is no UUID", |it| it.set("ce-id", "seventeen")),
    ("no ce-type", |it| it.without("ce-type")),
    ("a type that nobody knows", |it| it.set("ce-type", "booking.postponed.v1")),
    ("a type that is none", |it| it.set("ce-type", "....")),
    ("no ce-specversion", |it| it.without("ce-specversion")),
    ("another version of CloudEvents", |it| it.set("ce-specversion", "9.9")),
    ("another trip in its envelope", |it| it.set("ce-subject", "018f0000-0000-7000-8000-000000000000")),
    ("no trip in its data", |it| it.field("trip", Value::Null)),
    ("no itinerary", |it| it.field("itinerary", json!([]))),
    ("an itinerary of numbers", |it| it.field("itinerary", json!([1, 2]))),
    ("a deadline that is none", |it| it.field("deadline", json!("tomorrow"))),
];

/// Where it is quiet: nothing is left then that it has not acknowledged.
pub(super) async fn acknowledged(kit: &Kit<'_>) -> Scene {
    let looks =
        u32::try_from(kit.options.answer_within.as_millis() / LOOK.as_millis()).unwrap_or(LOOKS);
    let mut left = (0, 0);
    for _ in 0..looks.max(LOOKS) {
        let info = kit
            .wire
            .consumer(kit.leg.as_str())
            .await?
            .ok_or(Halt::NotTried)?;
        left = (info.num_ack_pending, info.num_pending);
        if left == (0, 0) {
            kit.verdicts().kept(Promise::Acknowledges);
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    let (unacknowledged, waiting) = left;
    let what = format!(
        "nothing is said to it any more, and {unacknowledged} messages are not acknowledged, {waiting} not yet delivered"
    );
    kit.verdicts()
        .broken(Promise::Acknowledges, what, Vec::new());
    Err(Halt::Broken)
}

/// It is put back: so the consumer has it unacknowledged, and everything else goes on.
async fn newer(kit: &Kit<'_>) -> Scene {
    let trip = kit.trip(&[Part::Item])?;
    let (speaker, said) = trip.turn(0);
    let (event, source) = parts::event(Uuid::now_v7(), trip.id, &trip.plan, speaker, said);
    let mut headers = event.headers(&source);
    let kind = event.kind.replace(".v1", ".v2");
    headers.insert("ce-type", kind.as_str());
    let data = event
        .payload
        .replacen('{', r#"{"only in v2":true,"#, 1)
        .into_bytes();
    let note = "of a newer major version";
    let sequence = trip.raw(event.subject, Some(headers), data, note).await?;
    let tried = put_back(kit, &trip).await;
    // Nobody is to find it there later.
    kit.wire.take_back(sequence).await?;
    tried?;
    trip.kept(Promise::Newer);
    trip.hold(Promise::Newer, 0).await?;
    trip.ends().await
}

async fn put_back(kit: &Kit<'_>, trip: &Trip<'_>) -> Scene {
    if !kit.alive().await? {
        return Err(trip.broken(
            Promise::Newer,
            "after a fact of a newer version it answers nothing any more",
        ));
    }
    let mut least = usize::MAX;
    for _ in 0..LOOKS {
        let info = kit
            .wire
            .consumer(kit.leg.as_str())
            .await?
            .ok_or(Halt::NotTried)?;
        least = least.min(info.num_ack_pending);
        tokio::time::sleep(LOOK).await;
    }
    let said = trip.look(|exchange| {
        let said = exchange.said();
        said.filter(|(_, word)| matches!(&word.fact, Ok(fact) if !matches!(fact.said, FactBody::Settled { .. }))).count()
    });
    if said.unwrap_or(0) > 0 {
        return Err(trip.broken(
            Promise::Newer,
            "it answers a fact of a major version that it cannot know",
        ));
    }
    if least == 0 {
        return Err(trip.broken(
            Promise::Newer,
            "it acknowledged a fact of a newer version: after an upgrade that is lost",
        ));
    }
    Ok(())
}
