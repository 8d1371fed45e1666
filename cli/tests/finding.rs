//! What is there to be booked, which trip is meant, and whom it waits for: commands that look. Not those that change: `commands.rs`.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod command;

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stack::skip::{self, Need};
use stack::{Home, Options, Stack, broker};

const PROGRAM: &str = env!("CARGO_BIN_EXE_roundtrip");
const WITHIN: Duration = Duration::from_secs(30);

/// A stack that asks again soon.
async fn stack(test: &str, folder: &Path) -> Option<Stack> {
    skip::unless(Need::Nats, test, broker::find(&|_| {}))?;
    let options = Options {
        home: Home::Kept(folder.to_owned()),
        program: Some(PROGRAM.into()),
        ..Options::temporary()
    };
    let options = options.set("REANNOUNCE_FIRST_MS", "2000");
    let options = options
        .set("ACK_WAIT_MS", "2000")
        .set("OUTBOX_LEASE_MS", "2000");
    Some(Stack::start(&options, &|_| {}).await.unwrap())
}

fn run(folder: &Path, args: &[&str]) -> Output {
    command::roundtrip(folder, args).output().unwrap()
}

#[track_caller]
fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn json(output: &Output) -> Value {
    serde_json::from_str(&out(output)).unwrap()
}

#[track_caller]
fn err(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn what_can_be_booked_is_listed_leg_by_leg() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = stack("what_can_be_booked_is_listed", folder.path()).await else {
        return;
    };
    let run = |args: &[&str]| run(folder.path(), args);
    let day = jiff::Zoned::now().date().tomorrow().unwrap().to_string();
    out(&run(&["book", "--flight", "RT100", "--date", &day]));
    let only = ["--only", "flight=RT100", "--only", &format!("date={day}")];
    let one = run(&[&["inventory", "flights"], &only[..]].concat());
    let one = out(&one);
    let (head, row) = one.split_once('\n').unwrap();
    let head: Vec<&str> = head.split_whitespace().collect();
    let columns = [
        "flight",
        "date",
        "free",
        "held",
        "confirmed",
        "total",
        "price",
    ];
    assert_eq!(head, columns);
    let row: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(row[..2], ["RT100", &day]);
    assert_eq!(row[3..5], ["0", "1"], "{row:?}");
    assert_eq!(row.len(), 8, "with a price and its currency: {row:?}");

    page_by_page(folder.path());
    what_is_not_there_is_said(folder.path());
    // A leg that is known by its address alone is added to the stack's own.
    let flight = format!("plane={}", stack.url("flight").unwrap());
    let shown = json(&run(&["inventory", "--service", &flight, "--json"]));
    let legs = shown.as_array().unwrap().iter().map(|shelf| &shelf["leg"]);
    assert_eq!(legs.collect::<Vec<_>>(), ["flight", "hotel", "plane"]);
    stack.stop().await.unwrap();
}

/// All legs at once, and one to its end.
fn page_by_page(folder: &Path) {
    let run = |args: &[&str]| run(folder, args);
    // All legs at once; each says of how many, and a leg alone how to go on.
    let all = run(&["inventory", "--limit", "2"]);
    assert!(
        out(&all).contains("flight ") && out(&all).contains("room_type"),
        "{all:?}"
    );
    let told = err(&all, 0);
    assert!(
        told.contains("flight: 2 of ") && told.contains("hotel: 2 of "),
        "{told}"
    );
    let mut more = Vec::new();
    let mut seen = 0;
    let whole = json(&run(&["inventory", "flight", "--limit", "10000", "--json"]));
    loop {
        let page = run(&[&["inventory", "flight", "--limit", "100"], &more[..]].concat());
        seen += out(&page).lines().skip(1).count();
        let told = err(&page, 0);
        let Some(cursor) = told
            .split_whitespace()
            .skip_while(|word| *word != "--after")
            .nth(1)
        else {
            break;
        };
        more = vec!["--after", String::leak(cursor.to_owned())];
    }
    let items = whole[0]["items"].as_array().unwrap();
    assert_eq!(
        (seen, json!(seen)),
        (items.len(), whole[0]["total"].clone())
    );
    assert_eq!(
        (&whole[0]["leg"], &whole[0]["next_cursor"]),
        (&json!("flight"), &Value::Null)
    );
}

