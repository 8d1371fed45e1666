//! The same request twice is one trip.

use booking::core::State;
use booking::view::TripView;
use e2e_tests::trip::{Asked, flight, trip};
use e2e_tests::{Answer, Client, Stock, World, everywhere};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

everywhere![
    the_same_request_again_is_the_same_trip,
    the_same_request_many_times_at_once_is_one_trip,
    the_same_request_at_two_replicas_at_once_is_one_trip with |setup| setup.replicas(2),
    a_refused_request_does_not_spend_its_key,
];

async fn ask(client: &Client, replica: usize, asked: &Asked, key: &str) -> Answer {
    let request = client
        .request_at(replica, Method::POST, "booking", "/bookings")
        .json(&asked.body)
        .header("Idempotency-Key", format!("\"{key}\""));
    client.send(request).await
}

async fn count(client: &Client) -> usize {
    client.trips("/bookings").await.len()
}

async fn the_same_request_again_is_the_same_trip(world: &mut World) {
    world.seats("RT100", 10).await;
    let asked = trip([flight("RT100", 1)]);
    let first: TripView = ask(world, 0, &asked, "one").await.json();
    let again: TripView = ask(world, 0, &asked, "one").await.json();
    assert_eq!(first.trip, again.trip);
    world.until_state(first.trip, State::Confirmed).await;
    // Still the same when it is final, and in another spelling: other order of fields, the default deadline said.
    let spelled = r#"{"deadline_s": 120, "itinerary": [ {"seats":1, "date":"2039-06-03", "flight":"RT100", "leg":"flight"} ]}"#;
    let request = world
        .request(Method::POST, "booking", "/bookings")
        .header("Idempotency-Key", "\"one\"")
        .header("Prefer", "wait=10")
        .header("content-type", "application/json")
        .body(spelled);
    let answer = world.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json::<TripView>().trip, first.trip);
    // Under another key it is another trip.
    let other: TripView = ask(world, 0, &asked, "two").await.json();
    assert_ne!(other.trip, first.trip);
    // And the key stands for nothing else.
    let answer = ask(world, 0, &trip([flight("RT100", 2)]), "one").await;
    assert!(answer.problem(422).kind.contains("idempotency-key-reused"));
    assert_eq!(count(world).await, 2);
    world.until_flight("RT100", Stock::of(0, 2, 8)).await;
}

async fn the_same_request_many_times_at_once_is_one_trip(world: &mut World) {
    world.seats("RT100", 10).await;
    let asked = trip([flight("RT100", 1)]);
    let asking = (0..20).map(|_| ask(world, 0, &asked, "at once"));
    one_trip(world, join_all(asking).await).await;
}

async fn the_same_request_at_two_replicas_at_once_is_one_trip(world: &mut World) {
    world.seats("RT100", 10).await;
    let asked = trip([flight("RT100", 1)]);
    let asking = (0..20).map(|i| ask(world, i % 2, &asked, "at once"));
    one_trip(world, join_all(asking).await).await;
}

async fn one_trip(world: &World, answers: Vec<Answer>) {
    let mut trips: Vec<_> = answers
        .iter()
        .map(|answer| answer.json::<TripView>().trip)
        .collect();
    trips.dedup();
    assert_eq!(trips.len(), 1, "{trips:?}");
    assert_eq!(count(world).await, 1);
    world.until_state(trips[0], State::Confirmed).await;
    world.until_flight("RT100", Stock::of(0, 1, 9)).await;
}

async fn a_refused_request_does_not_spend_its_key(world: &mut World) {
    world.seats("RT100", 10).await;
    let unknown = trip([json!({"leg": "balloon"})]);
    ask(world, 0, &unknown, "mine").await.problem(422);
    ask(world, 0, &trip([flight("RT100", 0)]), "mine")
        .await
        .problem(422);
    let no_legs = trip::<0>([]);
    ask(world, 0, &no_legs, "mine").await.problem(422);
    let odd = trip([flight("RT100", 1)]).with("surprise", Value::from(1));
    let status = ask(world, 0, &odd, "mine").await.status;
    assert!((400..500).contains(&status), "{status}");
    let answer = ask(world, 0, &trip([flight("RT100", 1)]), "mine").await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let trip = answer.json::<TripView>().trip;
    world.until_state(trip, State::Confirmed).await;
}
