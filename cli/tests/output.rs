//! What commands do with their output, and how a list, a flag or an error is told to people and to programs. Not what they are told: that is
//! in `commands.rs`.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod command;

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use command::roundtrip;
use serde_json::{Value, json};
use stack::skip::{self, Need};
use stack::{Home, Options, Stack, broker, port};

const PROGRAM: &str = env!("CARGO_BIN_EXE_roundtrip");
const WITHIN: Duration = Duration::from_secs(60);

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
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

/// A disk that is full is said, and no success; a reader that has read enough is neither.
#[test]
fn what_cannot_be_written_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = folder.path().join("nothing");
    for args in [
        &["down"][..],
        &["help"],
        &["chaos", "--seed", "7", "--plan"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let done = roundtrip(&nothing, args).stdout(full).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{args:?}: {done:?}");
        let said = err(&done);
        assert!(
            said.contains("could not be written: No space left"),
            "{args:?}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = roundtrip(&nothing, args).stdout(writer).output().unwrap();
        assert_eq!(
            (done.status.code(), err(&done)),
            (Some(0), String::new()),
            "{args:?}"
        );
    }
}

/// Which trips a list shows, the trip first in each row.
fn trips(list: &str) -> Vec<String> {
    let rows = list.lines().skip(1);
    rows.map(|row| row.split(' ').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_list_says_of_how_many_and_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = stack("a_list_says_of_how_many", folder.path()).await else {
        return;
    };
    let run = |args: &[&str]| roundtrip(folder.path(), args).output().unwrap();
    let day = jiff::Zoned::now().date().tomorrow().unwrap();
    let leg = json!({"leg": "flight", "flight": "RT100", "date": day, "seats": 500});
    let long = serde_json::to_string(&vec![&leg; 16]).unwrap();
    let short = serde_json::to_string(&vec![&leg; 1]).unwrap();
    for itinerary in [&long, &short, &short, &short, &short] {
        let booked = run(&["book", "--itinerary", itinerary]);
        assert_eq!(booked.status.code(), Some(3), "{booked:?}");
    }
    let all = run(&["list"]);
    assert_eq!((trips(&out(&all)).len(), err(&all)), (5, String::new()));
    let widths = out(&all);
    let widths = widths.lines().map(str::len).collect::<Vec<_>>();
    assert!(
        widths[1] < widths[5] / 2,
        "padded to the widest: {widths:?}"
    );

    let mut shown = Vec::new();
    let mut more = Vec::new();
    for told in ["2 of 5", "2 of 5", ""] {
        let args = [
            &["list", "--limit", "2", "--state", "closed"],
            &as_str(&more)[..],
        ]
        .concat();
        let page = run(&args);
        shown.extend(trips(&out(&page)));
        let said = err(&page);
        assert!(said.starts_with(told), "{told:?}: {said}");
        assert_eq!(said.is_empty(), told.is_empty(), "{said}");
        let json: Value =
            serde_json::from_slice(&run(&[&args[..], &["--json"]].concat()).stdout).unwrap();
        assert_eq!(
            json.as_array().unwrap().len(),
            if told.is_empty() { 1 } else { 2 }
        );
        let words = said.split_whitespace().map(str::to_owned);
        more = words.skip_while(|word| word != "--after").take(2).collect();
    }
    assert_eq!(shown, trips(&out(&all)));

    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let lost = roundtrip(folder.path(), &["list"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(lost.status.code(), Some(1), "{lost:?}");
    stack.stop().await.unwrap();
}

fn as_str(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// As `cargo run -- --port 9080` is typed; `up` is what comes first to mind without a command.
#[test]
fn without_a_command_the_options_are_those_of_up() {
    if skip::unless(Need::Nats, "without_a_command", broker::find(&|_| {})).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let first = ports();
    let typed = [
        "--port",
        &first.to_string(),
        "--folder",
        home.to_str().unwrap(),
    ];
    let started = roundtrip(folder.path(), &typed)
        .stdout(Stdio::null())
        .spawn();
    let mut up = Up(started.unwrap());
    let run = |args: &[&str]| roundtrip(&home, args).output().unwrap();
    let until = Instant::now() + WITHIN;
    let url = loop {
        let seen: Value = serde_json::from_slice(&run(&["status", "--json"]).stdout).unwrap();
        if seen["ready"] == true {
            break seen["services"][0]["url"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < until, "{seen:#}");
        assert_eq!(up.0.try_wait().unwrap(), None);
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(url, format!("http://127.0.0.1:{first}"));
    let again = run(&["--replicas", "2"]);
    assert!(err(&again).contains("is in use"), "{again:?}");
    assert_eq!(run(&["down"]).status.code(), Some(0));
    assert_eq!(up.0.wait().unwrap().code(), Some(0));
}

/// Ended, whatever happens to its test: asked, so that it ends its own children.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            let _ = self.0.wait();
        }
    }
}

/// Three in a row.
fn ports() -> u16 {
    port::free_row(&[1, 2]).unwrap()
}

#[test]
fn options_of_up_go_with_no_other_command() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| roundtrip(folder.path(), args).output().unwrap();
    for wrong in [
        &["--port", "many"][..],
        &["--port", "9080", "status"],
        &["--json"],
    ] {
        let answer = run(wrong);
        assert_eq!(answer.status.code(), Some(2), "{answer:?}");
    }
    let help = out(&run(&["--help"]));
    assert!(
        help.starts_with("Books trips") && help.contains("--port"),
        "{help}"
    );
    assert!(help.contains("A first round:"), "{help}");
}

/// What a program is told: one line, with all that a person is told at the same exit code.
#[track_caller]
fn error(folder: &Path, args: &[&str], code: i32, words: &str) -> Value {
    let told = roundtrip(folder, args).output().unwrap();
    assert_eq!(told.status.code(), Some(code), "{told:?}");
    let said = err(&told);
    assert!(said.contains(words) && !said.contains('{'), "{told:?}");

    let args = [args, &["--json"]].concat();
    let answer = roundtrip(folder, &args).output().unwrap();
    let printed = (answer.status.code(), out(&answer));
    assert_eq!(printed, (Some(code), String::new()), "{args:?}");
    assert_eq!(err(&answer).lines().count(), 1, "{answer:?}");
    let mut said: Value = serde_json::from_slice(&answer.stderr).unwrap();
    let error = said["error"].take();
    assert!(error["detail"].as_str().unwrap().contains(words), "{error}");
    assert!(!error["title"].as_str().unwrap().is_empty(), "{error}");
    error
}

#[tokio::test]
async fn an_error_is_one_line_of_json_where_json_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = stack("an_error_is_one_line_of_json", folder.path()).await else {
        return;
    };
    let (here, nowhere) = (folder.path(), folder.path().join("nowhere"));
    let kind = |error: &Value| (error["type"].clone(), error["status"].clone());
    let trip = "0190aaaa-0000-7000-8000-000000000000";
    for command in ["show", "cancel"] {
        let error = error(here, &[command, trip], 1, "no trip");
        let unknown = json!("urn:roundtrip:problem:unknown-trip");
        assert_eq!(kind(&error), (unknown, json!(404)));
    }
    let failed = (json!("urn:roundtrip:problem:command"), Value::Null);
    for (folder, command, code, words) in [
        (here, "book", 1, "--flight"),
        (&nowhere, "list", 1, "no stack runs"),
        (&nowhere, "audit", 2, "no stack's data"),
        (&nowhere, "doctor", 2, "no stack runs"),
    ] {
        assert_eq!(kind(&error(folder, &[command], code, words)), failed);
    }
    let usage = (json!("urn:roundtrip:problem:usage"), Value::Null);
    let misread = [
        (&["show", "17"][..], "invalid value '17'"),
        (&["lost"], "unrecognized"),
    ];
    for (args, words) in misread {
        assert_eq!(kind(&error(here, args, 2, words)), usage);
    }
    stack.stop().await.unwrap();
}

/// The services wait for a broker that is not there; nobody who looks on has to.
#[test]
fn a_broker_that_does_not_answer_is_named_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = format!("nats://ada:secret@127.0.0.1:{}", ports());
    let typed = ["up", "--port", &ports().to_string(), "--nats", &nobody];
    let mut started = roundtrip(folder.path(), &typed)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(started.stdout.take().unwrap());
    let _up = Up(started);
    let since = Instant::now();
    let line = said
        .lines()
        .map(Result::unwrap)
        .find(|line| line.contains("nobody answers"))
        .unwrap();
    assert!(
        line.contains("127.0.0.1") && !line.contains("secret"),
        "{line}"
    );
    assert!(
        since.elapsed() < Duration::from_secs(30),
        "only after {:?}",
        since.elapsed()
    );
}

/// Whoever looks at a trip leaves nothing behind on the broker.
#[tokio::test(flavor = "multi_thread")]
async fn a_trip_that_was_shown_leaves_no_consumer() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = stack("a_trip_that_was_shown", folder.path()).await else {
        return;
    };
    let run = |args: &[&str]| roundtrip(folder.path(), args).output().unwrap();
    let booked: Value =
        serde_json::from_slice(&run(&["book", "--flight", "RT100", "--json"]).stdout).unwrap();
    let shown = run(&["show", booked["trip"].as_str().unwrap()]);
    assert!(out(&shown).contains("booking  confirmed"), "{shown:?}");
    let client = async_nats::connect(stack.nats_url()).await.unwrap();
    let stream = async_nats::jetstream::new(client)
        .get_stream("TRIPS")
        .await
        .unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.consumer_count, 3);
    stack.stop().await.unwrap();
}
