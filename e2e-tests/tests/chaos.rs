//! A short fixed set of `roundtrip chaos`: a stack under a seeded schedule of faults comes to rest, and everything adds up. Longer runs,
//! and how one reads them, are in `docs/chaos.md`; this is not the place to look for new seeds.
//!
//! The timers are short, so that seconds say what minutes would; the load is light, for those who test beside other work.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::BTreeMap;
use std::time::Duration;

use chaos::{self, Options, Report, Settings};
use stack::broker;
use stack::postgres::Programs;
use stack::skip::{self, Need};

/// Two stacks at a time would disturb each other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A seed that is run for ever, and why: most of them failed once.
struct Kept {
    seed: u64,
    cause: &'static str,
}

const ON_SQLITE: &[Kept] = &[
    Kept {
        seed: 1,
        cause: "rows were swept again while they were queued: 18 copies of one fact, and no end",
    },
    Kept {
        seed: 28,
        cause: "full disks and cut connections in one run",
    },
];
const ON_POSTGRES: &[Kept] = &[Kept {
    seed: 4,
    cause: "repeated questions brought forth answers faster than they could be worked off",
}];
const ON_THREE_NODES: &[Kept] = &[Kept {
    seed: 3,
    cause: "the leader is killed, a node is frozen",
}];

/// What happens in a set that is worth its time, wherever it is run.
const HAPPENS: [&str; 7] = [
    "a trip went through",
    "a trip was undone because a leg refused",
    "a trip was cancelled",
    "a key was asked twice and told the same",
    "a process was killed with work open",
    "an outbox row was published again",
    "a timer fired",
];

fn say(line: &str) {
    eprintln!("{line}");
}

/// What is tried with each of these seeds.
fn options() -> Options {
    Options {
        time: Duration::from_secs(12),
        rate: 8,
        settings: Settings::Quick,
        ..Options::of(0, e2e_tests::program())
    }
}

/// Runs each seed, and all have to be clean; what could not be done here is said. Answers how often each of the interesting things
/// happened; none where the servers cannot be had.
async fn come_to_rest(
    test: &str,
    options: Options,
    seeds: &[Kept],
) -> Option<BTreeMap<String, u64>> {
    let found = tokio::task::spawn_blocking(|| broker::find(&say))
        .await
        .unwrap();
    skip::unless(Need::Nats, test, found)?;
    if options.postgres {
        let found = tokio::task::spawn_blocking(|| Programs::find(&say))
            .await
            .unwrap();
        skip::unless(Need::Postgres, test, found)?;
    }
    let _alone = ALONE.lock().await;
    let mut sometimes = BTreeMap::<String, u64>::new();
    for Kept { seed, cause } in seeds {
        let options = Options {
            seed: *seed,
            ..options.clone()
        };
        let report = chaos::run(&options, &say).await.unwrap();
        say(&report.to_string());
        assert!(
            report.is_clean(),
            "{test}, seed {seed} ({cause}):\n{report}"
        );
        tell_what_was_left_out(test, &report);
        for (name, times) in report.sometimes {
            *sometimes.entry(name).or_default() += times;
        }
    }
    Some(sometimes)
}

fn tell_what_was_left_out(test: &str, report: &Report) {
    for (kind, why) in &report.faults.left_out {
        skip::say(
            test,
            &format!("the fault {kind} of seed {}: {why}", report.seed),
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_house_under_faults_comes_to_rest_on_sqlite() {
    let Some(sometimes) = come_to_rest("chaos::sqlite", options(), ON_SQLITE).await else {
        return;
    };
    for name in HAPPENS {
        assert!(sometimes[name] > 0, "never, in all seeds: {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_house_of_three_replicas_under_faults_comes_to_rest_on_postgres() {
    let options = Options {
        postgres: true,
        replicas: 3,
        rate: 5,
        ..options()
    };
    come_to_rest("chaos::postgres", options, ON_POSTGRES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_house_on_three_broker_nodes_under_faults_comes_to_rest() {
    let options = Options {
        nodes: 3,
        rate: 5,
        ..options()
    };
    come_to_rest("chaos::nodes", options, ON_THREE_NODES).await;
}
