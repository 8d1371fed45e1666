//! The model check without inbox and outbox, where it is too large for every day: three legs with two replicas of a service. The
//! small ones, and what is searched for, are in `tests/model/main.rs`.
//!
//! Minutes each, so it runs by name only: `cargo test -p e2e-tests --bench model -- --nocapture --test-threads 1`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]
#![expect(dead_code, reason = "planted bugs are the small search's")]

#[path = "../tests/model/judge.rs"]
mod judge;
#[path = "../tests/model/properties.rs"]
mod properties;
#[path = "../tests/model/saga.rs"]
mod saga;
#[path = "../tests/model/unkept.rs"]
mod unkept;
#[path = "../tests/model/words.rs"]
mod words;

use saga::Saga;
use stateright::{Checker, Model};
use words::{BACK, FLIGHT, HOTEL, Who, rooms, seats, seats_back};

fn three(back: i64) -> Saga {
    let stocks = [seats(1), rooms(1), seats_back(back)];
    Saga::new(&[&[FLIGHT, HOTEL, BACK]], &stocks).unkept()
}

/// Searches all of it, and says how many states there are.
fn searched(name: &str, saga: Saga) -> usize {
    let checker = saga.checker().threads(2).spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{name}: {states} states, nothing wrong");
    checker.assert_properties();
    states
}

#[test]
fn three_legs_and_two_of_each_service() {
    let searches = [
        ("two of booking", three(1).with_two(Who::Booking)),
        ("two of flight", three(1).with_two(Who::Flight)),
        ("two of hotel", three(1).with_two(Who::Hotel)),
        (
            "no seat back, two of flight",
            three(0).with_two(Who::Flight),
        ),
    ];
    let counted = searches.map(|(name, saga)| searched(name, saga));
    assert_eq!(counted, [6_050, 8_559, 5_612, 7_424]);
}
