//! The conformance kit is held to two things: flight and hotel, and a small leg of other make, pass it; and whatever is planted in that leg fails it by
//! the name of the promise that it breaks. Real brokers, and flight and hotel as real processes.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod leg;
mod reacting;
mod wrong;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conformance::{Options, Promise, Report, Restart, State};
use e2e_tests::prerequisites::{self, nats_py};
use e2e_tests::program;
use e2e_tests::trip::DAY;
use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};
use serde_json::json;
use stack::broker::Broker;
use stack::service::{ServiceProcess, Spec};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use leg::{Leg, Memory};
use wrong::{Fault, WRONG};

/// Wrong legs that are looked at side by side, each on a broker of its own.
const AT_A_TIME: usize = 12;

fn options(leg: &str, nats: String, item: serde_json::Value) -> Options {
    let mut options = Options::new(leg.parse().unwrap(), nats, item.to_string());
    options.trips = 100;
    options.watch = Duration::from_secs(2);
    options.asks_within = Duration::from_secs(20);
    options
}

async fn played(options: &Options) -> Report {
    let played = conformance::run(options, &|_| {}, std::future::pending());
    tokio::time::timeout(Duration::from_secs(180), played)
        .await
        .unwrap()
        .unwrap()
}

async fn broker(test: &str) -> Option<(TempDir, Broker)> {
    let program = prerequisites::nats(test).await?;
    let folder = tempfile::Builder::new()
        .prefix("roundtrip-kit-")
        .tempdir()
        .unwrap();
    let broker = Broker::start(&program, &folder.path().join("nats"), None)
        .await
        .unwrap();
    Some((folder, broker))
}

/// A service alone on a broker, with short timers and no booking.
async fn alone(service: &str, folder: &Path, broker: &Broker) -> ServiceProcess {
    let args = ["serve", service].map(Into::into).to_vec();
    started(service, (program(), args), &[], folder, broker).await
}

async fn started(
    service: &str,
    (program, args): (PathBuf, Vec<OsString>),
    more: &[(&str, &str)],
    folder: &Path,
    broker: &Broker,
) -> ServiceProcess {
    let settings = [
        ("NATS_URL", broker.url()),
        (
            "DATABASE_URL",
            format!("sqlite://{}", folder.join("leg.db").display()),
        ),
        ("REANNOUNCE_FIRST_MS", "2000".into()),
        ("REANNOUNCE_MAX_MS", "4000".into()),
        ("OUTBOX_LEASE_MS", "1000".into()),
        ("SWEEP_INTERVAL_MS", "100".into()),
        ("ACK_WAIT_MS", "2000".into()),
    ];
    let more = more
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    let env = settings.into_iter().chain(more);
    let env: BTreeMap<_, _> = env.map(|(name, value)| (name.to_owned(), value)).collect();
    let mut process = ServiceProcess::start(Spec {
        name: service.into(),
        program,
        args,
        env,
        log: folder.join("leg.log"),
        port: None,
        folder: None,
    })
    .unwrap();
    let http = client::http::local().unwrap().build().unwrap();
    process
        .wait_ready(&http, Duration::from_secs(60))
        .await
        .unwrap();
    process
}

async fn stocked(process: &ServiceProcess, path: &str, level: serde_json::Value) {
    let http = client::http::local().unwrap().build().unwrap();
    let set = http
        .put(format!("{}{path}", process.url()))
        .json(&level)
        .send()
        .await
        .unwrap();
    assert!(
        set.status().is_success(),
        "{path}: {}",
        set.text().await.unwrap()
    );
}

/// kill -9, and it starts again on what it kept.
fn killing(process: ServiceProcess) -> Restart {
    let process = Arc::new(tokio::sync::Mutex::new(process));
    let restart = move || {
        let process = Arc::clone(&process);
        async move {
            let mut process = process.lock().await;
            process.kill().await?;
            process.restart(&[]).await
        }
        .boxed()
    };
    Restart::By(Box::new(restart), Duration::from_secs(60))
}

