//! A service whose own disk is full: it takes nothing in and says so, the doctor names it with what to do, and once there is room everything
//! goes on, with all that was asked for meanwhile. Needs the right to mount a disk; the broker's is full in `up.rs`.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stack::disk::Mounted;
use stack::skip;

use super::{command, run, stack, wrong};

const DAY: &str = "2039-06-03";
/// So long anything may take that should happen soon.
const WITHIN: Duration = Duration::from_secs(60);
/// Who waits longer for an inventory to be written down may be waiting for a full disk.
const WRITTEN_WITHIN: Duration = Duration::from_secs(3);

/// Flight and booking as callers reach them.
struct Services {
    http: reqwest::Client,
    flight: String,
    booking: String,
}

impl Services {
    /// Whether flight writes down so soon that there is a flight with this number.
    async fn put(&self, number: u32, within: Duration) -> bool {
        let url = format!("{}/flights/RT{number}/{DAY}", self.flight);
        let level = json!({"seats": 9, "price_minor": 12_300, "currency": "EUR"});
        let put = self.http.put(url).json(&level).timeout(within);
        put.send().await.is_ok_and(|it| it.status().is_success())
    }

    async fn get(&self, url: &str) -> (u16, String) {
        let answer = self.http.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// How many batches flight could not save so far.
    async fn unsaved(&self) -> u64 {
        let (_, metrics) = self.get(&format!("{}/metrics", self.flight)).await;
        let failed = r#"roundtrip_batch_failures_total{consequence="retry"} "#;
        let failed = metrics.lines().find_map(|line| line.strip_prefix(failed));
        failed.map_or(0, |failed| failed.parse().unwrap())
    }

    async fn book(&self, number: u32) -> Value {
        let leg =
            json!({"leg": "flight", "flight": format!("RT{number}"), "date": DAY, "seats": 1});
        let asked = json!({"itinerary": [leg], "deadline_s": 240});
        let post = self.http.post(format!("{}/bookings", self.booking));
        let answer = post.json(&asked).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        answer.json().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_disk_is_full_says_so_and_goes_on_once_there_is_room() {
    const TEST: &str = "a_service_whose_disk_is_full_says_so_and_goes_on_once_there_is_room";
    let folder = tempfile::tempdir().unwrap();
    let disk = match Mounted::on(&folder.path().join("disk")) {
        Ok(disk) => disk,
        Err(error) => return skip::say(TEST, &format!("{error:#}")),
    };
    // Flight's database alone lies on it.
    std::os::unix::fs::symlink("disk/flight.db", folder.path().join("flight.db")).unwrap();
    let Some(stack) = stack(TEST, folder.path()).await else {
        return;
    };
    let services = Services {
        http: client::http::local().unwrap().build().unwrap(),
        flight: stack.url("flight").unwrap(),
        booking: stack.url("booking").unwrap(),
    };
    assert!(services.put(9_000, WITHIN).await);

    disk.fill().unwrap();
    let full = Instant::now();
    let mut number = 9_001;
    // The write-ahead log has room for a few more.
    while services.put(number, WRITTEN_WITHIN).await || services.unsaved().await == 0 {
        number += 1;
        assert!(full.elapsed() < WITHIN, "{number}: the disk is not full");
    }
    let trip = services.book(9_000).await;
    it_is_named(folder.path(), &services).await;

    disk.free().unwrap();
    let freed = Instant::now();
    let url = format!(
        "{}/bookings/{}",
        services.booking,
        trip["trip"].as_str().unwrap()
    );
    loop {
        let (_, shown) = services.get(&url).await;
        if shown.contains("\"confirmed\"") {
            break;
        }
        assert!(freed.elapsed() < WITHIN, "{shown}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What nobody waited for was kept, and is done.
    let last = format!("{}/flights/RT{number}/{DAY}", services.flight);
    assert_eq!(services.get(&last).await.0, 200);
    loop {
        let said = run(folder.path(), &[]);
        if said.code == Some(0) {
            break;
        }
        assert!(freed.elapsed() < WITHIN, "{}", said.out);
    }
    let audit = command::roundtrip(folder.path(), &["audit"])
        .output()
        .unwrap();
    assert!(audit.status.success(), "{audit:?}");
    stack.stop().await.unwrap();
}

/// By itself, by its metrics and by the doctor.
async fn it_is_named(folder: &Path, services: &Services) {
    let began = Instant::now();
    let ready = format!("{}/readyz", services.flight);
    let told = loop {
        let (status, told) = services.get(&ready).await;
        if status == 503 {
            break told;
        }
        assert!(began.elapsed() < WITHIN, "it calls itself ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for word in ["the database has saved nothing for", "disk is full"] {
        assert!(told.contains(word), "{word} in {told}");
    }
    let words = ["disk is full", "make room on its database's disk"];
    wrong(folder, &[], &["services/flight/ready"], &words);
    // Who only reads is answered.
    let stock = format!("{}/flights/RT9000/{DAY}", services.flight);
    assert_eq!(services.get(&stock).await.0, 200);
}
