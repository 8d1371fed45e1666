//! Two protocols beside each other, as a part of the page: what a trip takes of network and disk, and what each did while something was away.

use std::fmt::Write as _;

use super::{escaped, table};
use crate::availability::Outcome;
use crate::exchange::Exchange;
use crate::protocol::Protocol;
use crate::report::{Report, Row};

/// All of it; nothing where there is one protocol, and nothing went away.
pub(super) fn add(body: &mut String, report: &Report) {
    let rival = |row: &Row| row.protocol == Protocol::TwoPhase;
    if report.rows.iter().any(rival) {
        *body += "<h2>What a trip says, and how often it waits for the disk</h2>";
        let header = [
            "load",
            "broker messages",
            "database statements",
            "commits",
            "fsyncs",
        ];
        table(body, &header, report.rows.iter().map(exchange));
        *body += "<p class=\"note\">Medians of the runs. Broker messages: facts published and delivered, of which two-phase commit has none. Database statements, each with its answer: those of the saga's services are not counted. The two are not the same thing, and not to be compared with each other. What is not counted has no figure.</p>";
    }
    if let Some(audit) = &report.two_phase {
        let class = if audit.is_clean() { "good" } else { "bad" };
        let text = escaped(&audit.to_string());
        let _ = write!(body, "<pre class=\"{class}\">{text}</pre>");
    }
    if !report.availability.is_empty() {
        availability(body, &report.availability);
    }
    if let Some(error) = &report.availability_error {
        let error = escaped(error);
        let _ = write!(
            body,
            "<p class=\"bad\">While something is away: not measured. {error}</p>"
        );
    }
}

fn known(value: Option<f64>, places: usize) -> String {
    value.map_or_else(|| String::from("–"), |value| format!("{value:.places$}"))
}

fn exchange(row: &Row) -> Vec<String> {
    let told = Exchange::median(&row.runs);
    vec![
        row.name(),
        known(told.broker_messages_per_trip, 2),
        known(told.database_statements_per_trip, 2),
        known(told.commits_per_trip, 2),
        known(told.fsyncs_per_trip, 2),
    ]
}

fn availability(body: &mut String, outcomes: &[Outcome]) {
    *body += "<h2>While something is away</h2>";
    let header = [
        "what happened",
        "to",
        "away s",
        "trips/s before",
        "during",
        "after",
        "failed during",
        "waiting at its end",
        "longest silence s",
        "seats locked s",
        "lock waiters",
        "settled after s",
        "audit",
    ];
    let row = |outcome: &Outcome| {
        let waiters = outcome.lock_waiters_max;
        vec![
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
            waiters.map_or_else(|| String::from("–"), |waiters| waiters.to_string()),
            known(Some(outcome.settled_s), 1),
            String::from(if outcome.clean { "clean" } else { "VIOLATED" }),
        ]
    };
    table(body, &header, outcomes.iter().map(row));
    for outcome in outcomes {
        for (error, count) in &outcome.errors {
            let _ = write!(
                body,
                "<p class=\"note\">{}, {}: {count} × {}</p>",
                outcome.event,
                outcome.protocol,
                escaped(error)
            );
        }
    }
}
