//! What others wrote (travellers, operators, legs, whoever reaches the broker, who names a file, who answers at an address) reaches no
//! terminal as anything but text: every command, with and without `--json`. How it is written out is tested beside the code.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "../command/mod.rs"]
mod command;
mod hostile;

use std::collections::BTreeSet;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hostile::{EVIL, FORGED, HIDDEN, Neighbour, TRIP, is_hidden};
use serde_json::{Value, json};
use stack::broker;
use stack::skip::{self, Need};
use stack::{Home, Options, Stack};

const PROGRAM: &str = env!("CARGO_BIN_EXE_roundtrip");
const WITHIN: Duration = Duration::from_secs(30);

/// Where hostile things lie.
struct Place {
    /// A folder that holds nothing, with a hostile name.
    nowhere: PathBuf,
    /// A folder with a running stack; a hostile name as well.
    stack: PathBuf,
    /// A CSV with hostile lines and a hostile name.
    csv: PathBuf,
    /// A trip with hostile details.
    trip: String,
    /// What answers at an address, in all its ways.
    neighbours: Vec<String>,
}

/// A command and what is typed behind it.
type Typed = (&'static str, Vec<String>);

fn typed(command: &'static str, args: &[&str]) -> Typed {
    let args = args.iter().map(|arg| (*arg).to_owned());
    (command, args.collect())
}

/// What needs no stack: nothing runs there, and what was typed is quoted.
fn alone(place: &Place) -> Vec<Typed> {
    let nowhere = place.nowhere.to_str().unwrap();
    let file = format!("@{nowhere}");
    let csv = place.csv.to_str().unwrap();
    vec![
        typed("up", &["--database", EVIL]),
        typed("up", &["--folder", csv]),
        typed("up", &["--folder", nowhere, "--replicas", EVIL]),
        typed("down", &["--folder", nowhere]),
        typed("status", &["--folder", nowhere]),
        typed("reset", &["--folder", nowhere]),
        typed("bench", &["--database", EVIL]),
        typed("bench", &["--callers", EVIL]),
        typed("conformance", &["--leg", EVIL]),
        typed("conformance", &["--leg", "car", "--item", EVIL]),
        typed("conformance", &["--leg", "car", "--item", &file]),
        typed("chaos", &["--database", EVIL]),
        typed("chaos", &["--set", EVIL]),
        typed("demo", &["--database", EVIL]),
        typed("demo", &[EVIL]),
        typed("book", &["--folder", nowhere, "--flight", EVIL]),
        typed("book", &["--itinerary", &file]),
        typed("book", &["--itinerary", EVIL, "--url", EVIL]),
        typed("cancel", &[EVIL]),
        typed("cancel", &["--folder", nowhere, TRIP]),
        typed("show", &[EVIL]),
        typed("show", &["--folder", nowhere, TRIP]),
        typed("list", &["--state", EVIL]),
        typed("list", &["--folder", nowhere]),
        typed("stuck", &["--older-than", EVIL]),
        typed("stuck", &["--url", EVIL]),
        typed(
            "legs",
            &["retire", EVIL, "--reason", EVIL, "--folder", nowhere],
        ),
        typed("up", &["--service", EVIL]),
        typed("up", &["--config", nowhere]),
        typed("settle", &[TRIP, EVIL, "--reason", "none"]),
        typed("dead-letters", &[EVIL]),
        typed("dead-letters", &["--folder", nowhere]),
        typed("dead-letters", &["show", EVIL, "--folder", nowhere]),
        typed("dead-letters", &["replay", "--of", EVIL]),
        typed("dead-letters", &["discard", EVIL]),
        typed("dead-letters", &["past", EVIL]),
        typed("import", &["flights", nowhere]),
        typed("import", &[EVIL, nowhere]),
        typed("inventory", &[EVIL]),
        typed("inventory", &["flight", "--only", EVIL]),
        typed("inventory", &["--folder", nowhere]),
        typed("completions", &[EVIL]),
        typed("man", &[csv]),
        typed("audit", &["--folder", nowhere]),
        typed("audit", &["--database", &format!("booking={EVIL}")]),
        typed("doctor", &["--folder", nowhere]),
        typed("doctor", &["--database", &format!("booking={EVIL}")]),
        typed("serve", &[EVIL]),
        typed("serve", &["flight", "--database-url", EVIL]),
        typed("sandbox", &["--listen", EVIL]),
        typed("sandbox", &["--key-file", &format!("{nowhere}/key")]),
        typed("help", &[EVIL]),
        typed(EVIL, &[]),
    ]
}

/// What is asked of a real stack in which hostile things lie.
fn at_the_stack(place: &Place) -> Vec<Typed> {
    let (trip, csv) = (place.trip.as_str(), place.csv.to_str().unwrap());
    let folder = place.stack.to_str().unwrap();
    let unknown = json!([{"leg": "boat", EVIL: EVIL}]).to_string();
    let refused = json!([{"leg": "flight", "flight": EVIL, EVIL: [EVIL]}]).to_string();
    let typed = |command, args: &[&str]| typed(command, &[args, &["--folder", folder]].concat());
    vec![
        typed("up", &[]),
        typed("reset", &["--yes"]),
        typed("status", &[]),
        typed("book", &["--itinerary", &unknown]),
        typed("book", &["--itinerary", &refused]),
        typed("book", &["--itinerary", &refused, "--traveller", EVIL]),
        typed("book", &["--itinerary", &refused, "--traveller", HIDDEN]),
        typed("show", &[trip]),
        typed("list", &[]),
        typed("cancel", &[trip, "--reason", EVIL]),
        typed("settle", &[trip, "0", "--reason", EVIL]),
        typed("show", &[trip]),
        typed("stuck", &[]),
        typed("dead-letters", &[]),
        typed("dead-letters", &["list", "--whole"]),
        typed("dead-letters", &["show", EVIL]),
        typed("dead-letters", &["replay", EVIL]),
        typed("dead-letters", &["replay", "--all"]),
        typed(
            "dead-letters",
            &["discard", "--with-reason", EVIL, "--reason", EVIL],
        ),
        typed(
            "dead-letters",
            &["discard", "--all", "--reason", EVIL, "--by", EVIL],
        ),
        typed("dead-letters", &["past"]),
        typed("legs", &["retire", "hotel", "--reason", EVIL]),
        typed("legs", &[]),
        typed("book", &["--hotel", "LIS-PALACE"]),
        typed("legs", &["restore", "hotel"]),
        typed("import", &["flights", csv]),
        typed("inventory", &[]),
        typed(
            "inventory",
            &["flight", "--only", &format!("flight={EVIL}")],
        ),
        typed("audit", &["--without", EVIL]),
        typed("audit", &[]),
        typed("doctor", &[]),
    ]
}

/// What is asked of whoever answers.
fn at_a_neighbour(url: &str, csv: &Path) -> Vec<Typed> {
    let flight = format!("flight={url}");
    let hotel = format!("hotel={url}");
    let all = ["--url", url, "--service", &flight, "--service", &hotel];
    let one = &all[..2];
    let typed = |command, args: &[&str], at: &[&str]| typed(command, &[args, at].concat());
    vec![
        typed("status", &[], &all),
        typed("doctor", &[], &all),
        typed("book", &["--flight", "RT100"], one),
        typed("cancel", &[TRIP], one),
        typed("show", &[TRIP], one),
        typed("list", &[], one),
        typed("stuck", &[], one),
        typed("legs", &[], one),
        typed("legs", &["restore", EVIL], one),
        typed("settle", &[TRIP, "0", "--reason", "none"], one),
        typed("dead-letters", &[], &all),
        typed("dead-letters", &["list", "--whole"], &all),
        typed("dead-letters", &["show", TRIP], &all),
        typed("dead-letters", &["replay", TRIP], &all),
        typed("dead-letters", &["replay", "--all"], &all),
        typed(
            "dead-letters",
            &["discard", "--all", "--reason", "none"],
            &all,
        ),
        typed("dead-letters", &["past"], &all),
        typed("import", &["flights", csv.to_str().unwrap()], &all[2..4]),
        typed("inventory", &[], &all),
        typed(
            "inventory",
            &["flight", "--only", &format!("{EVIL}={EVIL}")],
            &all,
        ),
    ]
}

/// What a command printed.
struct Printed {
    out: String,
    err: String,
}

fn run((name, args): &Typed, more: &[&str]) -> Printed {
    let args = args.iter().map(String::as_str);
    let args: Vec<&str> = iter::once(*name)
        .chain(args)
        .chain(more.iter().copied())
        .collect();
    let roundtrip = &mut command::roundtrip(Path::new("nowhere"), &args);
    let output = roundtrip.env_remove("ROUNDTRIP_FOLDER").output().unwrap();
    Printed {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Nothing that a terminal would obey, and no line that is not the command's own.
#[track_caller]
fn check(typed: &Typed, more: &[&str]) -> Printed {
    let printed = run(typed, more);
    for text in [&printed.out, &printed.err] {
        let hidden = text.chars().find(|c| *c != '\n' && is_hidden(*c));
        assert_eq!(hidden, None, "{typed:?} {more:?}: {text:?}");
        let forged = text
            .lines()
            .find(|line| line.trim_start().starts_with(FORGED));
        assert_eq!(forged, None, "{typed:?} {more:?}: {text:?}");
    }
    printed
}

/// As people and as programs ask.
fn check_all(all: &[Typed]) {
    for typed in all {
        check(typed, &[]);
        // Where a command has no such flag, its complaint quotes what was typed.
        let printed = check(typed, &["--json"]);
        if !printed.out.is_empty() {
            let read = serde_json::from_str::<Value>(&printed.out);
            assert!(read.is_ok(), "{typed:?}: {}", printed.out);
        }
    }
}

fn place(within: &Path, trip: &str, neighbours: Vec<String>) -> Place {
    let name = |what: &str| within.join(format!("{what}{}", EVIL.replace('/', "")));
    let csv = name("csv");
    let lines = "flight,date,seats,price_minor,currency\n";
    std::fs::write(
        &csv,
        format!("{lines}\"{EVIL}\",\"{EVIL}\",\"{EVIL}\",1,EUR\n"),
    )
    .unwrap();
    Place {
        nowhere: name("nowhere"),
        stack: name("stack"),
        csv,
        trip: trip.to_owned(),
        neighbours,
    }
}

/// The commands that `roundtrip help` lists.
fn commands() -> BTreeSet<String> {
    let help = run(&("help", Vec::new()), &[]).out;
    let (_, rest) = help.split_once("\nCommands:\n").unwrap();
    let (list, _) = rest.split_once("\n\n").unwrap();
    let name = |line: &str| line.split_whitespace().next().map(str::to_owned);
    list.lines().filter_map(name).collect()
}

/// Whoever adds a command says here what it may be made to print.
#[test]
fn every_command_is_held_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path(), TRIP, Vec::new());
    let all = [
        alone(&place),
        at_the_stack(&place),
        at_a_neighbour("http://127.0.0.1:1", &place.csv),
    ];
    let tried: BTreeSet<String> = all.iter().flatten().map(|run| run.0.to_owned()).collect();
    let untried: Vec<String> = commands().difference(&tried).cloned().collect();
    assert_eq!(untried, Vec::<String>::new(), "say what is typed of these");
}

#[test]
fn what_was_typed_and_what_files_are_called_is_only_shown() {
    let folder = tempfile::tempdir().unwrap();
    check_all(&alone(&place(folder.path(), TRIP, Vec::new())));
}

#[test]
fn whoever_answers_at_an_address_is_only_shown() {
    let folder = tempfile::tempdir().unwrap();
    let neighbour = Neighbour::start();
    let place = place(folder.path(), TRIP, neighbour.urls());
    for url in &place.neighbours {
        check_all(&at_a_neighbour(url, &place.csv));
    }
    // Programs read what was said, all of it.
    let url = neighbour.url("friendly");
    let json =
        |run: Typed| -> Value { serde_json::from_str(&check(&run, &["--json"]).out).unwrap() };
    let stuck = json(typed("stuck", &["--url", &url]));
    assert_eq!(stuck[0]["waiting_for"][0]["leg"], EVIL);
    assert_eq!(stuck[0]["itinerary"][0][EVIL], EVIL);
    let status = json(typed("status", &["--url", &url]));
    assert_eq!(status["legs"][0], EVIL);
    let letters = ["flight", "--service", &format!("flight={url}")];
    assert_eq!(
        json(typed("dead-letters", &letters))[0]["letter"]["reason"],
        EVIL
    );
}

#[tokio::test]
async fn what_lies_in_a_stack_is_only_shown() {
    let test = "what_lies_in_a_stack_is_only_shown";
    if skip::unless(Need::Nats, test, broker::find(&|_| {})).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut place = place(folder.path(), TRIP, Vec::new());
    // What a path may be is for SQLite and the broker to say; a folder's name has its escapes, and leads to the same.
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::symlink(&home, &place.stack).unwrap();
    let options = Options {
        home: Home::Kept(home),
        program: Some(PROGRAM.into()),
        ..Options::temporary()
    };
    let stack = Stack::start(&options, &|_| {}).await.unwrap();
    let at = place.stack.to_str().unwrap().to_owned();
    let day = jiff::Zoned::now().date().tomorrow().unwrap().to_string();
    let itinerary = json!([
        {"leg": "flight", "flight": "RT100", "date": day, "seats": 1, EVIL: EVIL, "more": {EVIL: [EVIL]}}
    ]);
    let (legs, who) = (itinerary.to_string(), format!("Ada{HIDDEN}"));
    let book = ["--itinerary", &legs, "--traveller", &who, "--folder", &at];
    let booked: Value =
        serde_json::from_str(&check(&typed("book", &book), &["--json"]).out).unwrap();
    assert_eq!(
        (&booked["itinerary"], &booked["state"]),
        (&itinerary, &json!("confirmed"))
    );
    assert_eq!(booked["traveller"], json!(who));
    place.trip = booked["trip"].as_str().unwrap().to_owned();
    let shown = check(&typed("show", &[&place.trip, "--folder", &at]), &[]).out;
    assert!(
        shown.contains(r"\u{1b}]0;owned\u{7}") && shown.contains(r"Ada\u{202e}"),
        "{shown}"
    );

    junk(stack.nats_url()).await;
    let letters = typed("dead-letters", &["--folder", &at]);
    let until = Instant::now() + WITHIN;
    while !check(&letters, &[]).out.contains(r"\u{1b}]0;junk") {
        assert!(Instant::now() < until, "the letter is kept");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    check_all(&at_the_stack(&place));
    let last = typed("list", &["--folder", &at]);
    assert!(check(&last, &[]).out.contains(&place.trip));
    stack.stop().await.unwrap();
}

/// A message whose every part is hostile, as far as headers can be.
async fn junk(nats_url: &str) {
    let said = "\u{1b}]0;junk\u{7}\u{9b}31m\u{202e}";
    let mut headers = async_nats::HeaderMap::new();
    for name in ["ce-specversion", "ce-type", "ce-subject", "ce-id"] {
        headers.insert(name, said);
    }
    let client = async_nats::connect(nats_url).await.unwrap();
    client
        .publish_with_headers("trips.booking.requested.flight", headers, EVIL.into())
        .await
        .unwrap();
    client.flush().await.unwrap();
}
