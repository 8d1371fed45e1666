//! What is not as it has to be, in words; a bounded number of them. Pure.

/// So many are named; the rest is counted.
const NAMED_MAX: usize = 10_000;

/// What is not as it has to be, in words.
#[derive(Default)]
pub(super) struct Violations {
    /// Seen in one database, at one moment.
    pub(super) within: Vec<String>,
    /// Seen by comparing databases.
    pub(super) across: Vec<String>,
    pub(super) more: usize,
}

impl Violations {
    pub(super) fn within(&mut self, violation: String) {
        if self.within.len() < NAMED_MAX {
            self.within.push(violation);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn across(&mut self, violation: String) {
        if self.across.len() < NAMED_MAX {
            self.across.push(violation);
        } else {
            self.more += 1;
        }
    }
}

/// What came of comparing.
#[derive(Default)]
pub(super) struct Judgement {
    pub(super) violations: Violations,
    /// What did not answer.
    pub(super) unreached: Vec<String>,
    /// Databases that would be needed, and were not given.
    pub(super) missing: Vec<String>,
}
