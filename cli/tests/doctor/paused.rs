//! A leg that is frozen under load for as long as a virtual machine that moves: the doctor names it meanwhile, and once it goes on no trip
//! hangs, the audit is clean and the doctor content.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{command, run, stack, wrong};

/// Longer than any answer is waited for, and than a broker waits for somebody who does not read.
const FROZEN: Duration = Duration::from_secs(16);
/// So many trips are taken before it is frozen: the load is there.
const UNDER_LOAD: usize = 20;
/// By then everything is as if nothing had been.
const OVER_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_that_was_paused_is_named_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut stack) = stack("a_leg_that_was_paused", folder.path()).await else {
        return;
    };
    let stop = Arc::new(AtomicBool::new(false));
    let url = format!("{}/bookings", stack.url("booking").unwrap());
    let trips = Arc::new(AtomicUsize::new(0));
    let load = tokio::spawn(book(url.clone(), Arc::clone(&stop), Arc::clone(&trips)));
    let began = Instant::now();
    while trips.load(Ordering::Relaxed) < UNDER_LOAD {
        assert!(began.elapsed() < OVER_WITHIN, "no trip is taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let services = stack.services_mut();
    let at = services.iter().position(|m| m.service == "flight").unwrap();
    services[at].process.signal(Signal::SIGSTOP).unwrap();
    let frozen = Instant::now();
    let words = [
        "does not answer at http://127.0.0.1:",
        "kill -CONT",
        "flight.log",
        "1 wrong",
    ];
    while frozen.elapsed() < FROZEN {
        wrong(folder.path(), &[], &["services/flight/answers"], &words);
    }
    let services = stack.services_mut();
    services[at].process.signal(Signal::SIGCONT).unwrap();
    let over = Instant::now();
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    let trips = trips.load(Ordering::Relaxed);
    assert!(trips > 100, "{trips} trips are no load");

    let http = client::http::local().unwrap().build().unwrap();
    loop {
        let stuck = http.get(format!("{url}/stuck")).send().await.unwrap();
        let stuck: Value = stuck.json().await.unwrap();
        if stuck["items"].as_array().unwrap().is_empty() {
            break;
        }
        assert!(over.elapsed() < OVER_WITHIN, "{stuck}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let at_rest = over.elapsed();
    while run(folder.path(), &[]).code != Some(0) {
        let said = run(folder.path(), &[]);
        assert!(over.elapsed() < OVER_WITHIN, "{}", said.out);
    }
    eprintln!(
        "{trips} trips, the last final {at_rest:?} after it went on, healthy after {:?}",
        over.elapsed()
    );
    let audit = command::roundtrip(folder.path(), &["audit"])
        .output()
        .unwrap();
    assert!(audit.status.success(), "{audit:?}");
    stack.stop().await.unwrap();
}

/// Books a seat every few milliseconds, and counts the trips that are taken.
async fn book(url: String, stop: Arc<AtomicBool>, trips: Arc<AtomicUsize>) {
    let http = client::http::local().unwrap().build().unwrap();
    let day = jiff::Zoned::now().date().tomorrow().unwrap();
    let leg = json!({"leg": "flight", "flight": "RT100", "date": day, "seats": 1});
    let asked = json!({"itinerary": [leg], "deadline_s": 45});
    while !stop.load(Ordering::Relaxed) {
        let answer = http.post(&url).json(&asked).send().await.unwrap();
        trips.fetch_add(usize::from(answer.status() == 202), Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
