//! Whether batches are saved: since when none was, and the database's own words. A database may answer whoever reads and take nothing in: its
//! disk is full, or somebody has a lock. Not for an input that nobody can save: that is put aside, and the others go on.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::readiness::BLINK;

/// The most characters of the database's words that are told.
const WORDS_MAX: usize = 200;

/// What became of the last batches.
#[derive(Debug, Default)]
pub(crate) struct Saving(Mutex<Option<Unsaved>>);

#[derive(Debug)]
struct Unsaved {
    since: Instant,
    /// When the last try failed. The next may be seconds away, and until then nobody knows better.
    last: Instant,
    word: String,
}

impl Saving {
    /// A batch was saved; or one was not for what is in it, and so the database does its work.
    pub(crate) fn saved(&self) {
        self.change(|unsaved| *unsaved = None);
    }

    /// A batch was not, as is known `now`, and will be tried again.
    pub(crate) fn failed(&self, word: &str, now: Instant) {
        let word = word.chars().take(WORDS_MAX).collect();
        self.change(|unsaved| {
            let since = unsaved.as_ref().map_or(now, |before| before.since);
            let last = now;
            *unsaved = Some(Unsaved { since, last, word });
        });
    }

    /// Whether batches are saved, or will be soon.
    ///
    /// # Errors
    /// When each try for as long as readiness bears anything else failed, with the database's words.
    pub(crate) fn ready(&self) -> Result<(), String> {
        self.change(|unsaved| match unsaved {
            Some(Unsaved { since, last, word }) if last.duration_since(*since) >= BLINK => {
                let seconds = last.duration_since(*since).as_secs();
                Err(format!(
                    "the database has saved nothing for {seconds} s: {word}"
                ))
            }
            _ => Ok(()),
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Option<Unsaved>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_it_lasts_and_until_a_batch_is_saved() {
        let (saving, now) = (Saving::default(), Instant::now());
        assert_eq!(saving.ready(), Ok(()));
        saving.failed("deadlock", now);
        saving.failed("disk is full", now + BLINK / 2);
        assert_eq!(saving.ready(), Ok(()), "not yet");
        saving.failed("disk is full", now + BLINK);
        let told = "the database has saved nothing for 15 s: disk is full";
        assert_eq!(saving.ready(), Err(told.into()));
        saving.saved();
        assert_eq!(saving.ready(), Ok(()));
        saving.failed("deadlock", now + BLINK);
        assert_eq!(saving.ready(), Ok(()), "this is another one");
    }
}
