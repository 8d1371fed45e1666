//! The proof of the proof: without a guard, this very suite is red. For each guard that a service can be told to go without, the test
//! that needs it is run once more, by this test program, with services that go without it; it has to fail, and to say why.

use std::process::Command;

use runtime::faults::{Guard, WITHOUT};

use crate::PATIENCE;
use crate::matrix::CELL;

/// A test that is red without a guard.
struct Victim {
    test: &'static str,
    /// Of the matrix only this cell.
    cell: &'static str,
    /// What it says then.
    says: &'static str,
}

const MATRIX: &str = "matrix::every_service_dies_at_every_point_sqlite";

/// A guard without a victim does not compile.
const fn victim(guard: Guard) -> Victim {
    match guard {
        Guard::Inbox => Victim {
            test: MATRIX,
            cell: "flight before-ack 1 goes-through",
            says: "each fact is said under one id",
        },
        Guard::Outbox => Victim {
            test: MATRIX,
            cell: "flight after-commit 1 goes-through",
            says: "something was lost",
        },
        Guard::Reannouncing => Victim {
            test: "keeping::sqlite::what_the_broker_forgot_is_said_again",
            cell: "",
            says: "something was lost",
        },
        Guard::Capacity => Victim {
            test: MATRIX,
            cell: "flight loaded 1 refused",
            says: "something was lost",
        },
        Guard::SweepBound => Victim {
            test: "keeping::sqlite::a_broker_that_answers_late_is_not_buried_under_repeats",
            cell: "",
            says: "buried under repeats",
        },
    }
}

#[test]
fn without_any_guard_the_suite_is_red() {
    for guard in Guard::ALL {
        let Victim { test, cell, says } = victim(*guard);
        let played = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(WITHOUT, guard.as_str())
            .env(PATIENCE, "15")
            .env(CELL, cell)
            .env("RUST_BACKTRACE", "0")
            .output()
            .unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&played.stdout),
            String::from_utf8_lossy(&played.stderr),
        );
        let guard = guard.as_str();
        assert!(
            out.contains("running 1 test"),
            "there is no {test}:\n{out}{err}"
        );
        if err.contains("SKIPPED") {
            eprintln!("{guard}: {test} was skipped, so nothing is shown");
            return;
        }
        assert!(
            !played.status.success(),
            "{test} does not notice that {guard} is off:\n{out}{err}"
        );
        assert!(
            out.contains(says) || err.contains(says),
            "without {guard}, {test} is red for another reason:\n{out}{err}"
        );
        eprintln!("without {guard}: {test} is red");
    }
}
