//! What the whole loop promises of calls, on a real broker, against a real server that is outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::HeaderMap;
use async_nats::jetstream;
use runtime::{Handle, Running};
use serde_json::Value;
use uuid::Uuid;

use crate::outside::Outside;
use crate::parcels::{PANICS, Parcel, Parcels};
use crate::place::{Place, eventually};

/// A service that runs, and what it stands between.
pub(crate) struct World {
    pub(crate) place: Place,
    pub(crate) outside: Outside,
    jetstream: jetstream::Context,
    pub(crate) gate: Arc<AtomicUsize>,
}

impl World {
    pub(crate) async fn open(place: Place) -> Self {
        Self {
            place,
            outside: Outside::open().await,
            jetstream: Place::jetstream().await,
            gate: Arc::new(AtomicUsize::new(usize::MAX)),
        }
    }

    pub(crate) async fn start(&self, settings: &[(&str, &str)]) -> (Running, Handle<Parcels>) {
        let hasty = [
            ("--call-retry-first-ms", "20"),
            ("--call-retry-max-ms", "100"),
            ("--call-timeout-ms", "10000"),
        ];
        let settings: Vec<_> = hasty.iter().chain(settings).copied().collect();
        self.place.start_of(self.service(), &settings).await
    }

    pub(crate) fn service(&self) -> Parcels {
        Parcels {
            system: self.place.system,
            outside: self.outside.url.clone(),
            gate: Arc::clone(&self.gate),
        }
    }

    pub(crate) async fn want(&self, parcel: &str, what: &str) {
        let mut headers = HeaderMap::new();
        headers.insert("ce-specversion", "1.0");
        headers.insert("ce-type", "parcel.wanted.v1");
        headers.insert("ce-subject", parcel);
        headers.insert("ce-id", Uuid::now_v7().to_string());
        let subject = format!("{}.wanted", self.place.system.namespace);
        eventually(async || {
            let (subject, headers) = (subject.clone(), headers.clone());
            let what = what.to_owned().into();
            let published = self.jetstream.publish_with_headers(subject, headers, what);
            published.await.unwrap().await.is_ok()
        })
        .await;
    }
}

pub(crate) async fn parcel(handle: &Handle<Parcels>, id: &str) -> Parcel {
    let found = handle.database().find::<Parcel>(&(id.to_owned(),)).await;
    found.unwrap().unwrap_or_default()
}

pub(crate) async fn until_shipped(handle: &Handle<Parcels>, id: &str) {
    eventually(async || parcel(handle, id).await.shipped == 1).await;
    let waits = format!("select count(*) from call where about = '{id}'");
    assert_eq!(number(handle, &waits).await, 0);
}

pub(crate) async fn number(handle: &Handle<Parcels>, sql: &str) -> i64 {
    handle.database().number(sql, vec![]).await.unwrap()
}

