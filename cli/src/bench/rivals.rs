//! What a report says of two protocols beside each other: what a trip takes of network and disk, and what each did while something was away.

use std::fmt::Write as _;

use crate::out;
use bench::Protocol;
use bench::availability::Outcome;
use bench::exchange::Exchange;
use bench::report::{Report, Row};
use client::paint::visible;

/// Nothing where there is one protocol, and nothing went away.
pub(super) fn add(text: &mut String, report: &Report) {
    let rival = |row: &Row| row.protocol == Protocol::TwoPhase;
    if report.rows.iter().any(rival) {
        exchanges(text, report);
    }
    if !report.availability.is_empty() {
        availability(text, &report.availability);
    }
    if let Some(error) = &report.availability_error {
        let _ = writeln!(text, "\navailability: not measured: {}", visible(error));
    }
    if let Some(audit) = &report.two_phase {
        let _ = write!(text, "\n{audit}\n");
    }
}

fn known(value: Option<f64>, places: usize) -> String {
    value.map_or_else(|| String::from("–"), |value| format!("{value:.places$}"))
}

fn exchanges(text: &mut String, report: &Report) {
    let header = [
        "of a trip",
        "broker messages",
        "database statements",
        "commits",
        "fsyncs",
    ];
    let row = |row: &Row| {
        let median = Exchange::median(&row.runs);
        let told = |value: Option<f64>| known(value, 2);
        [
            row.name(),
            told(median.broker_messages_per_trip),
            told(median.database_statements_per_trip),
            told(median.commits_per_trip),
            told(median.fsyncs_per_trip),
        ]
    };
    let table = out::table(header, report.rows.iter().map(row));
    let _ = writeln!(
        text,
        "\n{table}\nmedians of the runs; broker messages: facts published and delivered, of which two-phase commit has none; database statements: those of the saga's services are not counted (–); the two are not to be compared with each other"
    );
}

fn availability(text: &mut String, outcomes: &[Outcome]) {
    let header = [
        "what happened",
        "to",
        "away s",
        "before /s",
        "during /s",
        "after /s",
        "failed",
        "waiting",
        "silent s",
        "locked s",
        "lock waiters",
        "settled s",
        "audit",
    ];
    let row = |outcome: &Outcome| {
        let count =
            |value: Option<u64>| value.map_or_else(|| String::from("–"), |value| value.to_string());
        [
            outcome.event.to_string(),
            outcome.protocol.to_string(),
            known(Some(outcome.away_s), 1),
            known(Some(outcome.before_per_s), 0),
            known(Some(outcome.during_per_s), 0),
            known(outcome.after_per_s, 0),
            outcome.failed_during.to_string(),
            outcome.waiting_at_end.to_string(),
            known(Some(outcome.longest_silence_s), 1),
            known(outcome.locked_s, 1),
            count(outcome.lock_waiters_max),
            known(Some(outcome.settled_s), 1),
            String::from(if outcome.clean { "clean" } else { "VIOLATED" }),
        ]
    };
    let table = out::table(header, outcomes.iter().map(row));
    let _ = writeln!(text, "\n{table}");
    for outcome in outcomes {
        let name = format!("{}, {}", outcome.event, outcome.protocol);
        for (error, count) in &outcome.errors {
            let _ = writeln!(text, "  {name}: {count} × {}", visible(error));
        }
        for violation in &outcome.violations {
            let _ = writeln!(text, "  {name}: {}", visible(violation));
        }
    }
}
