//! The one test command. The broker and the database server are obtained by the first test that needs them; here is only counted what
//! became of the tests, so that no skip goes unnoticed. Not a test runner.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::{cargo, say};

/// What `cargo test` said, however often it was called.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Count {
    passed: u64,
    failed: u64,
    failures: Vec<String>,
    /// The names of tests, by the reason why they did not run.
    skips: BTreeMap<String, Vec<String>>,
    /// How long each test program took, and its name, in the order in which they ran.
    programs: Vec<(f64, String)>,
    seconds: f64,
}

/// So many of them are named at the end, the slowest.
const SLOWEST: usize = 10;

/// Runs the tests; true when some passed and none failed.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    let mut count = Count::default();
    count.run(args, &[])?;
    count.close(&[])
}

/// The test program that cargo is about to run, if it says so.
fn begins(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(of) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{of} (documentation)"));
    }
    let line = line.strip_prefix("Running ")?.strip_suffix(')')?;
    let (source, program) = line.split_once(" (")?;
    let (name, _) = Path::new(program).file_name()?.to_str()?.rsplit_once('-')?;
    Some(format!("{name} ({source})"))
}

/// Passes on what cargo says of itself, and notes when which test program began. Nobody waits for its end: a process that a test left
/// behind may hold it open.
fn relay(words: ChildStderr) -> Arc<Mutex<Vec<(Instant, String)>>> {
    let begun = Arc::<Mutex<Vec<_>>>::default();
    let noted = Arc::clone(&begun);
    thread::spawn(move || {
        let mut lines = BufReader::new(words);
        let mut line = Vec::new();
        while lines
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            // Where nobody reads it, tests run on.
            let _ = std::io::stderr().write_all(&line);
            if let Some(program) = begins(&String::from_utf8_lossy(&line)) {
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                noted.push((Instant::now(), program));
            }
            line.clear();
        }
    });
    begun
}

/// Where tests that skip themselves say so.
fn skip_log() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    fs::create_dir_all(&folder)?;
    Ok(fs::canonicalize(folder)?.join("skipped.log"))
}

impl Count {
    /// Counts the tests of `cargo test --workspace`, or of these arguments in its place.
    pub(crate) fn run(&mut self, args: &[String], env: &[(&str, &str)]) -> Result<()> {
        let start = Instant::now();
        // Tests of several processes append to it.
        let log = skip_log()?;
        fs::write(&log, "").with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = cargo();
        command.args(["test", "--no-fail-fast"]);
        if args.is_empty() {
            command.arg("--workspace");
        }
        let mut tests = command
            .args(args)
            .env("ROUNDTRIP_SKIP_LOG", &log)
            // It says which program it runs, as it is read below.
            .env("CARGO_TERM_COLOR", "never")
            .env("CARGO_TERM_QUIET", "false")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run cargo")?;
        let failed_before = self.failed;
        let begun = tests.stderr.take().map(relay).unwrap_or_default();
        if let Some(output) = tests.stdout.take() {
            let mut lines = BufReader::new(output);
            let mut line = Vec::new();
            // By bytes: a test may print anything.
            while lines.read_until(b'\n', &mut line)? > 0 {
                let mut out = std::io::stdout();
                out.write_all(&line)?;
                out.flush()?;
                self.hear(&String::from_utf8_lossy(&line));
                line.clear();
            }
        }
        let content = tests.wait()?.success();
        // Who sets something runs programs that have run before in another way.
        let set: String = env.iter().map(|(name, _)| format!(", {name}")).collect();
        self.took(&begun.lock().unwrap_or_else(PoisonError::into_inner), &set);
        if !content && self.failed == failed_before {
            self.failed += 1;
            let word = "cargo test itself: something did not compile, or a test program died";
            self.failures.push(word.to_owned());
        }
        for line in fs::read_to_string(&log)?.lines() {
            // A test that skips itself returns like one that passes, and cargo counts it so.
            self.passed = self.passed.saturating_sub(1);
            self.skip(line.trim_start_matches("SKIPPED "));
        }
        self.seconds += start.elapsed().as_secs_f64();
        Ok(())
    }

    /// Each program ran until the next one began, and the last one until now.
    fn took(&mut self, begun: &[(Instant, String)], set: &str) {
        let ends = begun.iter().skip(1).map(|(began, _)| *began);
        for ((began, name), end) in begun.iter().zip(ends.chain([Instant::now()])) {
            let seconds = end.saturating_duration_since(*began).as_secs_f64();
            self.programs.push((seconds, format!("{name}{set}")));
        }
    }

    /// The slowest programs, each with its seconds, in words.
    fn slowest(&self) -> Vec<String> {
        let mut programs: Vec<_> = self.programs.iter().collect();
        programs.sort_by(|one, other| other.0.total_cmp(&one.0));
        let slowest = programs.iter().take(SLOWEST);
        slowest
            .map(|(seconds, name)| format!("{seconds:7.1} s  {name}"))
            .collect()
    }

