//! Legs that the stack does not know: started by `up`, booked, looked at, retired, each command as it is typed. Not what trips do; that is for
//! the end-to-end tests.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod programs;
mod python;

#[path = "../command/mod.rs"]
mod command;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stack::skip::{self, Need};
use stack::{broker, port};

const DAY: &str = "2039-06-03";

/// What a command answered.
#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Answer {
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:#?}"))
    }
}

/// A running `up` with its folder. Asked to end, whatever happens to its test, so that it ends its own children.
struct Up {
    child: Child,
    folder: PathBuf,
}

impl Up {
    fn start(above: &Path, args: &[&str]) -> Self {
        Self::start_with(above, args, &[])
    }

    fn start_with(above: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let folder = above.join("data");
        let log = std::fs::File::create(above.join("up.log")).unwrap();
        let first = port::free_row(&[1, 2, 3, 4, 5]).unwrap().to_string();
        let mut up = command::roundtrip(
            &folder,
            &[&["up", "--without-payment", "--port", &first], args].concat(),
        );
        let child = up
            .current_dir(above)
            .env(programs::WANTED, "1")
            .envs(env.iter().copied())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let child = child.unwrap();
        Self { child, folder }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.folder.with_file_name("up.log")).unwrap()
    }

    /// What each process said last: one may run and never become ready, and whoever started it knows no more.
    fn logs(&self) -> String {
        let logs = std::fs::read_dir(self.folder.join("logs")).unwrap();
        let mut told = String::new();
        for log in logs {
            let log = log.unwrap().path();
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(10)..].join("\n");
            told += &format!("-- {}\n{last}\n", log.display());
        }
        told
    }

    fn run(&self, args: &[&str]) -> Answer {
        let output = command::roundtrip(&self.folder, args).output().unwrap();
        Answer {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The status once it is so.
    fn until(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            let answer = self.run(&["status", "--json"]);
            let seen = answer.json();
            if so(&seen) {
                return seen;
            }
            let told = || format!("{seen:#}\n{}{}", self.said(), self.logs());
            assert!(Instant::now() < until, "{what}: {}", told());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn book_a_car(&self) -> Answer {
        let trip = format!(r#"[{{"leg":"car","model":"compact","day":"{DAY}","cars":1}}]"#);
        self.run(&["book", "--itinerary", &trip, "--json"])
    }

    /// Findings of the doctor with this verdict.
    fn found(&self, verdict: &str, args: &[&str]) -> Vec<String> {
        let report = self.run(&[&["doctor", "--json"], args].concat()).json();
        let findings = report["findings"].as_array().unwrap().iter();
        let of = findings.filter(|it| it["verdict"] == verdict);
        let word = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
        of.map(|it| {
            ["group", "subject", "check"]
                .map(|name| word(it, name))
                .join("/")
        })
        .collect()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        let _ = self.child.wait();
    }
}

fn service<'a>(seen: &'a Value, name: &str) -> &'a Value {
    let services = seen["services"].as_array().unwrap();
    services.iter().find(|it| it["name"] == name).unwrap()
}

fn pid(seen: &Value, name: &str) -> Pid {
    let pid = service(seen, name)["pid"].as_i64().unwrap_or_default();
    Pid::from_raw(i32::try_from(pid).unwrap())
}

fn this_program(of: &str) -> Vec<String> {
    let this = std::env::current_exe().unwrap().display().to_string();
    let test = format!("programs::{of}_program");
    [&this, "--exact", &test, "--nocapture"]
        .map(str::to_owned)
        .into()
}

fn nothing_to_stand_on(test: &str) -> bool {
    skip::unless(Need::Nats, test, broker::find(&|line| eprintln!("{line}"))).is_none()
}

async fn stock_cars(seen: &Value) {
    let url = service(seen, "car")["url"].as_str().unwrap();
    let level = json!({"cars": 9, "price_minor": 5_000, "currency": "EUR"});
    let client = client::http::local().unwrap().build().unwrap();
    let put = client.put(format!("{url}/cars/compact/{DAY}")).json(&level);
    assert!(put.send().await.unwrap().status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn legs_of_other_make_are_started_booked_looked_at_and_retired() {
    if nothing_to_stand_on("legs_of_other_make_are_started_booked_looked_at_and_retired") {
        return;
    }
    let above = tempfile::tempdir().unwrap();
    let (car, boat) = (json!(this_program("car")), json!(this_program("boat")));
    let named =
        format!("[legs.car]\ncommand = {car}\n[legs.boat]\ncommand = {boat}\nhttp = false\n");
    std::fs::write(above.path().join("roundtrip.toml"), named).unwrap();
    let up = Up::start(above.path(), &[]);
    let all = json!(["boat", "car", "flight", "hotel"]);
    let seen = up.until("up", |seen| seen["ready"] == true && seen["legs"] == all);
    assert_eq!(seen["silent"], json!([]), "{seen:#}");
    stock_cars(&seen).await;
    let older = up.book_a_car().exits(0).json();

    // Both are looked at as far as they can be.
    let audit = up.run(&["audit", "--json"]).exits(0).json();
    assert_eq!(audit["not_looked_at"], json!(["boat"]), "{audit:#}");
    assert_eq!(audit["counts"]["legs"]["car"]["confirmed"], 1);
    assert_eq!(up.found("wrong", &[]), [""; 0]);
    assert_eq!(up.found("warning", &[]), [""; 0]);
    let unseen = ["databases/car/schema", "databases/boat/opens"];
    assert_eq!(up.found("not-looked-at", &[]), unseen);

    // What crashed is started again.
    let killed = pid(&seen, "car");
    kill(killed, Signal::SIGKILL).unwrap();
    up.until("the car is back", |seen| {
        seen["ready"] == true && ![killed, Pid::from_raw(0)].contains(&pid(seen, "car"))
    });

    retired_for_good(&up, &older);
    a_silent_leg_is_seen(&up, pid(&seen, "boat"));
    what_is_given_is_added(&up, above.path());

    up.run(&["down"]).exits(0);
    let said = up.said();
    assert!(said.ends_with("stopped\n"), "{said}");
    let log = std::fs::read_to_string(up.folder.join("logs/car.log")).unwrap();
    assert!(log.contains("drain"), "{log}");
}

/// Not booked any more, whatever it says of itself; what was booked before comes back.
fn retired_for_good(up: &Up, older: &Value) {
    let retired = up.run(&["legs", "retire", "car", "--reason", "sold", "--json"]);
    assert_eq!(retired.exits(0).json()["retired"]["reason"], "sold");
    let refused = up.book_a_car().exits(1);
    assert!(refused.err.contains("car (sold)"), "{refused:#?}");
    let killed = pid(&up.until("it runs", |_| true), "car");
    kill(killed, Signal::SIGKILL).unwrap();
    let seen = up.until("it has said again that it is there", |seen| {
        seen["ready"] == true && ![killed, Pid::from_raw(0)].contains(&pid(seen, "car"))
    });
    assert_eq!(seen["retired"], json!(["car"]));
    assert_eq!(seen["legs"], json!(["boat", "flight", "hotel"]));
    up.book_a_car().exits(1);
    let trip = older["trip"].as_str().unwrap();
    let back = up.run(&["cancel", trip, "--json"]).exits(0).json();
    assert_eq!(
        (&back["state"], &back["settled"]),
        (&json!("closed"), &json!(["released"]))
    );
    up.run(&["legs", "retire", "train", "--reason", "none"])
        .exits(1);
    let listed = up.run(&["legs"]).exits(0).out;
    assert!(listed.contains("retired since"), "{listed}");
    up.run(&["legs", "restore", "car"]).exits(0);
    up.book_a_car().exits(0);
}

fn a_silent_leg_is_seen(up: &Up, boat: Pid) {
    kill(boat, Signal::SIGSTOP).unwrap();
    up.until("the boat is silent", |seen| {
        seen["silent"] == json!(["boat"])
    });
    assert_eq!(up.found("warning", &[]), ["broker/consumer boat/listens"]);
    up.run(&["doctor"]).exits(0);
    kill(boat, Signal::SIGCONT).unwrap();
    up.until("the boat is heard", |seen| seen["silent"] == json!([]));
}

/// To what the folder's stack has.
fn what_is_given_is_added(up: &Up, above: &Path) {
    let file = above.join("harbour.db");
    std::fs::write(&file, "").unwrap();
    let database = format!("boat=sqlite://{}", file.display());
    let given = [
        "--database",
        &database,
        "--service",
        "boat=http://127.0.0.1:9",
    ];
    assert_eq!(up.found("wrong", &given), ["services/boat/answers"]);
    let unseen = ["databases/car/schema", "databases/boat/schema"];
    assert_eq!(up.found("not-looked-at", &given), unseen);
    let audit = up
        .run(&["audit", "--json", "--database", &database])
        .exits(0)
        .json();
    assert_eq!(audit["not_looked_at"], json!(["boat"]));
    assert_eq!(audit["counts"]["trips"]["closed"], 1, "{audit:#}");
    // Another stack is meant, of which nothing else was said.
    let other = [
        "--url",
        "http://127.0.0.1:9",
        "--service",
        "boat=http://127.0.0.1:9",
    ];
    let wrong = ["services/booking/answers", "services/boat/answers"];
    assert_eq!(up.found("wrong", &other), wrong);
}

#[test]
fn a_leg_that_ends_or_is_named_wrongly_ends_the_start_with_its_last_words() {
    if nothing_to_stand_on("a_leg_that_ends_or_is_named_wrongly_ends_the_start") {
        return;
    }
    let above = tempfile::tempdir().unwrap();
    std::fs::write(
        above.path().join("mine.toml"),
        "[legs.car]\ncomand = [\"x\"]\n",
    )
    .unwrap();
    let mut up = Up::start(above.path(), &["--config", "mine.toml"]);
    assert!(!up.child.wait().unwrap().success());
    let said = up.said();
    assert!(
        said.contains("mine.toml:2: unknown field `comand`"),
        "{said}"
    );

    let mut up = Up::start(above.path(), &["--service", "car=ls /nowhere/at-all"]);
    assert!(!up.child.wait().unwrap().success());
    let said = up.said();
    assert!(said.contains("car ended (exit status: "), "{said}");
    assert!(said.contains("/nowhere/at-all"), "{said}");
}
