//! `cargo xtask mutants`: which bugs do the tests see? cargo-mutants makes every small one that it knows in the pure crates; in the
//! runtime and the services, where a run is dear and most such bugs say nothing, [`PLANTED`] lists those that are worth a test.
//!
//! All of it happens in a copy of the tree below `target/mutants`, with a target folder of its own, so that no broken program lies where
//! a good one is looked for. Not part of `ci`: it takes half an hour.

mod copy;
mod planted;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{cargo, say};
use planted::{PLANTED, Planted};

/// What the run of cargo-mutants goes by among the others.
const PURE: &str = "pure";

/// Which bugs to plant, and how to tell what came of it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these: `pure`, or names of the list; all of them when absent
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Says what there is, and runs nothing
    #[arg(long)]
    list: bool,
    /// Tells the score as JSON
    #[arg(long)]
    json: bool,
}

/// What became of a bug.
#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Caught,
    Survived,
    /// It does not compile with it, or its test does not pass without it: the list has to be mended.
    Unfit,
}

struct Outcome {
    name: String,
    verdict: Verdict,
    why: String,
}

/// True when every bug was seen.
pub(crate) fn run(args: &Args) -> Result<bool> {
    for name in &args.only {
        let known = name == PURE || PLANTED.iter().any(|bug| bug.name == name);
        ensure!(known, "there is no {name:?}; --list says what there is");
    }
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let bugs: Vec<&Planted> = PLANTED.iter().filter(|bug| wanted(bug.name)).collect();
    if args.list {
        return list(args, wanted(PURE), &bugs);
    }
    let ground = Ground::lay()?;
    if wanted(PURE) {
        // Not only after all the others.
        let version = ground.cargo().args(["mutants", "--version"]).output()?;
        let there = version.status.success();
        ensure!(
            there,
            "cargo-mutants is not installed: cargo install --locked cargo-mutants"
        );
    }
    let mut outcomes = ground.planted(&bugs)?;
    let mut score = Score::of(&outcomes);
    if wanted(PURE) {
        let (pure, missed) = ground.pure()?;
        score = score + pure;
        outcomes.extend(missed);
    }
    tell(args.json, &score, &outcomes)?;
    Ok(score.caught == score.planted)
}

fn list(args: &Args, pure: bool, bugs: &[&Planted]) -> Result<bool> {
    if args.json {
        let pure = pure.then(|| json!({"name": PURE})).into_iter();
        let bugs = bugs
            .iter()
            .map(|bug| json!({"name": bug.name, "file": bug.file, "test": bug.test}));
        say(&Value::from_iter(pure.chain(bugs)).to_string())?;
        return Ok(true);
    }
    if pure {
        say(&format!("{PURE:<36} cargo mutants, over the pure crates"))?;
    }
    for bug in bugs {
        say(&format!("{:<36} {}", bug.name, bug.file))?;
        say(&format!("{:<36}   cargo test {}", "", bug.test))?;
    }
    Ok(true)
}

#[derive(Clone, Copy, Default)]
struct Score {
    caught: usize,
    planted: usize,
}

impl Score {
    fn of(outcomes: &[Outcome]) -> Self {
        let caught = outcomes
            .iter()
            .filter(|outcome| outcome.verdict == Verdict::Caught);
        Self {
            caught: caught.count(),
            planted: outcomes.len(),
        }
    }
}

impl std::ops::Add for Score {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            caught: self.caught + other.caught,
            planted: self.planted + other.planted,
        }
    }
}

/// Where bugs are planted: a copy of the tree, and what is built of it.
struct Ground {
    folder: PathBuf,
}

