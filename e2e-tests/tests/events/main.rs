//! Outcomes are heard without asking for them again and again: streams of events, of one trip and of all of them, whoever is killed,
//! drains, reads slowly or not at all. And the trips of one traveller.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod stream;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use booking::core::{Outcome, State};
use booking::view::TripView;
use choreography::TripId;
use e2e_tests::trip::{Asked, flight, trip};
use e2e_tests::{World, eventually, on_both_databases, on_one_database};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{timeout, timeout_at};

use stream::{Events, SOON};

on_both_databases![
    a_trip_is_followed_to_its_end_whichever_replica_brings_it_about with |setup| setup.replicas(2),
    no_outcome_is_lost_when_the_listener_is_cut_off with |setup| setup.replicas(2),
    who_reads_nothing_holds_up_nobody_and_misses_nothing with |setup| setup.at_default_pace(),
    what_is_committed_late_is_heard_all_the_same,
    streams_end_when_the_service_drains,
    the_trips_of_a_traveller_are_found_page_by_page,
];

mod bounded {
    use e2e_tests::Engine;

    super::on_one_database!(streams_leave_room_for_others, Engine::Sqlite, |setup| setup
        .setting("CONNECTIONS_MAX", "8"));
}

fn one_seat() -> Asked {
    trip([flight("RT100", 1)])
}

/// Asked of one replica, followed at the other; what the one does the other hears of.
async fn a_trip_is_followed_to_its_end_whichever_replica_brings_it_about(world: &mut World) {
    world.seats("RT100", 10).await;
    world.pause("flight", 0).await;
    world.pause("flight", 1).await;
    let asked = world.ask(&one_seat()).await;
    let path = format!("/bookings/{}/events", asked.trip);
    let mut both = [
        Events::open(world, 0, &path, "").await,
        Events::open(world, 1, &path, "").await,
    ];
    for events in &mut both {
        events.expect("trip", State::Pending).await;
    }
    world.resume("flight", 0).await;
    world.resume("flight", 1).await;
    for events in &mut both {
        let view = events.expect("outcome", State::Confirmed).await;
        assert_eq!(view.outcome, Some(Outcome::Confirmed));
        assert!(events.next().await.unwrap().is_none(), "it ends there");
    }
    // A browser comes back, and is told not to; who knows less is told again.
    let [first, _] = both;
    let come_back = |path: String| world.request_at(1, Method::GET, "booking", &path);
    let again = come_back(path.clone()).header("Last-Event-ID", &first.last_id);
    assert_eq!(world.send(again).await.status, 204);
    let again = come_back(format!("{path}?after={}", first.last_id));
    assert_eq!(world.send(again).await.status, 204);
    let mut behind =
        Events::open(world, 1, &format!("{path}?after=confirmed-0"), "pending-0").await;
    behind.expect("outcome", State::Confirmed).await;

    // It is cancelled after all: that is more than was known.
    let closed = world.cancel(asked.trip).await;
    assert_eq!(closed.state, State::Closed);
    let mut more = Events::open(world, 1, &path, &first.last_id).await;
    let view = more.expect("outcome", State::Closed).await;
    assert_eq!(view.outcome, Some(Outcome::Cancelled));
    assert!(more.next().await.unwrap().is_none());

    for nonsense in [
        "confirmed",
        "confirmed-x",
        "gone-0",
        "-",
        "1764300000000000",
    ] {
        let request = world.request(Method::GET, "booking", &path);
        let request = request.header("Last-Event-ID", nonsense);
        world.send(request).await.problem(400);
    }
    for nonsense in [
        "x",
        "-1",
        "1-",
        "1-x",
        "confirmed-0",
        "99999999999999999999",
    ] {
        let path = format!("/bookings/events?after={nonsense}");
        world
            .send(world.request(Method::GET, "booking", &path))
            .await
            .problem(400);
    }
    let nowhere = "/bookings/018f0000-0000-7000-8000-000000000000/events";
    world
        .send(world.request(Method::GET, "booking", nowhere))
        .await
        .problem(404);
}

