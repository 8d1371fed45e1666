//! What a trip costs, as a part of the page: bars of CPU time, a table of every process, and the floor below.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{escaped, key, last, table};
use crate::floor::Floor;
use crate::plots::COLOURS;
use crate::report::{Report, Row, Run};

/// All of it; nothing where nothing is known.
pub(super) fn add(body: &mut String, report: &Report) {
    let rows: Vec<(&Row, &Run)> = report
        .rows
        .iter()
        .filter_map(|row| Some((row, last(row)?)))
        .collect();
    if rows.iter().all(|(_, run)| run.cost.is_none()) {
        return;
    }
    *body += "<h2>What a trip costs</h2>";
    let costs = || {
        rows.iter()
            .filter_map(|(row, run)| Some((*row, run.cost.as_ref()?)))
    };
    let most = costs()
        .filter_map(|(_, cost)| cost.cpu_all_per_trip_us)
        .fold(1.0, f64::max);
    for (row, cost) in costs() {
        bar(body, &row.name(), &cost.cpu_per_trip_us, most);
        if let Some(floor) = &row.floor {
            let parts = floor.cpu_per_trip_us.iter();
            let parts = parts.filter_map(|(name, us)| Some((name.clone(), (*us)?)));
            bar(body, "its floor", &parts.collect(), most);
        }
    }
    let alike = ALIKE.iter().map(|names| names.join(", "));
    key(body, alike);
    *body += "<p class=\"note\">Microseconds of CPU, user's and system's, of the last run. bench and http-client are the load generators.</p>";
    processes(body, &rows);
    for (row, floor) in rows
        .iter()
        .filter_map(|(row, _)| Some((row, row.floor.as_ref()?)))
    {
        below(body, row, floor);
    }
}

/// A line for each process.
fn processes(body: &mut String, rows: &[(&Row, &Run)]) {
    let costs = rows.iter();
    let costs = costs.filter_map(|(row, run)| Some((*row, run.cost.as_ref()?)));
    let header = [
        "load",
        "process",
        "CPU µs",
        "written bytes",
        "fsyncs",
        "commits",
        "facts in",
        "facts out",
        "inputs of a batch",
        "most memory MiB",
    ];
    let lines = costs.flat_map(|(row, cost)| {
        let names = cost
            .memory_peak_bytes
            .keys()
            .chain(cost.commits_per_trip.keys());
        let names: BTreeSet<&String> = names.collect();
        let figure = |value: Option<f64>, places: usize| {
            value.map_or_else(|| String::from("–"), |value| format!("{value:.places$}"))
        };
        names.into_iter().map(move |name| {
            vec![
                row.name(),
                name.clone(),
                figure(cost.cpu_per_trip_us.get(name).copied(), 0),
                figure(cost.written_per_trip_bytes.get(name).copied().flatten(), 0),
                figure(cost.fsyncs_per_trip.get(name).copied().flatten(), 3),
                figure(cost.commits_per_trip.get(name).copied(), 3),
                figure(cost.facts_in_per_trip.get(name).copied(), 2),
                figure(cost.facts_out_per_trip.get(name).copied(), 2),
                figure(cost.inputs_per_batch.get(name).copied(), 1),
                figure(
                    cost.memory_peak_bytes
                        .get(name)
                        .map(|bytes| *bytes as f64 / f64::from(1 << 20)),
                    0,
                ),
            ]
        })
    });
    *body += "<div class=\"named\">";
    table(body, &header, lines);
    *body += "</div>";
}

/// What does the same in a trip and in its floor.
const ALIKE: [&[&str]; 6] = [
    &["bench", "http-client"],
    &["booking", "http-server"],
    &["flight", "messages"],
    &["hotel", "rows"],
    &["nats"],
    &["postgres"],
];

/// What does the same in a trip and in its floor has the same colour.
fn colour(part: &str) -> usize {
    let at = ALIKE.iter().position(|names| names.contains(&part));
    at.unwrap_or(COLOURS - 1)
}

/// Parts beside each other, as wide as they cost.
fn bar(body: &mut String, name: &str, parts: &BTreeMap<String, f64>, most: f64) {
    let all: f64 = parts.values().sum();
    let _ = write!(
        body,
        "<div class=\"bar\"><b>{}</b><span>{all:.0} µs</span><div>",
        escaped(name)
    );
    for (part, us) in parts {
        let (width, colour) = (100.0 * us / most, colour(part));
        // What has no room for its name shows it where a pointer rests.
        let label = if width > 1.3 * (part.len() + 5) as f64 {
            format!("{part} {us:.0}")
        } else {
            String::new()
        };
        let _ = write!(
            body,
            "<i style=\"width:{width:.2}%;background:var(--c{colour})\" title=\"{} {us:.0} µs\">{}</i>",
            escaped(part),
            escaped(&label)
        );
    }
    *body += "</div></div>";
}

fn below(body: &mut String, row: &Row, floor: &Floor) {
    let rows = floor
        .rows_per_trip
        .iter()
        .map(|(table, [inserted, updated, deleted])| {
            format!("{table} +{inserted} ~{updated} −{deleted}")
        });
    let times = |ratio: Option<f64>| {
        ratio.map_or_else(|| String::from("unknown"), |ratio| format!("{ratio:.2} ×"))
    };
    let _ = write!(
        body,
        "<p class=\"note\">{}: {} the floor, {} without the load generators. The floor of a trip: {} requests, {} messages, and rows inserted (+), updated (~) and deleted (−): {}.</p>",
        escaped(&row.name()),
        times(floor.ratio),
        times(floor.ratio_served),
        floor.requests_per_trip,
        floor.messages_per_trip,
        escaped(&rows.collect::<Vec<_>>().join(", "))
    );
}
