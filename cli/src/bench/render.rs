//! A report as people read it on a terminal. Nothing is measured here, and nothing left out that would be bad news.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::out;
use bench::cost::Cost;
use bench::distribution::Distribution;
use bench::floor::Floor;
use bench::report::{Report, Row, Run};
use bench::spread::Spread;
use client::paint::visible;

/// All of it.
pub(super) fn text(report: &Report) -> String {
    let mut text = settings(report);
    let table = out::table(
        [
            "load",
            "trips",
            "trips/s",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "max ms",
            "refused",
            "cancelled",
            "not started",
            "unfinished",
            "overloaded",
            "errors",
        ],
        report.rows.iter().map(cells),
    );
    let _ = writeln!(text, "{table}\n");
    for row in &report.rows {
        details(&mut text, row);
    }
    super::rivals::add(&mut text, report);
    match &report.audit {
        Some(audit) => {
            let _ = write!(text, "\n{audit}");
        }
        None => text += "\nno audit: no databases were given",
    }
    text
}

fn settings(report: &Report) -> String {
    let setup = &report.setup;
    let what = match (&setup.database, &setup.against) {
        (Some(database), _) => format!(
            "{database}; {} of each service",
            setup.replicas.unwrap_or_default()
        ),
        (None, against) => format!("the stack at {}", against.as_deref().unwrap_or("?")),
    };
    let build = if setup.debug_build {
        "; DEBUG BUILD"
    } else {
        ""
    };
    let stored = setup.stored.map_or_else(String::new, |trips| {
        format!("; {trips} trips stored before")
    });
    let hot = if setup.hot_flight {
        "; one flight on one day for all"
    } else {
        ""
    };
    format!(
        "{what}{stored}{hot}; {} s after {} s to warm up, {} of each; {} % refused by the hotel, {} % cancelled; {} cores, load {} before{build}\n\n",
        setup.duration_s,
        setup.warmup_s,
        setup.runs,
        setup.refused_percent,
        setup.cancelled_percent,
        report.machine.cores,
        report
            .machine
            .load_before
            .map_or_else(|| String::from("unknown"), |load| load.to_string()),
    )
}

fn told(spread: Option<Spread>, places: usize) -> String {
    spread.map_or_else(|| String::from("–"), |spread| spread.told(places))
}

fn cells(row: &Row) -> [String; 13] {
    let sum = |of: fn(&Run) -> u64| row.runs.iter().map(of).sum::<u64>();
    let known = |of: fn(&Run) -> Option<u64>| {
        let all: Option<u64> = row.runs.iter().map(of).sum();
        all.map_or_else(|| String::from("–"), |all| all.to_string())
    };
    let summary = &row.summary;
    [
        row.name(),
        sum(|run| run.trips).to_string(),
        told(summary.trips_per_s, 0),
        told(summary.p50_ms, 1),
        told(summary.p95_ms, 1),
        told(summary.p99_ms, 1),
        told(summary.max_ms, 1),
        sum(|run| run.refused).to_string(),
        sum(|run| run.cancelled).to_string(),
        known(|run| run.not_started),
        known(|run| run.unfinished),
        sum(|run| run.overloaded).to_string(),
        sum(|run| run.errors.values().sum()).to_string(),
    ]
}

fn details(text: &mut String, row: &Row) {
    let name = row.name();
    let _ = writeln!(text, "{name}");
    let summary = &row.summary;
    rare(text, row, "refused → undone", |run| {
        run.refused_to_undone.as_ref()
    });
    rare(text, row, "cancelled → undone", |run| {
        run.cancelled_to_undone.as_ref()
    });
    rare(text, row, "set out late by", |run| {
        run.set_out_late.as_ref()
    });
    // One run's parts: those of the medians would not add up.
    if let Some(cost) = row.runs.last().and_then(|run| run.cost.as_ref()) {
        costs(text, cost, summary.cpu_all_per_trip_us);
    }
    if let Some(floor) = &row.floor {
        below(text, floor);
    }
    for run in &row.runs {
        for (error, count) in &run.errors {
            let _ = writeln!(text, "  {count} errors: {}", visible(error));
        }
    }
}

