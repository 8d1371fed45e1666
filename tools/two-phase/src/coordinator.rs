//! One trip from its first prepare to its last commit, and how many there are at a time. What is left over when a database or this process
//! goes away meanwhile is [`crate::recovery`]'s.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

use crate::database::booking::Decision;
use crate::database::{Booking, Failure, Participant, Vote};
use crate::decisions::Decisions;
use crate::faults::{self, CrashPoint, Guard};
use crate::queue::Queues;
use crate::settings::Settings;
use crate::trip::{Site, Trip, gid};

/// How a trip ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Confirmed {
        price_minor: i64,
    },
    Refused {
        reason: String,
    },
    /// Nothing is booked, but for [`Failure::Unknown`].
    Failed(Failure),
}

/// What is counted, for whoever measures.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) confirmed: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) round_trips: Arc<AtomicU64>,
}

/// The coordinator.
#[derive(Debug)]
pub(crate) struct Coordinator {
    name: String,
    participants: Vec<Participant>,
    pub(crate) booking: Arc<Booking>,
    decisions: Decisions,
    queues: Queues,
    in_flight: Semaphore,
    in_flight_max: u32,
    waiting: Arc<Semaphore>,
    turn_within: Duration,
    answer_within: Duration,
    active: Mutex<HashSet<Uuid>>,
    pub(crate) counters: Counters,
}

/// A trip is under way; dropped, it is for recovery to end what is left of it.
struct Active<'a>(&'a Coordinator, Uuid);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.lock_active().remove(&self.1);
    }
}

