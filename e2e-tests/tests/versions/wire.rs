//! Other versions on the wire, met by real services: what was said yesterday, and what will only be said tomorrow. The wire's own
//! golden files are held by the crates that speak it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use async_nats::HeaderMap;
use booking::core::State;
use choreography::{TABLE, TripId};
use e2e_tests::trip::{ROOM_PRICE, SEAT_PRICE, flight, stay, trip};
use e2e_tests::{Stock, World, eventually, on_both_databases};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

on_both_databases![
    what_version_1_said_is_understood_for_ever,
    what_only_a_newer_version_knows_is_survived,
];

const SERVICES: [&str; 3] = ["booking", "flight", "hotel"];

#[derive(Deserialize)]
struct Golden {
    #[serde(rename = "ce-type")]
    kind: String,
    #[serde(rename = "ce-subject")]
    entity: String,
    subject: String,
    data: Box<RawValue>,
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Version 1's headers, around a fact.
fn envelope(kind: &str, entity: &str) -> HeaderMap {
    let golden = read("shared/runtime/golden/v1/headers.json");
    let golden: BTreeMap<String, String> = serde_json::from_str(&golden).unwrap();
    let id = Uuid::now_v7().to_string();
    let mut headers = HeaderMap::new();
    for (name, value) in &golden {
        let value = match name.as_str() {
            "ce-id" | "Nats-Msg-Id" => &id,
            "ce-type" => kind,
            "ce-subject" | "ce-correlationid" => entity,
            _ => value,
        };
        headers.insert(name.as_str(), value);
    }
    headers
}

/// The same as a version that is not written yet may send them.
fn newer(kind: &str, entity: &str) -> HeaderMap {
    let mut headers = envelope(kind, entity);
    headers.insert("ce-partitionkey", "7");
    headers.insert("ce-dataschema", "https://example.org/v1.1");
    headers.insert("X-Tomorrow", "yes");
    headers
}

async fn until_all_have_heard(world: &World) {
    for service in SERVICES {
        world.until_heard(service).await;
    }
}

async fn letters(world: &World) -> Vec<Value> {
    let mut letters = Vec::new();
    for service in SERVICES {
        letters.extend(world.letters(service).await);
    }
    letters
}

/// Every golden fact, as a service of then would publish it. All are about a trip of long ago, that nobody here knows.
async fn what_version_1_said_is_understood_for_ever(world: &mut World) {
    world.seats("RT100", 10).await;
    let (mut said, mut cancelled) = (0, String::new());
    for file in
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/choreography/golden/v1"))
            .unwrap()
    {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let golden: Golden = serde_json::from_str(&text).unwrap();
        let headers = envelope(&golden.kind, &golden.entity);
        if golden.kind == "booking.cancelled.v1" {
            cancelled = headers.get("ce-id").unwrap().to_string();
        }
        world
            .publish(&golden.subject, headers, golden.data.get())
            .await;
        said += 1;
    }
    assert_eq!(said, TABLE.len());
    until_all_have_heard(world).await;
    let letters = letters(world).await;
    assert!(letters.is_empty(), "{letters:?}");
    // It was not only let through: flight keeps in mind that this trip is off, and answers whoever says so.
    let old: TripId = "01936f1e-8b5a-7c3d-9e4f-0123456789ab".parse().unwrap();
    let told = eventually("flight answers", async || {
        let mut words = world.timeline.of(old).into_iter();
        words.find(|word| {
            word.fact() == "flight.released" && word.header("ce-causationid") == cancelled
        })
    })
    .await;
    assert_eq!(told.data()["position"], 0);
    let view = world.book(&trip([flight("RT100", 1)])).await;
    assert_eq!(view.state, State::Confirmed);
}

/// Rail is a leg of tomorrow, played by this test: it says more than anybody here knows, in every place where more can be said.
async fn what_only_a_newer_version_knows_is_survived(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    world.is_played("rail");
    let joined = json!({"leg": "rail", "counts": ["tickets"], "dates": [], "countries": ["DE"], "since": {"v": 2}});
    let headers = newer("rail.joined.v1", "rail");
    world
        .publish("trips.rail.joined", headers, joined.to_string())
        .await;
    world.until_open(&["rail"]).await;
    facts_that_nobody_knows_stop_nothing(world).await;

    let rail = json!({"leg": "rail", "from": "Köln", "tickets": 2, "class": {"wagon": [1, 2]}});
    let asked = trip([flight("RT100", 2), rail, stay("LIS", 1, 1)]);
    let view = world.ask(&asked).await;
    let mut data = heard(world, view.trip, "flight.reserved").await;
    let sum = 2 * SEAT_PRICE + 5_000;
    data["position"] = 1.into();
    data["price"] = json!({"amount_minor": 5_000, "currency": "EUR", "tax": {"rate": 0.07}});
    data["total"] = json!([{"amount_minor": sum, "currency": "EUR", "tax": null}]);
    data["loyalty"] = json!({"card": [1, 2]});
    data["reason"] = json!({"code": "window-seat"});
    say(
        world,
        "rail.reserved.v1",
        "trips.rail.reserved.hotel",
        &data,
    )
    .await;
    let view = world.until_state(view.trip, State::Confirmed).await;
    assert_eq!(view.total[0].amount_minor, sum + ROOM_PRICE);

    world.cancel_soon(view.trip).await;
    let mut data = heard(world, view.trip, "booking.cancelled").await;
    data["position"] = 1.into();
    data["refund"] = json!({"amount_minor": 2_500, "currency": "EUR"});
    data["reason"]["hint"] = json!([null]);
    say(world, "rail.released.v1", "trips.rail.released", &data).await;
    world.until_state(view.trip, State::Closed).await;
    world.until_flight("RT100", Stock::all_free(10)).await;
    world.until_nights("LIS", 1, Stock::all_free(5)).await;
}

async fn heard(world: &World, trip: TripId, fact: &str) -> Value {
    eventually(fact, async || {
        let mut words = world.timeline.of(trip).into_iter();
        words.find(|word| word.fact() == fact)
    })
    .await
    .data()
}

async fn say(world: &World, kind: &str, subject: &str, data: &Value) {
    let headers = newer(kind, data["trip"].as_str().unwrap());
    world.publish(subject, headers, data.to_string()).await;
}

async fn facts_that_nobody_knows_stop_nothing(world: &World) {
    let trip = Uuid::now_v7().to_string();
    let legs = json!([{"leg": "rail"}, {"leg": "ferry"}]);
    let data = json!({"trip": trip, "itinerary": legs, "deadline": "2039-06-03T00:00:00Z", "position": 0,
        "reason": {"code": "strike", "message": "no train today"}});
    // Nobody listens there, or it is about others only: no trace of them is left.
    say(world, "rail.delayed.v1", "trips.rail.delayed", &data).await;
    say(world, "flight.upgraded.v1", "trips.flight.upgraded", &data).await;
    say(world, "rail.rejected.v1", "trips.rail.rejected", &data).await;
    say(world, "rail.released.v1", "trips.rail.released", &data).await;
    until_all_have_heard(world).await;
    assert_eq!(letters(world).await, [Value::Null; 0]);
    // Said to somebody who cannot know them: one dead letter each, of a known service's unknown fact and of an unknown one's.
    for (kind, hearer) in [
        ("booking.renamed.v1", "flight"),
        ("rail.delayed.v1", "hotel"),
        ("flight.upgraded.v2", "booking"),
    ] {
        let subject = format!("trips.{}.{hearer}", kind.rsplit_once('.').unwrap().0);
        say(world, kind, &subject, &data).await;
        let letter = eventually("a dead letter", async || world.letters(hearer).await.pop()).await;
        assert_eq!(letter["type"], kind);
    }
    assert_eq!(letters(world).await.len(), 3);
}
