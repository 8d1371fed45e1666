//! What a doctor found, for people and for programs.

use serde::Serialize;

use client::paint::{Paint, Tone, visible};

/// What to think of one thing that was looked at, or of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// Nobody said where it is, or it cannot be seen from here.
    NotLookedAt,
    /// Trips go through, and somebody should know.
    Warning,
    /// Something does not work, or will not come right by itself.
    Wrong,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::NotLookedAt => "not looked at",
            Self::Warning => "warning",
            Self::Wrong => "WRONG",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Fine => Tone::Good,
            Self::NotLookedAt => Tone::Quiet,
            Self::Warning => Tone::Back,
            Self::Wrong => Tone::Bad,
        }
    }
}

/// What a finding belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Booking and the legs, over HTTP.
    Services,
    /// NATS.
    Broker,
    /// SQLite or PostgreSQL.
    Databases,
    /// The ways to all of them.
    Connections,
}

impl Group {
    const ALL: [Self; 4] = [
        Self::Services,
        Self::Broker,
        Self::Databases,
        Self::Connections,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Broker => "broker",
            Self::Databases => "databases",
            Self::Connections => "connections",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it belongs to.
    pub group: Group,
    /// Whose it is, such as `flight` or `TRIPS`.
    pub subject: String,
    /// What was looked at, in one word that does not change.
    pub check: &'static str,
    /// What to think of it.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do; None when it is fine.
    pub todo: Option<String>,
}

/// What a doctor found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Nothing is wrong; there may be warnings.
    pub healthy: bool,
    /// Something answered; else nothing is known.
    pub reached: bool,
    /// How many are wrong.
    pub wrong: usize,
    /// How many are warnings.
    pub warnings: usize,
    /// How many were not looked at.
    pub not_looked_at: usize,
    /// Everything that was looked at.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(findings: Vec<Finding>, reached: bool) -> Self {
        let count = |verdict| findings.iter().filter(|f| f.verdict == verdict).count();
        let (wrong, warnings) = (count(Verdict::Wrong), count(Verdict::Warning));
        Self {
            healthy: reached && wrong == 0,
            reached,
            wrong,
            warnings,
            not_looked_at: count(Verdict::NotLookedAt),
            findings,
        }
    }

    /// As the command's exit code: 0 healthy, 1 something is wrong, 2 nothing was reached.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.reached, self.healthy) {
            (false, _) => 2,
            (true, false) => 1,
            (true, true) => 0,
        }
    }

    /// In one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        if self.wrong > 0 {
            parts.push(format!("{} wrong", self.wrong));
        }
        match self.warnings {
            0 => {}
            1 => parts.push(String::from("1 warning")),
            n => parts.push(format!("{n} warnings")),
        }
        if !self.reached {
            parts.insert(0, String::from("nothing answered"));
        } else if self.healthy {
            parts.insert(0, String::from("healthy"));
        }
        if self.not_looked_at > 0 {
            parts.push(format!("{} not looked at", self.not_looked_at));
        }
        parts.join(", ")
    }

    /// For people: what is fine in one line for each subject, everything else with what to do.
    #[must_use]
    pub fn told(&self, paint: Paint) -> String {
        let subjects = self.findings.iter().map(|f| visible(&f.subject));
        let width = subjects.map(|subject| subject.chars().count()).max();
        let width = width.unwrap_or(0);
        let mut lines = Vec::new();
        for group in Group::ALL {
            let of_group: Vec<&Finding> =
                self.findings.iter().filter(|f| f.group == group).collect();
            if of_group.is_empty() {
                continue;
            }
            lines.push(paint.tone(Tone::Loud, group.name()));
            let mut told: Vec<&str> = Vec::new();
            for subject in of_group.iter().map(|finding| finding.subject.as_str()) {
                if !told.contains(&subject) {
                    told.push(subject);
                    lines.extend(subject_lines(subject, &of_group, width, paint));
                }
            }
        }
        let tone = match (self.reached, self.wrong, self.warnings) {
            (true, 0, 0) => Tone::Good,
            (true, 0, _) => Tone::Back,
            _ => Tone::Bad,
        };
        lines.push(paint.tone(tone, &self.summary()));
        lines.join("\n")
    }
}

