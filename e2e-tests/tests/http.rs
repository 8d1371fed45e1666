//! The services' HTTP as callers meet it: what is refused and in which words, lists, inventory, settling by hand. Each error is a
//! problem that says what to do, the framework's own included.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::BTreeSet;

use booking::core::{Settled, State};
use booking::view::TripView;
use e2e_tests::trip::{DAY, flight, stay, trip};
use e2e_tests::{Answer, Stock, World, on_both_databases};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

on_both_databases![
    nonsense_is_refused_in_words_and_books_nothing,
    what_is_not_there_is_said_in_words,
    inventory_is_refused_in_words_and_changes_nothing,
    an_import_is_all_or_nothing_and_names_bad_lines,
    lists_go_on_page_by_page,
    a_wait_that_ends_before_the_trip_is_decided_says_where_to_look,
    a_position_is_settled_by_hand,
    a_leg_that_comes_back_after_it_was_settled_by_hand_gives_back_what_it_holds,
    every_service_describes_itself,
];

async fn refused(world: &World, request: RequestBuilder, status: u16, words: &str) -> Answer {
    let answer = world.send(request).await;
    let problem = answer.problem(status);
    let said = format!("{} {} {}", problem.kind, problem.title, problem.detail).to_lowercase();
    assert!(
        said.contains(&words.to_lowercase()),
        "nothing about {words:?} in {}",
        answer.text
    );
    answer
}

fn post(world: &World, body: String, media_type: &str) -> RequestBuilder {
    let request = world.request(Method::POST, "booking", "/bookings");
    request.header("content-type", media_type).body(body)
}

async fn nonsense_is_refused_in_words_and_books_nothing(world: &mut World) {
    world.seats("RT100", 10).await;
    let one = || trip([flight("RT100", 1)]);
    let past = json!({"leg": "flight", "flight": "RT100", "date": "1999-12-31", "seats": 1});
    let no_day = json!({"leg": "flight", "flight": "RT100", "date": "2039-02-30", "seats": 1});
    let mut hundred = trip::<0>([]);
    hundred.body["itinerary"] = std::iter::repeat_n(flight("RT100", 1), 100).collect();
    for (asked, status, words) in [
        (trip::<0>([]), 422, "1 to 16 legs"),
        (hundred, 422, "1 to 16 legs"),
        (one().with("itinerary", json!("RT100")), 422, "list"),
        (one().with("itinerary", json!([7])), 422, "leg 0"),
        (trip([json!({"leg": "Flight No 1"})]), 422, "leg 0"),
        (trip([json!({"leg": "booking"})]), 422, "leg 0"),
        (
            trip([flight("RT100", 1), json!({"leg": "balloon"})]),
            422,
            "balloon",
        ),
        (trip([flight("RT100", 0)]), 422, "at least 1"),
        (trip([flight("RT100", -1)]), 422, "at least 1"),
        (trip([stay("LIS", 1, 0)]), 422, "at least 1"),
        (trip([past]), 422, "in the past"),
        (trip([no_day]), 422, "date"),
        (one().deadline_s(0), 422, "86400"),
        (one().deadline_s(86_401), 422, "86400"),
        (one().budget(0), 422, "budget"),
        (one().budget(-1), 422, "budget"),
        (
            one().with("budget", json!({"amount_minor": 1, "currency": "EURO"})),
            422,
            "currency",
        ),
        (one().with("traveller", json!("x".repeat(201))), 422, "200"),
        (one().with("surprise", json!(1)), 422, "surprise"),
    ] {
        refused(world, world.asking(&asked), status, words).await;
    }
    let json = "application/json";
    for (body, media_type, status, words) in [
        ("{\"itinerary\":", json, 400, "well-formed"),
        ("{}", json, 422, "itinerary"),
        ("[]", json, 422, "an object"),
        ("{}", "application/x-www-form-urlencoded", 415, json),
        ("{}", "text/plain", 415, json),
    ] {
        let request = post(world, String::from(body), media_type);
        refused(world, request, status, words).await;
    }
    let large = one().with("traveller", json!("x".repeat(1 << 20)));
    refused(
        world,
        post(world, large.body.to_string(), json),
        413,
        "64 KiB",
    )
    .await;
    let bare = world.request(Method::POST, "booking", "/bookings");
    refused(world, bare.body(one().body.to_string()), 415, json).await;
    for key in ["two words", "\"\"", "\"a\", \"b\""] {
        let request = world.asking(&one()).header("Idempotency-Key", key);
        refused(world, request, 400, "quoted").await;
    }
    assert!(world.trips("/bookings").await.is_empty());
    assert_eq!(world.flight("RT100").await, Stock::all_free(10));
}

