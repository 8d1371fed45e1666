//! Whether batches are saved: since when none was, and the database's own words. A database may answer whoever reads and take nothing in: its
//! disk is full, or somebody has a lock. Not for an input that nobody can save: that is put aside, and the others go on.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So long nothing was saved: this replica is not ready. As long as readiness bears anything else that is missing.
const STUCK_AFTER: Duration = Duration::from_secs(15);
/// The most characters of the database's words that are told.
const WORDS_MAX: usize = 200;

/// What became of the last batches.
#[derive(Debug, Default)]
pub(crate) struct Saving(Mutex<Option<Unsaved>>);

#[derive(Debug)]
struct Unsaved {
    since: Instant,
    word: String,
}

impl Saving {
    /// A batch was saved.
    pub(crate) fn saved(&self) {
        self.change(|unsaved| *unsaved = None);
    }

    /// A batch that began at `now` was not, and will be tried again.
    pub(crate) fn failed(&self, word: &str, now: Instant) {
        let word = word.chars().take(WORDS_MAX).collect();
        self.change(|unsaved| {
            let since = unsaved.as_ref().map_or(now, |before| before.since);
            *unsaved = Some(Unsaved { since, word });
        });
    }

    /// Whether batches are saved, or will be soon.
    ///
    /// # Errors
    /// When none was for some time, with the database's words.
    pub(crate) fn ready(&self, now: Instant) -> Result<(), String> {
        self.change(|unsaved| {
            let Some(Unsaved { since, word }) = unsaved else {
                return Ok(());
            };
            let unsaved_for = now.saturating_duration_since(*since);
            if unsaved_for < STUCK_AFTER {
                return Ok(());
            }
            let seconds = unsaved_for.as_secs();
            Err(format!(
                "the database has saved nothing for {seconds} s: {word}"
            ))
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
        assert_eq!(saving.ready(now), Ok(()));
        saving.failed("deadlock", now);
        assert_eq!(saving.ready(now + STUCK_AFTER / 2), Ok(()), "not yet");
        saving.failed("disk is full", now + STUCK_AFTER / 2);
        let told = "the database has saved nothing for 15 s: disk is full";
        assert_eq!(saving.ready(now + STUCK_AFTER), Err(told.into()));
        saving.saved();
        assert_eq!(saving.ready(now + STUCK_AFTER), Ok(()));
        saving.failed("deadlock", now + STUCK_AFTER);
        assert_eq!(
            saving.ready(now + STUCK_AFTER),
            Ok(()),
            "this is another one"
        );
    }
}
