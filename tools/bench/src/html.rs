//! A report as one page of HTML that needs nothing else: plots, tables, settings, machine and audit. It is made of the report alone.

mod costs;
mod rivals;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use jiff::Timestamp;

use super::plots::{self, COLOURS, Line};
use super::report::{Report, Row, Run};
use super::spread::Spread;

const STYLE: &str = include_str!("html/style.css");

/// The page.
///
/// # Errors
/// When a plot cannot be drawn.
pub fn page(report: &Report) -> Result<String> {
    let mut body = String::new();
    let title = match (&report.setup.database, &report.setup.against) {
        (Some(database), _) => database.clone(),
        (_, against) => format!("the stack at {}", against.as_deref().unwrap_or("?")),
    };
    let now = Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
    let _ = write!(
        body,
        "<h1>Roundtrip under load</h1><p class=\"lead\">{}, {now}</p>",
        escaped(&title)
    );
    if report.setup.debug_build {
        body += "<p class=\"bad\">A debug build: these figures mean nothing.</p>";
    }
    audit(&mut body, report);
    body += "<h2>Figures</h2>";
    figures(&mut body, report);
    latencies(&mut body, report)?;
    throughput(&mut body, report)?;
    queues(&mut body, report)?;
    costs::add(&mut body, report);
    rivals::add(&mut body, report);
    settings(&mut body, report)?;
    let style = plots::style();
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Roundtrip under load</title><style>{STYLE}{style}</style></head><body><main>{body}</main></body></html>\n"
    ))
}

/// What others wrote is text, whatever it looks like.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c => out.push(c),
        }
    }
    out
}

fn audit(body: &mut String, report: &Report) {
    let (class, text) = match &report.audit {
        Some(audit) if audit.is_clean() => ("good", audit.to_string()),
        Some(audit) => ("bad", audit.to_string()),
        None => (
            "quiet",
            String::from("not audited: no databases were given"),
        ),
    };
    let (counts, verdict) = text.rsplit_once('\n').unwrap_or(("", &text));
    let _ = write!(
        body,
        "<details class=\"audit\"><summary class=\"{class}\">The audit: {}</summary><pre>{}</pre></details>",
        escaped(verdict),
        escaped(counts)
    );
}

fn told(spread: Option<Spread>, places: usize) -> String {
    spread.map_or_else(|| String::from("–"), |spread| spread.told(places))
}

fn table(body: &mut String, header: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    *body += "<div class=\"wide\"><table><thead><tr>";
    for name in header {
        let _ = write!(body, "<th>{}</th>", escaped(name));
    }
    *body += "</tr></thead><tbody>";
    for row in rows {
        *body += "<tr>";
        for cell in row {
            // The spread below its median: beside each other they would not fit.
            let cell = escaped(&cell).replacen(" [", "<br><small>[", 1);
            let end = if cell.contains("<small>") {
                "</small>"
            } else {
                ""
            };
            let _ = write!(body, "<td>{cell}{end}</td>");
        }
        *body += "</tr>";
    }
    *body += "</tbody></table></div>";
}

fn figures(body: &mut String, report: &Report) {
    let header = [
        "load",
        "trips/s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "max ms",
        "refused → undone p99 ms",
        "cancelled → undone p99 ms",
        "CPU/trip µs",
        "over the floor",
        "not done",
    ];
    let rows = report.rows.iter().map(|row| {
        let summary = &row.summary;
        let ratio = row.floor.as_ref().and_then(|floor| floor.ratio);
        vec![
            row.name(),
            told(summary.trips_per_s, 0),
            told(summary.p50_ms, 1),
            told(summary.p95_ms, 1),
            told(summary.p99_ms, 1),
            told(summary.max_ms, 1),
            told(summary.refused_to_undone_p99_ms, 1),
            told(summary.cancelled_to_undone_p99_ms, 1),
            told(summary.cpu_all_per_trip_us, 0),
            ratio.map_or_else(|| String::from("–"), |ratio| format!("{ratio:.2} ×")),
            row.runs.iter().map(Run::lost).sum::<u64>().to_string(),
        ]
    });
    table(body, &header, rows);
    *body += "<p class=\"note\">Of several runs: the median, and from the smallest to the largest. Not done: not started for want of room, turned away with 503, gone wrong, or (of callers) completed only when the run was over.</p>";
    let errors = report.rows.iter().flat_map(|row| {
        let errors = row.runs.iter().flat_map(|run| &run.errors);
        errors.map(|(error, count)| (row.name(), error, count))
    });
    for (name, error, count) in errors {
        let _ = write!(
            body,
            "<p class=\"bad\">{name}: {count} × {}</p>",
            escaped(error)
        );
    }
}

