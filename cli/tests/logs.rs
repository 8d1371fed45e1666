//! Logs of a running stack stay short, its servers' too. Not what is in them.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::ToSpan as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stack::broker;
use stack::logs::LOG_MAX;
use stack::postgres::Programs;
use stack::skip::{self, Need};
use stack::state::Process;
use stack::{DatabaseChoice, Home, Options, Stack};

fn say(line: &str) {
    eprintln!("{line}");
}

async fn until(what: &str, log: &Path, done: impl Fn(&Path) -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !done(log) {
        assert!(Instant::now() < until, "{what}: {}", log.display());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn length(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |log| log.len())
}

/// As a server that has much to say.
fn make_long(log: &Path) {
    let mut file = OpenOptions::new().append(true).open(log).unwrap();
    let line = format!("{}\n", "x".repeat(1023));
    let lines = usize::try_from(LOG_MAX / 1024).unwrap();
    file.write_all(line.repeat(lines).as_bytes()).unwrap();
}

/// Makes each process write a line.
fn ask_for_a_line(processes: &[Process]) {
    for process in processes {
        kill(Pid::from_raw(process.pid.cast_signed()), Signal::SIGHUP).unwrap();
    }
}

#[tokio::test]
async fn a_log_that_has_become_long_is_put_aside_while_its_process_writes_on() {
    let test = "a_log_that_has_become_long_is_put_aside";
    let found = skip::unless(Need::Nats, test, broker::find(&say))
        .and_then(|_| skip::unless(Need::Postgres, test, Programs::find(&say)));
    if found.is_none() {
        return;
    }
    let options = Options {
        home: Home::Temporary,
        database: DatabaseChoice::Local,
        program: Some(env!("CARGO_BIN_EXE_roundtrip").into()),
        ..Options::temporary()
    };
    let mut stack = Stack::start(&options, &|_| {}).await.unwrap();
    let folder = stack.folder().to_owned();
    let state = stack.state();
    let servers = [state.nats.unwrap(), state.postgres.unwrap()];
    let logs = [
        "logs/booking.log",
        "nats-postgres/nats-server.log",
        "postgres/postgres.log",
    ];
    let logs = logs.map(|log| folder.join(log));
    // PostgreSQL's folder may be another user's, who could lay a link there.
    let elsewhere = folder.join("elsewhere");
    fs::write(&elsewhere, "somebody's").unwrap();
    let [.., of_postgres] = &logs;
    symlink(&elsewhere, of_postgres.with_extension("log.old")).unwrap();
    let booking = stack.url("booking").unwrap();
    let http = stack.http().clone();

    let work = async {
        for log in &logs {
            assert!(length(log) > 0, "{}", log.display());
            make_long(log);
        }
        for log in &logs {
            until("it is put aside", log, |log| length(log) < LOG_MAX / 2).await;
            let old = log.with_extension("log.old");
            assert!(length(&old) > LOG_MAX, "{}", old.display());
        }
        ask_for_a_line(&servers);
        let day = jiff::Zoned::now().date().checked_add(7.days()).unwrap();
        let leg = serde_json::json!({"leg": "flight", "flight": "RT100", "date": day, "seats": 1});
        let asked = http.post(format!("{booking}/bookings"));
        let asked = asked.json(&serde_json::json!({"itinerary": [leg]}));
        asked.send().await.unwrap().error_for_status().unwrap();
        for log in &logs {
            until("it goes on at the new end", log, |log| length(log) > 0).await;
            let said = fs::read_to_string(log).unwrap();
            assert!(!said.starts_with('\0'), "{said:?}");
        }
    };
    tokio::select! {
        () = work => {}
        never = stack.supervise(&|_| {}) => match never {},
    }
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "somebody's");
    stack.stop().await.unwrap();
}
