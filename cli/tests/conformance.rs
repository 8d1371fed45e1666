//! `roundtrip conformance` as it is typed: what it prints, writes and exits with. What it can tell is tested with the kit.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod command;

use std::path::Path;
use std::process::Output;

use command::roundtrip;
use serde_json::Value;
use stack::skip::{self, Need};
use stack::{Home, Options, Stack, broker};

fn run(args: &[&str]) -> Output {
    let args = [&["conformance"], args].concat();
    roundtrip(Path::new("nowhere"), &args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The hotel of a stack whose booking is killed: it has the sample inventory, from which the kit knows what it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_a_stack_is_looked_at_once_booking_is_gone() {
    let test = "a_service_of_a_stack_is_looked_at";
    if skip::unless(Need::Nats, test, broker::find(&|_| {})).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        home: Home::Kept(folder.path().join("stack")),
        program: Some(env!("CARGO_BIN_EXE_roundtrip").into()),
        ..Options::temporary()
    };
    let mut stack = Stack::start(&options, &|_| {}).await.unwrap();
    let nats = stack.nats_url().to_owned();
    let junit = folder.path().join("junit.xml");
    let args = [
        &["--leg", "hotel", "--nats", &nats, "--trips", "30"][..],
        &["--asks-within", "0s", "--watch", "1s", "--no-restart"],
        &["--json", "--junit", junit.to_str().unwrap()],
    ]
    .concat();
    let refused = run(&args);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(
        text(&refused.stderr).contains("a booking listens"),
        "{refused:?}"
    );

    let booking = stack
        .services_mut()
        .iter_mut()
        .find(|it| it.service == "booking");
    booking.unwrap().process.stop().await.unwrap();
    let looked = run(&args);
    assert_eq!(
        looked.status.code(),
        Some(0),
        "{}\n{}",
        text(&looked.stdout),
        text(&looked.stderr)
    );
    let report: Value = serde_json::from_slice(&looked.stdout).unwrap();
    let promises = report["promises"].as_array().unwrap();
    let not_tried: Vec<&str> = promises
        .iter()
        .filter(|it| it["state"] == "not-tried")
        .map(|it| it["promise"].as_str().unwrap())
        .collect();
    assert_eq!(
        not_tried,
        [
            "who-waits-asks-again",
            "keeps-its-state",
            "loses-nothing-when-killed"
        ]
    );
    let xml = std::fs::read_to_string(junit).unwrap();
    assert!(
        xml.contains(r#"failures="0""#) && xml.contains(r#"skipped="3""#),
        "{xml}"
    );
    assert_eq!(xml.matches("<testcase ").count(), promises.len());
    stack.stop().await.unwrap();
}

#[test]
fn what_cannot_be_judged_is_said_and_no_verdict() {
    let nowhere = "nats://127.0.0.1:1";
    let boat = r#"{"leg":"boat"}"#;
    for (args, says) in [
        (&["--leg", "boat", "--nats", nowhere][..], "--item"),
        (
            &["--leg", "boat", "--item", boat, "--nats", nowhere],
            "cannot be reached",
        ),
        (
            &["--leg", "car", "--item", boat, "--nats", nowhere],
            "is not a position of car",
        ),
        (
            &["--leg", "car", "--item", "{", "--nats", nowhere],
            "--item {",
        ),
        (&["--leg", "booking"], "booking"),
    ] {
        let done = run(args);
        assert_eq!(done.status.code(), Some(2), "{args:?}: {done:?}");
        assert!(text(&done.stderr).contains(says), "{args:?}: {done:?}");
        assert!(done.stdout.is_empty(), "{args:?}");
    }
}
