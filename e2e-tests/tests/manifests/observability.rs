//! Alarms, dashboards and the operator's guide name metrics that the services have, and each other.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::compose::image_listen;
use crate::services::{NAMES, metrics};
use crate::yaml::{file, list, str_at, text};

/// Every `roundtrip_...` in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.starts_with("roundtrip_"));
    names.map(str::to_owned).collect()
}

fn alarms() -> Vec<Value> {
    let alerts = file("deploy/observability/alerts.yml");
    let groups = list(&alerts, "/groups").iter();
    groups
        .flat_map(|group| list(group, "/rules").to_vec())
        .collect()
}

#[test]
fn alarms_and_dashboards_go_by_metrics_that_are_there() {
    for path in [
        "deploy/observability/alerts.yml",
        "deploy/observability/grafana/dashboards/roundtrip.json",
    ] {
        let missing: Vec<_> = named(&text(path)).difference(metrics()).cloned().collect();
        assert!(missing.is_empty(), "{path} names {missing:?}");
    }
}

#[test]
fn alarms_name_anomalies_that_can_be_counted() {
    let cores = text("services/booking/src/core.rs") + &text("shared/leg/src/core.rs");
    for kind in [
        "rejected-after-the-pivot",
        "released-after-the-pivot",
        "confirmed-without-a-hold",
        "rejected-behind-a-confirmed-leg",
    ] {
        assert!(cores.contains(&format!("\"{kind}\"")), "{kind}");
    }
}

#[test]
fn every_alarm_and_every_metric_has_its_chapter() {
    let guide = text("docs/operations.md");
    for alarm in alarms() {
        let name = str_at(&alarm, "/alert");
        assert!(guide.contains(&format!("\n### {name}\n")), "{name}");
        let runbook = str_at(&alarm, "/annotations/runbook_url");
        assert_eq!(
            runbook,
            format!("docs/operations.md#{}", name.to_lowercase())
        );
        assert!(["warning", "critical"].contains(&str_at(&alarm, "/labels/severity")));
    }
    let chapters = guide.matches("\n### Roundtrip").count();
    assert_eq!(chapters, alarms().len(), "a chapter without its alarm");
    let explained = named(&guide);
    let plain = |name: &String| {
        let plain = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        plain.unwrap_or(name).to_owned()
    };
    for name in metrics().iter().map(plain) {
        assert!(
            explained.contains(&name),
            "the guide does not explain {name}"
        );
    }
    let missing: Vec<_> = explained
        .iter()
        .filter(|name| !metrics().iter().any(|there| plain(there) == **name))
        .collect();
    assert!(missing.is_empty(), "the guide explains {missing:?}");
}

#[test]
fn every_alarm_is_tested() {
    let tests = file("deploy/observability/alerts_test.yml");
    let cases = list(&tests, "/tests")
        .iter()
        .flat_map(|test| list(test, "/alert_rule_test"));
    let rings: BTreeSet<&str> = cases
        .filter(|case| !list(case, "/exp_alerts").is_empty())
        .map(|case| str_at(case, "/alertname"))
        .collect();
    for alarm in alarms() {
        assert!(
            rings.contains(str_at(&alarm, "/alert")),
            "{}",
            alarm["alert"]
        );
    }
}

#[test]
fn kubernetes_has_the_same_alarms() {
    let here = file("deploy/observability/alerts.yml");
    let there = file("deploy/kubernetes/components/monitoring/alerts.yaml");
    assert_eq!(there["spec"]["groups"], here["groups"]);
}

#[test]
fn prometheus_asks_every_service() {
    let prometheus = file("deploy/observability/prometheus.yml");
    let jobs = list(&prometheus, "/scrape_configs");
    for name in NAMES {
        let job = jobs.iter().find(|job| job["job_name"] == name).unwrap();
        assert_eq!(job["dns_sd_configs"][0]["names"][0], name);
        let port = &job["dns_sd_configs"][0]["port"];
        assert!(image_listen(name).ends_with(&format!(":{port}")), "{port}");
        assert_eq!(job["relabel_configs"][0]["replacement"], "roundtrip");
    }
}

#[test]
fn dashboards_read_from_sources_that_are_provisioned() {
    let sources = file("deploy/observability/grafana/provisioning/datasources/roundtrip.yml");
    let there: BTreeSet<&str> = list(&sources, "/datasources")
        .iter()
        .map(|source| str_at(source, "/uid"))
        .collect();
    let dashboard: Value = serde_json::from_str(&text(
        "deploy/observability/grafana/dashboards/roundtrip.json",
    ))
    .unwrap();
    let panels = list(&dashboard, "/panels");
    assert!(panels.len() > 10);
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].to_string()), "{} twice", panel["id"]);
        for target in list(panel, "/targets") {
            assert!(
                there.contains(str_at(target, "/datasource/uid")),
                "{}",
                panel["title"]
            );
        }
    }
}
