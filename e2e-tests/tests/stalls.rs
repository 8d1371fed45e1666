//! Nothing may stall: the largest batch, the fullest outbox, a broker that stores nothing, a window full of old facts, a process that
//! was frozen. Each of these once stopped trips for good, or nearly so; each test ends only when they are at rest.
//!
//! Who waits is told so: readiness, admission and metrics name what makes no progress. Faults one at a time and by hand; many at once
//! are `roundtrip chaos`.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::DeliverPolicy;
use booking::core::State;
use e2e_tests::trip::{Asked, flight, trip};
use e2e_tests::{Setup, World, eventually, on_both_databases};
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use stack::broker::{self, Broker};
use stack::service::{ServiceProcess, Spec};
use stack::skip::{self, Need};
use tempfile::TempDir;

/// As many legs as a trip may have.
const LEGS: usize = 16;

on_both_databases![
    six_hundred_trips_of_sixteen_legs_are_cancelled_at_once with |setup| setup.at_default_pace(),
    messages_stay_few_while_the_broker_stops_and_goes_on with |setup| super::leases_end_soon(setup.replicas(3)),
    a_broker_that_stores_nothing_is_told_of_and_new_trips_are_refused,
    a_consumer_that_is_declared_again_hears_little_again,
    a_frozen_service_applies_what_it_had_fetched with super::nothing_comes_again,
    an_outcome_is_logged_once_however_often_it_is_said,
];

/// Nobody asks again, and the broker delivers nothing again: what is not lost is seen to arrive by itself.
fn nothing_comes_again(setup: Setup) -> Setup {
    const NEVER_MS: &str = "3600000";
    ["REANNOUNCE_FIRST_MS", "REANNOUNCE_MAX_MS", "ACK_WAIT_MS"]
        .into_iter()
        .fold(setup, |setup, name| setup.setting(name, NEVER_MS))
}

/// As long as an outbox row is one process' where leases end soon: several of them pass before consumers miss their broker, and then nothing is
/// swept any more.
const LEASE: Duration = Duration::from_millis(500);

/// Rows that are not published in time are anybody's soon, and nobody asks again meanwhile.
fn leases_end_soon(setup: Setup) -> Setup {
    let lease = LEASE.as_millis().to_string();
    setup.at_default_pace().setting("OUTBOX_LEASE_MS", &lease)
}

fn long() -> Asked {
    trip::<LEGS>(std::array::from_fn(|_| flight("RT100", 1)))
}

/// As long as there are fewer and fewer of them: how fast that goes is the machine's affair.
async fn until_none_is_stuck(world: &World) {
    let mut stuck = usize::MAX;
    while stuck > 0 {
        stuck = eventually(&format!("fewer than {stuck} trips are stuck"), async || {
            let list = world.trips("/bookings/stuck?limit=1000").await;
            Some(list.len()).filter(|now| *now < stuck)
        })
        .await;
    }
}

/// One batch of flight's says more facts than may ever be in flight. Its publisher once waited there for a permit that only the
/// publisher itself could free.
async fn six_hundred_trips_of_sixteen_legs_are_cancelled_at_once(world: &mut World) {
    world.seats("RT100", 100_000).await;
    world.pause("flight", 0).await;
    let trips = world.ask_many(&long(), 600).await;
    world.cancel_many(&trips).await;
    world.resume("flight", 0).await;
    until_none_is_stuck(world).await;
    // And it goes on: a new trip is not in anybody's way.
    let after = world.book(&trip([flight("RT100", 1)])).await;
    assert_eq!(after.state, State::Confirmed);
}

/// Rows whose lease ends while the broker does not answer were once swept again and again, by every replica, and all copies of them
/// published later.
async fn messages_stay_few_while_the_broker_stops_and_goes_on(world: &mut World) {
    const TRIPS: usize = 100;
    /// In leases.
    const AWAY: u32 = 8;
    world.seats("RT100", 100_000).await;
    let began = Instant::now();
    for replica in 0..3 {
        world.pause("flight", replica).await;
    }
    let trips = world.ask_many(&long(), TRIPS).await;
    world.cancel_many(&trips).await;
    for replica in 0..3 {
        world.resume("flight", replica).await;
    }
    let jetstream = world.jetstream();
    let stored = async || {
        let mut stream = jetstream.get_stream("TRIPS").await.unwrap();
        stream.info().await.unwrap().state.messages
    };
    let before = stored().await;
    eventually("flight has begun to give back", async || {
        (stored().await > before).then_some(())
    })
    .await;
    world.pause_broker();
    let until = Instant::now() + AWAY * LEASE;
    eventually("the broker was away for a while", async || {
        (Instant::now() > until).then_some(())
    })
    .await;
    world.resume_broker();
    until_none_is_stuck(world).await;

    let leases = began.elapsed().div_duration_f64(LEASE).ceil();
    let copies = copies(world).await;
    let (facts, messages) = (copies.len(), copies.values().sum::<usize>());
    let most = copies.values().max().unwrap();
    let seen = format!(
        "{TRIPS} trips, {facts} facts, {messages} messages, {most} copies of one at most, in {leases} leases"
    );
    eprintln!("{seen}");
    // A fact may go out once under each lease. Most do not: while nobody answers little is in flight, and so it is where a machine is so slow
    // that answers are late; but each lease takes its part. (Once it was three to six messages for each fact.)
    assert!(*most as f64 <= leases + 1.0, "{seen}");
    let each = messages as f64 / facts as f64;
    assert!(each <= 2.0 + (leases - f64::from(AWAY)) / 64.0, "{seen}");
}

