//! What a service says of itself to whoever looks after it: `/readyz`, `/metrics`. Not trips: those are the client's.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What [`cause`] says of whoever took the question, or the connection, and was silent.
pub const NOT_IN_TIME: &str = "it did not answer in time";

/// An error's last cause, in place of a chain that ends where nobody looks.
#[must_use]
pub fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return String::from(NOT_IN_TIME);
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// A problem's own words, or whatever it was.
#[must_use]
pub fn detail(problem: &str) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    serde_json::from_str(problem).map_or_else(|_| problem.to_owned(), |p: Problem| p.detail)
}

/// A metric in Prometheus' text, of which there is one.
#[must_use]
pub fn gauge(metrics: &str, name: &str) -> Option<u64> {
    let line = metrics.lines().find(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with([' ', '{']))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

/// A metric in Prometheus' text, by the values of one of its labels.
#[must_use]
pub fn by_label(metrics: &str, name: &str, label: &str) -> BTreeMap<String, u64> {
    let start = format!("{label}=\"");
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?.strip_prefix('{')?;
        let (_, value) = rest.split_once(&start)?;
        let (value, _) = value.split_once('"')?;
        let count = line.rsplit(' ').next()?.parse().ok()?;
        Some((value.to_owned(), count))
    };
    metrics.lines().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::{by_label, detail, gauge};

    const METRICS: &str = "# HELP roundtrip_outbox_depth Facts\n# TYPE roundtrip_outbox_depth gauge\nroundtrip_outbox_depth_max 9\nroundtrip_outbox_depth{service=\"x\"} 7\nroundtrip_consumer_lag 0\nroundtrip_anomalies_total{kind=\"not-mine\"} 3\nroundtrip_anomalies_total{other=\"x\",kind=\"unknown-trip\"} 1\n";

    #[test]
    fn a_gauge_is_found_by_its_name() {
        assert_eq!(gauge(METRICS, "roundtrip_outbox_depth"), Some(7));
        assert_eq!(gauge(METRICS, "roundtrip_consumer_lag"), Some(0));
        assert_eq!(gauge(METRICS, "roundtrip_nothing"), None);
    }

    #[test]
    fn a_counter_is_told_apart_by_a_label() {
        let kinds = by_label(METRICS, "roundtrip_anomalies_total", "kind");
        let kinds: Vec<(&str, u64)> = kinds.iter().map(|(k, n)| (k.as_str(), *n)).collect();
        assert_eq!(kinds, [("not-mine", 3), ("unknown-trip", 1)]);
    }

    #[test]
    fn a_problem_says_what_is_missing() {
        assert_eq!(
            detail(r#"{"type":"x","detail":"Missing: NATS."}"#),
            "Missing: NATS."
        );
        assert_eq!(detail("gone"), "gone");
    }
}
