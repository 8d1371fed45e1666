//! How long one reaction of each core takes, and one transaction of a leg on a SQLite file, with what they allocate. For whoever changes
//! one of them; what they may allocate is asserted in `tests/cost`, and what a whole stack does is measured by `roundtrip bench`.
//!
//! `cargo bench -p e2e-tests --bench reactions`; with `cargo test` in place of `cargo bench` each is run once.
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it fails")]

#[path = "../tests/conformance/place.rs"]
#[expect(dead_code, reason = "more is asked of it elsewhere")]
mod place;
#[path = "../tests/cost/reactions.rs"]
mod reactions;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};

use reactions::{Batches, Pivot, Turn};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench]
fn booking_confirms(bencher: Bencher) {
    bencher.with_inputs(Pivot::new).bench_values(Pivot::react);
}

#[divan::bench]
fn a_leg_holds(bencher: Bencher) {
    bencher.with_inputs(Turn::new).bench_values(Turn::react);
}

/// So many facts in a transaction, each about another trip.
#[divan::bench(args = [1, 64, 512])]
fn a_batch(bencher: Bencher, facts: usize) {
    let batches = Batches::open();
    bencher
        .counter(ItemsCount::new(facts))
        .with_inputs(|| Batches::turns(facts))
        .bench_local_values(|steps| batches.run(&steps));
}
