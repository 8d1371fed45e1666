//! What the command says of itself to shells and to `man`. Not its help: that is read with the other commands.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod command;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use command::roundtrip;

fn good(args: &[&str]) -> String {
    let output = roundtrip(Path::new("nowhere"), args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that `roundtrip help` lists.
fn commands() -> Vec<String> {
    let help = good(&["help"]);
    let (_, rest) = help.split_once("\nCommands:\n").unwrap();
    let (list, _) = rest.split_once("\n\n").unwrap();
    let name = |line: &str| Some(line.strip_prefix("  ")?.split(' ').next()?.to_owned());
    let all = list
        .lines()
        .filter_map(name)
        .filter(|name| !name.is_empty());
    all.collect()
}

/// Run if it is on this machine.
fn run(program: &str, args: &[&str]) -> Option<Output> {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .ok()
}

#[test]
fn every_shell_can_complete_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let commands = commands();
    assert!(commands.len() > 18, "{commands:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = good(&["completions", shell]);
        for name in &commands {
            assert!(script.contains(name.as_str()), "{name} in {shell}");
        }
        let file = folder.path().join(shell);
        std::fs::write(&file, script).unwrap();
        // Without running any of it.
        if let Some(read) = run(shell, &["-n", file.to_str().unwrap()]) {
            assert!(read.status.success(), "{read:?}");
        }
    }
    let bash = folder.path().join("bash");
    let typed = format!(
        "source {}; COMP_WORDS=(roundtrip can); COMP_CWORD=1; _roundtrip roundtrip can roundtrip; echo ${{COMPREPLY[@]}}",
        bash.display()
    );
    let completed = run("bash", &["-c", &typed]).unwrap();
    assert_eq!(completed.stdout, b"cancel\n", "{completed:?}");
    let wrong = roundtrip(folder.path(), &["completions", "dos"]).output();
    assert_eq!(wrong.unwrap().status.code(), Some(2));
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man/man1");
    good(&["man", pages.to_str().unwrap()]);
    let all = std::iter::once(String::from("roundtrip"));
    let commands = commands();
    let all = all.chain(commands.iter().map(|name| format!("roundtrip-{name}")));
    for name in all.filter(|name| name != "roundtrip-help") {
        let page = pages.join(format!("{name}.1"));
        let roff = std::fs::read_to_string(&page).unwrap();
        assert!(
            roff.contains(".TH ") && roff.contains(".SH SYNOPSIS"),
            "{name}: {roff}"
        );
        let Some(shown) = run("man", &["-l", page.to_str().unwrap()]) else {
            continue;
        };
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(
            shown.is_empty() || shown.contains("SYNOPSIS"),
            "{name}: {shown}"
        );
    }
    assert_eq!(
        good(&["man"]),
        std::fs::read_to_string(pages.join("roundtrip.1")).unwrap()
    );
    let file = pages.join("roundtrip.1");
    let refused = roundtrip(folder.path(), &["man", file.to_str().unwrap()]).output();
    assert_eq!(refused.unwrap().status.code(), Some(1));
}
