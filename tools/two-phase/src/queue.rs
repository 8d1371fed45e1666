//! Lines before the items that trips want: of one coordinator's trips, none waits inside a database for another.
//!
//! Trips take their places in one order, so no two wait for each other; without that, two that hold a row in one database each and want the
//! other's would, and no database can see it. What another coordinator holds is waited for in the database, up to its lock timeout.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// So many lines; items share one by chance, and rarely.
const LINES: usize = 1 << 16;

/// The lines.
#[derive(Debug)]
pub(crate) struct Queues {
    lines: Vec<Arc<Mutex<()>>>,
    hasher: RandomState,
}

/// The turn of a trip at all its items; dropped, the next ones have theirs.
#[derive(Debug)]
pub(crate) struct Turn {
    _held: Vec<OwnedMutexGuard<()>>,
}

impl Queues {
    pub(crate) fn new() -> Self {
        Self {
            lines: (0..LINES).map(|_| Arc::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Waits until it is this trip's turn at every item; None when that takes too long.
    pub(crate) async fn turn(&self, items: &[String], within: Duration) -> Option<Turn> {
        let at = |item: &String| (self.hasher.hash_one(item) % LINES as u64) as usize;
        let mut places: Vec<usize> = items.iter().map(at).collect();
        places.sort_unstable();
        places.dedup();
        let all = async {
            let mut held = Vec::with_capacity(places.len());
            for place in places {
                let line = Arc::clone(self.lines.get(place)?);
                held.push(line.lock_owned().await);
            }
            Some(Turn { _held: held })
        };
        tokio::time::timeout(within, all).await.ok()?
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_has_an_item_and_nobody_waits_for_ever() {
        let queues = Queues::new();
        let item = |name: &str| vec![name.to_owned()];
        let long = Duration::from_secs(60);
        let first = queues.turn(&item("a"), long).await.unwrap();
        let soon = Duration::from_millis(20);
        assert!(queues.turn(&item("a"), soon).await.is_none());
        drop(first);
        assert!(queues.turn(&item("a"), long).await.is_some());
    }
}