    /// `TEST: REASON`
    fn skip(&mut self, line: &str) {
        let (test, reason) = line.split_once(": ").unwrap_or((line, "for no reason"));
        let tests = self.skips.entry(reason.to_owned()).or_default();
        tests.push(test.to_owned());
    }

    /// What was skipped for this reason has been run since.
    pub(crate) fn made_up_for(&mut self, reason: &str) {
        self.skips.remove(reason);
    }

    /// Says what came of all that ran, with `before` right above the last line; true when some passed and none failed.
    pub(crate) fn close(&self, before: &[String]) -> Result<bool> {
        say("")?;
        for name in &self.failures {
            say(&format!("FAILED {name}"))?;
        }
        for (reason, tests) in &self.skips {
            match tests.as_slice() {
                [test] => say(&format!("SKIPPED {test}: {reason}"))?,
                [first, .., last] => {
                    let count = tests.len();
                    say(&format!(
                        "SKIPPED {count} tests, {first} to {last}: {reason}"
                    ))?;
                }
                [] => {}
            }
        }
        if self.passed + self.failed == 0 {
            say("nothing ran: that is a failure too")?;
        }
        let count = self.programs.len();
        if count > 0 {
            say(&format!("the slowest of {count} test programs:"))?;
        }
        for line in self.slowest().iter().chain(before) {
            say(line)?;
        }
        say(&format!("tests took {:.1} s", self.seconds))?;
        let (passed, failed) = (self.passed, self.failed);
        let skipped: usize = self.skips.values().map(Vec::len).sum();
        say(&format!(
            "{passed} passed, {failed} failed, {skipped} skipped"
        ))?;
        Ok(passed > 0 && failed == 0)
    }

    /// One line of output.
    fn hear(&mut self, line: &str) {
        let line = line.trim();
        if let Some(result) = line.strip_prefix("test result: ") {
            for part in result.split([';', '.']) {
                let mut words = part.split_whitespace();
                let (number, what) = (words.next(), words.next());
                let number = number.and_then(|number| number.parse::<u64>().ok());
                match (number, what) {
                    (Some(number), Some("passed")) => self.passed += number,
                    (Some(number), Some("failed")) => self.failed += number,
                    _ => {}
                }
            }
        } else if let Some(test) = line.strip_prefix("test ") {
            if let Some((name, reason)) = test.split_once(" ... ignored") {
                let reason = reason.trim_start_matches(", ");
                let reason = if reason.is_empty() { "ignored" } else { reason };
                self.skip(&format!("{name}: {reason}"));
            } else if let Some(name) = test.strip_suffix(" ... FAILED") {
                self.failures.push(name.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, SLOWEST, begins};

    #[test]
    fn every_result_line_is_added_up() {
        let mut count = Count::default();
        for line in [
            "running 3 tests",
            "test one ... ok",
            "test two ... ignored, takes an hour",
            "test three ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.50s",
        ] {
            count.hear(line);
        }
        let expected = Count {
            passed: 13,
            failed: 1,
            failures: vec!["three".to_owned()],
            skips: [("takes an hour".to_owned(), vec!["two".to_owned()])].into(),
            programs: Vec::new(),
            seconds: 0.0,
        };
        assert_eq!(count, expected);
        count.made_up_for("takes an hour");
        assert!(count.skips.is_empty());
    }

    #[test]
    fn the_slowest_programs_come_first_under_their_names() {
        let names = [
            "     Running tests/crash/main.rs (target/debug/deps/crash-0f3a)",
            "     Running unittests src/lib.rs (target/debug/deps/roundtrip_under_test-77)",
            "   Doc-tests runtime",
        ]
        .map(begins);
        let [Some(crash), Some(unit), Some(documentation)] = &names else {
            panic!("{names:?}");
        };
        assert_eq!(crash, "crash (tests/crash/main.rs)");
        assert_eq!(unit, "roundtrip_under_test (unittests src/lib.rs)");
        assert_eq!(documentation, "runtime (documentation)");
        for line in ["test a ... ok", "running 2 tests", "Running (out of) words"] {
            assert_eq!(begins(line), None);
        }

        let mut count = Count::default();
        for (seconds, name) in [(1.0, crash), (103.25, unit), (2.0, documentation)] {
            count.programs.push((seconds, name.clone()));
        }
        let quick = (0..SLOWEST).map(|_| (0.0, "quick".to_owned()));
        count.programs.extend(quick);
        let slowest = count.slowest();
        assert_eq!(slowest.len(), SLOWEST);
        assert_eq!(slowest[0], format!("  103.2 s  {unit}"));
        assert!(slowest[1].ends_with(documentation) && slowest[2].ends_with(crash));
    }
}