/// What each colour stands for.
fn key(body: &mut String, names: impl IntoIterator<Item = String>) {
    *body += "<p class=\"key\">";
    for (number, name) in names.into_iter().enumerate() {
        let colour = number % COLOURS;
        let _ = write!(
            body,
            "<span><i style=\"background:var(--c{colour})\"></i>{}</span>",
            escaped(&name)
        );
    }
    *body += "</p>";
}

/// The run that stands for all: the last one.
fn last(row: &Row) -> Option<&Run> {
    row.runs.last()
}

fn latencies(body: &mut String, report: &Report) -> Result<()> {
    *body += "<h2>How long trips took</h2>";
    let line = |row: &Row| -> Line {
        let Some(took) = last(row).and_then(|run| run.latency.as_ref()) else {
            return Line::new();
        };
        // The longest stands where the last of so many does.
        let least = 1.0 / took.count.max(1) as f64;
        let points = took.curve.iter();
        points
            .map(|point| ((1.0 - point.quantile).max(least), point.ms))
            .collect()
    };
    let lines: Vec<Line> = report.rows.iter().map(line).collect();
    *body += &plots::percentiles(&lines)?;
    key(body, report.rows.iter().map(Row::name));
    *body += "<p class=\"note\">Of a hundred trips so many took no longer; the last run of each. Of a rate, counted from when a trip was due.</p>";
    Ok(())
}

fn throughput(body: &mut String, report: &Report) -> Result<()> {
    *body += "<h2>Trips completed each second</h2>";
    let line = |row: &Row| -> Line {
        let series = last(row).map(|run| &run.series);
        let points = series
            .iter()
            .flat_map(|series| series.at_s.iter().zip(&series.completed_per_s));
        points.map(|(at, rate)| (*at, *rate)).collect()
    };
    let lines: Vec<Line> = report.rows.iter().map(line).collect();
    *body += &plots::over_time(&lines, report.setup.duration_s)?;
    key(body, report.rows.iter().map(Row::name));
    Ok(())
}

/// What waits in all services together; where one did not answer, there is no point.
fn sum(at_s: &[f64], by_service: &BTreeMap<String, Vec<Option<f64>>>) -> Line {
    let at = at_s.iter().enumerate();
    let point = |(number, at): (usize, &f64)| {
        let each = by_service
            .values()
            .map(|list| list.get(number).copied().flatten());
        let sum: Option<f64> = each.sum();
        sum.filter(|_| !by_service.is_empty()).map(|sum| (*at, sum))
    };
    at.filter_map(point).collect()
}

fn queues(body: &mut String, report: &Report) -> Result<()> {
    *body += "<h2>What waits where</h2>";
    for row in &report.rows {
        let Some(series) = last(row).map(|run| &run.series) else {
            continue;
        };
        let at = &series.at_s;
        let under_way = at.iter().zip(&series.in_flight);
        let under_way: Line = under_way.map(|(at, trips)| (*at, *trips as f64)).collect();
        let mut lines = vec![under_way];
        for waits in [
            &series.consumer_lag,
            &series.outbox_depth,
            &series.queue_depth,
        ] {
            lines.push(sum(at, waits));
        }
        let _ = write!(
            body,
            "<h3>{}</h3>{}",
            escaped(&row.name()),
            plots::over_time(&lines, report.setup.duration_s)?
        );
    }
    let names = [
        "trips under way",
        "messages in the stream",
        "facts in outboxes",
        "commands before a batch",
    ];
    key(body, names.map(String::from));
    Ok(())
}

fn settings(body: &mut String, report: &Report) -> Result<()> {
    for (title, value) in [
        ("Settings", serde_json::to_value(&report.setup)?),
        ("Machine", serde_json::to_value(&report.machine)?),
    ] {
        let _ = write!(body, "<h2>{title}</h2><dl>");
        for (name, value) in value.as_object().into_iter().flatten() {
            let value = match value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Null => String::from("–"),
                other => other.to_string(),
            };
            let _ = write!(
                body,
                "<dt>{}</dt><dd>{}</dd>",
                escaped(name),
                escaped(&value)
            );
        }
        *body += "</dl>";
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_no_markup() {
        assert_eq!(escaped("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
    }

    #[test]
    fn what_waits_is_summed_only_where_every_service_answered() {
        let by = BTreeMap::from([
            (String::from("a"), vec![Some(1.0), Some(2.0)]),
            (String::from("b"), vec![Some(3.0), None]),
        ]);
        assert_eq!(sum(&[1.0, 2.0], &by), [(1.0, 4.0)]);
        assert!(sum(&[1.0], &BTreeMap::new()).is_empty());
    }
}
