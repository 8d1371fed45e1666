//! A fourth leg from outside ([`program`]) runs as a process of its own, joins a running stack and an itinerary, and is held to the same
//! audit; no line of the stack names it.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "car/program.rs"]
mod program;

use booking::core::{Outcome, Settled, State};
use choreography::TripId;
use e2e_tests::trip::{Asked, DAY, ROOM_PRICE, SEAT_PRICE, flight, stay, trip};
use e2e_tests::{Stock, World, eventually, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};

/// The leg's process. As an ordinary test it has nothing to do.
#[test]
fn car_process() {
    if std::env::var_os(CAR_PROCESS).is_some() {
        program::serve();
    }
}

const CAR_PROCESS: &str = "CAR_PROCESS";
const CAR_PRICE: i64 = 5_000;

on_both_databases![
    a_fourth_leg_joins_a_running_house_and_an_itinerary,
    what_the_fourth_leg_refuses_comes_back_from_all_the_others,
    a_leg_that_is_gone_keeps_the_trip_undoing_until_it_is_back,
    a_leg_that_is_gone_for_good_is_settled_by_hand,
    a_retired_leg_is_booked_no_more_and_what_was_booked_goes_on with |setup| setup.replicas(2),
];

fn car(cars: i64) -> Value {
    json!({"leg": "car", "model": "compact", "day": DAY, "cars": cars})
}

fn whole_trip(cars: i64) -> Asked {
    trip([flight("RT100", 2), stay("LIS", 1, 1), car(cars)])
}

async fn join(world: &mut World, cars: i64) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    let this = std::env::current_exe().unwrap();
    let args = ["--exact", "car_process", "--nocapture"].map(Into::into);
    world
        .start_foreign("car", this, args.to_vec(), &[(CAR_PROCESS, "1")])
        .await;
    world.until_open(&["flight", "hotel", "car"]).await;
    let level = json!({"cars": cars, "price_minor": CAR_PRICE, "currency": "EUR"});
    world
        .put("car", &format!("/cars/compact/{DAY}"), level)
        .await;
}

async fn cars(world: &World) -> Stock {
    world.get("car", &format!("/cars/compact/{DAY}")).await
}

async fn nothing_is_held(world: &World) {
    assert_eq!(world.flight("RT100").await, Stock::all_free(10));
    assert_eq!(world.nights("LIS").await, [Stock::all_free(5); 3]);
}

async fn a_fourth_leg_joins_a_running_house_and_an_itinerary(world: &mut World) {
    let answer = world.send(world.asking(&whole_trip(1))).await;
    let problem = answer.problem(422);
    assert!(problem.detail.contains("car"), "{}", problem.detail);
    assert!(
        problem.detail.contains("flight, hotel"),
        "{}",
        problem.detail
    );
    join(world, 3).await;
    // What it said when it joined is enough for booking to refuse nonsense at the door.
    world.send(world.asking(&whole_trip(0))).await.problem(422);
    let view = world.book(&whole_trip(1)).await;
    assert_eq!(view.state, State::Confirmed);
    let costs = 2 * SEAT_PRICE + ROOM_PRICE + CAR_PRICE;
    assert_eq!(view.total[0].amount_minor, costs);
    world
        .timeline
        .expect(
            view.trip,
            [
                "booking.requested",
                "flight.reserved",
                "hotel.reserved",
                "car.reserved",
                "booking.confirmed",
            ],
        )
        .await;
    eventually("the car is confirmed", async || {
        (cars(world).await == Stock::of(0, 1, 2)).then_some(())
    })
    .await;
}

async fn what_the_fourth_leg_refuses_comes_back_from_all_the_others(world: &mut World) {
    join(world, 3).await;
    let view = world.book(&whole_trip(4)).await;
    assert_eq!(view.state, State::Closed);
    assert_eq!(view.outcome, Some(Outcome::Rejected));
    assert_eq!(view.reason.unwrap().code, "sold-out");
    assert_eq!(
        view.settled,
        [Settled::Released, Settled::Released, Settled::Rejected].map(Some)
    );
    nothing_is_held(world).await;
    assert_eq!(cars(world).await, Stock::all_free(3));
}