/// How often each fact lies in the stream.
async fn copies(world: &World) -> BTreeMap<String, usize> {
    let mut stream = world.jetstream().get_stream("TRIPS").await.unwrap();
    let messages = stream.info().await.unwrap().state.messages;
    let config = async_nats::jetstream::consumer::pull::OrderedConfig::default();
    let consumer = stream.create_consumer(config).await.unwrap();
    let read = consumer
        .messages()
        .await
        .unwrap()
        .take(usize::try_from(messages).unwrap());
    let counted = read.try_fold(BTreeMap::new(), |mut copies, message| async move {
        let id = message.headers.as_ref().unwrap().get("ce-id").unwrap();
        *copies.entry(id.to_string()).or_insert(0) += 1;
        Ok(copies)
    });
    counted.await.unwrap()
}

/// A stream that takes nothing in stands for every reason why a broker does not: what it says is what is told.
async fn a_broker_that_stores_nothing_is_told_of_and_new_trips_are_refused(world: &mut World) {
    world.seats("RT100", 10).await;
    let jetstream = world.jetstream();
    let mut stream = jetstream.get_stream("TRIPS").await.unwrap();
    let config = stream.info().await.unwrap().config.clone();
    let mut refusing = config.clone();
    refusing.max_message_size = 1;
    jetstream.update_stream(refusing).await.unwrap();

    let held = world.ask(&trip([flight("RT100", 1)])).await.trip;
    let ready = async || {
        let asked = world.request(Method::GET, "booking", "/readyz");
        world.send(asked).await
    };
    let unready = eventually("booking is not ready", async || {
        Some(ready().await).filter(|answer| answer.status == 503)
    })
    .await;
    let words = "message size exceeds maximum allowed";
    assert!(unready.text.contains(words), "{}", unready.text);
    let refused = world.send(world.asking(&trip([flight("RT100", 1)]))).await;
    let problem = refused.problem(503);
    assert!(
        problem.kind.ends_with("nothing-is-published") && problem.detail.contains(words),
        "{problem:?}"
    );
    let stalled = world
        .metrics("booking", "roundtrip_publisher_stalled_seconds", "")
        .await;
    assert!(stalled[0] >= 10.0, "{stalled:?}");

    jetstream.update_stream(config).await.unwrap();
    world.until_state(held, State::Confirmed).await;
    eventually("booking is ready again", async || {
        (ready().await.status == 200).then_some(())
    })
    .await;
    let stalled = eventually("the gauge says so too", async || {
        let name = "roundtrip_publisher_stalled_seconds";
        Some(world.metrics("booking", name, "").await[0]).filter(|seconds| *seconds == 0.0)
    });
    stalled.await;
}

/// It was once declared from the beginning: with a full window every new trip waited behind all of it.
async fn a_consumer_that_is_declared_again_hears_little_again(world: &mut World) {
    world.seats("RT100", 1_000).await;
    world.ask_many(&trip([flight("RT100", 1)]), 200).await;
    until_none_is_stuck(world).await;
    world.until_heard("flight").await;
    let stream = world.jetstream().get_stream("TRIPS").await.unwrap();
    let heard = stream.consumer_info("flight").await.unwrap();
    assert!(heard.delivered.consumer_sequence >= 400);
    // Older than the acknowledgement wait.
    let until = Instant::now() + Duration::from_secs(3);
    eventually("what was said lies some time back", async || {
        (Instant::now() > until).then_some(())
    })
    .await;
    world.book(&trip([flight("RT100", 1)])).await;
    let restarted = stream.delete_consumer("flight").await.unwrap();
    assert!(restarted.success);
    assert_eq!(
        world.book(&trip([flight("RT100", 1)])).await.state,
        State::Confirmed
    );
    let again = stream.consumer_info("flight").await.unwrap();
    assert!(
        matches!(
            again.config.deliver_policy,
            DeliverPolicy::ByStartTime { .. }
        ),
        "{:?}",
        again.config.deliver_policy
    );
    assert!(again.delivered.consumer_sequence < 50, "{again:?}");

    // The same where it was gone while the service was down: the inbox knows.
    world.stop("flight", 0).await;
    stream.delete_consumer("flight").await.unwrap();
    world.restart("flight", 0).await;
    assert_eq!(
        world.book(&trip([flight("RT100", 1)])).await.state,
        State::Confirmed
    );
    let policy = stream.consumer_info("flight").await.unwrap();
    let policy = policy.config.deliver_policy;
    assert!(
        matches!(policy, DeliverPolicy::ByStartTime { .. }),
        "{policy:?}"
    );
}

