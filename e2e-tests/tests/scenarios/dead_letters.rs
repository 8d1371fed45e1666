//! What cannot be read is kept and shown, and stops nothing.

use async_nats::HeaderMap;
use booking::core::State;
use e2e_tests::trip::{flight, stay, trip};
use e2e_tests::{World, eventually, everywhere};
use serde_json::{Value, json};
use uuid::Uuid;

everywhere![
    what_cannot_be_read_becomes_a_dead_letter_and_nothing_else_stops,
    two_hundred_types_that_nobody_knows_are_one_series,
    a_newer_major_version_is_put_back_for_a_while with |setup| setup.setting("UNKNOWN_VERSION_WAIT_MS", "3000"),
];

const TO_FLIGHT: &str = "trips.booking.requested.flight";

fn envelope(kind: &str, about: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", &Uuid::now_v7().to_string()),
        ("ce-type", kind),
        ("ce-source", "/somebody"),
        ("ce-subject", about),
    ] {
        headers.insert(name, value);
    }
    headers
}

fn changed(mut headers: HeaderMap, name: &str, value: &str) -> HeaderMap {
    headers.insert(name, value);
    headers
}

fn request(trip: &str, legs: &Value) -> String {
    json!({"trip": trip, "itinerary": legs, "deadline": "2039-06-03T00:00:00Z"}).to_string()
}

fn reasons(letters: &[Value]) -> Vec<String> {
    let reason = |letter: &Value| letter["reason"].as_str().unwrap().to_owned();
    letters.iter().map(reason).collect()
}

async fn what_cannot_be_read_becomes_a_dead_letter_and_nothing_else_stops(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    let id = Uuid::now_v7().to_string();
    let fine = envelope("booking.requested.v1", &id);
    let legs = json!([flight("RT100", 1)]);
    let hundred: Value = std::iter::repeat_n(flight("RT100", 1), 100).collect();
    let large = format!("{}{}", request(&id, &legs), " ".repeat(300 << 10));
    let unreadable: [(&str, HeaderMap, Vec<u8>, &str); 10] = [
        (
            "without a header",
            HeaderMap::new(),
            b"hello".into(),
            "ce-specversion",
        ),
        (
            "another envelope",
            changed(fine.clone(), "ce-specversion", "0.3"),
            b"{}".into(),
            "1.0",
        ),
        (
            "a strange id",
            changed(fine.clone(), "ce-id", "17"),
            b"{}".into(),
            "UUID",
        ),
        ("no JSON", fine.clone(), b"{\"trip\":".into(), "EOF"),
        (
            "no text",
            fine.clone(),
            vec![0, 159, 146, 150],
            "not a JSON object",
        ),
        (
            "an unknown fact",
            envelope("booking.exploded.v1", &id),
            b"{}".into(),
            "no fact",
        ),
        (
            "somebody else's fact",
            envelope("flight.confirmed.v1", &id),
            b"{}".into(),
            "no fact",
        ),
        (
            "a hundred legs",
            fine.clone(),
            request(&id, &hundred).into(),
            "1 to 16 legs",
        ),
        (
            "about something else",
            envelope("booking.requested.v1", &Uuid::now_v7().to_string()),
            request(&id, &legs).into(),
            "the envelope is about",
        ),
        ("oversized", fine.clone(), large.into(), "larger than"),
    ];
    for (_, headers, payload, _) in &unreadable {
        world
            .publish(TO_FLIGHT, headers.clone(), payload.clone())
            .await;
    }
    let letters = eventually("all are dead letters", async || {
        Some(world.letters("flight").await).filter(|letters| letters.len() == unreadable.len())
    })
    .await;
    for (what, _, _, reason) in &unreadable {
        assert!(
            reasons(&letters).iter().any(|said| said.contains(reason)),
            "{what}: nothing about {reason:?} in {:?}",
            reasons(&letters)
        );
    }
    assert!(letters.iter().all(|letter| letter["subject"] == TO_FLIGHT));
    // Heard by three, kept by each of them.
    world
        .publish(
            "trips.hotel.rejected",
            envelope("hotel.rejected.v1", &id),
            "[]",
        )
        .await;
    for (service, before) in [("booking", 0), ("hotel", 0), ("flight", unreadable.len())] {
        eventually("each keeps what it could not read", async || {
            (world.letters(service).await.len() == before + 1).then_some(())
        })
        .await;
    }
    let view = world
        .book(&trip([flight("RT100", 1), stay("LIS", 1, 1)]))
        .await;
    assert_eq!(view.state, State::Confirmed, "and nothing else stops");
    let counted = world
        .metrics("flight", "roundtrip_dead_letters_total", "")
        .await;
    let counted: f64 = counted.iter().sum();
    assert!(counted >= 11.0, "{counted} counted");
}

/// A series is kept for ever, and its label is what a stranger wrote.
async fn two_hundred_types_that_nobody_knows_are_one_series(world: &mut World) {
    let id = Uuid::now_v7().to_string();
    for number in 0..200 {
        let junk = envelope(&format!("junk.number-{number}.v1"), &id);
        world.publish(TO_FLIGHT, junk, "{}").await;
    }
    let known = envelope("booking.requested.v1", &id);
    world.publish(TO_FLIGHT, known, "no JSON").await;
    let counter = "roundtrip_dead_letters_total";
    let counted =
        async |label: &str| -> f64 { world.metrics("flight", counter, label).await.iter().sum() };
    eventually("all are counted", async || {
        (counted("").await >= 201.0).then_some(())
    })
    .await;
    assert!(counted(r#"type="other""#).await >= 200.0);
    assert!(counted(r#"type="booking.requested.v1""#).await >= 1.0);
    assert_eq!(counted(r#"type="junk"#).await, 0.0);
    let letters = world.letters("flight").await;
    let whole = |letter: &&Value| letter["type"].as_str().unwrap().starts_with("junk.number-");
    assert_eq!(
        letters.iter().filter(whole).count(),
        200,
        "a letter keeps its type"
    );
}

async fn a_newer_major_version_is_put_back_for_a_while(world: &mut World) {
    world.seats("RT100", 10).await;
    let id = Uuid::now_v7().to_string();
    let payload = request(&id, &json!([flight("RT100", 1)]));
    let published_us = jiff::Timestamp::now().as_microsecond();
    world
        .publish(TO_FLIGHT, envelope("booking.requested.v2", &id), payload)
        .await;
    let view = world.book(&trip([flight("RT100", 1)])).await;
    assert_eq!(view.state, State::Confirmed, "nothing waits behind it");
    let letter = eventually("it becomes a dead letter in the end", async || {
        world.letters("flight").await.pop()
    })
    .await;
    assert_eq!(letter["type"], "booking.requested.v2");
    let waited_us = letter["first_us"].as_i64().unwrap() - published_us;
    assert!(waited_us >= 2_900_000, "put back for {waited_us} µs only");
}
