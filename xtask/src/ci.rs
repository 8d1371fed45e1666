//! What has to pass before anything lands, cheapest first; every step runs even when an earlier one failed, so that one run tells all.
//! Not the place that installs what the steps need: `.ci/run` does that.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::test::Count;
use crate::{cargo, containers, say};

const FAILED: &str = "FAILED";

/// Runs all steps; true when none failed.
pub(crate) fn run() -> Result<bool> {
    let mut steps = Steps::default();
    let mut format = cargo();
    format.args(["fmt", "--all", "--check"]);
    steps.run("formatting", format)?;

    let mut lints = cargo();
    lints.args(["clippy", "--workspace", "--all-targets", "--quiet", "--"]);
    lints.args(["-D", "warnings"]);
    steps.run("lints", lints)?;

    let mut documentation = cargo();
    documentation.args(["doc", "--workspace", "--no-deps", "--quiet"]);
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    steps.run("documentation", documentation)?;

    if has_deny() {
        let mut deny = cargo();
        deny.args(["deny", "check", "bans", "licenses", "sources"]);
        steps.run("dependencies", deny)?;
    } else {
        let word = "dependencies not checked: cargo-deny is not installed";
        say(&format!("== {word}"))?;
        steps.0.push(word.to_owned());
    }

    steps.manifests()?;

    say("== tests: cargo xtask test")?;
    let mut count = Count::default();
    count.run(&[], &[])?;
    steps.containers(&mut count)?;
    let tests = count.close(&steps.0)?;
    Ok(tests && !steps.failed())
}

/// What became of each step so far, in words.
#[derive(Default)]
struct Steps(Vec<String>);

impl Steps {
    fn run(&mut self, name: &str, mut command: Command) -> Result<()> {
        let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        say(&format!("== {name}: cargo {}", words.join(" ")))?;
        let start = Instant::now();
        let passed = command
            .status()
            .with_context(|| format!("cannot run cargo for {name}"))?
            .success();
        let verdict = if passed { "passed" } else { FAILED };
        self.say(format!("{name} {verdict}"), start)
    }

    /// What cannot be had is said, and is no failure.
    fn manifests(&mut self) -> Result<()> {
        let check = "deploy/kubernetes/check";
        say(&format!("== manifests: {check}"))?;
        let start = Instant::now();
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let checked = Command::new(check).current_dir(root).status();
        let verdict = match checked.ok().and_then(|status| status.code()) {
            Some(0) => "passed",
            Some(3) => "not checked: their tools cannot be had;",
            _ => FAILED,
        };
        self.say(format!("manifests {verdict}"), start)
    }

    fn containers(&mut self, count: &mut Count) -> Result<()> {
        if let Err(why) = containers::engine() {
            let word = format!("no test ran on containers: no Docker engine answers ({why})");
            say(&format!("== {word}"))?;
            self.0.push(word);
            return Ok(());
        }
        let start = Instant::now();
        let done = containers::run(count, 1);
        if let Err(error) = &done {
            say(&format!("error: {error:#}"))?;
        }
        let verdict = if done.is_ok() { "ran" } else { FAILED };
        self.say(format!("tests on containers {verdict}"), start)
    }

    fn say(&mut self, word: String, start: Instant) -> Result<()> {
        let seconds = start.elapsed().as_secs_f64();
        let word = format!("{word} in {seconds:.1} s");
        say(&format!("== {word}"))?;
        self.0.push(word);
        Ok(())
    }

    fn failed(&self) -> bool {
        self.0.iter().any(|word| word.contains(FAILED))
    }
}

fn has_deny() -> bool {
    let mut deny = cargo();
    deny.args(["deny", "--version"]);
    deny.output().is_ok_and(|output| output.status.success())
}