/// Whoever is frozen misses the broker's heartbeats. What had been sent to it meanwhile was once thrown away, and came again only after
/// the acknowledgement wait; which here is as good as never.
async fn a_frozen_service_applies_what_it_had_fetched(world: &mut World) {
    world.seats("RT100", 10_000).await;
    assert_eq!(
        world.book(&trip([flight("RT100", 1)])).await.state,
        State::Confirmed
    );
    world.pause("flight", 0).await;
    let trips = world.ask_many(&trip([flight("RT100", 1)]), 1_000).await;
    let stream = world.jetstream().get_stream("TRIPS").await.unwrap();
    eventually("the broker has sent it something", async || {
        let info = stream.consumer_info("flight").await.unwrap();
        (info.num_ack_pending > 0).then_some(())
    })
    .await;
    // Longer than any answer is waited for, and than a broker waits for somebody who does not read.
    let until = Instant::now() + Duration::from_secs(16);
    eventually("it was frozen for a while", async || {
        (Instant::now() > until).then_some(())
    })
    .await;
    world.resume("flight", 0).await;
    for trip in trips {
        world.until_state(trip, State::Confirmed).await;
    }
}

/// Who asks again is answered again; the log has one line for each change all the same.
async fn an_outcome_is_logged_once_however_often_it_is_said(world: &mut World) {
    world.seats("RT100", 10).await;
    let booked = world.book(&trip([flight("RT100", 1)])).await.trip;
    world.until_heard("flight").await;
    let reserved = world.timeline.of(booked);
    let reserved = reserved
        .iter()
        .find(|word| word.fact() == "flight.reserved")
        .unwrap();
    for _ in 0..30 {
        let mut question = reserved.clone();
        let id = uuid::Uuid::now_v7().to_string();
        question.headers.insert("ce-id", id.as_str());
        world.say_again(&question).await;
    }
    world.until_heard("booking").await;
    let confirmed = eventually("booking has answered every time", async || {
        let said = world.timeline.of(booked);
        let said = said
            .iter()
            .filter(|word| word.fact() == "booking.confirmed");
        Some(said.count()).filter(|times| *times > 30)
    })
    .await;
    let line = format!("{booked} is confirmed");
    let lines = world.log("booking", 0).matches(&line).count();
    assert_eq!(lines, 1, "said {confirmed} times");
}

/// A flight alone on a broker of its own, with settings of its own.
async fn flight_with(
    test: &str,
    settings: &[(&str, &str)],
) -> Option<(TempDir, Broker, ServiceProcess)> {
    let found = tokio::task::spawn_blocking(|| broker::find(&|_| {})).await;
    let nats = skip::unless(Need::Nats, test, found.unwrap())?;
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(&nats, &folder.path().join("nats"), None)
        .await
        .unwrap();
    let database = format!("sqlite://{}/flight.db", folder.path().display());
    let mut env = BTreeMap::from([
        (String::from("NATS_URL"), broker.url()),
        (String::from("DATABASE_URL"), database),
    ]);
    let own = settings.iter();
    env.extend(own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let process = ServiceProcess::start(Spec {
        name: String::from("flight"),
        program: e2e_tests::program(),
        args: ["serve", "flight"].map(OsString::from).to_vec(),
        env,
        log: folder.path().join("flight.log"),
        port: None,
        folder: None,
    });
    Some((folder, broker, process.unwrap()))
}

/// It once took a minute of waiting, and then said nothing of the setting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_reserves_more_than_the_broker_has_is_named_at_once() {
    let petabyte = (1_u64 << 50).to_string();
    let settings = [("STREAM_MAX_BYTES", petabyte.as_str())];
    let test = "a_stream_that_reserves_more_than_the_broker_has_is_named_at_once";
    let Some((_folder, mut broker, mut flight)) = flight_with(test, &settings).await else {
        return;
    };
    let (http, url) = (
        ::client::http::local().unwrap().build().unwrap(),
        format!("{}/readyz", flight.url()),
    );
    let begun = Instant::now();
    let why = eventually("it says what is wrong", async || {
        let answer = http.get(&url).send().await.ok()?;
        let text = answer.text().await.ok()?;
        text.contains("STREAM_MAX_BYTES").then_some(text)
    })
    .await;
    eprintln!("after {:?}: {why}", begun.elapsed());
    assert!(why.contains(&petabyte), "{why}");
    flight.stop().await.unwrap();
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_contradict_each_other_are_refused_at_the_start() {
    let settings = [("REANNOUNCE_FIRST_MS", "300"), ("OUTBOX_LEASE_MS", "500")];
    let test = "settings_that_contradict_each_other_are_refused_at_the_start";
    let Some((_folder, mut broker, flight)) = flight_with(test, &settings).await else {
        return;
    };
    let flight = std::cell::RefCell::new(flight);
    let ended = eventually("it ends", async || flight.borrow_mut().ended()).await;
    assert!(!ended.success());
    let why = flight.borrow().last_words();
    assert!(
        why.contains("REANNOUNCE_FIRST_MS is 300 and OUTBOX_LEASE_MS is 500")
            && why.contains("Set REANNOUNCE_FIRST_MS to 500 at least"),
        "{why}"
    );
    broker.stop().await.unwrap();
}