impl Coordinator {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let counters = Counters::default();
        let participant = |site| Participant::new(site, settings, &counters.round_trips);
        let participants = Site::ALL.into_iter().map(participant);
        let participants = participants.collect::<Result<Vec<_>>>()?;
        let booking = Arc::new(Booking::new(settings, &counters.round_trips)?);
        Ok(Self {
            name: settings.name.clone(),
            participants,
            decisions: Decisions::begin(Arc::clone(&booking)),
            booking,
            queues: Queues::new(),
            in_flight: Semaphore::new(usize::from(settings.in_flight_max)),
            in_flight_max: u32::from(settings.in_flight_max),
            waiting: Arc::new(Semaphore::new(
                usize::from(settings.in_flight_max) + usize::from(settings.queue_max),
            )),
            turn_within: settings.turn_within(),
            answer_within: settings.answer_within(),
            active: Mutex::default(),
            counters,
        })
    }

    fn lock_active(&self) -> std::sync::MutexGuard<'_, HashSet<Uuid>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_active(&self, trip: Uuid) -> bool {
        self.lock_active().contains(&trip)
    }

    pub(crate) fn participants(&self) -> &[Participant] {
        &self.participants
    }

    /// Trips between their first prepare and their last commit.
    pub(crate) fn under_way(&self) -> usize {
        self.lock_active().len()
    }

    /// Waits until no trip is under way; each has a bound.
    pub(crate) async fn quiet(&self) {
        let all = self.in_flight.acquire_many(self.in_flight_max);
        let _ = tokio::time::timeout(self.answer_within * 4, all).await;
    }

    /// Books a trip; returns when its outcome is certain. It goes on to its end whether or not somebody still listens.
    pub(crate) async fn book(self: &Arc<Self>, trip: Trip) -> End {
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            self.counters.failed.fetch_add(1, Ordering::Relaxed);
            return End::Failed(Failure::Full);
        };
        let (tell, told) = oneshot::channel();
        tokio::spawn(Arc::clone(self).travel(trip, place, tell));
        told.await.unwrap_or_else(|_| {
            End::Failed(Failure::Unknown(String::from("the trip's task ended")))
        })
    }

    async fn travel(
        self: Arc<Self>,
        trip: Trip,
        _place: OwnedSemaphorePermit,
        tell: oneshot::Sender<End>,
    ) {
        let answer = |end: End| {
            let counter = match &end {
                End::Confirmed { .. } => &self.counters.confirmed,
                End::Refused { .. } => &self.counters.refused,
                End::Failed(_) => &self.counters.failed,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            // Nobody listens any more: it is booked, or not, all the same.
            let _ = tell.send(end);
        };
        // Its turn first, so that a line before one item keeps nobody else out.
        let Some(_turn) = self.queues.turn(&trip.items(), self.turn_within).await else {
            return answer(End::Failed(Failure::Locked));
        };
        let room = self.in_flight.acquire();
        let Ok(Ok(_room)) = tokio::time::timeout(self.turn_within, room).await else {
            return answer(End::Failed(Failure::Full));
        };
        self.lock_active().insert(trip.id);
        let _active = Active(&self, trip.id);
        let end = self.decide(&trip).await;
        let confirmed = matches!(end, End::Confirmed { .. });
        // As soon as it is certain: what follows changes nothing about it, and the next trip waits for it at the items alone.
        answer(end);
        if confirmed {
            self.end(&trip, self.sites(&trip), true).await;
        }
    }

    fn sites<'a>(&'a self, trip: &Trip) -> Vec<&'a Participant> {
        let sites: Vec<Site> = trip.sites().collect();
        let all = self.participants.iter();
        all.filter(|it| sites.contains(&it.site())).collect()
    }

    async fn vote<'a>(&self, trip: &Trip, participant: &'a Participant) -> (&'a Participant, Vote) {
        let gid = gid(&self.name, trip.id, participant.site());
        let vote = participant.prepare(trip, &gid).await;
        if matches!(vote, Vote::Prepared { .. }) {
            faults::reach(CrashPoint::OnePrepared);
        }
        (participant, vote)
    }

    /// The first phase, and the decision. What is not decided for is undone when this returns, but where nobody knows.
    async fn decide(&self, trip: &Trip) -> End {
        let mut voting = Vec::new();
        for participant in self.sites(trip) {
            voting.push(self.vote(trip, participant));
        }
        let votes = join_all(voting).await;
        let mut price_minor = 0;
        let mut against = None;
        let mut to_undo = Vec::new();
        for (participant, vote) in votes {
            match vote {
                Vote::Prepared { price_minor: part } => {
                    price_minor += part;
                    to_undo.push(participant);
                }
                Vote::Refused(reason) => against = Some(End::Refused { reason }),
                Vote::Failed(failure) => {
                    // Who did not answer may have prepared it.
                    if matches!(failure, Failure::Away(_)) {
                        to_undo.push(participant);
                    }
                    against.get_or_insert(End::Failed(failure));
                }
            }
        }
        if let Some(end) = against {
            self.end(trip, to_undo, false).await;
            return end;
        }
        faults::reach(CrashPoint::AllPrepared);
        match self.write(trip, price_minor).await {
            Ok(true) => {
                faults::reach(CrashPoint::Decided);
                End::Confirmed { price_minor }
            }
            // Somebody else had ended it as one in doubt.
            Ok(false) => {
                self.end(trip, to_undo, false).await;
                End::Failed(Failure::Locked)
            }
            // It stays prepared until the decision can be read.
            Err(failure) => End::Failed(failure),
        }
    }

    async fn write(&self, trip: &Trip, price_minor: i64) -> Result<bool, Failure> {
        if faults::is_off(Guard::Decision) {
            return Ok(true);
        }
        let decision = Decision {
            trip: trip.id,
            itinerary: trip.text.clone(),
            legs: i64::try_from(trip.legs.len()).unwrap_or(i64::MAX),
            price_minor,
        };
        self.decisions.decide(decision).await
    }

    /// The second phase. What a database does not do now it does when it is asked for what is in doubt.
    async fn end(&self, trip: &Trip, participants: Vec<&Participant>, commit: bool) {
        let mut ends = Vec::new();
        for participant in participants {
            ends.push(self.end_one(trip, participant, commit));
            if faults::is_armed(CrashPoint::OneCommitted) {
                // What is sent to both at once is done by both, whoever dies.
                join_all(std::mem::take(&mut ends)).await;
            }
        }
        join_all(ends).await;
    }

    async fn end_one(&self, trip: &Trip, participant: &Participant, commit: bool) {
        let gid = gid(&self.name, trip.id, participant.site());
        match participant.end(&gid, commit).await {
            Ok(()) if commit => faults::reach(CrashPoint::OneCommitted),
            Ok(()) => {}
            Err(fault) => tracing::warn!(%gid, commit, %fault, "not ended; it will be"),
        }
    }
}
