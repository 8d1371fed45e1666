//! A guard that is not timed: what a trip costs is counted where it is paid, and held to a bound, so that work that creeps in is seen on
//! any machine. Trips go one after the other, for then a batch is one input, however fast the machine is. How long things take is
//! measured elsewhere: by `benches/reactions.rs` and by `roundtrip bench`.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod allocations;
mod ledger;
#[path = "../conformance/place.rs"]
#[expect(dead_code, reason = "more is asked of it elsewhere")]
mod place;
mod reactions;

use std::fmt::Write as _;

use booking::core::State;
use e2e_tests::load::{PLENTY, usual};
use e2e_tests::{SERVICES, World, on_both_databases};

use crate::ledger::{Counts, Ledger};

/// Enough that what a stack begins with is lost among them.
const TRIPS: usize = 25;

/// What is counted; the most of it that a trip may cost, of each service as they stand in [`SERVICES`] or of all together; and where to
/// look when it is more. A half more than it was, or less than one where every trip costs the same. What has become less gets a lower
/// bound: `--nocapture` shows what there is.
const MOST: &[(&str, &[f64], &str)] = &[
    (
        "inputs",
        &[5.5, 3.5, 3.5],
        "what wakes a service: the tables in the cores, tasks/timers.rs; a fact that comes twice",
    ),
    (
        "facts heard",
        &[3.5, 3.5, 3.5],
        "who hears what: choreography's TABLE, acknowledgements in worker.rs",
    ),
    (
        "facts said",
        &[3.5, 2.5, 2.5],
        "what the cores say, and publisher.rs",
    ),
    (
        "messages in the stream",
        &[7.5],
        "publisher.rs: one fact is one message",
    ),
    (
        "batches besides inputs",
        &[3.5, 2.5, 2.5],
        "the loop in worker.rs: at most one for each fact that was published, to delete its row",
    ),
    (
        "commits besides batches",
        &[0.5, 0.5, 0.5],
        "who writes beside the loop: runtime's tasks",
    ),
    (
        "statements besides four a commit",
        &[0.5, 0.5, 0.5],
        "database/sql.rs: begin, load, save, commit",
    ),
    (
        "rows",
        &[17.0, 17.0, 17.0],
        "database/sql.rs, and what the cores change",
    ),
    (
        "pages",
        &[70.0, 44.0, 44.0],
        "rows, their length, and indexes: the migrations",
    ),
    (
        "bytes of the write-ahead log",
        &[30_000.0],
        "rows, their length, and indexes: the migrations",
    ),
    (
        "fsyncs besides commits",
        // Those of the first trip, which the server may hear of late, are about one.
        &[2.0],
        "database/connect.rs: synchronous_commit; who writes beside a transaction",
    ),
];

on_both_databases![
    // Whoever asks after a time asks so late that nobody does.
    a_trip_costs_no_more_than_it_did with |setup| setup
        .at_default_pace()
        .setting("JOIN_INTERVAL_MS", "180000")
        .setting("TIMER_INTERVAL_MS", "60000")
        .setting("SWEEP_INTERVAL_MS", "60000")
        .setting("OUTBOX_LEASE_MS", "60000")
        .setting("REANNOUNCE_FIRST_MS", "60000"),
];

async fn a_trip_costs_no_more_than_it_did(world: &mut World) {
    world.seats("RT100", PLENTY).await;
    world.rooms("LIS", PLENTY).await;
    let ledger = Ledger::open(world).await;
    // The first one prepares statements.
    there_and_back(world).await;
    let before = ledger.read(world).await;
    for _ in 0..TRIPS {
        there_and_back(world).await;
    }
    let after = ledger.read(world).await;
    let mut spent = Counts::new();
    for (what, counts) in &after {
        let both = counts.iter().zip(&before[what]);
        let each = both.map(|(after, before)| (after - before) / TRIPS as f64);
        spent.insert(what, each.collect());
    }
    ledger.close(world, &before, &mut spent, TRIPS).await;
    for (what, each) in &spent {
        assert!(
            each.iter().all(|it| *it > 0.0),
            "nobody counts {what}: {each:?}"
        );
    }
    besides(&mut spent);
    let over = judge(&spent);
    assert!(over.is_empty(), "a trip costs more than it did:\n{over}");
}

/// Goes through, and all of it comes back: every state, every fact but a refusal.
async fn there_and_back(world: &World) {
    let view = world.book(&usual()).await;
    assert_eq!(view.state, State::Confirmed);
    world.cancel(view.trip).await;
}

/// What depends on how fast a machine is, less what it should be at any.
fn besides(spent: &mut Counts) {
    let less = |spent: &mut Counts, what: &str, times: f64, than: &str| {
        let each = spent.remove(what)?;
        let than = spent[than].iter();
        let than: Vec<f64> = match each.len() {
            1 => vec![than.sum()],
            _ => than.copied().collect(),
        };
        let both = each.iter().zip(than);
        Some(both.map(|(each, than)| each - times * than).collect())
    };
    for (name, what, times, than) in [
        (
            "statements besides four a commit",
            "statements",
            4.0,
            "commits",
        ),
        ("fsyncs besides commits", "fsyncs", 1.0, "commits"),
        ("commits besides batches", "commits", 1.0, "batches"),
        ("batches besides inputs", "batches", 1.0, "inputs"),
    ] {
        if let Some(each) = less(spent, what, times, than) {
            spent.insert(name, each);
        }
    }
}

/// Says what a trip costs, and answers in words what is too much.
fn judge(spent: &Counts) -> String {
    let mut over = String::new();
    for (what, each) in spent {
        let bound = MOST.iter().find(|(name, ..)| name == what);
        let (_, most, look) = bound.unwrap_or_else(|| panic!("{what} has no bound"));
        assert_eq!(each.len(), most.len(), "{what}");
        for (at, (cost, most)) in each.iter().zip(*most).enumerate() {
            let whose = if each.len() == 1 { "all" } else { SERVICES[at] };
            let line = format!("{whose}: {cost:.2} {what} a trip, at most {most}");
            eprintln!("{line}");
            if cost > most {
                writeln!(over, "{line}; look at {look}").unwrap();
            }
        }
    }
    over
}