/// Much of it was said by others.
fn subject_lines(subject: &str, findings: &[&Finding], width: usize, paint: Paint) -> Vec<String> {
    let of_subject = |fine: bool| {
        findings
            .iter()
            .filter(move |f| f.subject == subject && (f.verdict == Verdict::Fine) == fine)
    };
    let shown = visible(subject);
    let line = |verdict: Verdict, seen: &str| {
        let word = format!("{:<13}", verdict.word());
        let word = paint.tone(verdict.tone(), &word);
        format!("  {word}  {shown:<width$}  {}", visible(seen))
    };
    let mut lines = Vec::new();
    let fine: Vec<&str> = of_subject(true).map(|f| f.seen.as_str()).collect();
    if !fine.is_empty() {
        lines.push(line(Verdict::Fine, &fine.join("; ")));
    }
    for finding in of_subject(false) {
        lines.push(line(finding.verdict, &finding.seen));
        if let Some(todo) = &finding.todo {
            let todo = visible(todo);
            lines.push(format!("  {:<13}  {:<width$}  → {todo}", "", ""));
        }
    }
    lines
}

/// Findings of one subject, as they are made.
pub(super) struct Sheet<'a> {
    pub(super) group: Group,
    pub(super) subject: &'a str,
    pub(super) findings: &'a mut Vec<Finding>,
}

impl Sheet<'_> {
    pub(super) fn fine(&mut self, check: &'static str, seen: impl Into<String>) {
        self.add(check, Verdict::Fine, seen.into(), None);
    }

    pub(super) fn warning(
        &mut self,
        check: &'static str,
        seen: impl Into<String>,
        todo: impl Into<String>,
    ) {
        self.add(check, Verdict::Warning, seen.into(), Some(todo.into()));
    }

    pub(super) fn wrong(
        &mut self,
        check: &'static str,
        seen: impl Into<String>,
        todo: impl Into<String>,
    ) {
        self.add(check, Verdict::Wrong, seen.into(), Some(todo.into()));
    }

    pub(super) fn unseen(
        &mut self,
        check: &'static str,
        seen: impl Into<String>,
        todo: impl Into<String>,
    ) {
        self.add(check, Verdict::NotLookedAt, seen.into(), Some(todo.into()));
    }

    pub(super) fn add(
        &mut self,
        check: &'static str,
        verdict: Verdict,
        seen: String,
        todo: Option<String>,
    ) {
        self.findings.push(Finding {
            group: self.group,
            subject: self.subject.to_owned(),
            check,
            verdict,
            seen,
            todo,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdicts: &[Verdict], reached: bool) -> Report {
        let mut findings = Vec::new();
        for verdict in verdicts {
            let mut sheet = Sheet {
                group: Group::Broker,
                subject: "TRIPS",
                findings: &mut findings,
            };
            let todo = (*verdict != Verdict::Fine).then(|| String::from("do it"));
            sheet.add("thing", *verdict, String::from("a\u{1b}[31mb\nc"), todo);
        }
        Report::new(findings, reached)
    }

    #[test]
    fn the_last_line_and_the_exit_code_say_the_same() {
        use Verdict::{Fine, NotLookedAt, Warning, Wrong};
        for (verdicts, reached, summary, code) in [
            (&[Fine][..], true, "healthy", 0),
            (&[Fine, Warning], true, "healthy, 1 warning", 0),
            (&[Wrong, Wrong, Warning], true, "2 wrong, 1 warning", 1),
            (
                &[NotLookedAt],
                false,
                "nothing answered, 1 not looked at",
                2,
            ),
            (&[Wrong], false, "nothing answered, 1 wrong", 2),
        ] {
            let report = report(verdicts, reached);
            assert_eq!(
                (report.summary().as_str(), report.exit_code()),
                (summary, code)
            );
            assert_eq!(report.healthy, code == 0);
        }
    }

    #[test]
    fn what_is_fine_is_one_line_and_the_rest_says_what_to_do() {
        let told = report(&[Verdict::Fine, Verdict::Wrong, Verdict::Fine], true).told(Paint::OFF);
        let lines: Vec<&str> = told.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "broker",
                r"  fine           TRIPS  a\u{1b}[31mb\u{a}c; a\u{1b}[31mb\u{a}c",
                r"  WRONG          TRIPS  a\u{1b}[31mb\u{a}c",
                "                        → do it",
                "1 wrong"
            ]
        );
    }

    #[test]
    fn programs_find_stable_names() {
        let json = serde_json::to_value(report(&[Verdict::NotLookedAt], true)).unwrap_or_default();
        assert_eq!(json["not_looked_at"], 1);
        assert_eq!(json["findings"][0]["verdict"], "not-looked-at");
        assert_eq!(json["findings"][0]["group"], "broker");
        assert_eq!(json["findings"][0]["check"], "thing");
    }
}