/// Two hundred trips, asked of one replica and decided by either, heard at the other: it is killed in the middle, and the stream goes on
/// from its id, there and elsewhere.
async fn no_outcome_is_lost_when_the_listener_is_cut_off(world: &mut World) {
    world.seats("RT100", 150).await;
    let mut events = Events::open(world, 1, "/bookings/events", "").await;
    let trips = BTreeSet::from_iter(world.ask_many(&one_seat(), 100).await);
    let mut heard = BTreeSet::new();
    for _ in 0..20 {
        heard.insert(events.next().await.unwrap().unwrap().trip().trip);
    }
    world.kill("booking", 1).await;
    while let Ok(Some(event)) = events.next().await {
        heard.insert(event.trip().trip);
    }
    // Some of them are refused: there are no seats left.
    let more = world.ask_many(&one_seat(), 100).await;
    let trips = trips.into_iter().chain(more).collect();
    world.restart("booking", 1).await;
    let mut there = Events::open(world, 1, "/bookings/events", &events.last_id).await;
    there.until_heard(&trips, &mut heard.clone()).await;
    let path = format!("/bookings/events?after={}", events.last_id);
    let mut elsewhere = Events::open(world, 0, &path, "").await;
    elsewhere.until_heard(&trips, &mut heard).await;

    // From the beginning; and what was heard is where it goes on.
    let mut all = Events::open(world, 0, "/bookings/events?after=0", "").await;
    all.until_heard(&trips, &mut BTreeSet::new()).await;
    let late = world.cancel(*trips.first().unwrap()).await;
    let mut on = Events::open(world, 1, "/bookings/events", &all.last_id).await;
    eventually("what is cancelled is an outcome too", async || {
        let event = on.next().await.unwrap().unwrap();
        let view = event.trip();
        (view.trip == late.trip && view.state == State::Closed).then_some(())
    })
    .await;
}

/// Another replica judged it five seconds ago, and commits only now: as if it had, for here a trip's time is put back by hand.
async fn what_is_committed_late_is_heard_all_the_same(world: &mut World) {
    world.seats("RT100", 10).await;
    let mut events = Events::open(world, 0, "/bookings/events", "").await;
    let first = world.book(&one_seat()).await;
    let heard = events.expect("outcome", State::Confirmed).await;
    assert_eq!((heard.trip, heard.changed), (first.trip, first.changed));
    let second = world.book(&one_seat()).await;
    let heard = events.expect("outcome", State::Confirmed).await;
    assert_eq!(heard.trip, second.trip);
    let before = events.last_id.clone();

    let late = "update trip set changed_us = changed_us - 5000000 where trip = (select min(trip) from trip)";
    world.by_hand("booking", late).await;
    let heard = events.expect("outcome", State::Confirmed).await;
    assert_eq!(heard.trip, first.trip);
    assert!(heard.changed < first.changed, "{heard:?}");
    // Who was cut off before it was there hears of it too.
    let mut on = Events::open(world, 0, "/bookings/events", &before).await;
    let again = on.expect("outcome", State::Confirmed).await;
    assert_eq!((again.trip, again.changed), (heard.trip, heard.changed));
}

/// A connection that takes in little until it is read.
async fn narrow(world: &World) -> Lines<BufReader<TcpStream>> {
    let request = world.request(Method::GET, "booking", "").build().unwrap();
    let port = request.url().port().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let address = ([127, 0, 0, 1], port).into();
    let mut connection = socket.connect(address).await.unwrap();
    let asked = "GET /bookings/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connection.write_all(asked.as_bytes()).await.unwrap();
    BufReader::new(connection).lines()
}

