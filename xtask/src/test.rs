//! The one test command. The broker and the database server are obtained by the first test that needs them; here is only counted what
//! became of the tests, so that no skip goes unnoticed. Not a test runner.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::{cargo, say};

/// What `cargo test` said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
    failures: Vec<String>,
    skips: Vec<String>,
}

/// Runs the tests; true when some passed and none failed. `before` is what else there is to say right above the last line.
pub(crate) fn run(args: &[String], before: &[String]) -> Result<bool> {
    let start = Instant::now();
    // Tests of several processes append to it.
    let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/skipped.log");
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&log, "").with_context(|| format!("cannot write {}", log.display()))?;

    let mut command = cargo();
    command.args(["test", "--no-fail-fast"]);
    if args.is_empty() {
        command.arg("--workspace");
    }
    let mut tests = command
        .args(args)
        .env("ROUNDTRIP_SKIP_LOG", fs::canonicalize(&log)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let mut count = Count::default();
    if let Some(output) = tests.stdout.take() {
        let mut lines = BufReader::new(output);
        let mut line = Vec::new();
        // By bytes: a test may print anything.
        while lines.read_until(b'\n', &mut line)? > 0 {
            let mut out = std::io::stdout();
            out.write_all(&line)?;
            out.flush()?;
            count.hear(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    let status = tests.wait()?;
    let skipped = fs::read_to_string(&log)?;
    count.skips.extend(
        skipped
            .lines()
            .map(|line| line.trim_start_matches("SKIPPED ").to_owned()),
    );
    count.report(status.success())?;
    for line in before {
        say(line)?;
    }
    say(&format!(
        "tests took {:.1} s",
        start.elapsed().as_secs_f64()
    ))?;
    let (passed, failed, skipped) = count.sums(status.success());
    say(&format!(
        "{passed} passed, {failed} failed, {skipped} skipped"
    ))?;
    Ok(passed > 0 && failed == 0)
}

impl Count {
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
                    (Some(number), Some("ignored")) => self.ignored += number,
                    _ => {}
                }
            }
        } else if let Some(test) = line.strip_prefix("test ") {
            if let Some((name, reason)) = test.split_once(" ... ignored") {
                let reason = reason.trim_start_matches(", ");
                let reason = if reason.is_empty() { "ignored" } else { reason };
                self.skips.push(format!("{name}: {reason}"));
            } else if let Some(name) = test.strip_suffix(" ... FAILED") {
                self.failures.push(name.to_owned());
            }
        }
    }

    /// A test that skips itself returns like one that passes, and cargo counts it so.
    fn skipped_by_themselves(&self) -> u64 {
        (self.skips.len() as u64).saturating_sub(self.ignored)
    }

    /// Passed, failed, skipped.
    fn sums(&self, cargo_content: bool) -> (u64, u64, u64) {
        let by_themselves = self.skipped_by_themselves();
        let unseen = u64::from(!cargo_content && self.failed == 0);
        (
            self.passed.saturating_sub(by_themselves),
            self.failed + unseen,
            self.ignored + by_themselves,
        )
    }

    fn report(&self, cargo_content: bool) -> Result<()> {
        say("")?;
        for name in &self.failures {
            say(&format!("FAILED {name}"))?;
        }
        for skip in &self.skips {
            say(&format!("SKIPPED {skip}"))?;
        }
        if !cargo_content && self.failed == 0 {
            say("FAILED cargo test itself: something did not compile, or a test program died")?;
        }
        if self.passed + self.failed == 0 {
            say("nothing ran: that is a failure too")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Count;

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
            ignored: 1,
            failures: vec!["three".to_owned()],
            skips: vec!["two: takes an hour".to_owned()],
        };
        assert_eq!(count, expected);
        assert_eq!(count.sums(false), (13, 1, 1));
    }

    #[test]
    fn a_test_that_skipped_itself_did_not_pass() {
        let count = Count {
            passed: 3,
            skips: vec!["one: no broker".to_owned()],
            ..Count::default()
        };
        assert_eq!(count.sums(true), (2, 0, 1));
        assert_eq!(count.sums(false), (2, 1, 1), "a program died unseen");
    }
}
