//! `bench` as it is typed: that it measures, counts and audits; its figures are for release builds. On SQLite and on PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::process::{Command, Stdio};

use serde_json::Value;
use stack::broker;
use stack::postgres::Programs;
use stack::skip::{self, Need};

fn say(line: &str) {
    eprintln!("{line}");
}

fn bench(database: &str) -> Value {
    let run = Command::new(env!("CARGO_BIN_EXE_roundtrip"))
        .args(["bench", "--json", "--callers", "2,8"])
        .args(["--duration", "1s", "--warmup", "500ms"])
        .args(["--refused", "20", "--database", database])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{said}");
    serde_json::from_slice(&run.stdout).unwrap()
}

fn measured(bench: &Value, durable: &str) {
    assert!(bench["database"].as_str().unwrap().contains(durable));
    assert_eq!(bench["refused_percent"], 20);
    assert_eq!(bench["audit"]["verdict"], "clean");
    let rows = bench["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for (row, callers) in rows.iter().zip([2, 8]) {
        assert_eq!(row["callers"], callers);
        let trips = row["trips"].as_u64().unwrap();
        assert!(trips > 0, "{row}");
        assert_eq!(
            trips,
            row["confirmed"].as_u64().unwrap() + row["refused"].as_u64().unwrap()
        );
        assert_eq!(row["errors"], serde_json::json!({}));
        assert!(row["p50_ms"].as_f64().unwrap() <= row["max_ms"].as_f64().unwrap());
    }
}

#[test]
fn it_measures_on_sqlite() {
    let test = "it_measures_on_sqlite";
    if skip::unless(Need::Nats, test, broker::find(&say)).is_some() {
        measured(&bench("sqlite"), "synchronous=FULL");
    }
}

#[test]
fn it_measures_on_postgres() {
    let test = "it_measures_on_postgres";
    if skip::unless(Need::Nats, test, broker::find(&say)).is_some()
        && skip::unless(Need::Postgres, test, Programs::find(&say)).is_some()
    {
        measured(&bench("postgres"), "synchronous_commit=on");
    }
}
