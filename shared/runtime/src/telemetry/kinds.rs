//! The types of facts, and the purposes of calls, that are counted by name. A type is written by whoever sent the message, and every new one would be a series that
//! is kept for ever: so a stranger's types are counted together. Not a judgement of what can be read.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// So many types have a name of their own.
const KINDS_MAX: usize = 100;
/// All others together.
const OTHER: &str = "other";

/// The known types. It grows with what is read, up to a bound, and forgets nothing.
#[derive(Debug, Default)]
pub(super) struct Kinds(Mutex<BTreeSet<String>>);

impl Kinds {
    /// What a type that was read is counted as: it is known from now on, while there is room.
    pub(super) fn learn<'a>(&self, kind: &'a str) -> &'a str {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(kind) {
            if known.len() >= KINDS_MAX {
                return OTHER;
            }
            known.insert(kind.to_owned());
        }
        kind
    }

    /// What a type is counted as of which nothing but its sender's word is known.
    pub(super) fn find<'a>(&self, kind: &'a str) -> &'a str {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(kind) { kind } else { OTHER }
    }
}

#[cfg(test)]
mod tests {
    use super::{KINDS_MAX, Kinds, OTHER};

    #[test]
    fn a_hundred_types_that_were_read_have_a_name_and_the_rest_is_other() {
        let kinds = Kinds::default();
        let all: Vec<String> = (0..=KINDS_MAX).map(|n| format!("thing.{n}.v1")).collect();
        let (last, named) = all.split_last().unwrap_or((&all[0], &[]));
        for kind in named {
            assert_eq!(kinds.learn(kind), kind);
        }
        assert_eq!(kinds.learn(last), OTHER);
        assert!(named.iter().all(|kind| kinds.learn(kind) == kind));
    }

    #[test]
    fn what_was_never_read_is_other_and_stays_so() {
        let kinds = Kinds::default();
        assert_eq!(kinds.find("junk"), OTHER);
        assert_eq!(kinds.find("junk"), OTHER);
        assert_eq!(kinds.learn("thing.made.v1"), "thing.made.v1");
        assert_eq!(kinds.find("thing.made.v1"), "thing.made.v1");
    }
}