fn what_is_not_there_is_said(folder: &Path) {
    let run = |args: &[&str]| run(folder, args);
    for (args, words) in [
        (
            &["inventory", "flight", "--only", "colour=red"][..],
            "there are flight, date",
        ),
        (&["inventory", "boat"], "no boat in this stack"),
        (&["inventory", "booking"], "no inventory"),
    ] {
        let told = err(&run(args), 1);
        assert!(told.contains(words), "{told}");
        let told = err(&run(&[args, &["--json"]].concat()), 1);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert!(
            told["error"]["detail"].as_str().unwrap().contains(words),
            "{told}"
        );
    }
    err(&run(&["inventory", "--after", "5b"]), 2);
}

#[tokio::test]
async fn a_trip_is_found_by_the_beginning_of_its_id_and_never_another() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = stack("a_trip_is_found_by_the_beginning", folder.path()).await else {
        return;
    };
    let run = |args: &[&str]| run(folder.path(), args);
    let book = ["book", "--flight", "RT100", "--json"];
    let trip = || json(&run(&book))["trip"].as_str().unwrap().to_owned();
    let (one, two) = (trip(), trip());
    let shared = one
        .bytes()
        .zip(two.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    assert!((4..36).contains(&shared), "{one} {two}");
    let own = |trip: &str| trip[..=shared].to_uppercase();

    let shown = json(&run(&["show", &own(&one), "--json"]));
    assert_eq!(shown["trip"]["trip"], json!(one));
    for command in [&["show"][..], &["cancel"], &["settle", "--reason", "none"]] {
        let both = &one[..shared];
        let place: &[&str] = if command[0] == "settle" { &["0"] } else { &[] };
        let told = err(&run(&[command, &[both], place].concat()), 1);
        for words in [&one, &two, "several trips"] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
    let listed = json(&run(&["list", "--json"]));
    let states = listed.as_array().unwrap().iter().map(|trip| &trip["state"]);
    assert!(states.clone().all(|state| state == "confirmed"), "{listed}");
    out(&run(&["cancel", &own(&two)]));
    let state = |trip: &str| json(&run(&["show", trip, "--json"]))["trip"]["state"].clone();
    assert_eq!(
        (state(&one), state(&two)),
        (json!("confirmed"), json!("closed"))
    );
    out(&run(&["settle", &own(&two), "0", "--reason", "none"]));

    let told = err(&run(&["show", "0000"]), 1);
    assert!(told.contains("no trip's id begins with 0000"), "{told}");
    let told = err(&run(&["show", "019a4c5e8"]), 1);
    assert!(told.contains("No id of a trip begins so"), "{told}");
    let told = err(&run(&["show", "019"]), 2);
    assert!(told.contains("at least its first 4"), "{told}");
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn whom_a_trip_waits_for_is_said_wherever_it_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut stack) = stack("whom_a_trip_waits_for", folder.path()).await else {
        return;
    };
    let run = |args: &[&str]| run(folder.path(), args);
    let mut services = stack.services_mut().iter_mut();
    let hotel = services.find(|service| service.service == "hotel").unwrap();
    hotel.process.kill().await.unwrap();
    let book = "book --flight RT100 --hotel LIS-PALACE --deadline 1h --no-wait";
    let booked = out(&run(&book.split(' ').collect::<Vec<_>>()));
    let both = "flight (position 0), hotel (position 1) have not all answered for ";
    assert!(
        booked.contains(both) && booked.contains("given up at "),
        "{booked}"
    );
    let trip = booked.split_whitespace().nth(1).unwrap();
    let until = Instant::now() + WITHIN;
    let next = "hotel (position 1) is next, and has not answered for ";
    while !out(&run(&["show", trip])).contains(next) {
        assert!(Instant::now() < until, "{:?}", run(&["show", trip]));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(out(&run(&["stuck"])).contains(both));
    assert!(out(&run(&["list"])).contains("waits for flight, hotel"));
    while json(&run(&["stuck", "--json"]))[0]["tries"] == 0 {
        assert!(Instant::now() < until + WITHIN, "it asks again");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(out(&run(&["stuck"])).contains("asked again"));
    err(&run(&["cancel", trip, "--no-wait"]), 0);
    let held = "hotel (position 1) may still hold something, and has not answered for ";
    while !out(&run(&["show", trip])).contains(held) {
        assert!(
            Instant::now() < until + WITHIN,
            "{:?}",
            run(&["show", trip])
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let listed = out(&run(&["list"]));
    assert!(
        listed.contains("cancelled-by-traveller; waits for hotel"),
        "{listed}"
    );
    stack.stop().await.unwrap();
}
