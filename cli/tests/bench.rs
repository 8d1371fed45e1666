//! `bench` as it is typed: that it measures, counts and audits; its figures are for release builds. On SQLite and on PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use stack::postgres::Programs;
use stack::skip::{self, Need};
use stack::{Options, Stack, broker};

fn say(line: &str) {
    eprintln!("{line}");
}

fn bench(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtrip"));
    for name in ["URL", "DATABASE", "DATABASES", "TOKEN", "CA_FILE"] {
        command.env_remove(format!("ROUNDTRIP_{name}"));
    }
    command
        .args(["bench", "--json", "--warmup", "500ms"])
        .args(args)
        .stdin(Stdio::null());
    command
}

fn report(args: &[&str]) -> Value {
    let run = bench(args).output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{said}");
    serde_json::from_slice(&run.stdout).unwrap()
}

fn whole(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn real(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// What adds up in any run.
fn adds_up(run: &Value) {
    let trips = whole(&run["trips"]);
    assert!(trips > 0, "{run}");
    let ends = ["confirmed", "refused", "cancelled"].map(|end| whole(&run[end]));
    assert_eq!(trips, ends.iter().sum::<u64>());
    assert_eq!(trips, whole(&run["latency"]["count"]));
    assert_eq!(run["errors"], serde_json::json!({}));
    assert!(real(&run["latency"]["p50_ms"]) <= real(&run["latency"]["max_ms"]));
    assert_eq!(
        run["series"]["at_s"].as_array().unwrap().len(),
        run["series"]["in_flight"].as_array().unwrap().len()
    );
    for (end, told) in [
        ("refused", "refused_to_undone"),
        ("cancelled", "cancelled_to_undone"),
    ] {
        // Every one is told of: none is lost between two readings.
        let count = run[told]["count"].as_u64().unwrap_or(0);
        assert_eq!(count, whole(&run[end]), "{told}: {run}");
    }
    if whole(&run["refused"]) > 0 {
        let undone = real(&run["refused_to_undone"]["max_ms"]);
        assert!(undone > 0.0 && undone <= real(&run["latency"]["max_ms"]));
    }
    if let Some(offered) = run["offered"].as_u64() {
        let without = whole(&run["not_started"]) + whole(&run["overloaded"]);
        assert_eq!(offered, trips + without, "{run}");
    }
}

/// What a trip cost, where the system shows it.
fn costs(run: &Value, fsyncs_by: &str) {
    let cost = &run["cost"];
    for service in stack::SERVICES {
        assert!(real(&cost["facts_out_per_trip"][service]) > 0.5, "{cost}");
        assert!(real(&cost["inputs_per_batch"][service]) > 0.0, "{cost}");
    }
    assert!(real(&cost["fsyncs_per_trip"][fsyncs_by]) > 0.0, "{cost}");
    assert_eq!(cost["fsyncs_per_trip"]["nats"], Value::Null);
    if cfg!(target_os = "linux") {
        for name in ["booking", "flight", "hotel", "nats", "bench"] {
            assert!(cost["cpu_per_trip_us"][name].is_number(), "{cost}");
            assert!(whole(&cost["memory_peak_bytes"][name]) > 1 << 20, "{cost}");
        }
        assert!(real(&cost["cpu_all_per_trip_us"]) > 0.0, "{cost}");
    } else {
        assert_eq!(cost["cpu_all_per_trip_us"], Value::Null);
    }
}

/// What was stored beforehand is on the books of an audit that is clean.
fn are_stored(report: &Value) {
    let trips = report["audit"]["counts"]["trips"].as_object().unwrap();
    let trips: u64 = trips.values().map(whole).sum();
    assert!(trips >= 5_000, "{trips} trips of 5000 stored before");
    let seats = &report["audit"]["counts"]["stock"]["flight.seat"];
    assert!(whole(&seats["confirmed"]) >= 2_000, "{seats}");
    assert_eq!(report["stored"], 5_000);
    assert_eq!(report["hot_flight"], true);
}

fn measures(database: &str, durable: &str, fsyncs_by: &str) {
    let page = tempfile::NamedTempFile::new().unwrap();
    let file = page.path().to_str().unwrap();
    let args = [
        "--callers",
        "8",
        "--rate",
        "20",
        "--duration",
        "2s",
        "--runs",
        "2",
        "--refused",
        "20",
        "--cancelled",
        "20",
        "--stored",
        "5000",
        "--hot-flight",
        "--floor",
        "--html",
        file,
        "--database",
        database,
    ];
    let report = report(&args);
    assert!(report["database"].as_str().unwrap().contains(durable));
    assert_eq!(report["refused_percent"], 20);
    assert_eq!(report["audit"]["verdict"], "clean");
    are_stored(&report);
    assert!(whole(&report["machine"]["cores"]) > 0);
    let rows = report["rows"].as_array().unwrap();
    let paces: Vec<_> = rows
        .iter()
        .map(|row| (row["callers"].as_u64(), row["rate_per_s"].as_u64()))
        .collect();
    assert_eq!(paces, [(Some(8), None), (None, Some(20))]);
    for row in rows {
        let runs = row["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 2);
        for run in runs {
            adds_up(run);
            costs(run, fsyncs_by);
        }
        let all = &row["summary"]["trips_per_s"];
        assert!(
            real(&all["min"]) <= real(&all["median"]) && real(&all["median"]) <= real(&all["max"])
        );
        let floor = &row["floor"];
        assert!(real(&floor["messages_per_trip"]) > 3.0, "{floor}");
        // A trip that goes through: its row, and what became of it.
        let [inserted, updated, _] =
            [0, 1, 2].map(|at| real(&floor["rows_per_trip"]["booking.trip"][at]));
        assert!((0.8..1.3).contains(&inserted) && updated >= 0.8, "{floor}");
        if cfg!(target_os = "linux") {
            assert!(real(&floor["ratio"]) > 1.0, "{floor}");
        }
    }
    let page = std::fs::read_to_string(page.path()).unwrap();
    assert!(page.contains("<svg") && page.contains("8 callers") && page.contains("clean"));
    for elsewhere in ["src=", "href=", "url(", "@import"] {
        assert!(!page.contains(elsewhere), "the page needs {elsewhere}");
    }
}

#[test]
fn it_measures_on_sqlite() {
    let test = "it_measures_on_sqlite";
    if skip::unless(Need::Nats, test, broker::find(&say)).is_some() {
        measures("sqlite", "synchronous=FULL", "booking");
    }
}

#[test]
fn it_measures_on_postgres() {
    let test = "it_measures_on_postgres";
    if skip::unless(Need::Nats, test, broker::find(&say)).is_some()
        && skip::unless(Need::Postgres, test, Programs::find(&say)).is_some()
    {
        measures("postgres", "synchronous_commit=on", "postgres");
    }
}

/// What is due while nothing moves is late, and says so: here the load generator itself stands still for a second.
#[test]
fn in_an_open_loop_a_stall_is_part_of_the_latency() {
    let test = "in_an_open_loop_a_stall_is_part_of_the_latency";
    if skip::unless(Need::Nats, test, broker::find(&say)).is_none() {
        return;
    }
    let mut run = bench(&["--rate", "20", "--duration", "6s", "--refused", "0"]);
    let mut run = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(run.id().cast_signed());
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().ends_with("begins")));
    // In the middle of what is measured, which begins half a second from now and lasts for six.
    std::thread::sleep(Duration::from_secs(2));
    kill(pid, Signal::SIGSTOP).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    kill(pid, Signal::SIGCONT).unwrap();
    let rest = std::thread::spawn(move || said.map_while(Result::ok).for_each(|line| say(&line)));
    let output = run.wait_with_output().unwrap();
    rest.join().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = &report["rows"][0]["runs"][0];
    adds_up(run);
    assert_eq!(whole(&run["offered"]), 120, "{run}");
    // Twenty to thirty of them had to wait: the first for as long as all stood still.
    assert!(real(&run["latency"]["max_ms"]) >= 1_400.0, "{run}");
    assert!(real(&run["latency"]["p90_ms"]) >= 300.0, "{run}");
    assert!(real(&run["set_out_late"]["max_ms"]) >= 1_400.0, "{run}");
}

#[test]
fn what_has_no_room_is_counted_and_not_forgotten() {
    let test = "what_has_no_room_is_counted_and_not_forgotten";
    if skip::unless(Need::Nats, test, broker::find(&say)).is_none() {
        return;
    }
    let report = report(&["--rate", "400", "--in-flight", "1", "--duration", "2s"]);
    let run = &report["rows"][0]["runs"][0];
    adds_up(run);
    assert_eq!(whole(&run["offered"]), 800);
    assert!(whole(&run["not_started"]) > 0, "{run}");
}

/// Somebody's stack: nothing is imported, nothing is told that cannot be seen from outside.
#[tokio::test(flavor = "multi_thread")]
async fn a_stack_elsewhere_is_driven_and_left_as_it_was() {
    let test = "a_stack_elsewhere_is_driven_and_left_as_it_was";
    if skip::unless(Need::Nats, test, broker::find(&say)).is_none() {
        return;
    }
    let options = Options {
        program: Some(env!("CARGO_BIN_EXE_roundtrip").into()),
        ..Options::temporary()
    };
    let stack = Stack::start(&options, &say).await.unwrap();
    let flight = stack.url("flight").unwrap();
    let list = async || {
        let asked = stack
            .http()
            .get(format!("{flight}/flights?limit=1000&total=true"));
        let list: Value = asked.send().await.unwrap().json().await.unwrap();
        list["total"].clone()
    };
    let before = list().await;
    let url = stack.url("booking").unwrap();
    let databases: Vec<String> = stack.databases().values().cloned().collect();
    let databases = databases.join(",");
    let args = [
        "--against",
        &url,
        "--flight",
        "RT100",
        "--hotel",
        "LIS-PALACE",
        "--rate",
        "10",
        "--duration",
        "2s",
        "--refused",
        "30",
        "--cancelled",
        "70",
    ];
    let blind = report(&args);
    let run = &blind["rows"][0]["runs"][0];
    assert!(
        whole(&run["refused"]) > 0 && whole(&run["cancelled"]) > 0,
        "{run}"
    );
    assert_eq!(run["errors"], serde_json::json!({}));
    for absent in ["cost", "refused_to_undone"] {
        assert_eq!(run[absent], Value::Null, "{run}");
    }
    assert_eq!(
        (&blind["audit"], &blind["database"]),
        (&Value::Null, &Value::Null)
    );
    let seeing = report(&[&args[..], &["--audit-database", &databases]].concat());
    assert_eq!(seeing["audit"]["verdict"], "clean");
    assert_eq!(list().await, before);
    stack.stop().await.unwrap();
}
