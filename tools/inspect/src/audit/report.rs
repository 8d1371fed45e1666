//! What an audit found, for people and for programs.

use std::fmt;

use client::paint::visible;
use serde::Serialize;

use super::counts::Counts;
use super::violations::Violations;

/// What came of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every trip went through or came all the way back, and nothing moves any more.
    Clean,
    /// Something is not as it has to be, or still moves.
    Violated,
    /// There was no trip to judge.
    NothingToJudge,
    /// A part could not be reached.
    Unreachable,
}

impl Verdict {
    /// As the command's exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Violated => 1,
            Self::NothingToJudge | Self::Unreachable => 2,
        }
    }
}

/// What an audit found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// In one word.
    pub verdict: Verdict,
    /// What was counted.
    pub counts: Counts,
    /// What is not as it has to be, each by name.
    pub violations: Vec<String>,
    /// What still moves: it can't be clean yet.
    pub moving: Vec<String>,
    /// What could not be reached, and so was not judged.
    pub unreached: Vec<String>,
    /// Legs whose records were not looked at: their databases were not given, or have tables of their own. And the payment provider's list,
    /// where nobody said which provider it is.
    pub not_looked_at: Vec<String>,
    /// What the reader should know besides.
    pub notes: Vec<String>,
    /// A database that is needed was not given: no waiting brings it.
    #[serde(skip)]
    pub(super) missing: bool,
}

impl Report {
    pub(super) fn new(counts: Counts) -> Self {
        let moving = counts.moving();
        Self {
            verdict: Verdict::Unreachable,
            counts,
            violations: Vec::new(),
            moving,
            unreached: Vec::new(),
            not_looked_at: Vec::new(),
            notes: Vec::new(),
            missing: false,
        }
    }

    /// Names what could not be reached, once.
    pub(super) fn reach(&mut self, unreached: impl IntoIterator<Item = String>) {
        for part in unreached {
            if !self.unreached.contains(&part) {
                self.unreached.push(part);
            }
        }
    }

    /// Takes over what was found; `same` when nothing moved while it was read.
    pub(super) fn violate(&mut self, violations: Violations, same: bool) {
        self.violations = violations.within;
        if same {
            self.violations.extend(violations.across);
        }
        if violations.more > 0 {
            self.violations.push(format!(
                "and {} more that are not named here",
                violations.more
            ));
        }
    }

    pub(super) fn decide(&mut self) {
        self.verdict = if !self.violations.is_empty() {
            Verdict::Violated
        } else if !self.unreached.is_empty() {
            Verdict::Unreachable
        } else if !self.moving.is_empty() {
            Verdict::Violated
        } else if self.counts.is_empty() {
            Verdict::NothingToJudge
        } else {
            Verdict::Clean
        };
    }

    /// Whether looking again later could bring nothing else.
    pub(super) fn is_settled(&self) -> bool {
        self.moving.is_empty() && (self.unreached.is_empty() || self.missing)
    }

    /// Clean, and nothing less.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.verdict == Verdict::Clean
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts.fmt(f)?;
        for (title, lines) in [
            ("violated", &self.violations),
            ("still moving", &self.moving),
            ("not reached", &self.unreached),
            ("not looked at", &self.not_looked_at),
            ("note", &self.notes),
        ] {
            for line in lines {
                writeln!(f, "{title}: {}", visible(line))?;
            }
        }
        match self.verdict {
            Verdict::Clean => {
                write!(f, "clean: every trip went through or came all the way back")?;
                if !self.not_looked_at.is_empty() {
                    let legs = self.not_looked_at.join(", ");
                    write!(f, ", as far as was looked: not at {}", visible(&legs))?;
                }
                Ok(())
            }
            Verdict::Violated if self.violations.is_empty() => {
                write!(
                    f,
                    "not settled: something still moves; look again in a moment"
                )
            }
            Verdict::Violated => write!(f, "VIOLATED: see above"),
            Verdict::NothingToJudge => write!(f, "nothing to judge: there is no trip"),
            Verdict::Unreachable => write!(f, "not judged: a part could not be reached"),
        }
    }
}