impl Ground {
    fn lay() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("no folder above xtask")?;
        let folder = root.join("target/mutants");
        fs::create_dir_all(folder.join("log"))?;
        copy::refresh(root, &folder.join("tree"))?;
        Ok(Self { folder })
    }

    fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    fn cargo(&self) -> Command {
        let mut command = cargo();
        command
            .current_dir(self.tree())
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            // A test that skips itself would see nothing.
            .env("ROUNDTRIP_REQUIRE", "nats,postgres")
            .stdin(Stdio::null());
        command
    }

    /// One after another: first every test without a bug, then each bug with its test.
    fn planted(&self, bugs: &[&Planted]) -> Result<Vec<Outcome>> {
        for bug in bugs {
            bug.applied(&self.tree())?;
        }
        let mut sound: BTreeMap<&str, Result<(), String>> = BTreeMap::new();
        for bug in bugs {
            if !sound.contains_key(bug.test) {
                progress(&format!("without a bug: cargo test {}", bug.test))?;
                sound.insert(bug.test, self.sound(bug)?);
            }
        }
        let mut outcomes = Vec::new();
        for (number, bug) in (1..).zip(bugs) {
            let start = Instant::now();
            let (verdict, why) = match &sound[bug.test] {
                Ok(()) => self.plant(bug)?,
                Err(why) => (Verdict::Unfit, why.clone()),
            };
            let (seconds, all) = (start.elapsed().as_secs_f64(), bugs.len());
            let outcome = Outcome {
                name: bug.name.to_owned(),
                verdict,
                why,
            };
            progress(&format!("{number}/{all} {outcome} ({seconds:.0} s)"))?;
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Whether the test passes, and is one, where nothing is wrong.
    fn sound(&self, bug: &Planted) -> Result<Result<(), String>> {
        let (passed, said) = self.test(bug, "sound", &[])?;
        let tests: u64 = said
            .lines()
            .filter_map(|line| line.trim().strip_prefix("test result: ok. "))
            .filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok())
            .sum();
        Ok(match (passed, tests) {
            (false, _) => Err(format!(
                "red without it: {}",
                self.log(bug, "sound").display()
            )),
            (true, 0) => Err(format!("no test is called so: {}", bug.test)),
            (true, _) => Ok(()),
        })
    }

    fn plant(&self, bug: &Planted) -> Result<(Verdict, String)> {
        let path = self.tree().join(bug.file);
        let before = fs::read_to_string(&path)?;
        fs::write(&path, bug.applied(&self.tree())?)?;
        let judged = self.judge(bug);
        fs::write(&path, before)?;
        judged
    }

    fn judge(&self, bug: &Planted) -> Result<(Verdict, String)> {
        let (built, _) = self.test(bug, "build", &["--no-run"])?;
        if !built {
            let log = self.log(bug, "build");
            let why = format!("it does not compile: {}", log.display());
            return Ok((Verdict::Unfit, why));
        }
        let (passed, said) = self.test(bug, "planted", &[])?;
        if passed {
            return Ok((Verdict::Survived, format!("cargo test {}", bug.test)));
        }
        let red = said.lines().filter_map(|line| {
            let test = line.trim().strip_prefix("test ")?;
            test.strip_suffix(" ... FAILED")
        });
        Ok((Verdict::Caught, red.collect::<Vec<_>>().join(", ")))
    }

    /// Whether the bug's test passes, and what was said.
    fn test(&self, bug: &Planted, step: &str, more: &[&str]) -> Result<(bool, String)> {
        let log = self.log(bug, step);
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let passed = self
            .cargo()
            .arg("test")
            .args(bug.test.split_whitespace())
            .args(more)
            .stderr(out.try_clone()?)
            .stdout(out)
            .status()
            .context("cannot run cargo")?
            .success();
        let said = fs::read(&log)?;
        Ok((passed, String::from_utf8_lossy(&said).into_owned()))
    }

    fn log(&self, bug: &Planted, step: &str) -> PathBuf {
        self.folder.join(format!("log/{}.{step}.log", bug.name))
    }

    /// Every small bug that cargo-mutants knows; `.cargo/mutants.toml` says where, and which of them are none.
    fn pure(&self) -> Result<(Score, Vec<Outcome>)> {
        progress("cargo mutants, over the pure crates")?;
        let status = self
            .cargo()
            .args(["mutants", "--workspace", "--in-place", "--no-times"])
            .arg("--output")
            .arg(&self.folder)
            .stdout(std::io::stderr())
            .status()?;
        // 2: some were missed, 3: some did not end.
        let judged = matches!(status.code(), Some(0 | 2 | 3));
        ensure!(
            judged,
            "cargo mutants ended with {status}, as when a test fails without any bug"
        );
        let told = self.folder.join("mutants.out/outcomes.json");
        let told = fs::read_to_string(&told)
            .with_context(|| format!("cargo mutants left no {}", told.display()))?;
        let told: Value = serde_json::from_str(&told)?;
        let outcomes: Vec<(&str, &str)> = told["outcomes"]
            .as_array()
            .context("no outcomes")?
            .iter()
            .filter_map(|outcome| {
                let name = outcome["scenario"]["Mutant"]["name"].as_str()?;
                Some((name, outcome["summary"].as_str()?))
            })
            // What does not compile is no bug.
            .filter(|(_, summary)| *summary != "Unviable")
            .collect();
        let missed = |(_, summary): &&(&str, &str)| *summary == "MissedMutant";
        let survivors: Vec<Outcome> = outcomes
            .iter()
            .filter(missed)
            .map(|(name, _)| Outcome {
                name: (*name).to_owned(),
                verdict: Verdict::Survived,
                why: String::from("cargo mutants"),
            })
            .collect();
        let score = Score {
            caught: outcomes.len() - survivors.len(),
            planted: outcomes.len(),
        };
        Ok((score, survivors))
    }
}

impl Planted {
    /// The file with the bug in it.
    fn applied(&self, tree: &Path) -> Result<String> {
        let Self {
            name,
            file,
            text,
            bug,
            ..
        } = self;
        let path = tree.join(file);
        let whole = fs::read_to_string(&path).with_context(|| format!("{name}: no {file}"))?;
        match whole.matches(text).count() {
            1 => Ok(whole.replacen(text, bug, 1)),
            0 => bail!("{name} is stale: {file} does not say {text:?} any more"),
            times => bail!("{name} is not sure: {file} says {text:?} {times} times"),
        }
    }
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Survived => "SURVIVED",
            Self::Unfit => "UNFIT",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.verdict.as_str(), self.name, self.why)
    }
}

/// On standard error, so that the score stands alone.
fn progress(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stderr(), "== {line}")?)
}

fn tell(as_json: bool, score: &Score, outcomes: &[Outcome]) -> Result<()> {
    let Score { caught, planted } = score;
    if as_json {
        let each = outcomes.iter().map(|outcome| {
            json!({"name": outcome.name, "verdict": outcome.verdict.as_str().to_lowercase(), "why": outcome.why})
        });
        let bugs = Value::from_iter(each);
        return say(&json!({"caught": caught, "planted": planted, "bugs": bugs}).to_string());
    }
    for outcome in outcomes {
        if outcome.verdict != Verdict::Caught {
            say(&outcome.to_string())?;
        }
    }
    say(&format!("{caught} of {planted} bugs were seen by a test"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// Long before anybody runs them: each bug can still be planted where the list says.
    #[test]
    fn no_planted_bug_is_stale() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for bug in PLANTED {
            let whole = fs::read_to_string(root.join(bug.file)).unwrap();
            assert_ne!(bug.applied(&root).unwrap(), whole, "{}", bug.name);
            let alike = PLANTED.iter().filter(|other| other.name == bug.name);
            assert_eq!(alike.count(), 1, "{}", bug.name);
        }
    }
}