async fn what_is_not_there_is_said_in_words(world: &mut World) {
    let nobody = uuid::Uuid::now_v7();
    let get = |path: &str| world.request(Method::GET, "booking", path);
    refused(world, get("/nowhere"), 404, "/openapi.json").await;
    let delete = world.request(Method::DELETE, "booking", "/bookings");
    let answer = refused(world, delete, 405, "method").await;
    assert!(
        answer.header("allow").contains("POST"),
        "{:?}",
        answer.headers
    );
    refused(world, get(&format!("/bookings/{nobody}")), 404, "no trip").await;
    refused(world, get("/bookings/17"), 400, "path").await;
    refused(world, get("/bookings?cursor=zz"), 400, "cursor").await;
    refused(world, get("/bookings?limit=0"), 400, "limit").await;
    refused(world, get("/bookings?limit=many"), 400, "query").await;
    refused(world, get("/bookings?state=lost"), 400, "query").await;
    refused(world, get("/bookings/stuck?older_than_s=-1"), 400, "query").await;
    let cancel = format!("/bookings/{nobody}/cancel");
    refused(
        world,
        world.request(Method::POST, "booking", &cancel),
        404,
        "no trip",
    )
    .await;
    let by_hand = json!({"position": 0, "reason": "seen with my own eyes"});
    let settle = world.request(
        Method::POST,
        "booking",
        &format!("/bookings/{nobody}/settle"),
    );
    refused(world, settle.json(&by_hand), 404, "no trip").await;
}

fn set_seats(world: &World, path: &str, body: Value) -> RequestBuilder {
    world.request(Method::PUT, "flight", path).json(&body)
}

fn seats(seats: i64) -> Value {
    json!({"seats": seats, "price_minor": 100, "currency": "EUR"})
}

async fn inventory_is_refused_in_words_and_changes_nothing(world: &mut World) {
    world.seats("RT100", 10).await;
    let confirmed = world.book(&trip([flight("RT100", 4)])).await;
    assert_eq!(confirmed.state, State::Confirmed);
    world.until_flight("RT100", Stock::of(0, 4, 6)).await;
    let path = format!("/flights/RT100/{DAY}");
    refused(world, set_seats(world, &path, seats(3)), 409, "4 are held").await;
    refused(world, set_seats(world, &path, seats(-1)), 422, "-1").await;
    refused(
        world,
        set_seats(world, &path, seats(1_000_001)),
        422,
        "1000000",
    )
    .await;
    let free = json!({"seats": 9, "price_minor": -1, "currency": "EUR"});
    refused(world, set_seats(world, &path, free), 422, "price_minor").await;
    let coins = json!({"seats": 9, "price_minor": 1, "currency": "COIN"});
    refused(world, set_seats(world, &path, coins), 422, "currency").await;
    let half = json!({"seats": 9.5, "price_minor": 1, "currency": "EUR"});
    refused(world, set_seats(world, &path, half), 422, "seats").await;
    refused(
        world,
        set_seats(world, "/flights/RT100/tomorrow", seats(9)),
        422,
        "date",
    )
    .await;
    let odd = format!("/flights/RT%20100/{DAY}");
    refused(world, set_seats(world, &odd, seats(9)), 422, "characters").await;
    let unknown = world.request(Method::GET, "flight", &format!("/flights/RT999/{DAY}"));
    refused(world, unknown, 404, "PUT it").await;
    assert_eq!(world.flight("RT100").await, Stock::of(0, 4, 6));
    // Exactly what is taken is enough.
    world.put("flight", &path, seats(4)).await;
    assert_eq!(world.flight("RT100").await, Stock::of(0, 4, 0));
}

