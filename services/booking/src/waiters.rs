//! Callers that wait for a trip's outcome (`Prefer: wait`).
//!
//! Whoever commits the outcome wakes them, when that is this process. With replicas it often is another one, so a look
//! into the database, one query for all, finds the rest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use choreography::TripId;
use runtime::Database;
use tokio::sync::oneshot;

use crate::core::{State, Trip};
use crate::store::TRIP;

/// How often the database is asked, and how long a caller waits before it is asked for them.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Who waits for which trip.
#[derive(Debug, Default)]
pub struct Waiters {
    waiting: Mutex<HashMap<TripId, Vec<Waiting>>>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    to: oneshot::Sender<Trip>,
}

/// Who gave up waiting is not told.
fn tell(waiting: impl IntoIterator<Item = Waiting>, trip: &Trip) {
    for waiting in waiting {
        let _ = waiting.to.send(trip.clone());
    }
}

impl Waiters {
    /// Waits for a trip's outcome; `look` finds one committed before.
    pub fn register(&self, trip: TripId) -> oneshot::Receiver<Trip> {
        let (to, outcome) = oneshot::channel();
        self.lock().entry(trip).or_default().push(Waiting {
            since: Instant::now(),
            to,
        });
        outcome
    }

    /// Tells everybody who waits for it.
    pub fn wake(&self, trip: &Trip) {
        let woken = self.lock().remove(&trip.trip);
        tell(woken.into_iter().flatten(), trip);
    }

    /// Tells those who waited before the trip was read. It may have been cancelled since, and whoever cancelled it waits for
    /// another outcome.
    fn wake_older(&self, trip: &Trip, read: Instant) {
        let mut waiting = self.lock();
        let Some(all) = waiting.remove(&trip.trip) else {
            return;
        };
        let (older, newer): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|waiting| waiting.since < read);
        if !newer.is_empty() {
            waiting.insert(trip.trip, newer);
        }
        drop(waiting);
        tell(older, trip);
    }

    /// Looks into the database for outcomes that other replicas committed, for as long as this lives.
    pub async fn look(this: Weak<Self>, database: Arc<Database>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(waiters) = this.upgrade() else {
                return;
            };
            let read = Instant::now();
            let ids = waiters.overdue();
            if ids.is_empty() {
                continue;
            }
            let decided = [State::Confirmed, State::Closed].map(State::as_str);
            let trips = database
                .select(TRIP)
                .one_of("trip", ids.iter().map(ToString::to_string))
                .one_of("state", decided);
            match trips.rows::<Trip>().await {
                Ok(trips) => trips.iter().for_each(|trip| waiters.wake_older(trip, read)),
                Err(error) => tracing::warn!(%error, "outcomes cannot be read; callers wait on"),
            }
        }
    }

    /// Trips that somebody has waited for a while for; forgets who gave up.
    fn overdue(&self) -> Vec<TripId> {
        let mut waiting = self.lock();
        for waiting in waiting.values_mut() {
            waiting.retain(|waiting| !waiting.to.is_closed());
        }
        waiting.retain(|_, waiting| !waiting.is_empty());
        let old = |waiting: &Vec<Waiting>| {
            waiting
                .iter()
                .any(|waiting| waiting.since.elapsed() >= LOOK_EVERY)
        };
        waiting
            .iter()
            .filter(|(_, waiting)| old(waiting))
            .map(|(trip, _)| *trip)
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TripId, Vec<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    /// A moment after which the clock has gone on.
    fn moment() -> Instant {
        let now = Instant::now();
        while Instant::now() == now {}
        now
    }

    /// A look reads "confirmed", the trip is cancelled, and whoever cancelled it waits until everything is back: what was read is
    /// news to those who waited before, and to nobody else.
    #[test]
    fn who_waits_for_what_comes_of_a_cancellation_is_not_told_what_was_read_before() {
        let waiters = Waiters::default();
        let trip = TripId::from(uuid::Uuid::now_v7());
        let mut confirmed = Trip::none(trip);
        confirmed.state = State::Confirmed;
        let mut before = waiters.register(trip);
        moment();
        let read = moment();
        let mut cancelled = waiters.register(trip);
        waiters.wake_older(&confirmed, read);
        assert_eq!(before.try_recv().unwrap().state, State::Confirmed);
        assert_eq!(cancelled.try_recv().unwrap_err(), TryRecvError::Empty);
        let mut closed = confirmed;
        closed.state = State::Closed;
        waiters.wake(&closed);
        assert_eq!(cancelled.try_recv().unwrap().state, State::Closed);
    }

    /// Who gave up is forgotten, and not asked for again.
    #[test]
    fn nobody_looks_for_who_gave_up() {
        let waiters = Waiters::default();
        let trip = TripId::from(uuid::Uuid::now_v7());
        drop(waiters.register(trip));
        assert_eq!(waiters.overdue(), []);
        assert!(waiters.lock().is_empty());
    }
}
