//! `roundtrip sandbox` as who types it sees it: it says what it is and where, keeps its secrets to its owner, and ends when it is told to. What it does
//! as a provider is in `e2e-tests/tests/provider`.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod command;

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use command::roundtrip;

fn sandbox(folder: &Path, more: &[&str]) -> Child {
    let file = |name: &str| folder.join(name).display().to_string();
    let (data, key) = (file("sandbox.db"), file("sandbox.key"));
    let args = [
        "sandbox",
        "--listen",
        "127.0.0.1:0",
        "--data",
        &data,
        "--key-file",
        &key,
    ];
    roundtrip(folder, &[&args, more].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn end(mut child: Child) -> String {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert!(child.wait().unwrap().success());
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    said
}

#[tokio::test]
async fn it_says_what_it_is_and_keeps_its_key_to_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = sandbox(folder.path(), &[]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said: Vec<String> = lines.by_ref().take(3).map(Result::unwrap).collect();
    let said = said.join("\n");
    assert!(
        said.contains("A sandbox") && said.contains("no money moves"),
        "{said}"
    );
    let url = said
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap();
    let url = url.trim_end_matches(':');
    let key_file = folder.path().join("sandbox.key");
    let mode = std::fs::metadata(&key_file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = std::fs::read_to_string(key_file).unwrap();
    let http = client::http::local().unwrap().build().unwrap();
    let about: Value = http
        .get(format!("{url}/sandbox"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&about["sandbox"], &about["payments"]),
        (&json!(true), &json!(0))
    );
    let listed = format!("{url}/v1/payment_intents");
    assert_eq!(http.get(&listed).send().await.unwrap().status(), 401);
    let with_key = http
        .get(&listed)
        .bearer_auth(key.trim())
        .send()
        .await
        .unwrap();
    assert_eq!(with_key.status(), 200);
    // No web page can throw a switch: it cannot send JSON elsewhere unasked.
    let thrown = http
        .post(format!("{url}/sandbox/failures"))
        .body(r#"{"failure":"down"}"#);
    assert_eq!(thrown.send().await.unwrap().status(), 415);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert!(child.wait().unwrap().success());
    let mut errors = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    for text in [said, errors] {
        assert!(!text.contains(key.trim()), "its key is printed");
    }
}

#[test]
fn as_json_it_says_where_everything_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = sandbox(folder.path(), &["--json"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.trim_end().ends_with('}') {
        assert!(out.read_line(&mut text).unwrap() > 0, "{text}");
    }
    let about: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(about["sandbox"], true);
    assert!(
        about["url"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1:")
    );
    assert!(about["key_file"].as_str().unwrap().ends_with("sandbox.key"));
    child.stdout = Some(out.into_inner());
    assert_eq!(end(child), "");
}

#[test]
fn what_it_cannot_use_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("sandbox.db"),
        "this is no database, however long it may be",
    )
    .unwrap();
    let failed = sandbox(folder.path(), &[]).wait_with_output().unwrap();
    assert!(!failed.status.success());
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(
        said.contains("cannot open") && said.contains("sandbox.db"),
        "{said}"
    );
}
