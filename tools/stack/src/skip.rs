//! What a test does when the broker, the database server or the tools that it needs cannot be obtained: it is skipped, and that is said.
//! Not for anything else that goes wrong: a server that was obtained and does not start is a failure.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write as _;

/// What a test may need from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A nats-server.
    Nats,
    /// A PostgreSQL.
    Postgres,
    /// Python 3, and a package index for its tools.
    Python,
}

impl Need {
    fn name(self) -> &'static str {
        match self {
            Need::Nats => "nats",
            Need::Postgres => "postgres",
            Need::Python => "python",
        }
    }
}

/// What was obtained; or None, and the test is to return at once: it counts as skipped.
///
/// # Panics
/// When `ROUNDTRIP_REQUIRE` (`nats`, `postgres`, `python`, or several with commas) names what is missing.
pub fn unless<T, E: Display>(need: Need, test: &str, obtained: Result<T, E>) -> Option<T> {
    match obtained {
        Ok(thing) => Some(thing),
        Err(error) => {
            missing(need, test, &format!("{error:#}"));
            None
        }
    }
}

/// Says on standard error and in `ROUNDTRIP_SKIP_LOG` that a test is skipped, and why.
pub fn say(test: &str, reason: &str) {
    let reason = reason.lines().collect::<Vec<_>>().join(" ");
    let line = format!("SKIPPED {test}: {reason}\n");
    // Written past the test harness, which would keep it back for a test that passes. Nothing is left to do when even this fails.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = std::env::var_os("ROUNDTRIP_SKIP_LOG").filter(|file| !file.is_empty()) {
        let log = OpenOptions::new().create(true).append(true).open(file);
        let _ = log.and_then(|mut log| log.write_all(line.as_bytes()));
    }
}

fn missing(need: Need, test: &str, reason: &str) {
    let required = std::env::var("ROUNDTRIP_REQUIRE").unwrap_or_default();
    assert!(
        !names(&required, need),
        "{test} needs {}, and ROUNDTRIP_REQUIRE forbids to skip it: {reason}",
        need.name()
    );
    say(test, reason);
}

fn names(required: &str, need: Need) -> bool {
    required.split(',').any(|word| word.trim() == need.name())
}

#[cfg(test)]
mod tests {
    use super::{Need, names};

    #[test]
    fn a_required_need_is_named_in_a_comma_list() {
        assert!(names("nats,postgres", Need::Nats));
        assert!(names("nats, postgres", Need::Postgres));
        assert!(!names("nats", Need::Postgres));
        assert!(!names("", Need::Nats));
    }
}
