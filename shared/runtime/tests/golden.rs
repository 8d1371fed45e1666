//! The envelope's golden file: the headers of a message as they are spoken in `v1`, written exactly so and read for ever. What a fact
//! says inside it is the service's own, and has golden files of its own.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use runtime::{Event, Message};

fn golden() -> BTreeMap<String, String> {
    serde_json::from_str(include_str!("../golden/v1/headers.json")).unwrap()
}

fn event() -> Event {
    Event {
        id: "01936f1e-8b5a-7c3d-9e4f-abcdefabcdef".parse().unwrap(),
        aggregatetype: String::from("trip"),
        aggregateid: String::from("01936f1e-8b5a-7c3d-9e4f-0123456789ab"),
        kind: String::from("flight.reserved.v1"),
        payload: String::from("{}"),
        subject: String::from("trips.flight.reserved.hotel"),
        causation_id: Some(String::from("01936f1e-8b5a-7c3d-9e4f-0fedcba98765")),
        time_us: 1_795_350_600_250_000,
        traceparent: golden().remove("traceparent"),
        tracestate: golden().remove("tracestate"),
        attempt: 0,
    }
}

fn shown(headers: &HeaderMap) -> BTreeMap<String, String> {
    let shown = headers.iter().map(|(name, values)| {
        assert_eq!(values.len(), 1, "{name}");
        (name.to_string(), values[0].to_string())
    });
    shown.collect()
}

fn message(headers: HeaderMap) -> async_nats::Message {
    async_nats::Message {
        subject: "trips.flight.reserved.hotel".into(),
        reply: None,
        payload: "{}".into(),
        headers: Some(headers),
        status: None,
        description: None,
        length: 0,
    }
}

#[test]
fn the_envelope_is_written_as_its_golden_file() {
    assert_eq!(shown(&event().headers("/flight")), golden());
}

/// A repeat differs in the one header that is the broker's own, and that no service reads.
#[test]
fn a_repeat_is_the_same_event() {
    let repeat = Event {
        attempt: 1,
        ..event()
    };
    let (mut repeated, mut golden) = (shown(&repeat.headers("/flight")), golden());
    assert_ne!(repeated.remove("Nats-Msg-Id"), golden.remove("Nats-Msg-Id"));
    assert_eq!(repeated, golden);
}

#[test]
fn the_envelope_is_read_from_its_golden_file_and_what_is_unknown_in_it_is_ignored() {
    let mut headers = HeaderMap::new();
    for (name, value) in &golden() {
        headers.insert(name.as_str(), value.as_str());
    }
    let mut newer = headers.clone();
    newer.insert("ce-partitionkey", "7");
    newer.insert("X-Tomorrow", "yes");
    for headers in [headers, newer] {
        let read = Message::open(&message(headers)).unwrap();
        let said = event();
        assert_eq!((read.id, read.kind), (said.id, said.kind));
        assert_eq!(
            (read.entity, read.subject),
            (said.aggregateid, said.subject)
        );
        assert_eq!(read.trace.traceparent, said.traceparent);
        assert_eq!(read.trace.tracestate, said.tracestate);
    }
}

/// What may be missing and what may not: a reader that asked for more would be deaf to the writers of today.
#[test]
fn a_reader_asks_for_no_more_than_it_did() {
    for name in golden().keys() {
        let mut headers = HeaderMap::new();
        for (other, value) in golden().iter().filter(|(other, _)| *other != name) {
            headers.insert(other.as_str(), value.as_str());
        }
        let needed = ["ce-id", "ce-specversion", "ce-subject", "ce-type"].contains(&name.as_str());
        let read = Message::open(&message(headers));
        assert_eq!(read.is_err(), needed, "without {name}");
    }
}
