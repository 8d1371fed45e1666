//! `bench --protocol saga,two-phase` as it is typed: that both are measured on one stack, counted, audited and shown, and that what cannot be
//! compared is refused. Its figures are for release builds.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod command;

use std::path::Path;
use std::process::Output;

use command::roundtrip;
use serde_json::Value;
use stack::broker;
use stack::postgres::Programs;
use stack::skip::{self, Need};

fn say(line: &str) {
    eprintln!("{line}");
}

fn bench(args: &[&str]) -> Output {
    let args = [&["bench", "--json"], args].concat();
    roundtrip(Path::new("nowhere"), &args).output().unwrap()
}

fn real(value: &Value) -> f64 {
    let real = value.as_f64();
    real.unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn both_protocols_are_measured_on_one_stack_and_audited() {
    let test = "both_protocols_are_measured_on_one_stack_and_audited";
    if skip::unless(Need::Nats, test, broker::find(&say)).is_none()
        || skip::unless(Need::Postgres, test, Programs::find(&say)).is_none()
    {
        return;
    }
    let page = tempfile::NamedTempFile::new().unwrap();
    let run = bench(&[
        "--protocol",
        "saga,two-phase",
        "--database",
        "postgres",
        "--callers",
        "4",
        "--warmup",
        "1s",
        "--duration",
        "3s",
        "--refused",
        "20",
        "--html",
        page.path().to_str().unwrap(),
    ]);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let protocols: Vec<_> = rows.iter().map(|row| row["protocol"].as_str()).collect();
    assert_eq!(protocols, [Some("saga"), Some("two-phase")]);
    for row in rows {
        let run = &row["runs"][0];
        assert_eq!(run["errors"], serde_json::json!({}), "{run}");
        assert!(
            real(&run["confirmed"]) > 0.0 && real(&run["refused"]) > 0.0,
            "{run}"
        );
        assert!(real(&run["exchange"]["fsyncs_per_trip"]) > 0.0, "{run}");
    }
    let exchange = |row: usize| &rows[row]["runs"][0]["exchange"];
    assert!(real(&exchange(0)["broker_messages_per_trip"]) > 2.0);
    assert!(exchange(0)["database_statements_per_trip"].is_null());
    // Two prepares, a decision, two commits; of a refusal less. Decisions share commits.
    assert!(real(&exchange(1)["broker_messages_per_trip"]).abs() < f64::EPSILON);
    let statements = real(&exchange(1)["database_statements_per_trip"]);
    assert!((3.5..=5.5).contains(&statements), "{statements}");
    assert_eq!(report["audit"]["verdict"], "clean");
    let rival = &report["two_phase"];
    assert_eq!(rival["violations"], serde_json::json!([]), "{rival}");
    assert_eq!(rival["in_doubt"], 0, "{rival}");
    assert_eq!(rival["seats_taken"], rival["confirmed"], "{rival}");
    assert!(real(&rival["confirmed"]) > 0.0, "{rival}");
    let page = std::fs::read_to_string(page.path()).unwrap();
    assert!(page.contains("4 callers, two-phase") && page.contains("database statements"));
}

#[test]
fn what_cannot_be_compared_is_refused_before_anything_starts() {
    for (args, named) in [
        (&["--protocol", "two-phase"][..], "--database postgres"),
        (&["--protocol", "three-phase"], "saga, two-phase"),
        (&["--availability"], "--database postgres"),
        (
            &[
                "--protocol",
                "saga,two-phase",
                "--database",
                "postgres",
                "--cancelled",
                "5",
            ],
            "--cancelled",
        ),
        (
            &[
                "--protocol",
                "two-phase",
                "--database",
                "postgres",
                "--stored",
                "100",
            ],
            "--stored",
        ),
    ] {
        let run = bench(args);
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(
            !run.status.success() && said.contains(named),
            "{args:?}: {said}"
        );
    }
}
