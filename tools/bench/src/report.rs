//! What was measured, as data with names that stay. How it looks is for whoever shows it.

use std::collections::BTreeMap;

use inspect::audit;
use serde::Serialize;

use super::availability::Outcome;
use super::cost::Cost;
use super::distribution::{Distribution, round};
use super::exchange::Exchange;
use super::floor::Floor;
use super::load::Pace;
use super::machine::Machine;
use super::protocol::Protocol;
use super::spread::Spread;
use super::tally::Tally;
use super::watch::Series;

/// How it was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Setup {
    /// The database of a stack of our own, and how durable it is; null of a stack elsewhere.
    pub database: Option<String>,
    /// Where the stack runs; null when it is one of our own.
    pub against: Option<String>,
    /// Processes of each service; null of a stack elsewhere.
    pub replicas: Option<u16>,
    /// How long each run was measured.
    pub duration_s: f64,
    /// How long the load was on before.
    pub warmup_s: f64,
    /// How often everything was measured.
    pub runs: u32,
    /// So many of a hundred trips were to be refused.
    pub refused_percent: u8,
    /// So many of a hundred trips were to be cancelled.
    pub cancelled_percent: u8,
    /// The most trips under way in an open loop.
    pub in_flight_max: u32,
    /// So many trips, at least, were in the databases before; null where that was not asked for.
    pub stored: Option<u64>,
    /// Whether all trips asked for one flight on one day.
    pub hot_flight: bool,
    /// Figures of such a build mean nothing.
    pub debug_build: bool,
    /// The command's version.
    pub version: &'static str,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How it was measured.
    #[serde(flatten)]
    pub setup: Setup,
    /// The machine of the load generator; of a stack of our own, everything's.
    pub machine: Machine,
    /// A row for each number of callers and for each rate.
    pub rows: Vec<Row>,
    /// The judgement at the end; null where there were no databases to read.
    pub audit: Option<audit::Report>,
    /// The same of two-phase commit's own tables; null where it was not measured.
    pub two_phase: Option<two_phase::audit::Report>,
    /// What each protocol did while something was away; empty where that was not asked for.
    pub availability: Vec<Outcome>,
    /// Why it could not be told; null where it was, or was not asked for.
    pub availability_error: Option<String>,
}

impl Report {
    /// Whether there were trips in every run, and the audit had nothing to say.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let audit = self.audit.as_ref().is_none_or(audit::Report::is_clean);
        let rival = self.two_phase.as_ref();
        let rival = rival.is_none_or(two_phase::audit::Report::is_clean);
        let away = self.availability.iter().all(|outcome| outcome.clean);
        let runs = self.rows.iter().flat_map(|row| &row.runs);
        let away = away && self.availability_error.is_none();
        audit && rival && away && runs.into_iter().all(|run| run.trips > 0)
    }
}

/// One load, measured as often as was asked.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Callers of a closed loop; null in an open one.
    pub callers: Option<u32>,
    /// Trips offered each second in an open loop; null in a closed one.
    pub rate_per_s: Option<u32>,
    /// Who booked the trips.
    pub protocol: Protocol,
    /// What the runs say together.
    pub summary: Summary,
    /// Each of them.
    pub runs: Vec<Run>,
    /// What raw parts would cost; null where it was not asked for.
    pub floor: Option<Floor>,
}

impl Row {
    pub(crate) fn new(
        pace: Pace,
        protocol: Protocol,
        runs: Vec<Run>,
        floor: Option<Floor>,
    ) -> Self {
        let (callers, rate_per_s) = match pace {
            Pace::Callers(callers) => (Some(callers), None),
            Pace::Rate(rate) => (None, Some(rate)),
        };
        Self {
            callers,
            rate_per_s,
            protocol,
            summary: Summary::of(&runs),
            runs,
            floor,
        }
    }

    /// Such as `64 callers`, or `64 callers, two-phase`.
    #[must_use]
    pub fn name(&self) -> String {
        let pace = match (self.callers, self.rate_per_s) {
            (Some(callers), _) => Pace::Callers(callers),
            (_, rate) => Pace::Rate(rate.unwrap_or_default()),
        };
        match self.protocol {
            Protocol::Saga => pace.to_string(),
            Protocol::TwoPhase => format!("{pace}, {}", self.protocol),
        }
    }
}

/// Median, smallest and largest of the runs.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Completed trips a second.
    pub trips_per_s: Option<Spread>,
    /// The median of each run.
    pub p50_ms: Option<Spread>,
    /// Each run's 95th percentile.
    pub p95_ms: Option<Spread>,
    /// Each run's 99th percentile, of those that have a hundred trips.
    pub p99_ms: Option<Spread>,
    /// The longest of each run.
    pub max_ms: Option<Spread>,
    /// From a refusal to everything being back: the 99th percentile.
    pub refused_to_undone_p99_ms: Option<Spread>,
    /// From a cancellation to everything being back: the 99th percentile.
    pub cancelled_to_undone_p99_ms: Option<Spread>,
    /// CPU time of everything.
    pub cpu_all_per_trip_us: Option<Spread>,
}

