//! What has to pass before anything lands, cheapest first; every step runs even when an earlier one failed, so that one run tells all.
//! Images and manifests, which wait a lot and leave the build folder alone, are made beside what is compiled here; all that is over before
//! the first test, for tests have the machine to themselves. Not the place that installs what the steps need: `.ci/run` does that.

use std::ffi::OsStr;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};

use crate::test::Count;
use crate::{cargo, containers, say};

const FAILED: &str = "FAILED";

/// Runs all steps; true when none failed. Where no registry is reached, images are built from `stand_ins`.
pub(crate) fn run(stand_ins: bool) -> Result<bool> {
    let mut steps = Steps::default();
    let engine = containers::engine();
    let images = engine.is_ok().then(|| {
        Beside::start("images", move || {
            Ok(("built", containers::images(stand_ins)?))
        })
    });
    let manifests = Beside::start("manifests", manifests);

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

    let mut compile = cargo();
    compile.args(["test", "--workspace", "--no-run", "--quiet"]);
    steps.run("compiling tests", compile)?;
    steps.end(manifests)?;
    let images = match images {
        Some(images) => steps.end(images)?,
        None => false,
    };

    say("== tests: cargo xtask test")?;
    let mut count = Count::default();
    count.run(&[], &[])?;
    match engine {
        Ok(()) if images => steps.containers(&mut count)?,
        // That they were not built is told.
        Ok(()) => {}
        Err(why) => {
            let word = format!("no test ran on containers: no Docker engine answers ({why})");
            say(&format!("== {word}"))?;
            steps.0.push(word);
        }
    }
    let tests = count.close(&steps.0)?;
    Ok(tests && !steps.failed())
}

/// What could not be had is said, and is no failure.
fn manifests() -> Done {
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes/check");
    let checked = Command::new(check).output()?;
    let verdict = match checked.status.code() {
        Some(0) => "passed",
        Some(3) => "not checked: their tools cannot be had;",
        _ => FAILED,
    };
    let said = [checked.stdout, checked.stderr].concat();
    Ok((verdict, String::from_utf8_lossy(&said).into_owned()))
}

/// A verdict, and all that was said before it.
type Done = Result<(&'static str, String)>;

/// A step beside the others; what it says is told when it is waited for.
struct Beside {
    name: &'static str,
    /// It answers how many seconds it took, too.
    work: JoinHandle<(Done, f64)>,
}

impl Beside {
    fn start(name: &'static str, work: impl FnOnce() -> Done + Send + 'static) -> Self {
        let start = Instant::now();
        let work = thread::spawn(move || (work(), start.elapsed().as_secs_f64()));
        Self { name, work }
    }
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
        self.say(&format!("{name} {verdict}"), start.elapsed().as_secs_f64())
    }

    /// Waits for a step beside the others; true unless it failed.
    fn end(&mut self, Beside { name, work }: Beside) -> Result<bool> {
        say(&format!("== {name}"))?;
        let (done, seconds) = work.join().map_err(|_| anyhow!("{name} panicked"))?;
        let (verdict, said) = done.unwrap_or_else(|error| (FAILED, format!("error: {error:#}")));
        say(said.trim_end())?;
        self.say(&format!("{name} {verdict}"), seconds)?;
        Ok(verdict != FAILED)
    }

    fn containers(&mut self, count: &mut Count) -> Result<()> {
        let start = Instant::now();
        let done = containers::play(count, 1);
        if let Err(error) = &done {
            say(&format!("error: {error:#}"))?;
        }
        let verdict = if done.is_ok() { "ran" } else { FAILED };
        let seconds = start.elapsed().as_secs_f64();
        self.say(&format!("tests on containers {verdict}"), seconds)
    }

    fn say(&mut self, word: &str, seconds: f64) -> Result<()> {
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