fn import(world: &World, csv: &str) -> RequestBuilder {
    let request = world.request(Method::POST, "flight", "/flights/import");
    request
        .header("content-type", "text/csv")
        .body(csv.to_owned())
}

async fn an_import_is_all_or_nothing_and_names_bad_lines(world: &mut World) {
    let head = "flight,date,seats,price_minor,currency\n";
    let bad =
        format!("{head}A1,2039-06-03,10,100,EUR\nA2,soon,10,100,EUR\nA3,2039-06-03,many,100,EUR\n");
    let answer = refused(world, import(world, &bad), 422, "line 3").await;
    let problem: Value = answer.json();
    assert_eq!(problem["lines"][0]["line"], 3);
    assert_eq!(problem["lines"][1]["line"], 4);
    assert!(
        problem["lines"][1]["reason"]
            .as_str()
            .unwrap()
            .contains("many")
    );
    refused(world, import(world, "a,b\n1,2\n"), 422, "header").await;
    let list: Value = world.get("flight", "/flights").await;
    assert_eq!(list["items"], json!([]), "nothing was imported");

    let good = format!("{head}A1,2039-06-01..2039-06-30,10,100,EUR\nA2,2039-06-03,5,200,USD\n");
    let answer = world.send(import(world, &good)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json::<Value>(), json!({"lines": 2, "rows": 31}));
    assert_eq!(world.flight("A1").await, Stock::all_free(10));
    let view = world.book(&trip([flight("A1", 8)])).await;
    assert_eq!(view.state, State::Confirmed);
    world.until_flight("A1", Stock::of(0, 8, 2)).await;
    // Less than is taken, on one line of two: neither is changed.
    let less = format!("{head}A1,2039-06-03,7,100,EUR\nA2,2039-06-03,50,200,USD\n");
    refused(world, import(world, &less), 409, "line 2").await;
    assert_eq!(world.flight("A2").await, Stock::all_free(5));
}

/// All items of a list, by following its cursors.
async fn all_pages(world: &World, service: &str, path: &str, limit: usize) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page: Value = world
            .get(service, &format!("{path}limit={limit}{cursor}"))
            .await;
        let page_items = page["items"].as_array().unwrap();
        assert!(page_items.len() <= limit);
        items.extend(page_items.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

async fn lists_go_on_page_by_page(world: &mut World) {
    world.seats("RT100", 5).await;
    world.rooms("LIS", 100).await;
    for number in 0..12 {
        let view = world.book(&trip([flight("RT100", 1)])).await;
        let expected = if number < 5 {
            State::Confirmed
        } else {
            State::Closed
        };
        assert_eq!(view.state, expected);
    }
    let all = all_pages(world, "booking", "/bookings?", 5).await;
    let created: Vec<&str> = all
        .iter()
        .map(|trip| trip["created"].as_str().unwrap())
        .collect();
    assert_eq!(created.len(), 12);
    assert!(
        created.is_sorted_by(|a, b| a >= b),
        "the newest first: {created:?}"
    );
    let trips: BTreeSet<&str> = all
        .iter()
        .map(|trip| trip["trip"].as_str().unwrap())
        .collect();
    assert_eq!(trips.len(), 12);
    let closed = all_pages(
        world,
        "booking",
        "/bookings?state=closed&outcome=rejected&",
        3,
    )
    .await;
    assert_eq!(closed.len(), 7);
    let confirmed = all_pages(world, "booking", "/bookings?outcome=confirmed&", 5).await;
    assert_eq!(confirmed.len(), 5);
    let nights = all_pages(world, "hotel", "/hotels?", 2).await;
    let nights: Vec<&str> = nights
        .iter()
        .map(|row| row["night"].as_str().unwrap())
        .collect();
    assert_eq!(nights, ["2039-06-03", "2039-06-04", "2039-06-05"]);
}

async fn a_wait_that_ends_before_the_trip_is_decided_says_where_to_look(world: &mut World) {
    world.seats("RT100", 5).await;
    world.pause("flight", 0).await;
    let asked = trip([flight("RT100", 1)]);
    let answer = world
        .send(world.asking(&asked).header("Prefer", "wait=1"))
        .await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("preference-applied"), "wait=1");
    let view: TripView = answer.json();
    assert_eq!(view.state, State::Pending);
    assert_eq!(view.waiting_for[0].leg, "flight");
    assert_eq!(
        answer.header("location"),
        format!("/bookings/{}", view.trip)
    );
    world.resume("flight", 0).await;
    world.until_state(view.trip, State::Confirmed).await;
}