/// A trip that nobody but the missing leg can bring to its end.
async fn waiting_for_the_car(world: &mut World) -> TripId {
    join(world, 3).await;
    world.kill("car", 0).await;
    let trip = world.ask(&whole_trip(1).deadline_s(1)).await.trip;
    let view = world
        .until(trip, "the others are back", |view| {
            view.settled[..2] == [Some(Settled::Released); 2]
        })
        .await;
    assert_eq!(view.state, State::Undoing);
    assert_eq!(view.outcome, Some(Outcome::Expired));
    nothing_is_held(world).await;
    let stuck = world.trips("/bookings/stuck").await;
    assert_eq!(stuck[0].trip, trip);
    let waits = &stuck[0].waiting_for;
    assert_eq!(
        (waits.len(), waits[0].position, waits[0].leg.as_str()),
        (1, 2, "car")
    );
    assert!(!stuck[0].needs_attention);
    trip
}

async fn a_leg_that_is_gone_keeps_the_trip_undoing_until_it_is_back(world: &mut World) {
    let trip = waiting_for_the_car(world).await;
    // An hour and a bit goes by.
    world
        .by_hand(
            "booking",
            "update trip set undoing_since_us = undoing_since_us - 3700000000",
        )
        .await;
    assert!(world.trips("/bookings/stuck").await[0].needs_attention);
    world.restart("car", 0).await;
    let view = world.until_state(trip, State::Closed).await;
    assert_eq!(view.settled, [Some(Settled::Released); 3]);
    assert_eq!(cars(world).await, Stock::all_free(3));
}

async fn a_leg_that_is_gone_for_good_is_settled_by_hand(world: &mut World) {
    let trip = waiting_for_the_car(world).await;
    let settle = world.request(Method::POST, "booking", &format!("/bookings/{trip}/settle"));
    let reason = json!({"position": 2, "reason": "the garage was sold"});
    let answer = world.send(settle.json(&reason)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let view = world.show(trip).await;
    assert_eq!(view.state, State::Closed);
    assert_eq!(view.settled[2], Some(Settled::ByHand));
    assert!(world.trips("/bookings/stuck").await.is_empty());
    world.leave("car").await;
}

/// At every replica of booking, and whatever the leg says of itself. What was asked for before goes through, and comes back.
async fn a_retired_leg_is_booked_no_more_and_what_was_booked_goes_on(world: &mut World) {
    join(world, 3).await;
    let older = world.book(&whole_trip(1)).await;
    assert_eq!(older.state, State::Confirmed);
    // Under way, and its turn has not come when the leg is retired.
    world.pause("car", 0).await;
    let under_way = world.ask(&whole_trip(1)).await.trip;
    let say = |path: &str| world.request(Method::POST, "booking", path);
    let retire = say("/legs/car/retire");
    let retired = world.send(retire.json(&json!({"reason": "the garage is sold"})));
    let retired: Value = retired.await.json();
    assert_eq!(retired["retired"]["reason"], "the garage is sold");
    world.resume("car", 0).await;
    world.until_state(under_way, State::Confirmed).await;
    refused_as_retired(world).await;

    // It says again that it is there, and that undoes nothing.
    let seen = heard_of_the_car(world).await;
    world.kill("car", 0).await;
    world.restart("car", 0).await;
    eventually("booking has heard of the car again", async || {
        (heard_of_the_car(world).await != seen).then_some(())
    })
    .await;
    refused_as_retired(world).await;
    assert_eq!(world.cancel(older.trip).await.state, State::Closed);
    world.until_state(older.trip, State::Closed).await;

    let say = |path: &str| world.request(Method::POST, "booking", path);
    let answer = world.send(say("/legs/car/restore")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(world.book(&whole_trip(1)).await.state, State::Confirmed);
    let none = say("/legs/train/retire").json(&json!({"reason": "none"}));
    world.send(none).await.problem(404);
    let wordless = say("/legs/car/retire").json(&json!({"reason": " "}));
    world.send(wordless).await.problem(422);
}

async fn refused_as_retired(world: &World) {
    for _ in 0..world.replicas("booking") * 2 {
        let problem = world.send(world.asking(&whole_trip(1))).await.problem(422);
        assert!(problem.kind.ends_with("leg-retired"), "{problem:?}");
        assert!(problem.detail.contains("the garage is sold"), "{problem:?}");
    }
    let legs: Value = world.get("booking", "/legs").await;
    assert!(!legs.to_string().contains("car"), "{legs}");
}

/// When booking last heard that it is there.
async fn heard_of_the_car(world: &World) -> Value {
    let legs: Value = world.get("booking", "/legs?all=true").await;
    let legs = legs.as_array().unwrap();
    let car = legs.iter().find(|leg| leg["leg"] == "car").unwrap();
    assert!(car["retired"]["since"].is_string(), "{car}");
    car["seen"].clone()
}
