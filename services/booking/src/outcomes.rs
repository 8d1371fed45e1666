//! The outcomes of all trips, as they come: one reader for a whole process, however many listen.
//!
//! What this process commits is told at once. What other replicas commit is found in the database, and its order there is not the order
//! of commits: `changed_us` is a replica's clock before its commit. So every look reads the last second again, and now and then all that
//! may still have been committed late; what was told already is remembered as long, and left out.
//!
//! Nothing is read or remembered while nobody listens. Who waits for one trip is `waiters`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use choreography::TripId;
use jiff::Timestamp;
use runtime::Database;
use runtime::database::{Failure, Select};
use runtime::table::{Table, int, text};
use serde::Deserialize;
use tokio::sync::{Semaphore, broadcast};

use crate::core::{State, Trip};
use crate::store::TRIP;
use crate::view::TripView;

/// How long after its `changed_us` an outcome may be committed and is heard for certain. PostgreSQL ends a transaction that lies idle
/// for 10 s; the rest is for clocks that are apart.
pub(crate) const COMMITTED_WITHIN_US: i64 = 15_000_000;
/// How often the database is asked for what others committed.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// One look in so many reads everything that may be new, the others what is younger than a second.
const WHOLE_LOOK_EVERY: u32 = 25;
const YOUNG_US: i64 = 1_000_000;
/// How many outcomes are read at a time.
const PAGE: usize = 500;
/// How many outcomes lie ready for those who read slowly. Who falls further behind reads them in the database.
const READY: usize = 512;
/// How many the reader remembers as told, at most: beyond that, they are told again.
const REMEMBERED: usize = 100_000;
/// How many streams may read the database at once: after a restart all of them would, and whoever asks for a trip would wait behind them.
const READING: usize = 2;

/// The trips that are final, without all that is in them.
const FINAL: &Table = &Table {
    columns: &[int("changed_us")],
    key: &[text("trip")],
    ..*TRIP
};

/// Which outcome: when it came about, and of which trip. A trip that is cancelled after it was confirmed has two.
pub(crate) type Key = (i64, TripId);

/// An outcome that somebody is told.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Which one.
    pub(crate) key: Key,
    /// Everything up to here was told before.
    pub(crate) floor_us: i64,
    trip: Trip,
    shown: OnceLock<String>,
}

impl Heard {
    /// As everybody sees it, written once for all.
    pub(crate) fn shown(&self) -> &str {
        self.shown.get_or_init(|| TripView::json(&self.trip))
    }
}

/// Outcomes that were told, the youngest of them.
#[derive(Debug)]
pub(crate) struct Told {
    keys: BTreeSet<Key>,
    most: usize,
}

impl Told {
    /// None yet, and never more than this.
    pub(crate) fn none(most: usize) -> Self {
        Self {
            keys: BTreeSet::new(),
            most,
        }
    }

    /// Remembers one; says whether it is new.
    pub(crate) fn add(&mut self, key: Key) -> bool {
        let new = self.keys.insert(key);
        if self.keys.len() > self.most {
            self.keys.pop_first();
        }
        new
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }

    /// Forgets what cannot come again.
    pub(crate) fn forget_until(&mut self, floor_us: i64) {
        if self.keys.first().is_some_and(|(us, _)| *us <= floor_us) {
            self.keys.retain(|(us, _)| *us > floor_us);
        }
    }
}

#[derive(Debug)]
struct Known {
    told: Told,
    /// Everything up to here was told, or was there before anybody listened.
    floor_us: i64,
}

/// Who hears of every outcome.
#[derive(Debug)]
pub struct Outcomes {
    to: broadcast::Sender<Arc<Heard>>,
    known: Mutex<Known>,
    /// Taken by whoever reads old outcomes for one stream.
    pub(crate) reading: Semaphore,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self {
            to: broadcast::Sender::new(READY),
            known: Mutex::new(Known {
                told: Told::none(REMEMBERED),
                floor_us: 0,
            }),
            reading: Semaphore::new(READING),
        }
    }
}

impl Outcomes {
    /// Hears of every outcome that is committed from now on, and perhaps of some before.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<Heard>> {
        self.to.subscribe()
    }

    /// Tells whoever listens that a trip is final; once, however often it is found.
    pub fn tell(&self, trip: &Trip) {
        if self.to.receiver_count() == 0 {
            return;
        }
        let key = (trip.changed_us, trip.trip);
        let mut known = self.known();
        if known.told.add(key) {
            // Nobody listens any more: then nobody is to be told.
            let _ = self.to.send(Arc::new(Heard {
                key,
                floor_us: known.floor_us,
                trip: trip.clone(),
                shown: OnceLock::new(),
            }));
        }
    }

    /// Looks into the database for what other replicas committed, for as long as this lives and whenever somebody listens.
    pub async fn look(this: Weak<Self>, database: Arc<Database>) {
        let mut failed = false;
        for turn in (0..WHOLE_LOOK_EVERY).cycle() {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(outcomes) = this.upgrade() else {
                return;
            };
            let now_us = Timestamp::now().as_microsecond();
            let done_us = now_us - COMMITTED_WITHIN_US;
            if outcomes.to.receiver_count() == 0 {
                outcomes.done(done_us);
                continue;
            }
            let whole = turn == 0 || failed;
            let floor_us = outcomes.known().floor_us;
            let since_us = if whole {
                floor_us
            } else {
                floor_us.max(now_us - YOUNG_US)
            };
            let looked = outcomes.look_since(&database, since_us).await;
            failed = looked.is_err();
            match looked {
                Ok(()) if whole => outcomes.done(done_us),
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "outcomes cannot be read; who listens hears of those of other replicas later")
                }
            }
        }
    }

    /// Everything up to there was told.
    fn done(&self, floor_us: i64) {
        let mut known = self.known();
        known.floor_us = floor_us;
        known.told.forget_until(floor_us);
    }

    async fn look_since(&self, database: &Database, since_us: i64) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Row {
            changed_us: i64,
            trip: TripId,
        }
        let mut after = (since_us, String::new());
        loop {
            let rows: Vec<Row> = following(database.select(FINAL), after)
                .most(PAGE)
                .rows()
                .await?;
            let new: Vec<String> = {
                let known = self.known();
                let new = rows
                    .iter()
                    .filter(|row| !known.told.has(&(row.changed_us, row.trip)));
                new.map(|row| row.trip.to_string()).collect()
            };
            if !new.is_empty() {
                let trips: Vec<Trip> = database.select(TRIP).one_of("trip", new).rows().await?;
                // One may have been cancelled in between.
                let trips = trips.iter().filter(|trip| trip.is_final());
                trips.for_each(|trip| self.tell(trip));
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE => {
                    after = (last.changed_us, last.trip.to_string())
                }
                _ => return Ok(()),
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The trips that became final after that one, in order; without its id, after that time.
pub(crate) fn following(trips: Select<'_>, (changed_us, trip): (i64, String)) -> Select<'_> {
    trips
        .among("trip_final", "state", State::FINAL.map(State::as_str))
        .after(vec![
            ("changed_us", changed_us.into()),
            ("trip", trip.into()),
        ])
        .order(&["changed_us", "trip"])
}