impl Summary {
    fn of(runs: &[Run]) -> Self {
        let took = |of: fn(&Distribution) -> f64| {
            Spread::of(runs.iter().filter_map(|run| run.latency.as_ref()).map(of))
        };
        let p99 = |of: fn(&Run) -> Option<&Distribution>| {
            Spread::of(runs.iter().filter_map(of).filter_map(|told| told.p99_ms))
        };
        let cpu = |run: &Run| run.cost.as_ref()?.cpu_all_per_trip_us;
        Self {
            trips_per_s: Spread::of(runs.iter().map(|run| run.trips_per_s)),
            p50_ms: took(|told| told.p50_ms),
            p95_ms: took(|told| told.p95_ms),
            p99_ms: p99(|run| run.latency.as_ref()),
            max_ms: took(|told| told.max_ms),
            refused_to_undone_p99_ms: p99(|run| run.refused_to_undone.as_ref()),
            cancelled_to_undone_p99_ms: p99(|run| run.cancelled_to_undone.as_ref()),
            cpu_all_per_trip_us: Spread::of(runs.iter().filter_map(cpu)),
        }
    }
}

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Trips whose latency was measured: in a closed loop those that ended in time, in an open one those that were to set out in time.
    pub trips: u64,
    /// Trips completed while it was measured, for each second of it.
    pub trips_per_s: f64,
    /// Of those trips, that went through.
    pub confirmed: u64,
    /// That the hotel refused, with everything back.
    pub refused: u64,
    /// That were cancelled, with everything back.
    pub cancelled: u64,
    /// That were to set out; null in a closed loop.
    pub offered: Option<u64>,
    /// That found as many under way as there may be, and did not set out; null in a closed loop.
    pub not_started: Option<u64>,
    /// That were under way as it ended, and completed only then; null in an open loop, which waits for them.
    pub unfinished: Option<u64>,
    /// That were turned away with 503; in a closed loop also those that were told so later.
    pub overloaded: u64,
    /// What else went wrong, and how often; in a closed loop also what was under way as it ended and went wrong later.
    pub errors: BTreeMap<String, u64>,
    /// From the question to the outcome; in an open loop from when the question was due.
    pub latency: Option<Distribution>,
    /// From the time in the hotel's refusal to the answer that everything is back.
    pub refused_to_undone: Option<Distribution>,
    /// From the cancellation to the answer that everything is back.
    pub cancelled_to_undone: Option<Distribution>,
    /// By how much trips of an open loop set out too late: the load generator's own part of their latency.
    pub set_out_late: Option<Distribution>,
    /// HTTP requests of a completed trip.
    pub requests_per_trip: f64,
    /// What a trip cost; null of a stack elsewhere.
    pub cost: Option<Cost>,
    /// What was said for it, to whom; null where nobody counted.
    pub exchange: Option<Exchange>,
    /// Second by second.
    pub series: Series,
    /// Of the last answer of a trip, for the floor.
    #[serde(skip)]
    pub(crate) answer_bytes: usize,
}

impl Run {
    pub(crate) fn new(
        pace: Pace,
        duration_s: f64,
        tally: Tally,
        refused_to_undone: Option<Distribution>,
        (cost, exchange): (Option<Cost>, Option<Exchange>),
        series: Series,
    ) -> Self {
        let open = matches!(pace, Pace::Rate(_));
        let trips = tally.took.len();
        let per_trip = |count: u64| count as f64 / trips.max(1) as f64;
        Self {
            trips,
            trips_per_s: round(tally.ended as f64 / duration_s),
            confirmed: tally.confirmed,
            refused: tally.refused,
            cancelled: tally.cancelled,
            offered: open.then_some(tally.offered),
            not_started: open.then_some(tally.not_started),
            unfinished: (!open).then_some(tally.unfinished),
            overloaded: tally.overloaded,
            latency: tally.took.distribution(),
            refused_to_undone,
            cancelled_to_undone: tally.cancelled_to_undone.distribution(),
            set_out_late: tally.late.distribution(),
            requests_per_trip: round(per_trip(tally.requests)),
            cost,
            exchange,
            series,
            answer_bytes: (tally.answer_bytes / trips.max(1)) as usize,
            errors: tally.errors,
        }
    }

    /// Trips that did not end as they were to, or not in time, whatever the reason.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let errors: u64 = self.errors.values().sum();
        errors + self.overloaded + self.not_started.unwrap_or(0) + self.unfinished.unwrap_or(0)
    }
}