fn all_kept(report: &Report) {
    let kept = report.those(State::Kept).count();
    assert_eq!(kept, Promise::ALL.len(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flight_keeps_every_promise() {
    let Some((folder, broker)) = broker("flight_keeps_every_promise").await else {
        return;
    };
    let process = alone("flight", folder.path(), &broker).await;
    for (flight, seats) in [("RT100", 50), ("RT101", 7)] {
        let level = json!({"seats": seats, "price_minor": 12_300, "currency": "EUR"});
        stocked(&process, &format!("/flights/{flight}/{DAY}"), level).await;
    }
    let seats = |flight: &str, seats: u32| json!({"leg": "flight", "flight": flight, "date": DAY, "seats": seats});
    let mut options = options("flight", broker.url(), seats("RT100", 1));
    options.refused = Some(seats("RT404", 1).to_string());
    options.last = Some(seats("RT101", 7).to_string());
    options.restart = killing(process);
    let report = played(&options).await;
    all_kept(&report);
    nothing_is_left(&broker, "flight").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hotel_keeps_every_promise() {
    let Some((folder, broker)) = broker("hotel_keeps_every_promise").await else {
        return;
    };
    let process = alone("hotel", folder.path(), &broker).await;
    let next = "2039-06-04";
    for (room, rooms) in [("double", 50), ("suite", 3)] {
        let level = json!({"rooms": rooms, "price_minor": 9_900, "currency": "GBP"});
        stocked(&process, &format!("/hotels/LIS/{room}/{DAY}"), level).await;
    }
    let rooms = |room: &str, rooms: u32| json!({"leg": "hotel", "hotel": "LIS", "room_type": room, "check_in": DAY, "check_out": next, "rooms": rooms});
    let mut options = options("hotel", broker.url(), rooms("double", 1));
    options.refused = Some(rooms("cellar", 1).to_string());
    options.last = Some(rooms("suite", 3).to_string());
    options.restart = killing(process);
    all_kept(&played(&options).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn insurance_in_python_keeps_every_promise() {
    let test = "insurance_in_python_keeps_every_promise";
    let (Some((folder, broker)), Some(library)) = (broker(test).await, nats_py(test).await) else {
        return;
    };
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/legs/insurance/insurance.py");
    let python = (PathBuf::from("python3"), vec![file.into()]);
    let settings = [
        ("PYTHONPATH", library.to_str().unwrap()),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("UNKNOWN_VERSION_WAIT_MS", "60000"),
    ];
    let process = started("insurance", python, &settings, folder.path(), &broker).await;
    let item = |plan: &str| json!({"leg": "insurance", "plan": plan, "travellers": 1});
    let mut options = options("insurance", broker.url(), item("basic"));
    options.refused = Some(item("none").to_string());
    options.restart = killing(process);
    let report = played(&options).await;
    // All plans have one limit together, so that there is none that is the last while others are held.
    let missing = report
        .promises
        .iter()
        .filter(|line| line.state != State::Kept);
    let missing: Vec<&str> = missing.map(|line| line.promise.name()).collect();
    assert_eq!(missing, ["never-oversold"], "{report}");
}

/// What it left on the broker does not speak for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_leg_that_does_not_run_nothing_is_said_but_that() {
    let Some((folder, broker)) = broker("of_a_leg_that_does_not_run").await else {
        return;
    };
    let mut process = alone("flight", folder.path(), &broker).await;
    process.kill().await.unwrap();
    let item = json!({"leg": "flight", "flight": "RT100", "date": DAY, "seats": 1});
    let mut options = options("flight", broker.url(), item);
    options.answer_within = Duration::from_secs(1);
    let report = played(&options).await;
    assert!(!report.kept, "{report}");
    assert_eq!(report.those(State::Kept).count(), 0, "{report}");
    assert!(report.to_string().contains("does it run?"), "{report}");
}

/// No consumer but the leg's own.
async fn nothing_is_left(broker: &Broker, leg: &str) {
    let context = async_nats::jetstream::new(async_nats::connect(broker.url()).await.unwrap());
    let stream = context.get_stream(choreography::STREAM).await.unwrap();
    let names: Vec<String> = stream.consumer_names().map(Result::unwrap).collect().await;
    assert_eq!(names, [leg]);
}

/// The small leg, with this wrong with it, on a broker of its own.
async fn small(fault: Fault, test: &str) -> Option<Report> {
    let (_folder, broker) = broker(test).await?;
    let memory = Memory::new();
    let start = {
        let url = broker.url();
        move || {
            let leg = Leg {
                name: "boat".parse().unwrap(),
                fault,
                memory: Arc::clone(&memory),
            };
            tokio::spawn(leg.run(url.clone()))
        }
    };
    let running: Arc<Mutex<JoinHandle<()>>> = Arc::new(Mutex::new(start()));
    until_it_listens(&broker).await;
    let body = |kind: &str| json!({"leg": "boat", "kind": kind});
    let mut options = options("boat", broker.url(), body("many"));
    options.refused = Some(body("none").to_string());
    options.last = Some(body("last").to_string());
    options.at_once = 20;
    if fault != Fault::Nothing {
        options.trips = 30;
        options.answer_within = Duration::from_millis(1_500);
        options.asks_within = Duration::from_secs(4);
        options.watch = Duration::from_secs(1);
    }
    let url = broker.url();
    let restart = move || {
        let (running, started, url) = (Arc::clone(&running), start.clone(), url.clone());
        async move {
            running.lock().unwrap().abort();
            something_is_said(&url).await;
            *running.lock().unwrap() = started();
            Ok(())
        }
        .boxed()
    };
    options.restart = Restart::By(Box::new(restart), Duration::from_secs(5));
    Some(played(&options).await)
}

/// While the leg is away: else it would miss nothing. Bounded by whoever waits for the restart.
async fn something_is_said(url: &str) {
    let context = async_nats::jetstream::new(async_nats::connect(url).await.unwrap());
    let mut stream = context.get_stream(choreography::STREAM).await.unwrap();
    let before = stream.cached_info().state.last_sequence;
    while stream.info().await.unwrap().state.last_sequence <= before + 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until_it_listens(broker: &Broker) {
    let context = async_nats::jetstream::new(async_nats::connect(broker.url()).await.unwrap());
    e2e_tests::eventually("the leg has its consumer", async || {
        let stream = context.get_stream(choreography::STREAM).await.ok()?;
        stream.consumer_names().next().await?.ok().map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_leg_of_other_make_keeps_every_promise() {
    if let Some(report) = small(Fault::Nothing, "a_small_leg_of_other_make").await {
        all_kept(&report);
    }
}

/// `KIT_FAULT=OldIds` plays that one alone, and prints what the kit says of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_fault_fails_by_the_name_of_its_promise() {
    for promise in Promise::ALL {
        let planted = WRONG.iter().any(|(_, breaks)| breaks == promise);
        assert!(planted, "nothing is planted that breaks {}", promise.name());
    }
    let only = std::env::var("KIT_FAULT").unwrap_or_default();
    let wanted = WRONG
        .iter()
        .filter(|(fault, _)| only.is_empty() || format!("{fault:?}") == only);
    let looked: Vec<_> = stream::iter(wanted)
        .map(|(fault, promise)| async move {
            let report = small(*fault, "every_planted_fault").await?;
            Some((*fault, *promise, report))
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    let mut unseen = Vec::new();
    for (fault, promise, report) in looked.into_iter().flatten() {
        let broken: Vec<&str> = report
            .those(State::Broken)
            .map(|line| line.promise.name())
            .collect();
        eprintln!(
            "{fault:?}: {} in {:.1} s",
            broken.join(", "),
            report.seconds
        );
        if !only.is_empty() {
            eprintln!("{report}");
        }
        if report.kept || !broken.contains(&promise.name()) {
            unseen.push(format!(
                "{fault:?} does not fail by {}:\n{report}",
                promise.name()
            ));
        }
    }
    assert!(unseen.is_empty(), "{}", unseen.join("\n\n"));
}
