//! `up`, `status`, `down` and `reset` as they are typed, with real processes. Not what trips do: that is for the end-to-end tests.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod command;

use std::path::Path;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use stack::disk::Mounted;
use stack::skip::{self, Need};
use stack::{broker, port};

fn roundtrip(folder: &Path, args: &[&str]) -> Output {
    command::roundtrip(folder, args).output().unwrap()
}

fn words(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(text).unwrap()
}

/// Three ports in a row, and those of a second replica.
fn ports() -> u16 {
    port::free_row(&[1, 2, 100, 101, 102]).unwrap()
}

/// Ended, whatever happens to its test: asked first, so that it ends its own children.
struct Up(Child);

impl Up {
    fn start(folder: &Path, first: u16, more: &[&str]) -> Self {
        let log = std::fs::File::create(folder.with_extension("log")).unwrap();
        let port = first.to_string();
        let args = [&["up", "--without-payment", "--port", &port], more].concat();
        let child = command::roundtrip(folder, &args).stdout(log).spawn();
        Self(child.unwrap())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

fn status(folder: &Path) -> Value {
    serde_json::from_slice(&roundtrip(folder, &["status", "--json"]).stdout).unwrap()
}

fn wait_for(folder: &Path, what: &str, done: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let seen = status(folder);
        if done(&seen) {
            return seen;
        }
        assert!(Instant::now() < until, "{what}: {seen:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn up_and_ready(folder: &Path, services: usize) -> Value {
    wait_for(folder, "up", |seen| {
        let all = seen["services"].as_array().unwrap().len();
        seen["ready"] == true && all == services && seen["legs"].as_array().unwrap().len() == 2
    })
}

fn pid_of(seen: &Value, name: &str) -> u64 {
    let services = seen["services"].as_array().unwrap();
    let service = services.iter().find(|service| service["name"] == name);
    service.unwrap()["pid"].as_u64().unwrap_or_default()
}

fn seats(first: u16) -> Value {
    let url = format!("http://127.0.0.1:{}/flights?limit=1", first + 1);
    let work = async {
        ::client::http::local()
            .unwrap()
            .build()
            .unwrap()
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    };
    let page: Value = tokio::runtime::Runtime::new().unwrap().block_on(work);
    page["items"][0].clone()
}

#[test]
fn a_stack_comes_up_mends_itself_goes_down_and_keeps_its_data() {
    let test = "a_stack_comes_up_mends_itself_goes_down_and_keeps_its_data";
    if skip::unless(Need::Nats, test, broker::find(&|line| eprintln!("{line}"))).is_none() {
        return;
    }
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("data");
    let first = ports();
    assert!(!roundtrip(&folder, &["status"]).status.success());
    assert!(words(&roundtrip(&folder, &["down"])).contains("nothing runs"));

    let up = Up::start(&folder, first, &["--replicas", "2"]);
    let seen = up_and_ready(&folder, 6);
    let seats_before = seats(first);
    assert_eq!(seats_before["flight"], "RT100");

    // Who is in the way is named.
    let again = roundtrip(&folder, &["up"]);
    assert!(!again.status.success());
    let who = format!("pid {}", up.0.id());
    assert!(words(&again).contains(&who), "{}", words(&again));
    let taken = roundtrip(
        &above.path().join("other"),
        &["up", "--port", &first.to_string()],
    );
    assert!(!taken.status.success());
    let port = format!("port {first} for booking is taken by");
    assert!(words(&taken).contains(&port), "{}", words(&taken));
    let reset = roundtrip(&folder, &["reset", "--yes"]);
    assert!(words(&reset).contains("stop it"), "{}", words(&reset));

    // What crashes is started again.
    let killed = pid_of(&seen, "flight-2");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(killed).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_for(&folder, "mended", |seen| {
        seen["ready"] == true && ![0, killed].contains(&pid_of(seen, "flight-2"))
    });

    let down = roundtrip(&folder, &["down"]);
    assert!(down.status.success(), "{}", words(&down));
    assert!(!roundtrip(&folder, &["status"]).status.success());
    drop(up);
    let said = std::fs::read_to_string(folder.with_extension("log")).unwrap();
    assert!(said.contains("flight-2 ended (signal: 9"), "{said}");
    assert!(said.ends_with("stopped\n"), "{said}");

    let up = Up::start(&folder, first, &[]);
    up_and_ready(&folder, 3);
    assert_eq!(seats(first), seats_before);
    let said = std::fs::read_to_string(folder.with_extension("log")).unwrap();
    assert!(!said.contains("sample inventory"), "it was there: {said}");
    drop(up);

    assert!(words(&roundtrip(&folder, &["reset"])).contains("--yes"));
    assert!(roundtrip(&folder, &["reset", "--yes"]).status.success());
    assert!(!folder.exists());
}

fn said(folder: &Path) -> String {
    std::fs::read_to_string(folder.with_extension("log")).unwrap()
}

fn until_said(folder: &Path, words: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    while !said(folder).contains(words) {
        assert!(Instant::now() < until, "{words}: {}", said(folder));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// On a disk of 4 GiB the broker offers three.
fn a_stream_that_is_too_large_is_named_at_once(folder: &Path) {
    let refused = command::roundtrip(folder, &["up"])
        .env("STREAM_MAX_BYTES", (4_u64 << 30).to_string())
        .output()
        .unwrap();
    let said = words(&refused);
    assert!(!refused.status.success(), "{said}");
    let fits = said.split("STREAM_MAX_BYTES=").nth(1).unwrap();
    let fits = fits.split_whitespace().next().unwrap();
    let fits: u64 = fits.parse().unwrap();
    assert!((2 << 30..3 << 30).contains(&fits), "{said}");
}

fn the_doctor_knows_of_the_disk(folder: &Path) {
    let ill = words(&roundtrip(folder, &["doctor"]));
    for word in ["the broker takes no message", "give its disk space"] {
        assert!(ill.contains(word), "{word:?} in {ill}");
    }
}

fn until_all_is_well(folder: &Path) {
    let until = Instant::now() + Duration::from_secs(60);
    for command in ["doctor", "audit"] {
        loop {
            let said = roundtrip(folder, &[command]);
            if said.status.success() {
                break;
            }
            assert!(Instant::now() < until, "{}", words(&said));
        }
    }
}

/// A broker whose disk was full for a moment answers everything and stores nothing until it is started again.
#[test]
fn a_broker_whose_disk_was_full_is_restarted_and_a_full_folder_ends_nothing() {
    let test = "a_broker_whose_disk_was_full_is_restarted_and_a_full_folder_ends_nothing";
    if skip::unless(Need::Nats, test, broker::find(&|line| eprintln!("{line}"))).is_none() {
        return;
    }
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("data");
    let disk = match Mounted::on(&folder) {
        Ok(disk) => disk,
        Err(error) => return skip::say(test, &format!("{error:#}")),
    };
    let of_broker = Mounted::on(&folder.join("nats")).unwrap();
    a_stream_that_is_too_large_is_named_at_once(&folder);
    let up = Up::start(&folder, ports(), &[]);
    let seen = up_and_ready(&folder, 3);

    of_broker.fill().unwrap();
    let book = ["book", "--flight", "RT100", "--no-wait", "--json"];
    let full = "its disk is full. It is restarted once there is space";
    let mut trips: Vec<Value> = Vec::new();
    let until = Instant::now() + Duration::from_secs(90);
    // The last page of a file has room for a few facts more.
    while !said(&folder).contains(full) {
        let booked = roundtrip(&folder, &book);
        // Refused, once the services know.
        if booked.status.success() {
            trips.push(serde_json::from_slice(&booked.stdout).unwrap());
        }
        assert!(Instant::now() < until, "{}", said(&folder));
    }

    the_doctor_knows_of_the_disk(&folder);

    // The folder's own disk too, just when something is to be written there.
    disk.fill().unwrap();
    let killed = pid_of(&seen, "flight");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(killed).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    until_said(&folder, "the stack's state cannot be written");
    disk.free().unwrap();
    until_said(&folder, "the stack's state is written again");

    of_broker.free().unwrap();
    until_said(&folder, "; it is restarted\n");
    wait_for(&folder, "mended", |seen| {
        seen["ready"] == true && ![0, killed].contains(&pid_of(seen, "flight"))
    });
    let last = trips.last().unwrap()["trip"].as_str().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let shown = roundtrip(&folder, &["show", last, "--json"]);
        let open = ["\"pending\"", "\"undoing\""];
        if shown.status.success() && !open.iter().any(|open| words(&shown).contains(open)) {
            break;
        }
        assert!(Instant::now() < until, "{}", words(&shown));
        std::thread::sleep(Duration::from_millis(200));
    }
    until_all_is_well(&folder);
    drop(up);
    assert!(said(&folder).ends_with("stopped\n"), "{}", said(&folder));
}

/// By default there is a payment leg, and a provider on this machine that is started again when it ends, with the payments that it had.
#[test]
fn a_stack_has_a_payment_leg_and_a_provider_for_it() {
    let test = "a_stack_has_a_payment_leg_and_a_provider_for_it";
    if skip::unless(Need::Nats, test, broker::find(&|line| eprintln!("{line}"))).is_none() {
        return;
    }
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("data");
    let first = port::free_row(&[1, 2, 3]).unwrap();
    let log = std::fs::File::create(folder.with_extension("log")).unwrap();
    let up = command::roundtrip(&folder, &["up", "--port", &first.to_string()])
        .stdout(log)
        .spawn();
    let up = Up(up.unwrap());
    let seen = wait_for(&folder, "up", |seen| seen["ready"] == true);
    assert_eq!(
        seen["legs"],
        serde_json::json!(["flight", "hotel", "payment"])
    );
    let provider = seen["provider_url"].as_str().unwrap().to_owned();
    let there = seats(first);
    let (flight, date) = (&there["flight"], &there["date"]);
    let pay = |card: &str| {
        let trip = format!(
            r#"[{{"leg":"flight","flight":{flight},"date":{date},"seats":1}},{{"leg":"payment","method":"{card}"}}]"#
        );
        let booked = roundtrip(&folder, &["book", "--itinerary", &trip, "--json"]);
        serde_json::from_slice::<Value>(&booked.stdout)
            .unwrap_or_else(|_| panic!("{}", words(&booked)))
    };
    assert_eq!(pay("pm_card_visa")["state"], "confirmed");
    let declined = pay("pm_card_chargeDeclined");
    assert_eq!(declined["reason"]["code"], "declined", "{declined}");

    let state = std::fs::read_to_string(folder.join("stack.json")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    let pid = state["provider"]["process"]["pid"].as_i64().unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    until_said(&folder, "the payment provider is started again");
    wait_for(&folder, "it is where it was", |seen| {
        seen["provider_url"] == provider
    });
    assert_eq!(pay("pm_card_visa")["state"], "confirmed");
    until_all_is_well(&folder);
    drop(up);
    assert!(said(&folder).ends_with("stopped\n"), "{}", said(&folder));
}

#[test]
fn a_folder_that_is_no_stacks_is_not_deleted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    let reset = roundtrip(folder.path(), &["reset", "--yes"]);
    assert!(!reset.status.success());
    assert!(folder.path().join("thesis.txt").exists());
}

#[test]
fn every_command_has_a_help_with_an_example() {
    for command in [
        "up",
        "down",
        "status",
        "reset",
        "bench",
        "conformance",
        "serve",
        "audit",
        "doctor",
    ] {
        let help = roundtrip(Path::new("nowhere"), &[command, "--help"]);
        assert!(help.status.success(), "{command}");
        assert!(words(&help).contains("Example"), "{command}");
    }
}
