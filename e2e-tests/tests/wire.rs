//! Facts as anybody outside hears them: a plain subscriber on `trips.>` and a CloudEvents client that knows nothing of this stack.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::BTreeMap;

use booking::core::State;
use choreography::TripId;
use cloudevents::event::{ExtensionValue, SpecVersion};
use cloudevents::message::{
    BinaryDeserializer, BinarySerializer, Error, MessageAttributeValue, Result,
};
use cloudevents::{AttributesReader as _, Data, Event};
use e2e_tests::trip::{ROOM_PRICE, SEAT_PRICE, flight, stay, trip};
use e2e_tests::{Published, World, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases![
    a_foreign_client_reads_every_fact,
    an_itinerary_is_relayed_byte_for_byte,
];

/// A NATS message as the CloudEvents library reads binary mode: headers that begin with `ce-`. The library has no binding for this
/// version of the NATS client; this is the whole of one, and it knows no header by name but the version's.
struct Foreign(Published);

impl BinaryDeserializer for Foreign {
    fn deserialize_binary<R: Sized, V: BinarySerializer<R>>(self, mut event: V) -> Result<R> {
        let Foreign(word) = self;
        let version = SpecVersion::try_from(word.header("ce-specversion"))
            .map_err(|_| Error::WrongEncoding {})?;
        let known = version.attribute_names();
        event = event.set_spec_version(version)?;
        for (name, values) in word.headers.iter() {
            let name: &str = name.as_ref();
            let Some(name) = name.strip_prefix("ce-") else {
                continue;
            };
            let value = MessageAttributeValue::String(values[0].to_string());
            event = match name {
                "specversion" => event,
                _ if known.contains(&name) => event.set_attribute(name, value)?,
                _ => event.set_extension(name, value)?,
            };
        }
        event.end_with_data(word.payload)
    }
}

fn data(event: &Event) -> Value {
    match event.data().unwrap() {
        Data::Binary(bytes) => serde_json::from_slice(bytes).unwrap(),
        Data::String(text) => serde_json::from_str(text).unwrap(),
        Data::Json(json) => json.clone(),
    }
}

fn extension(event: &Event, name: &str) -> String {
    match event.extension(name) {
        Some(ExtensionValue::String(value)) => value.clone(),
        other => panic!("{name} is {other:?}"),
    }
}

/// A trip's facts as the foreign client has them, by type; each as it was first said.
fn events(world: &World, trip: TripId) -> BTreeMap<String, Event> {
    let words = world.timeline.of(trip).into_iter().rev();
    words
        .map(|word| BinaryDeserializer::into_event(Foreign(word)).unwrap())
        .map(|event| (event.ty().to_owned(), event))
        .collect()
}

async fn a_foreign_client_reads_every_fact(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    let view = world
        .book(&trip([flight("RT100", 2), stay("LIS", 1, 1)]))
        .await;
    assert_eq!(view.state, State::Confirmed);
    world.cancel(view.trip).await;
    let trip = view.trip.to_string();
    let facts = [
        "booking.requested",
        "flight.reserved",
        "hotel.reserved",
        "booking.confirmed",
        "booking.cancelled",
    ];
    let released = ["flight.released", "hotel.released"];
    e2e_tests::eventually("everything is said", async || {
        (events(world, view.trip).len() == facts.len() + released.len()).then_some(())
    })
    .await;
    let events = events(world, view.trip);
    let event = |fact: &str| &events[&format!("{fact}.v1")];
    for fact in facts.iter().chain(&released) {
        let event = event(fact);
        let speaker = fact.split('.').next().unwrap();
        assert_eq!(event.source(), &format!("/{speaker}"));
        assert_eq!(event.subject(), Some(trip.as_str()));
        assert_eq!(event.datacontenttype(), Some("application/json"));
        let age = view.created.as_second() - event.time().unwrap().timestamp();
        assert!(age.abs() < 120, "{fact} at {:?}", event.time());
        assert_eq!(extension(event, "correlationid"), trip);
        let data = data(event);
        assert_eq!(data["trip"], trip.as_str());
        assert_eq!(data["itinerary"][1]["hotel"], "LIS");
        assert!(data["deadline"].as_str().unwrap().ends_with('Z'));
    }
    // Each fact says which one it answers.
    for (fact, cause) in [
        ("flight.reserved", "booking.requested"),
        ("hotel.reserved", "flight.reserved"),
        ("booking.confirmed", "hotel.reserved"),
        ("flight.released", "booking.cancelled"),
        ("hotel.released", "booking.cancelled"),
    ] {
        assert_eq!(extension(event(fact), "causationid"), event(cause).id());
    }
    let held = data(event("hotel.reserved"));
    let (room, seats) = (ROOM_PRICE, 2 * SEAT_PRICE);
    assert_eq!(held["position"], 1);
    assert_eq!(
        held["price"],
        json!({"amount_minor": room, "currency": "EUR"})
    );
    assert_eq!(
        held["total"],
        json!([{"amount_minor": seats + room, "currency": "EUR"}])
    );
    let off = data(event("booking.cancelled"));
    assert_eq!(off["reason"]["code"], "cancelled-by-traveller");
    // One trip is one trace, whether anybody collects it or not.
    let words = world.timeline.of(view.trip);
    let trace = |word: &Published| word.header("traceparent")[3..35].to_owned();
    let first = trace(&words[0]);
    let booked = words.iter().filter(|word| {
        !["booking.cancelled", "flight.released", "hotel.released"].contains(&word.fact().as_str())
    });
    for word in booked {
        assert_eq!(trace(word), first, "{}", word.fact());
    }
}

/// What a service does not know is for somebody else, and nobody may spell it anew: spaces, the order of fields, numbers too large
/// for any type, escapes.
async fn an_itinerary_is_relayed_byte_for_byte(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    let itinerary = concat!(
        r#"[ {"zeta":1,"leg":"flight", "flight":"RT100","date":"2039-06-03","seats":1,"#,
        r#""miles":123456789012345678901234567890.10, "note":"\u00fc\/ü" },"#,
        "\t",
        r#"{ "leg":"hotel","hotel":"LIS","room_type":"double","check_in":"2039-06-03","check_out":"2039-06-04","rooms":1,"#,
        r#""pillows":[1.0, 2e0,null]}]"#
    );
    let request = world
        .request(Method::POST, "booking", "/bookings")
        .header("content-type", "application/json")
        .header("Prefer", "wait=45")
        .body(format!(r#"{{"itinerary":{itinerary}}}"#));
    let answer = world.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.text.contains(itinerary), "{}", answer.text);
    let view: booking::view::TripView = answer.json();
    assert_eq!(view.state, State::Confirmed);
    world.cancel(view.trip).await;
    e2e_tests::eventually("everything is said", async || {
        (world.timeline.facts(view.trip).len() == 7).then_some(())
    })
    .await;
    for word in world.timeline.of(view.trip) {
        let text = String::from_utf8(word.payload.clone()).unwrap();
        assert!(text.contains(itinerary), "{} says {text}", word.fact());
    }
}
