//! How often memory is asked for by one reaction of each core, and by each fact of a batch: on the thread that judges, so SQLite's own is not
//! in it. The bounds are a quarter more than it was.

use allocation_counter::measure;

use crate::reactions::{Batches, Pivot, Turn};

fn at_most(most: f64, what: &str, look: &str, count: f64) {
    eprintln!("{what}: {count:.1} allocations, at most {most}");
    assert!(count > 0.0, "{what}: nobody counts");
    assert!(
        count <= most,
        "{what}: {count:.1} allocations, at most {most}; look at {look}"
    );
}

#[test]
fn booking_confirms() {
    let pivot = Pivot::new();
    let counted = measure(|| assert_eq!(pivot.react().said.len(), 1));
    let look = "booking/src/core.rs, and what it keeps of a fact";
    at_most(4.0, "booking confirms", look, counted.count_total as f64);
}

#[test]
fn a_leg_holds() {
    let turn = Turn::new();
    let counted = measure(|| assert_eq!(turn.react().said.len(), 1));
    let look = "leg/src/core/turn.rs, and flight's `needs`";
    at_most(24.0, "a leg holds", look, counted.count_total as f64);
}

#[test]
fn a_batch_of_sixty_four() {
    const FACTS: usize = 64;
    let batches = Batches::open();
    // Prepares the statements.
    assert_eq!(batches.run(&Batches::turns(FACTS)), FACTS);
    let steps = Batches::turns(FACTS);
    let counted = measure(|| assert_eq!(batches.run(&steps), FACTS));
    let each = counted.count_total as f64 / FACTS as f64;
    let look = "runtime/src/batch.rs, table/cells.rs and database/sql.rs";
    at_most(90.0, "each fact of a batch", look, each);
}
