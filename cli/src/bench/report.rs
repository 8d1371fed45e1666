//! What was measured: rows for people, JSON for programs. Nothing is measured here.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::load::Tally;
use crate::out;
use client::paint::visible;
use inspect::audit::Report;
use stack::DatabaseChoice;

/// How it was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Setup {
    pub(crate) database: String,
    pub(crate) replicas: u16,
    pub(crate) duration_s: f64,
    pub(crate) warmup_s: f64,
    pub(crate) refused_percent: u8,
    pub(crate) debug_build: bool,
    pub(crate) version: &'static str,
    pub(crate) cores: usize,
}

/// The database and how durable it is: the services' own settings.
pub(crate) fn database(choice: &DatabaseChoice) -> String {
    let durable = match choice {
        DatabaseChoice::Sqlite => "journal_mode=WAL, synchronous=FULL",
        _ => "synchronous_commit=on",
    };
    format!("{choice}, {durable}")
}

/// One measurement.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) callers: u32,
    pub(crate) trips: u64,
    trips_per_s: f64,
    confirmed: u64,
    refused: u64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    errors: BTreeMap<String, u64>,
    cpu_us_per_trip: BTreeMap<String, u64>,
}

impl Row {
    pub(crate) fn new(
        callers: u32,
        duration: Duration,
        tally: &Tally,
        cpu_us_per_trip: BTreeMap<String, u64>,
    ) -> Self {
        let trips = tally.took_us.len();
        let ms = |quantile| to_ms(tally.took_us.value_at_quantile(quantile));
        #[expect(clippy::cast_precision_loss, reason = "a rate to be looked at")]
        let trips_per_s = trips as f64 / duration.as_secs_f64();
        Self {
            callers,
            trips,
            trips_per_s: (trips_per_s * 10.0).round() / 10.0,
            confirmed: tally.confirmed,
            refused: tally.refused,
            p50_ms: ms(0.50),
            p95_ms: ms(0.95),
            p99_ms: ms(0.99),
            max_ms: to_ms(tally.took_us.max()),
            errors: tally.errors.clone(),
            cpu_us_per_trip,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds to be looked at")]
fn to_ms(us: u64) -> f64 {
    (us as f64 / 100.0).round() / 10.0
}

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    #[serde(flatten)]
    pub(crate) setup: Setup,
    pub(crate) rows: Vec<Row>,
    pub(crate) audit: Report,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setup = &self.setup;
        writeln!(
            f,
            "{}; {} of each service; {} s after {} s to warm up; {} % refused by the hotel; {} cores{}\n",
            setup.database,
            setup.replicas,
            setup.duration_s,
            setup.warmup_s,
            setup.refused_percent,
            setup.cores,
            if setup.debug_build {
                "; DEBUG BUILD"
            } else {
                ""
            }
        )?;
        let rows = self.rows.iter().map(|row| {
            [
                row.callers.to_string(),
                row.trips.to_string(),
                format!("{:.0}", row.trips_per_s),
                format!("{:.1} ms", row.p50_ms),
                format!("{:.1} ms", row.p95_ms),
                format!("{:.1} ms", row.p99_ms),
                format!("{:.1} ms", row.max_ms),
                row.refused.to_string(),
                row.errors.values().sum::<u64>().to_string(),
            ]
        });
        let header = [
            "callers", "trips", "trips/s", "p50", "p95", "p99", "max", "refused", "errors",
        ];
        writeln!(f, "{}\n", out::table(header, rows))?;
        for row in &self.rows {
            let used: Vec<String> = row
                .cpu_us_per_trip
                .iter()
                .map(|(name, us)| format!("{name} {us}"))
                .collect();
            if !used.is_empty() {
                let sum: u64 = row.cpu_us_per_trip.values().sum();
                let used = used.join(", ");
                writeln!(
                    f,
                    "CPU of a trip at {} callers: {sum} µs ({used})",
                    row.callers
                )?;
            }
            for (error, count) in &row.errors {
                let error = visible(error);
                writeln!(f, "{count} errors at {} callers: {error}", row.callers)?;
            }
        }
        write!(f, "\n{}", self.audit)
    }
}