async fn settle(world: &World, trip: choreography::TripId, position: u16) -> Answer {
    let request = world.request(Method::POST, "booking", &format!("/bookings/{trip}/settle"));
    let body = json!({"position": position, "reason": "the hotel burned down"});
    world.send(request.json(&body)).await
}

async fn a_position_is_settled_by_hand(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    world.kill("hotel", 0).await;
    let asked = trip([flight("RT100", 2), stay("LIS", 1, 1)]);
    let trip = world.ask(&asked).await.trip;
    settle(world, trip, 1).await.problem(409);
    world.cancel_soon(trip).await;
    world
        .until(trip, "the flight is back", |view| view.settled[0].is_some())
        .await;
    let stuck = world.trips("/bookings/stuck").await;
    assert_eq!(stuck[0].trip, trip);
    assert_eq!(stuck[0].waiting_for[0].leg, "hotel");
    settle(world, trip, 0).await.problem(409);
    settle(world, trip, 2).await.problem(409);
    let answer = settle(world, trip, 1).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let view: TripView = answer.json();
    assert_eq!(view.state, State::Closed);
    assert_eq!(
        view.settled,
        [Some(Settled::Released), Some(Settled::ByHand)]
    );
    assert!(world.trips("/bookings/stuck").await.is_empty());
    let said = e2e_tests::eventually("it is said", async || {
        let words = world.timeline.of(trip);
        words
            .into_iter()
            .find(|word| word.fact() == "booking.settled")
    })
    .await;
    assert_eq!(said.data()["reason"]["message"], "the hotel burned down");
    // The hotel was only down after all, and hears of the whole trip at once.
    world.restart("hotel", 0).await;
    world.until_heard("hotel").await;
    world.until_nights("LIS", 1, Stock::all_free(5)).await;
}

async fn a_leg_that_comes_back_after_it_was_settled_by_hand_gives_back_what_it_holds(
    world: &mut World,
) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    world.kill("flight", 0).await;
    let asked = trip([stay("LIS", 1, 1), flight("RT100", 2)]);
    let trip = world.ask(&asked).await.trip;
    world.until_nights("LIS", 1, Stock::of(1, 0, 4)).await;
    world.kill("hotel", 0).await;
    world.cancel_soon(trip).await;
    for position in [0, 1] {
        assert_eq!(settle(world, trip, position).await.status, 200);
    }
    assert_eq!(world.show(trip).await.state, State::Closed);
    // Nothing is left of the cancellation but what the databases know.
    world.wipe_broker().await;
    world.restart("hotel", 0).await;
    world.restart("flight", 0).await;
    world.until_nights("LIS", 1, Stock::all_free(5)).await;
    world.until_flight("RT100", Stock::all_free(10)).await;
}

async fn every_service_describes_itself(world: &mut World) {
    for (service, path) in [
        ("booking", "/bookings/{trip}/settle"),
        ("flight", "/flights/import"),
        ("hotel", "/hotels/{hotel}/{room_type}/{night}"),
    ] {
        let api: Value = world.get(service, "/openapi.json").await;
        assert!(api["openapi"].as_str().unwrap().starts_with("3.1."));
        assert!(api["paths"][path].is_object(), "{service} has no {path}");
        for probe in ["/livez", "/readyz"] {
            let answer = world.send(world.request(Method::GET, service, probe)).await;
            assert_eq!(answer.status, 200, "{service} {probe}");
        }
    }
}
