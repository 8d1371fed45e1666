//! What has to hold at the end of a run, and each way in which it does not, in words. Pure: what was seen comes in as values.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fault::Victim;
use super::wire::Counted;
use inspect::audit;

/// How many messages a trip may cost, as a multiple of what it takes when nothing goes wrong and it is undone in the end.
const MESSAGES_TIMES: u64 = 4;
/// What a message that a stranger repeats may bring about: an answer of each leg, and booking's to that.
const ANSWERS_MAX: u64 = 20;
/// Copies of one fact.
const COPIES_MAX: u32 = 12;
/// Log lines of all services, for each trip and for each fault, and what a start says.
const LINES_A_TRIP: u64 = 12;
const LINES_A_FAULT: u64 = 300;
/// Megabytes once everything is at rest.
const SERVICE_MB_MAX: u64 = 256;
const BROKER_MB_MAX: u64 = 512;

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    /// When the last trip was final, from the last fault on; None when not all are.
    pub(super) rest: Option<Duration>,
    pub(super) rest_within: Duration,
    /// Trips that are not final, by state.
    pub(super) open: &'a BTreeMap<String, i64>,
    pub(super) trips: u64,
    /// Messages that these trips take at most when nothing goes wrong.
    pub(super) messages_expected: u64,
    pub(super) wire: Counted,
    pub(super) faults: u64,
    pub(super) log_lines: u64,
    pub(super) panics: &'a [String],
    pub(super) anomalies: u64,
    pub(super) dead_letters: i64,
    /// Now and at most.
    pub(super) memory_mb: &'a BTreeMap<Victim, (u64, u64)>,
    pub(super) audit: &'a audit::Report,
    /// What the travellers' ledger says.
    pub(super) ledger: Vec<String>,
    /// Services that did not end as they were asked to.
    pub(super) complaints: Vec<String>,
}

/// Whatever is not as it has to be.
pub(super) fn failures(seen: Seen<'_>) -> Vec<String> {
    let mut failures = Vec::new();
    let mut must = |holds: bool, otherwise: String| {
        if !holds {
            failures.push(otherwise);
        }
    };
    let within = seen.rest_within.as_secs();
    match seen.rest {
        None => must(
            false,
            format!(
                "{within} s after the last fault trips are not final: {:?}",
                seen.open
            ),
        ),
        Some(rest) => must(
            rest <= seen.rest_within,
            format!(
                "a trip was final only {rest:.1?} after the last fault, and not within {within} s"
            ),
        ),
    }
    must(seen.trips > 0, String::from("nobody booked anything"));
    let messages_max = MESSAGES_TIMES * seen.messages_expected + ANSWERS_MAX * seen.wire.repeated;
    must(
        seen.wire.messages <= messages_max,
        format!(
            "{} messages for {} trips: no more than {messages_max} were to be expected",
            seen.wire.messages, seen.trips
        ),
    );
    must(
        seen.wire.copies_max <= COPIES_MAX,
        format!("one fact was published {} times", seen.wire.copies_max),
    );
    let lines_max = LINES_A_TRIP * seen.trips + LINES_A_FAULT * (seen.faults + 1);
    must(
        seen.log_lines <= lines_max,
        format!(
            "{} log lines: no more than {lines_max} were to be expected",
            seen.log_lines
        ),
    );
    must(
        seen.anomalies == 0,
        format!(
            "{} times something happened that cannot happen (roundtrip_anomalies_total)",
            seen.anomalies
        ),
    );
    must(
        seen.dead_letters == 0,
        format!("{} facts became dead letters", seen.dead_letters),
    );
    for (victim, (now, _)) in seen.memory_mb {
        let most = match victim {
            Victim::Service(..) => SERVICE_MB_MAX,
            Victim::Broker(_) => BROKER_MB_MAX,
            // Its memory is mostly shared, and counted once for each connection.
            Victim::Postgres => u64::MAX,
        };
        must(
            *now <= most,
            format!("{victim} has {now} MB in memory once everything is at rest"),
        );
    }
    must(seen.audit.is_clean(), format!("the audit:\n{}", seen.audit));
    failures.extend(seen.panics.iter().map(|line| format!("a panic: {line}")));
    failures.extend(
        seen.ledger
            .into_iter()
            .map(|line| format!("the ledger: {line}")),
    );
    failures.extend(seen.complaints);
    failures
}