async fn get(running: &Running, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut connection = tokio::net::TcpStream::connect(running.address)
        .await
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

pub(crate) async fn a_call_is_performed_at_once_and_its_answer_judged(place: Place) {
    let world = World::open(place).await;
    // Nobody looks by himself in time.
    let (running, handle) = world.start(&[("--timer-interval-ms", "60000")]).await;
    world.want("a", "ship").await;
    until_shipped(&handle, "a").await;
    world.want("b", "ship:not-yet").await;
    until_shipped(&handle, "b").await;
    assert_eq!(
        (world.outside.asked("a-ship"), world.outside.asked("b-ship")),
        (1, 2)
    );
    running.drain().await;
}

pub(crate) async fn an_answer_that_is_lost_costs_a_repetition_under_the_same_id(place: Place) {
    let world = World::open(place).await;
    let (running, handle) = world.start(&[]).await;
    world.want("a", "ship:lost").await;
    until_shipped(&handle, "a").await;
    assert_eq!(world.outside.asked("a-ship"), 2);
    running.drain().await;
}

pub(crate) async fn what_takes_too_long_or_panics_is_tried_again(place: Place) {
    let world = World::open(place).await;
    let (running, handle) = world.start(&[("--call-timeout-ms", "3000")]).await;
    world.want("p", "ship:panic").await;
    world.want("a", "ship:hang").await;
    until_shipped(&handle, "a").await;
    assert_eq!(world.outside.asked("a-ship"), 2);
    let panicked = "select count(*) from call where id = 'p-ship' and attempts > 2 and problem like '%panicked%'";
    eventually(async || number(&handle, panicked).await == 1).await;
    running.drain().await;
}

pub(crate) async fn what_nobody_can_read_is_kept_whole_and_asked_for_again(place: Place) {
    let world = World::open(place).await;
    let (running, handle) = world.start(&[]).await;
    world.want("a", "ship:garbage").await;
    until_shipped(&handle, "a").await;
    let letters = get(&running, "/letters").await;
    let (_, body) = letters.split_once("\r\n\r\n").unwrap();
    let letters: Value = serde_json::from_str(body).unwrap();
    let letter = &letters["items"][0];
    assert_eq!(
        (letter["type"].as_str(), letter["aggregateid"].as_str()),
        (Some("call.ship"), Some("a"))
    );
    let kept = b"<html>\0 our new front page";
    let kept: String = kept.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(letter["payload"], format!("hex:{kept}"));
    let metrics = get(&running, "/metrics").await;
    let counted = r#"_call_attempts_total{outcome="unreadable",purpose="ship"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    running.drain().await;
}

pub(crate) async fn who_is_busy_says_when_to_come_back_and_the_list_says_why_it_waits(
    place: Place,
) {
    let world = World::open(place).await;
    let (running, handle) = world.start(&[]).await;
    world.want("a", "ship:busy").await;
    let told = "select count(*) from call where problem is not null";
    eventually(async || number(&handle, told).await == 1).await;
    let list = async |query: &str| -> Value {
        let answer = get(&running, &format!("/calls{query}")).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    };
    let listed = list("?purpose=ship&older_than_s=0").await;
    let call = &listed["items"][0];
    assert_eq!(
        (call["id"].as_str(), call["about"].as_str()),
        (Some("a-ship"), Some("a"))
    );
    assert_eq!(
        (&call["attempts"], call["problem"].as_str()),
        (&1.into(), Some("503\\u{7}"))
    );
    let pause_us = call["next_us"].as_i64().unwrap() - call["asked_us"].as_i64().unwrap();
    assert!(
        (1_800_000_000..2_100_000_000).contains(&pause_us),
        "{pause_us}"
    );
    for none in ["?purpose=fetch-back", "?older_than_s=3600"] {
        assert_eq!(list(none).await["items"], serde_json::json!([]), "{none}");
    }
    let metrics = async || get(&running, "/metrics").await;
    eventually(async || {
        metrics()
            .await
            .contains(r#"_calls_waiting{purpose="ship"} 1"#)
    })
    .await;
    assert_eq!(world.outside.asked("a-ship"), 1, "it is left alone");
    running.drain().await;
}

pub(crate) async fn an_answer_that_cannot_be_applied_stops_no_other(place: Place) {
    let world = World::open(place).await;
    let (running, handle) = world.start(&[]).await;
    for what in ["ship:too-much", "ship"] {
        let parcel = if what == "ship" { "b" } else { "a" };
        world.want(parcel, what).await;
    }
    until_shipped(&handle, "b").await;
    // The one outside said something else the second time.
    until_shipped(&handle, "a").await;
    assert_eq!(world.outside.asked("a-ship"), 2);
    running.drain().await;
}

pub(crate) async fn two_replicas_perform_each_call_once(place: Place) {
    let world = World::open(place).await;
    let (first, handle) = world.start(&[]).await;
    let (second, _) = world.start(&[]).await;
    for n in 0..100 {
        world.want(&format!("p{n}"), "ship:briefly").await;
    }
    let shipped = "select count(*) from parcel where shipped = 1";
    eventually(async || number(&handle, shipped).await == 100).await;
    for n in 0..100 {
        assert_eq!(world.outside.asked(&format!("p{n}-ship")), 1, "{n}");
    }
    assert_eq!(number(&handle, "select count(*) from call").await, 0);
    first.drain().await;
    second.drain().await;
}

pub(crate) async fn what_goes_first_goes_first_and_the_others_are_not_starved(place: Place) {
    let world = World::open(place).await;
    // As a breaker that is open: nothing is started.
    world.gate.store(PANICS, Ordering::Relaxed);
    let (running, handle) = world.start(&[("--calls-max", "2")]).await;
    for n in 0..16 {
        world.want(&format!("s{n}"), "ship:briefly").await;
        world.want(&format!("f{n}"), "fetch-back:briefly").await;
    }
    eventually(async || number(&handle, "select count(*) from call").await == 32).await;
    assert!(world.outside.order().is_empty());
    world.gate.store(usize::MAX, Ordering::Relaxed);
    eventually(async || number(&handle, "select count(*) from call").await == 0).await;
    let order = world.outside.order();
    let firsts = |some: &[String]| some.iter().filter(|key| key.starts_with('f')).count();
    // Both wait until the last that goes first is started; two at a time may change places on their way.
    for some in order[..20].windows(8) {
        assert!((5..=7).contains(&firsts(some)), "{order:?}");
    }
    assert_eq!(world.outside.most(), 2, "CALLS_MAX");
    running.drain().await;
}
