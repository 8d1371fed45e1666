//! What ought to happen sometimes: a run in which no trip was undone and nothing came twice has proven little, however clean it was.
//!
//! Counted in every run; a set of seeds in which one of them never happened fails. Not a measure of anything.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Options;

/// Something that should happen in a set of seeds.
#[derive(Debug)]
struct Case {
    name: &'static str,
    /// Whether it can happen at all with these options.
    can: fn(&Options) -> bool,
}

const fn always(name: &'static str) -> Case {
    Case {
        name,
        can: |_| true,
    }
}

const CASES: &[Case] = &[
    always("a trip went through"),
    always("a trip was undone because a leg refused"),
    always("a trip was cancelled"),
    always("a confirmed trip was cancelled"),
    always("a trip expired"),
    always("a trip had 16 legs"),
    always("a key was asked twice and told the same"),
    always("a request was never answered"),
    always("a request was answered with 5xx"),
    always("a fact was published twice"),
    always("a recorded message was said again by a stranger"),
    always("a message was delivered again"),
    always("an outbox row was published again"),
    always("a timer fired"),
    always("a consumer was declared again"),
    always("the stream was declared again"),
    always("a process was killed with work open"),
    always("a process was frozen with work open"),
    always("the broker's store was damaged"),
    always("a connection was cut"),
    Case {
        name: "a batch failed and was tried again",
        can: |options| options.postgres,
    },
    Case {
        name: "the leader of the stream was killed",
        can: |options| options.nodes > 1,
    },
];

/// How often each happened.
#[derive(Debug, Default)]
pub(super) struct Sometimes(Mutex<BTreeMap<&'static str, u64>>);

impl Sometimes {
    pub(super) fn saw(&self, name: &'static str) {
        self.count(name, 1);
    }

    pub(super) fn count(&self, name: &'static str, times: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(name).or_default() += times;
    }

    /// All that could happen, with 0 for what did not, and whatever else was counted.
    pub(super) fn counts(&self, options: &Options) -> BTreeMap<String, u64> {
        let mut counts: BTreeMap<String, u64> =
            cases(options).map(|name| (name.to_owned(), 0)).collect();
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.extend(
            seen.iter()
                .map(|(name, times)| ((*name).to_owned(), *times)),
        );
        counts
    }
}

fn cases(options: &Options) -> impl Iterator<Item = &'static str> {
    CASES
        .iter()
        .filter(|case| (case.can)(options))
        .map(|case| case.name)
}

/// What never happened in a set of runs, and should have.
#[must_use]
pub fn never_happened(options: &Options, counts: &BTreeMap<String, u64>) -> Vec<&'static str> {
    cases(options)
        .filter(|name| counts.get(*name).is_none_or(|times| *times == 0))
        .collect()
}
