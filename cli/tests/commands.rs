//! The commands as they are typed, each as a process of its own, against a running stack. Not about how the stack itself comes up.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod command;

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::ToSpan as _;
use runtime::Database;
use serde_json::Value;
use stack::broker;
use stack::skip::{self, Need};
use stack::{Home, Options, Stack};

const PROGRAM: &str = env!("CARGO_BIN_EXE_roundtrip");
const WITHIN: Duration = Duration::from_secs(30);

/// What a command answered.
#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Answer {
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.out.contains(word), "{word:?} in {self:#?}");
        }
        assert!(!self.out.contains('\u{1b}'), "no colours but on a terminal");
        self
    }

    #[track_caller]
    fn complains(self, words: &str) {
        assert!(self.err.contains(words), "{words:?} in {self:#?}");
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

fn roundtrip(folder: &Path, args: &[&str]) -> Answer {
    let output = command::roundtrip(folder, args).output().unwrap();
    Answer {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn stack(test: &str, folder: &Path) -> Option<Stack> {
    skip::unless(Need::Nats, test, broker::find(&|_| {}))?;
    let options = Options {
        home: Home::Kept(folder.to_owned()),
        program: Some(PROGRAM.into()),
        ..Options::temporary()
    };
    Some(Stack::start(&options, &|_| {}).await.unwrap())
}

/// Asks again until it is so.
fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + WITHIN;
    while !so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test]
async fn a_trip_is_booked_shown_listed_and_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = stack("a_trip_is_booked", folder.path()).await else {
        return;
    };
    let run = |args: &[&str]| roundtrip(folder.path(), args);
    run(&["audit"]).exits(2).says(&["nothing to judge"]);
    run(&["stuck"]).exits(0).says(&["nothing is stuck"]);

    let there_and_back =
        "book --flight RT100 --hotel LIS-PALACE --nights 2 --back RT101 --budget 561EUR";
    let mut typed: Vec<&str> = there_and_back.split(' ').collect();
    typed.extend(["--traveller", "Ada & Co"]);
    let booked = run(&[&typed[..], &["--key", "my \"17\"", "--json"]].concat()).exits(0);
    let trip = booked.json()["trip"].as_str().unwrap().to_owned();
    assert_eq!(booked.json()["total"][0]["amount_minor"], 56_100);
    let again = run(&[&typed[..], &["--key", "my \"17\""]].concat()).exits(0);
    again.says(&[&trip, "confirmed", "561.00 EUR"]);

    let suite = [
        "book",
        "--flight",
        "RT100",
        "--hotel",
        "LIS-PALACE",
        "--room-type",
        "suite",
    ];
    run(&suite)
        .exits(3)
        .says(&["rejected", "sold-out", "given back", "refused"]);
    run(&["book", "--hotel", "LIS-PALACE", "--itinerary", "[]"]).exits(2);
    run(&["book", "--itinerary", r#"[{"leg":"boat"}]"#])
        .exits(1)
        .complains("flight, hotel");
    run(&["book"]).exits(1).complains("--flight");

    let shown = run(&["show", &trip, "--json"]).exits(0).json();
    assert_eq!(shown["trip"]["state"], "confirmed");
    let facts: Vec<&str> = shown["facts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fact| fact["fact"].as_str().unwrap())
        .collect();
    assert_eq!(
        facts,
        ["requested", "reserved", "reserved", "reserved", "confirmed"]
    );
    run(&["show", &trip]).exits(0).says(&[
        "requested     → flight",
        "(561.00 EUR in all)  → booking",
        "confirmed     → flight, hotel",
    ]);
    run(&["show", "0190aaaa-0000-7000-8000-000000000000"])
        .exits(1)
        .complains("No such trip");

    run(&["list"])
        .exits(0)
        .says(&[&trip, "flight → hotel → flight", "sold-out"]);
    let hers = run(&["list", "--traveller", "Ada & Co", "--json"]).exits(0);
    assert_eq!(hers.json().as_array().unwrap().len(), 1);
    run(&["list", "--traveller", "Ada"])
        .exits(0)
        .says(&["no trips"]);
    assert_eq!(
        run(&["list", "--outcome", "rejected", "--json"])
            .exits(0)
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    run(&["cancel", &trip, "--reason", "the meeting moved"])
        .exits(0)
        .says(&["everything is back", "the meeting moved"]);
    run(&["audit"]).exits(0).says(&["clean", "2 closed"]);
    stack.stop().await.unwrap();
    run(&["list"]).exits(1).complains("up`");
}

/// As against any deployment: no stack runs in this folder, and all that is known are addresses.
#[tokio::test]
async fn every_command_goes_by_addresses_alone() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = stack("every_command_goes_by_addresses", folder.path()).await else {
        return;
    };
    let nowhere = tempfile::tempdir().unwrap();
    let url = |service: &str| stack.url(service).unwrap();
    let named = |service: &str| format!("{service}={}", url(service));
    let (booking, flight, hotel) = (url("booking"), named("flight"), named("hotel"));
    let at_booking = ["--url", booking.as_str()];
    let all = ["--url", &booking, "--service", &flight, "--service", &hotel];
    let run = |args: &[&str], more: &[&str]| roundtrip(nowhere.path(), &[args, more].concat());

    let book = [
        "book",
        "--flight",
        "RT100",
        "--hotel",
        "LIS-PALACE",
        "--json",
    ];
    let booked = run(&book, &at_booking).exits(0).json();
    let trip = booked["trip"].as_str().unwrap();
    run(&["list"], &at_booking).exits(0).says(&[trip]);
    let nats = ["--url", &booking, "--nats", stack.nats_url()];
    run(&["show", trip], &nats)
        .exits(0)
        .says(&["confirmed     → flight, hotel"]);
    run(&["stuck"], &at_booking)
        .exits(0)
        .says(&["nothing is stuck"]);
    run(&["cancel", trip], &at_booking)
        .exits(0)
        .says(&["everything is back"]);
    let settle = ["settle", trip, "0", "--reason", "a try"];
    run(&settle, &at_booking).exits(0).says(&["cancelled"]);
    run(&["letters"], &all).exits(0).says(&["no dead letters"]);
    let status = run(&["status"], &all).exits(0);
    status.says(&["ready", "legs that can be booked: flight, hotel"]);
    let file = nowhere.path().join("my.csv");
    std::fs::write(
        &file,
        "flight,date,seats,price_minor,currency\nX1,2026-12-01,10,100,EUR\n",
    )
    .unwrap();
    let import = ["import", "flights", file.to_str().unwrap()];
    run(&import, &["--service", &flight])
        .exits(0)
        .says(&["1 rows"]);

    // Half of one stack and half of another is no stack, though one runs in this folder.
    let half = [&["letters"][..], &at_booking].concat();
    roundtrip(folder.path(), &half)
        .exits(1)
        .complains("--service flight=URL");
    let half = [&import[..], &["--service", &hotel]].concat();
    roundtrip(folder.path(), &half)
        .exits(1)
        .complains("--service flight=URL");
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_stuck_is_shown_and_settled_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut stack) = stack("what_is_stuck_is_shown", folder.path()).await else {
        return;
    };
    let run = |args: &[&str]| roundtrip(folder.path(), args);
    let hotel = |stack: &mut Stack| {
        stack
            .services_mut()
            .iter()
            .position(|m| m.service == "hotel")
            .unwrap()
    };
    let at = hotel(&mut stack);
    stack.services_mut()[at].process.kill().await.unwrap();
    let book = [
        "book",
        "--flight",
        "RT100",
        "--hotel",
        "LIS-PALACE",
        "--deadline",
        "1s",
        "--no-wait",
        "--json",
    ];
    let booked = run(&book).exits(0).json();
    let trip = booked["trip"].as_str().unwrap();
    eventually("the hotel alone is waited for", || {
        let stuck = run(&["stuck", "--json"]).exits(0).json();
        stuck[0]["state"] == "undoing"
            && stuck[0]["waiting_for"] == serde_json::json!([{"position": 1, "leg": "hotel"}])
    });
    run(&["stuck"]).exits(0).says(&[
        trip,
        "hotel (position 1) may still hold something",
        "expired",
    ]);
    run(&["stuck", "--older-than", "1h"])
        .exits(0)
        .says(&["nothing is stuck"]);
    run(&["audit", "--wait", "0s"])
        .exits(1)
        .says(&["is not final: it is undoing", "still moving"]);

    run(&["settle", trip, "7", "--reason", "a try"])
        .exits(1)
        .complains("no such position");
    run(&["settle", trip, "1", "--reason", "its house burnt down"])
        .exits(0)
        .says(&["settled by hand", "given back"]);
    run(&["show", trip])
        .exits(0)
        .says(&["settled", "its house burnt down"]);
    // It was not so bad: the hotel comes back, hears what it missed, and keeps nothing.
    stack.services_mut()[at].process.restart(&[]).await.unwrap();
    run(&["audit", "--wait", "30s"]).exits(0).says(&["clean"]);
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn inventory_is_imported_whole_or_not_at_all_and_letters_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = stack("inventory_is_imported_whole", folder.path()).await else {
        return;
    };
    let run = |args: &[&str]| roundtrip(folder.path(), args);
    let file = folder.path().join("my.csv");
    let path = file.to_str().unwrap();
    let good = "flight,date,seats,price_minor,currency\nX1,2026-12-01..2026-12-31,10,100,EUR\n";
    std::fs::write(
        &file,
        format!("{good}X2,2026-13-01,10,100,EUR\nX3,2026-12-01,ten,100,EUR\n"),
    )
    .unwrap();
    let refused = run(&["import", "flights", path]).exits(1);
    let (third, fourth) = (
        format!("{path}:3: \"2026-13-01\""),
        format!("{path}:4: seats \"ten\""),
    );
    refused
        .says(&[&third, &fourth])
        .complains("nothing was imported");
    let seats = format!("{}/flights/X1/2026-12-01", stack.url("flight").unwrap());
    let there = async || {
        stack
            .http()
            .get(&seats)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(there().await, 404);
    std::fs::write(&file, good).unwrap();
    run(&["import", "flights", path])
        .exits(0)
        .says(&["31 rows"]);
    assert_eq!(there().await, 200);
    run(&["import", "hotels", path])
        .exits(1)
        .complains("nothing was imported");

    run(&["letters"]).exits(0).says(&["no dead letters"]);
    let client = async_nats::connect(stack.nats_url()).await.unwrap();
    client
        .publish(
            "trips.booking.requested.flight",
            "\u{1b}[31mnonsense".into(),
        )
        .await
        .unwrap();
    client.flush().await.unwrap();
    eventually("the letter is kept", || {
        !run(&["letters", "flight"])
            .exits(0)
            .out
            .contains("no dead letters")
    });
    run(&["letters"])
        .exits(0)
        .says(&["flight", "ce-specversion"]);
    let kept = run(&["letters", "flight", "--json"]).exits(0).json();
    assert_eq!(kept[0]["service"], "flight");
    assert_eq!(kept[0]["letter"]["payload"], "\u{1b}[31mnonsense");
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_row_corrupted_by_hand_is_named_whether_the_stack_is_up_or_down() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = stack("a_row_corrupted_by_hand", folder.path()).await else {
        return;
    };
    let run = |args: &[&str]| roundtrip(folder.path(), args);
    let day = jiff::Zoned::now().date().checked_add(9.days()).unwrap();
    let typed = format!("book --flight RT100 --hotel LIS-PALACE --date {day}");
    let book: Vec<&str> = typed.split(' ').collect();
    run(&book).exits(0);
    run(&["audit"]).exits(0).says(&["clean"]);
    let flight = stack.databases()["flight"].clone();
    let write = async |sql: &str| {
        // Past the service: nothing of it would ever do this.
        let database = Database::open(&flight, &sqlx::migrate::Migrator::DEFAULT)
            .await
            .unwrap();
        database
            .writer()
            .await
            .unwrap()
            .run(sql, vec![])
            .await
            .unwrap();
    };
    let seats = |confirmed: i64| {
        format!(
            "update seat set confirmed = {confirmed}, free = total - {confirmed} where flight = 'RT100' and date = '{day}'"
        )
    };
    write(&seats(0)).await;
    let named = "0 are counted as confirmed, and its confirmed legs come to 1";
    run(&["audit"])
        .exits(1)
        .says(&["VIOLATED", "flight RT100", named]);
    stack.stop().await.unwrap();
    run(&["audit"])
        .exits(1)
        .says(&[named, "the broker was not looked at"]);
    // Nothing but the databases is left.
    std::fs::remove_file(folder.path().join("stack.json")).unwrap();
    run(&["audit"]).exits(1).says(&[named]);
    write(&seats(1)).await;
    run(&["audit"]).exits(0).says(&["clean"]);
    std::fs::remove_file(folder.path().join("flight.db")).unwrap();
    run(&["audit"])
        .exits(2)
        .says(&["flight: its database was not given"]);
}

#[test]
fn an_empty_folder_has_nothing_to_judge() {
    let folder = tempfile::tempdir().unwrap();
    roundtrip(folder.path(), &["audit"])
        .exits(2)
        .complains("no stack's data");
}

#[test]
fn the_demo_tells_six_stories_and_ends_clean() {
    let test = "the_demo_tells_six_stories";
    if skip::unless(Need::Nats, test, broker::find(&|_| {})).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    roundtrip(folder.path(), &["demo"]).exits(0).says(&[
        "The hotel refuses, and the flight is given back",
        "hotel    rejected  #1  sold-out",
        "flight   released  #0  sold-out",
        "budget: 407.00 EUR",
        "payment  rejected  #2  declined",
        "5 closed, 1 confirmed",
        "clean",
    ]);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "it leaves nothing behind"
    );
}
