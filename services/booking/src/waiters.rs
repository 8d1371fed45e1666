//! Who waits for news of one trip: callers for its outcome (`Prefer: wait`), and streams of its events.
//!
//! Whoever commits the news wakes them, when that is this process. With replicas it often is another one, so a look
//! into the database, one query for all, finds the rest. The outcomes of all trips are `outcomes`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use choreography::TripId;
use runtime::Database;
use runtime::database::Select;
use tokio::sync::oneshot;

use crate::core::{Progress, State, Trip};
use crate::store::TRIP;

/// How often the database is asked, and how long a caller waits before it is asked for them.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Streams wait long and many of them in vain: they are looked for each so many times.
const STREAMS_EVERY: u32 = 5;

/// Who waits for which trip.
#[derive(Debug, Default)]
pub struct Waiters {
    waiting: Mutex<HashMap<TripId, Vec<Waiting>>>,
}

#[derive(Debug)]
struct Waiting {
    wants: Wants,
    since: Instant,
    to: oneshot::Sender<Trip>,
}

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// That it is final, and has left this state behind: whoever cancels a confirmed trip waits for another outcome.
    Outcome(State),
    /// Whatever comes after this.
    News(Progress),
}

impl Wants {
    fn is(self, trip: &Trip) -> bool {
        match self {
            Self::Outcome(past) => trip.is_final() && trip.state > past,
            Self::News(past) => trip.progress() > past,
        }
    }
}

impl Waiters {
    /// Waits for news of a trip; `look` finds what was committed before.
    pub fn register(&self, trip: TripId, wants: Wants) -> oneshot::Receiver<Trip> {
        let (to, news) = oneshot::channel();
        self.lock().entry(trip).or_default().push(Waiting {
            wants,
            since: Instant::now(),
            to,
        });
        news
    }

    /// Tells everybody to whom this is news. Who gave up waiting is not told.
    pub fn wake(&self, trip: &Trip) {
        let mut all = self.lock();
        let Some(mut waiting) = all.remove(&trip.trip) else {
            return;
        };
        let told: Vec<Waiting> = waiting.extract_if(.., |one| one.wants.is(trip)).collect();
        if !waiting.is_empty() {
            all.insert(trip.trip, waiting);
        }
        drop(all);
        for waiting in told {
            let _ = waiting.to.send(trip.clone());
        }
    }

    /// Looks into the database for what other replicas committed, for as long as this lives.
    pub async fn look(this: Weak<Self>, database: Arc<Database>) {
        for turn in (0..STREAMS_EVERY).cycle() {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(waiters) = this.upgrade() else {
                return;
            };
            let (callers, streams) = waiters.overdue();
            let decided = State::FINAL.map(State::as_str);
            let of = |ids: Vec<TripId>| {
                let ids = ids.into_iter().map(|id| id.to_string());
                database.select(TRIP).one_of("trip", ids)
            };
            if !callers.is_empty() {
                waiters.tell(of(callers).one_of("state", decided)).await;
            }
            if turn == 0 && !streams.is_empty() {
                waiters.tell(of(streams)).await;
            }
        }
    }

    async fn tell(&self, trips: Select<'_>) {
        match trips.rows::<Trip>().await {
            Ok(trips) => trips.iter().for_each(|trip| self.wake(trip)),
            Err(error) => {
                tracing::warn!(%error, "news of trips cannot be read; who waits for them waits on")
            }
        }
    }

    /// Trips whose outcome somebody has waited a while for, and those of streams; forgets who gave up.
    fn overdue(&self) -> (Vec<TripId>, Vec<TripId>) {
        let mut all = self.lock();
        all.retain(|_, waiting| {
            waiting.retain(|waiting| !waiting.to.is_closed());
            !waiting.is_empty()
        });
        let (mut callers, mut streams) = (Vec::new(), Vec::new());
        for (trip, waiting) in all.iter() {
            let old = waiting
                .iter()
                .filter(|one| one.since.elapsed() >= LOOK_EVERY);
            let (mut called, mut streamed) = (false, false);
            old.for_each(|one| match one.wants {
                Wants::Outcome(_) => called = true,
                Wants::News(_) => streamed = true,
            });
            callers.extend(called.then_some(*trip));
            streams.extend(streamed.then_some(*trip));
        }
        (callers, streams)
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

    fn trip(id: TripId, state: State, settled: &str) -> Trip {
        Trip {
            state,
            settled: settled.to_owned(),
            ..Trip::none(id)
        }
    }

    /// A look reads "confirmed", the trip is cancelled, and whoever cancelled it waits until everything is back: what was read is
    /// news to those who waited before, and to nobody else.
    #[test]
    fn who_waits_for_what_comes_of_a_cancellation_is_not_told_what_was_read_before() {
        let waiters = Waiters::default();
        let id = TripId::from(uuid::Uuid::now_v7());
        let mut before = waiters.register(id, Wants::Outcome(State::None));
        let mut cancelled = waiters.register(id, Wants::Outcome(State::Confirmed));
        waiters.wake(&trip(id, State::Confirmed, "[null]"));
        assert_eq!(before.try_recv().unwrap().state, State::Confirmed);
        assert_eq!(cancelled.try_recv().unwrap_err(), TryRecvError::Empty);
        waiters.wake(&trip(id, State::Undoing, "[null]"));
        assert_eq!(cancelled.try_recv().unwrap_err(), TryRecvError::Empty);
        waiters.wake(&trip(id, State::Closed, r#"["released"]"#));
        assert_eq!(cancelled.try_recv().unwrap().state, State::Closed);
        assert!(waiters.lock().is_empty());
    }

    /// A stream hears of each position that comes back, and nothing twice, in whichever order it is read.
    #[test]
    fn what_is_old_is_no_news() {
        let waiters = Waiters::default();
        let id = TripId::from(uuid::Uuid::now_v7());
        let one_back = trip(id, State::Undoing, r#"[null,"released"]"#);
        let mut stream = waiters.register(id, Wants::News(one_back.progress()));
        for old in [
            trip(id, State::Confirmed, "[null,null]"),
            trip(id, State::Undoing, "[null,null]"),
            one_back,
        ] {
            waiters.wake(&old);
            assert_eq!(stream.try_recv().unwrap_err(), TryRecvError::Empty);
        }
        waiters.wake(&trip(id, State::Undoing, r#"["released","released"]"#));
        assert_eq!(stream.try_recv().unwrap().progress(), (State::Undoing, 2));
    }

    /// Who gave up is forgotten, and not asked for again.
    #[test]
    fn nobody_looks_for_who_gave_up() {
        let waiters = Waiters::default();
        let trip = TripId::from(uuid::Uuid::now_v7());
        drop(waiters.register(trip, Wants::Outcome(State::None)));
        drop(waiters.register(trip, Wants::News((State::None, 0))));
        assert_eq!(waiters.overdue(), (vec![], vec![]));
        assert!(waiters.lock().is_empty());
    }
}