/// The 99th percentile, or of too few the longest, and of how many.
fn rare(text: &mut String, row: &Row, what: &str, of: fn(&Run) -> Option<&Distribution>) {
    let all: Vec<&Distribution> = row.runs.iter().filter_map(of).collect();
    let count: u64 = all.iter().map(|told| told.count).sum();
    let p99 = Spread::of(all.iter().filter_map(|told| told.p99_ms));
    let max = Spread::of(all.iter().map(|told| told.max_ms));
    let (name, spread) = match p99 {
        Some(_) => ("p99", p99),
        None => ("max", max),
    };
    if let Some(spread) = spread {
        let _ = writeln!(
            text,
            "  {what:<19} {name} {} ms (of {count})",
            spread.told(1)
        );
    }
}

fn list<T: Copy>(all: &BTreeMap<String, T>, show: impl Fn(T) -> Option<String>) -> String {
    let each = all
        .iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", show(*value)?)));
    each.collect::<Vec<_>>().join(", ")
}

fn costs(text: &mut String, cost: &Cost, cpu: Option<Spread>) {
    let sum = |all: &BTreeMap<String, f64>| all.values().sum::<f64>();
    let known = |all: &BTreeMap<String, Option<f64>>| all.values().flatten().sum::<f64>();
    let mut line = |what: &str, all: String, each: String| {
        if !each.is_empty() {
            let _ = writeln!(text, "  {what:<19} {all} ({each})");
        }
    };
    let us = |us: f64| Some(format!("{us:.0}"));
    line(
        "CPU of a trip",
        format!("{} µs", told(cpu, 0)),
        list(&cost.cpu_per_trip_us, us),
    );
    let bytes = |bytes: Option<f64>| Some(format!("{:.1}", bytes? / 1_024.0));
    line(
        "written for it",
        format!("{:.1} KiB", known(&cost.written_per_trip_bytes) / 1_024.0),
        list(&cost.written_per_trip_bytes, bytes),
    );
    let many = |count: Option<f64>| Some(format!("{:.3}", count?));
    line(
        "fsyncs",
        format!("{:.3}", known(&cost.fsyncs_per_trip)),
        list(&cost.fsyncs_per_trip, many),
    );
    let count = |count: f64| Some(format!("{count:.2}"));
    line(
        "facts out",
        format!("{:.2}", sum(&cost.facts_out_per_trip)),
        list(&cost.facts_out_per_trip, count),
    );
    line(
        "facts in",
        format!("{:.2}", sum(&cost.facts_in_per_trip)),
        list(&cost.facts_in_per_trip, count),
    );
    line(
        "inputs of a batch",
        String::from("on average"),
        list(&cost.inputs_per_batch, |size| Some(format!("{size:.1}"))),
    );
    line(
        "most memory",
        String::from("MiB"),
        list(&cost.memory_peak_bytes, |bytes| {
            Some((bytes >> 20).to_string())
        }),
    );
}

fn below(text: &mut String, floor: &Floor) {
    let us = |us: Option<f64>| us.map_or_else(|| String::from("unknown"), |us| format!("{us:.0}"));
    let times = |ratio: Option<f64>| {
        ratio.map_or_else(|| String::from("unknown"), |ratio| format!("{ratio:.2} ×"))
    };
    let _ = writeln!(
        text,
        "  {:<19} {} µs ({})",
        "the floor",
        us(floor.cpu_all_per_trip_us),
        list(&floor.cpu_per_trip_us, |part| Some(us(part)))
    );
    let _ = writeln!(
        text,
        "  {:<19} {}; without the load generators {}",
        "over the floor",
        times(floor.ratio),
        times(floor.ratio_served)
    );
}