/// More than every buffer on the way to it holds, and more outcomes than lie ready for it.
async fn who_reads_nothing_holds_up_nobody_and_misses_nothing(world: &mut World) {
    world.seats("RT100", 10).await;
    let mut slow = narrow(world).await;
    let first = slow.next_line().await.unwrap();
    assert_eq!(first.unwrap(), "HTTP/1.1 200 OK");
    let mut quick = Events::open(world, 0, "/bookings/events", "").await;
    let before = world.memory_peak_kb("booking", 0);
    let mut large = one_seat();
    large.body["itinerary"][0]["note"] = json!("x".repeat(50_000));
    let mut trips = BTreeSet::from_iter(world.ask_many(&large, 100).await);
    quick.until_heard(&trips, &mut BTreeSet::new()).await;
    let more = world.ask_many(&one_seat(), 600).await;
    quick
        .until_heard(
            &BTreeSet::from_iter(more.iter().copied()),
            &mut BTreeSet::new(),
        )
        .await;
    trips.extend(more);
    let peak = world.memory_peak_kb("booking", 0);
    if let (Some(before), Some(peak)) = (before, peak) {
        assert!(peak < before + 150_000, "{before} kB became {peak}");
    }
    let (mut heard, until) = (BTreeSet::new(), tokio::time::Instant::now() + SOON);
    while heard.len() < trips.len() {
        let line = timeout_at(until, slow.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{} of {}", heard.len(), trips.len()));
        let line = line.unwrap().unwrap();
        let data = line.strip_prefix("data: ");
        heard.extend(data.map(|data| serde_json::from_str::<TripView>(data).unwrap().trip));
    }
    assert_eq!(heard, trips);
}

/// And until then, who hears nothing hears that the stream is alive.
async fn streams_end_when_the_service_drains(world: &mut World) {
    world.seats("RT100", 10).await;
    world.pause("flight", 0).await;
    let asked = world.ask(&one_seat()).await;
    let path = format!("/bookings/{}/events", asked.trip);
    let mut one = Events::open(world, 0, &path, "").await;
    one.expect("trip", State::Pending).await;
    let mut all = Events::open(world, 0, "/bookings/events", "").await;
    // The silence is broken by a comment, which is no event.
    let silent = timeout(Duration::from_secs(20), all.next()).await;
    assert!(silent.is_err() && all.heartbeats > 0, "{}", all.heartbeats);
    let stopping = Instant::now();
    world.stop("booking", 0).await;
    assert!(
        stopping.elapsed() < Duration::from_secs(5),
        "{:?}",
        stopping.elapsed()
    );
    assert!(one.next().await.unwrap().is_none());
    assert!(all.next().await.unwrap().is_none());
    world.restart("booking", 0).await;
    world.resume("flight", 0).await;
    let mut one = Events::open(world, 0, &path, &one.last_id).await;
    one.expect("outcome", State::Confirmed).await;
    let mut all = Events::open(world, 0, "/bookings/events", &all.last_id).await;
    assert_eq!(
        all.expect("outcome", State::Confirmed).await.trip,
        asked.trip
    );
}

/// A quarter of eight connections; a place that somebody leaves is free again.
async fn streams_leave_room_for_others(world: &mut World) {
    world.seats("RT100", 10).await;
    let first = Events::open(world, 0, "/bookings/events", "").await;
    let _second = Events::open(world, 0, "/bookings/events", "").await;
    let ask = || world.request(Method::GET, "booking", "/bookings/events");
    let refused = world.send(ask()).await;
    assert!(refused.problem(503).kind.ends_with(":too-many-streams"));
    assert_eq!(refused.header("retry-after"), "5");
    let booked = world.book(&one_seat()).await;
    let path = format!("/bookings/{}/events", booked.trip);
    world
        .send(world.request(Method::GET, "booking", &path))
        .await
        .problem(503);
    drop(first);
    eventually("a place is free", async || {
        let answer = ask().send().await.unwrap();
        (answer.status() == 200).then_some(())
    })
    .await;
}

fn with_query(request: RequestBuilder, query: &[(&str, &str)]) -> RequestBuilder {
    let (client, request) = request.build_split();
    let mut request = request.unwrap();
    request.url_mut().query_pairs_mut().extend_pairs(query);
    RequestBuilder::from_parts(client, request)
}

async fn the_trips_of_a_traveller_are_found_page_by_page(world: &mut World) {
    world.seats("RT100", 4).await;
    let name = "Ada & 100% Lovelace, née Byron";
    let (mut hers, mut confirmed) = (BTreeSet::new(), BTreeSet::new());
    for (traveller, trips) in [(Some(name), 5), (Some("Ada"), 2), (None, 1)] {
        for _ in 0..trips {
            let view = world
                .book(&one_seat().with("traveller", json!(traveller)))
                .await;
            if traveller == Some(name) {
                hers.insert(view.trip);
                confirmed.extend((view.state == State::Confirmed).then_some(view.trip));
            }
        }
    }
    let list = |query: &[(&str, &str)]| {
        let request = world.request(Method::GET, "booking", "/bookings");
        world.send(with_query(
            request,
            &[&[("traveller", name)], query].concat(),
        ))
    };
    let mut found = Vec::new();
    let mut page = list(&[("limit", "2"), ("total", "true")]).await;
    assert_eq!(page.json::<Value>()["total"], 5);
    loop {
        let said: Value = page.json();
        let items = said["items"].as_array().unwrap();
        assert!(items.iter().all(|trip| trip["traveller"] == name));
        found.extend(
            items
                .iter()
                .map(|trip| trip["trip"].as_str().unwrap().parse::<TripId>().unwrap()),
        );
        let link = page.header("link").to_owned();
        let Some(next) = link.strip_prefix('<').and_then(|link| link.split_once('>')) else {
            break;
        };
        page = world
            .send(world.request(Method::GET, "booking", next.0))
            .await;
    }
    assert!(
        found.is_sorted_by(|a: &TripId, b| a > b),
        "the newest first"
    );
    assert_eq!(BTreeSet::from_iter(found), hers);
    let went: Value = list(&[("state", "confirmed")]).await.json();
    assert_eq!(went["items"].as_array().unwrap().len(), confirmed.len());
    for (unknown, status) in [("ada", 200), ("", 200), ("a\0b", 422)] {
        let request = world.request(Method::GET, "booking", "/bookings");
        let answer = world
            .send(with_query(request, &[("traveller", unknown)]))
            .await;
        assert_eq!(answer.status, status, "{}", answer.text);
        if status == 200 {
            assert_eq!(answer.json::<Value>()["items"], json!([]));
        }
    }
}
