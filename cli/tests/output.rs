//! What commands do with their output, and how a list, a flag or an error is told to people and to programs. Not what they are told: that is
//! in `commands.rs`.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_roundtrip");

fn roundtrip(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy();
        if ours.starts_with("ROUNDTRIP_") && ours.ends_with("URL") || ours.starts_with("NATS_") {
            command.env_remove(&name);
        }
    }
    command.args(args).env("ROUNDTRIP_FOLDER", folder);
    command.stdin(Stdio::null());
    command
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
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
