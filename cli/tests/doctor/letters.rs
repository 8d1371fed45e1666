//! Six thousand junk messages: trips go through meanwhile, the doctor says what it was, and is content once they are put away. And a replay
//! that has to wait for others.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{command, doctor, run, stack, with, wrong};

const TO_FLIGHT: &str = "trips.booking.requested.flight";

#[tokio::test(flavor = "multi_thread")]
async fn six_thousand_junk_messages_are_named_and_cleared_and_the_doctor_is_content() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = stack("six_thousand_junk_messages", folder.path()).await else {
        return;
    };
    let typed = |args: &[&str]| {
        let output = command::roundtrip(folder.path(), args).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), out, err)
    };
    junk(stack.nats_url()).await;
    let (code, out, _) = typed(&["book", "--flight", "RT100"]);
    assert_eq!(code, Some(0), "a trip goes through meanwhile: {out}");
    let until = Instant::now() + Duration::from_secs(60);
    while !run(folder.path(), &[]).out.contains("6000 dead letters") {
        assert!(Instant::now() < until, "{}", run(folder.path(), &[]).out);
    }
    let letter = "services/flight/dead-letters";
    let words = ["the header ce-specversion is missing", "letters discard`"];
    wrong(folder.path(), &[], &[letter], &words);

    let id = &*one_is_shown_whole(&typed);
    // It still cannot be read, and says so; one by its id, the rest by their reason.
    let (code, _, err) = typed(&["letters", "replay", id]);
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains("the header ce-specversion is missing"),
        "{err}"
    );
    let (code, out, err) = typed(&["letters", "discard", id, "--reason", "mine", "--by", "ada"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(out, format!("flight: discarded {id}\n"));
    let (code, _, err) = typed(&["letters", "replay", id]);
    assert_eq!(code, Some(1));
    assert!(err.contains("It was discarded before"), "{err}");
    let (code, _, err) = typed(&["letters", "show", id]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no dead letter"), "{err}");
    let none: Vec<&str> = "letters discard --with-type other --reason no"
        .split(' ')
        .collect();
    let (code, out, _) = typed(&none);
    assert_eq!(code, Some(0));
    assert!(out.contains("flight: 0 discarded"), "{out}");
    let flight = stack.url("flight").unwrap();
    a_replay_keeps_its_rate_and_ends_between_two_steps(folder.path(), &flight).await;
    let all = [
        "letters",
        "discard",
        "--with-reason",
        "the header ce-spec",
        "--reason",
        "a test",
    ];
    let (code, out, err) = typed(&all);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("flight: 5999 discarded\n"), "{out}");
    let (said, report) = doctor(folder.path(), &[]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(with(&report, "fine").contains(&letter.to_owned()));

    the_past_has_them(&typed, id);
    let (code, out, _) = typed(&["audit"]);
    assert_eq!(code, Some(0), "{out}");
    stack.stop().await.unwrap();
}

/// Ten a second, so that a service under load is not in anybody's way; and what it did until Ctrl-C is said.
async fn a_replay_keeps_its_rate_and_ends_between_two_steps(folder: &Path, flight: &str) {
    let args = [
        "letters", "replay", "--all", "--of", "flight", "--rate", "10",
    ];
    let before = steps(flight).await;
    let began = Instant::now();
    let replay = command::roundtrip(folder, &[&args[..], &["--json"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while steps(flight).await < before + 2.0 {
        assert!(began.elapsed().as_secs() < 60, "no second step");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = Pid::from_raw(i32::try_from(replay.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let ended = replay.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    let said: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(said["whole"], false, "{said}");
    let kept = said["services"][0]["kept"].as_array().unwrap().len();
    let most = 10 * (usize::try_from(began.elapsed().as_secs()).unwrap() + 1);
    assert!(
        kept.is_multiple_of(10) && (20..=most).contains(&kept),
        "{kept} and not 20 to {most}"
    );
}

/// How many steps of replays a service has answered: its letters stay, and only its requests are counted.
async fn steps(service: &str) -> f64 {
    let http = client::http::local().unwrap().build().unwrap();
    let metrics = http.get(format!("{service}/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let count = |line: &&str| {
        line.starts_with("roundtrip_http_request_seconds_count{")
            && line.contains("route=\"/letters/replay\"")
    };
    let line = metrics.lines().find(count);
    line.map_or(0.0, |line| {
        line.rsplit(' ').next().unwrap().parse().unwrap()
    })
}

/// Others have all the places for replays, once before each step.
#[test]
fn a_replay_waits_for_a_place() {
    const FULL: &str = r#"{"type":"urn:roundtrip:problem:too-many-replays","title":"Too many replays","status":503,"detail":"Others replay."}"#;
    let some = r#"{"letters":2,"messages":2,"kept":[],"next":"a"}"#;
    let last = r#"{"letters":1,"messages":1,"kept":[],"next":null}"#;
    let past = r#"{"id":"b","aggregateid":"","type":"","reason":"","subject":"","headers":"{}","payload":"","last_id":"",
        "outcome":"replayed","by":"","why":"","at_us":0}"#;
    let replays = |letters: &[&str], answers: Vec<&'static str>| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = format!("flight=http://{}", listener.local_addr().unwrap());
        let asked = std::thread::spawn(move || answer_each(&listener, &answers));
        let folder = tempfile::tempdir().unwrap();
        let args = ["letters", "replay", "--of", "flight", "--service", &at];
        let typed = [&args[..], letters].concat();
        let ended = command::roundtrip(folder.path(), &typed).output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        asked.join().unwrap();
        String::from_utf8(ended.stdout).unwrap()
    };
    let began = Instant::now();
    let said = replays(&["--all"], vec![FULL, some, FULL, last]);
    assert_eq!(said, "flight: 3 replayed\n");
    assert!(began.elapsed().as_secs() >= 2, "as long as it is told to");
    assert_eq!(replays(&["b"], vec![FULL, past]), "flight: replayed b\n");
}

/// A service that has one answer for each request, and no more.
fn answer_each(listener: &TcpListener, answers: &[&str]) {
    for answer in answers {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"}") {
            let mut some = [0; 1_024];
            let read = stream.read(&mut some).unwrap();
            assert!(read > 0, "it leaves in the middle of its request");
            asked.extend_from_slice(&some[..read]);
        }
        let status = match answer.contains("503") {
            true => "503 Service Unavailable\r\nretry-after: 1",
            false => "200 OK",
        };
        let length = answer.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
        )
        .unwrap();
    }
}

async fn junk(nats_url: &str) {
    let client = async_nats::connect(nats_url).await.unwrap();
    for number in 0..6_000 {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("ce-subject", number.to_string());
        headers.insert("ce-type", "junk.made.v1");
        let payload = "\u{1b}[31mnonsense\n\u{202e}".into();
        client
            .publish_with_headers(TO_FLIGHT, headers, payload)
            .await
            .unwrap();
    }
    client.flush().await.unwrap();
}

/// What is typed, and how it ended.
type Typed<'a> = dyn Fn(&[&str]) -> (Option<i32>, String, String) + 'a;

/// Nothing of it acts on the terminal. Answers its id.
fn one_is_shown_whole(typed: &Typed<'_>) -> String {
    let (_, listed, _) = typed(&["letters", "flight", "--limit", "2", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let id = listed[0]["letter"]["id"].as_str().unwrap().to_owned();
    let (code, shown, _) = typed(&["letters", "show", &id]);
    assert_eq!(code, Some(0));
    for word in [
        id.as_str(),
        "subject  trips.booking.requested.flight",
        "  ce-type: junk.made.v1",
        r"payload  \u{1b}[31mnonsense\u{a}\u{202e}",
    ] {
        assert!(shown.contains(word), "{word:?} in {shown}");
    }
    let (_, whole, _) = typed(&["letters", "list", "flight", "--limit", "2", "--whole"]);
    assert!(whole.starts_with(&shown[..shown.len() - 1]), "{whole}");
    id
}

fn the_past_has_them(typed: &Typed<'_>, id: &str) {
    let (_, past, _) = typed(&["letters", "past", "--json", "--limit", "6000"]);
    let past: Vec<Value> = serde_json::from_str(&past).unwrap();
    assert_eq!(past.len(), 6_000);
    assert_eq!(past[0]["letter"]["why"], "a test");
    assert_eq!(
        (&past[5_999]["letter"]["by"], &past[5_999]["letter"]["id"]),
        (&"ada".into(), &id.into())
    );
    let (code, out, _) = typed(&["letters", "past", "flight", "--limit", "1"]);
    assert!(
        code == Some(0) && out.contains("discarded") && out.contains("a test"),
        "{out}"
    );
}
