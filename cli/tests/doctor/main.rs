//! The doctor as it is typed, against real services, a real broker and real databases: what is healthy is called healthy, and each thing
//! that is broken is named, with what to do. What to think of facts that are hard to bring about is tested beside the code.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod broker;
mod databases;
mod full;
mod letters;
mod paused;

#[path = "../command/mod.rs"]
mod command;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use stack::broker as server;
use stack::skip::{self, Need};
use stack::{Home, Options, Stack};

const PROGRAM: &str = env!("CARGO_BIN_EXE_roundtrip");

/// What the doctor said.
#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Asks the doctor, and for JSON too: the two have to agree.
fn doctor(folder: &Path, args: &[&str]) -> (Answer, Value) {
    let said = run(folder, args);
    let json = run(folder, &[args, &["--json"]].concat());
    let report: Value = serde_json::from_str(&json.out).unwrap_or_default();
    assert_eq!(said.code, json.code, "{said:#?} {json:#?}");
    (said, report)
}

fn run(folder: &Path, args: &[&str]) -> Answer {
    let typed = [&["doctor"], args].concat();
    let output = command::roundtrip(folder, &typed).output().unwrap();
    Answer {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Everything with this verdict: `group/subject/check`.
fn with(report: &Value, verdict: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap();
    let of = findings.iter().filter(|f| f["verdict"] == verdict);
    of.map(|f| {
        assert_eq!(f["todo"].is_null(), verdict == "fine", "{f}");
        let word = |name: &str| f[name].as_str().unwrap().to_owned();
        format!("{}/{}/{}", word("group"), word("subject"), word("check"))
    })
    .collect()
}

/// Exactly these are wrong, and people are told the same.
#[track_caller]
fn wrong(folder: &Path, args: &[&str], expected: &[&str], words: &[&str]) {
    let (said, report) = doctor(folder, args);
    assert_eq!(with(&report, "wrong"), expected, "{}", said.out);
    assert_eq!(said.code, Some(1), "{said:#?}");
    for word in words {
        assert!(said.out.contains(word), "{word:?} in {}", said.out);
    }
}

async fn stack(test: &str, folder: &Path) -> Option<Stack> {
    skip::unless(Need::Nats, test, server::find(&|_| {}))?;
    let options = Options {
        home: Home::Kept(folder.to_owned()),
        program: Some(PROGRAM.into()),
        ..Options::temporary()
    };
    Some(Stack::start(&options, &|_| {}).await.unwrap())
}

#[tokio::test]
async fn a_healthy_stack_is_healthy_in_its_folder_and_by_its_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = stack("a_healthy_stack_is_healthy", folder.path()).await else {
        return;
    };
    let (said, report) = doctor(folder.path(), &[]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(said.out.ends_with("\nhealthy\n"), "{}", said.out);
    assert_eq!(report["healthy"], true);
    assert!(with(&report, "fine").len() > 40, "{report:#}");

    // From anywhere else, by its addresses alone.
    let elsewhere = tempfile::tempdir().unwrap();
    let url = |service: &str| stack.url(service).unwrap();
    let named = |service: &str| format!("{service}={}", url(service));
    let (booking, flight, hotel) = (url("booking"), named("flight"), named("hotel"));
    let databases = stack.databases();
    let mut args = vec!["--url", &booking, "--service", &flight, "--service", &hotel];
    args.extend(["--nats", stack.nats_url()]);
    for url in databases.values() {
        args.extend(["--database", url]);
    }
    let (said, report) = doctor(elsewhere.path(), &args);
    assert_eq!(
        (said.code, &report["not_looked_at"]),
        (Some(0), &0.into()),
        "{}",
        said.out
    );

    // Nobody else's half is taken for the rest of it, even where a stack runs.
    let (said, report) = doctor(folder.path(), &["--url", &booking]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert_eq!(
        with(&report, "not-looked-at"),
        [
            "services/flight/answers",
            "services/hotel/answers",
            "broker/broker/answers",
            "databases/booking/opens",
            "databases/flight/opens",
            "databases/hotel/opens"
        ]
    );
    assert!(said.out.contains("→ --service flight=URL"), "{}", said.out);

    // What answers at an address is not taken for what was asked for.
    let swapped = format!("flight={}", url("hotel"));
    let swapped = ["--service", swapped.as_str()];
    wrong(
        elsewhere.path(),
        &swapped,
        &["services/flight/version"],
        &["Roundtrip: hotel"],
    );
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_service_a_dead_letter_and_a_stack_that_is_down_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut stack) = stack("a_killed_service_is_named", folder.path()).await else {
        return;
    };
    let client = async_nats::connect(stack.nats_url()).await.unwrap();
    client
        .publish(
            "trips.booking.requested.flight",
            "\u{1b}[31mnonsense".into(),
        )
        .await
        .unwrap();
    client.flush().await.unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while run(folder.path(), &[]).code == Some(0) {
        assert!(Instant::now() < until, "the letter is found");
    }
    let letter = "services/flight/dead-letters";
    wrong(
        folder.path(),
        &[],
        &[letter],
        &["1 dead letters", "letters flight` lists", "1 wrong"],
    );

    let at = stack
        .services_mut()
        .iter()
        .position(|m| m.service == "hotel");
    let hotel = &mut stack.services_mut()[at.unwrap()].process;
    hotel.kill().await.unwrap();
    wrong(
        folder.path(),
        &[],
        &[letter, "services/hotel/answers"],
        &[
            "does not answer at http://127.0.0.1:",
            "hotel.log",
            "2 wrong",
        ],
    );
    stack.stop().await.unwrap();

    let (said, report) = doctor(folder.path(), &[]);
    let down = ["services/the stack/runs", "databases/flight/dead-letters"];
    assert_eq!(
        (said.code, with(&report, "wrong")),
        (Some(1), down.map(String::from).into())
    );
    assert!(said.out.contains(" up`"), "{}", said.out);
}

#[test]
fn nothing_that_answers_is_no_health_and_shows_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = run(folder.path(), &[]);
    assert_eq!(nothing.code, Some(2), "{nothing:#?}");
    assert!(nothing.err.contains("--url"), "{nothing:#?}");

    let began = Instant::now();
    let (said, report) = doctor(
        folder.path(),
        &[
            "--url",
            "http://me:secret@127.0.0.1:9",
            "--nats",
            "me:secret@127.0.0.1:9",
            "--database",
            "booking=postgres://me:secret@127.0.0.1:9/booking?password=secret",
        ],
    );
    assert_eq!(
        (said.code, &report["reached"]),
        (Some(2), &false.into()),
        "{said:#?}"
    );
    assert_eq!(
        with(&report, "wrong"),
        [
            "services/booking/answers",
            "broker/broker/answers",
            "databases/booking/opens"
        ]
    );
    let shown = format!("{said:?}{report}");
    assert!(!shown.contains("secret"), "{shown}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

/// A service whose clock is behind by two minutes, and that says of every second question that it is draining.
#[test]
fn a_clock_that_is_off_and_a_replica_that_is_not_ready_are_seen_through_a_balancer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut asked_ready = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 1_024];
            let read = stream.read(&mut asked).unwrap_or(0);
            let ready = asked[..read].starts_with(b"GET /readyz");
            asked_ready += u32::from(ready);
            let (status, body) = if ready && asked_ready % 2 == 0 {
                (
                    "503 Service Unavailable",
                    r#"{"detail":"Missing: it is draining."}"#,
                )
            } else {
                ("200 OK", "{}")
            };
            let clock = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(120);
            let date = clock.strftime("%a, %d %b %Y %H:%M:%S GMT");
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let (said, report) = doctor(folder.path(), &["--service", &format!("hotel={url}")]);
    assert_eq!(
        with(&report, "wrong"),
        ["services/hotel/clock"],
        "{}",
        said.out
    );
    let warnings = with(&report, "warning");
    assert!(
        warnings.contains(&"services/hotel/ready".into()),
        "{warnings:?}"
    );
    for word in ["behind this machine's", "NTP", "draining"] {
        assert!(said.out.contains(word), "{word} in {}", said.out);
    }
}
