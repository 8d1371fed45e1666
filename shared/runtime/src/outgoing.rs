//! What this process has in hand of the outbox: which facts wait for the broker, which are under way, and how many may be.
//!
//! A pure core: no I/O, no clock, no waiting; the publisher is the thin shell around it, and a model check runs on it. Four rules:
//! - **Bounded.** What there is no room for is not taken; its row lies in the outbox, and a sweeper takes it up later.
//! - **Each id once.** What is in hand already, or stored and not yet deleted, is not taken again, however often it is swept.
//! - **Nothing longer than its lease.** A fact that still waits when its lease ends is dropped: its row is anybody's by then.
//! - **As much in flight as is acknowledged in time.** An acknowledgement that does not come halves the window, each that comes
//!   widens it by one; and the sweeper brings no more than one window. So a slow broker is never buried under repeats.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::event::Event;

/// How many facts may wait or be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Facts that wait.
    pub waiting_max: usize,
    /// Facts in flight, when the broker acknowledges nothing in time.
    pub window_min: usize,
    /// Facts in flight, when it acknowledges all of them.
    pub window_max: usize,
    /// False takes off every rule above but the largest window: only to prove that a test notices.
    pub bounded: bool,
}

/// A batch of 512 inputs that say 16 facts each fits twice.
impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting_max: 16_384,
            window_min: 16,
            window_max: 2_048,
            bounded: true,
        }
    }
}

/// Nothing was stored for a while although something waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stall {
    /// Since when: the last fact that was stored, or the first one that was not.
    pub since: Instant,
    /// What the broker said last.
    pub word: Option<String>,
}

/// How every [`Stall`] begins when it is told, so that whoever looks after the broker can know it.
pub const STORES_NOTHING: &str = "the broker has stored no fact for";

impl Stall {
    /// In words, for readiness and whoever is refused.
    #[must_use]
    pub fn tell(&self, now: Instant) -> String {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        let word = self.word.as_deref().unwrap_or("it does not answer");
        format!("{STORES_NOTHING} {seconds} s: {word}")
    }
}

/// The facts in hand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outgoing {
    limits: Limits,
    waiting: VecDeque<Event>,
    /// Every id in hand, and until when its row is ours.
    leases: BTreeMap<Uuid, Instant>,
    in_flight: usize,
    window: usize,
    /// Stored by the broker, and to be deleted by the next batch.
    published: Vec<Uuid>,
    /// Stored by the broker, their rows perhaps still there: these and those that a batch deletes right now.
    stored: BTreeSet<Uuid>,
    stall: Option<Stall>,
}

impl Outgoing {
    /// Nothing in hand.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: VecDeque::new(),
            leases: BTreeMap::new(),
            in_flight: 0,
            window: limits.window_max,
            published: Vec::new(),
            stored: BTreeSet::new(),
            stall: None,
        }
    }

    /// Takes facts whose rows are ours until `lease_ends`. What is in hand already keeps its place and has the longer lease.
    /// Answers how many were left to the sweeper for want of room.
    pub fn take(
        &mut self,
        facts: impl IntoIterator<Item = Event>,
        lease_ends: Instant,
        now: Instant,
    ) -> usize {
        let mut left = 0;
        for fact in facts {
            if self.limits.bounded && self.stored.contains(&fact.id) {
                // Its row only waits to be deleted.
            } else if let Some(lease) = self
                .leases
                .get_mut(&fact.id)
                .filter(|_| self.limits.bounded)
            {
                *lease = lease_ends.max(*lease);
            } else if self.waiting.len() >= self.limits.waiting_max && self.limits.bounded {
                left += 1;
            } else {
                self.leases.insert(fact.id, lease_ends);
                self.waiting.push_back(fact);
            }
        }
        if !self.waiting.is_empty() {
            self.stall.get_or_insert(Stall {
                since: now,
                word: None,
            });
        }
        left
    }

    /// The next fact to hand to the broker, if one may go.
    pub fn next(&mut self, now: Instant) -> Option<Event> {
        if self.in_flight >= self.window {
            return None;
        }
        while let Some(fact) = self.waiting.pop_front() {
            let ours = self
                .leases
                .get(&fact.id)
                .is_some_and(|ends| now < *ends || !self.limits.bounded);
            if ours {
                self.in_flight += 1;
                return Some(fact);
            }
            self.leases.remove(&fact.id);
        }
        None
    }

    /// The broker has stored it.
    pub fn stored(&mut self, id: Uuid, now: Instant) {
        self.landed(id);
        self.window = (self.window + 1).min(self.limits.window_max);
        self.may_be_deleted(id);
        self.stall = (!self.leases.is_empty()).then_some(Stall {
            since: now,
            word: None,
        });
    }

    /// The broker says late, after the fact counted as failed, that it has stored it. A copy that waits again is dropped.
    pub fn stored_late(&mut self, id: Uuid) {
        let waiting = self.waiting.len();
        self.waiting.retain(|fact| fact.id != id);
        if self.waiting.len() < waiting {
            self.leases.remove(&id);
        }
        self.may_be_deleted(id);
    }

    fn may_be_deleted(&mut self, id: Uuid) {
        if self.stored.insert(id) {
            self.published.push(id);
        }
    }

    /// The outcome is unknown, or the broker refused it: the row stays, and whoever has the lease next tries again.
    pub fn failed(&mut self, id: Uuid, in_time: bool, word: &str, now: Instant) {
        self.landed(id);
        if !in_time && self.limits.bounded {
            self.window = (self.window / 2).max(self.limits.window_min);
        }
        let stall = self.stall.get_or_insert(Stall {
            since: now,
            word: None,
        });
        stall.word = Some(word.chars().take(200).collect());
    }

    fn landed(&mut self, id: Uuid) {
        self.leases.remove(&id);
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// How many rows a sweeper may bring: one window, less what waits already.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.limits.bounded {
            self.window.saturating_sub(self.waiting.len())
        } else {
            self.limits.window_max
        }
    }

    /// How many facts wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing is in hand.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// The outbox itself was seen to be empty: others published what failed here.
    pub fn nothing_lies_there(&mut self) {
        if self.leases.is_empty() {
            self.stall = None;
        }
    }

    /// Since when nothing was stored although something waits; none while all goes well.
    #[must_use]
    pub fn stall(&self, now: Instant, after: Duration) -> Option<&Stall> {
        let stall = self.stall.as_ref()?;
        (now.saturating_duration_since(stall.since) >= after).then_some(stall)
    }

    /// Whether rows may be deleted.
    #[must_use]
    pub fn has_published(&self) -> bool {
        !self.published.is_empty()
    }

    /// The rows that may be deleted now. Whoever does so says that they are [`deleted`](Self::deleted), or puts them back.
    pub fn take_published(&mut self) -> Vec<Uuid> {
        std::mem::take(&mut self.published)
    }

    /// A transaction that deleted these rows was committed.
    pub fn deleted(&mut self, ids: &[Uuid]) {
        for id in ids {
            self.stored.remove(id);
        }
    }

    /// Gives back what a failed transaction did not delete.
    pub fn put_back(&mut self, mut ids: Vec<Uuid>) {
        self.published.append(&mut ids);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        waiting_max: 4,
        window_min: 1,
        window_max: 2,
        bounded: true,
    };
    const S: Duration = Duration::from_secs(1);

    fn fact(number: u128) -> Event {
        Event {
            id: Uuid::from_u128(number),
            aggregatetype: String::from("thing"),
            aggregateid: number.to_string(),
            kind: String::from("thing.happened.v1"),
            payload: String::from("{}"),
            subject: String::from("things"),
            causation_id: None,
            time_us: 0,
            traceparent: None,
            tracestate: None,
            attempt: 0,
        }
    }

    fn ids(outgoing: &mut Outgoing, now: Instant) -> Vec<u128> {
        std::iter::from_fn(|| outgoing.next(now))
            .map(|fact| fact.id.as_u128())
            .collect()
    }

    #[test]
    fn more_than_there_is_room_for_is_left_to_the_sweeper() {
        let (mut outgoing, now) = (Outgoing::new(LIMITS), Instant::now());
        assert_eq!(outgoing.take((1..=6).map(fact), now + S, now), 2);
        assert_eq!(ids(&mut outgoing, now), [1, 2], "a window of two");
        outgoing.stored(Uuid::from_u128(1), now);
        assert_eq!(ids(&mut outgoing, now), [3]);
    }

    #[test]
    fn what_is_in_hand_is_not_taken_again_and_its_lease_is_the_longer_one() {
        let (mut outgoing, now) = (Outgoing::new(LIMITS), Instant::now());
        outgoing.take((1..=3).map(fact), now + S, now);
        assert_eq!(ids(&mut outgoing, now), [1, 2]);
        outgoing.take((1..=3).map(fact), now + 3 * S, now);
        outgoing.take((1..=3).map(fact), now + S, now);
        outgoing.stored(Uuid::from_u128(1), now);
        outgoing.stored(Uuid::from_u128(2), now);
        assert_eq!(ids(&mut outgoing, now + 2 * S), [3]);
        outgoing.stored(Uuid::from_u128(3), now);
        assert!(outgoing.is_empty());
    }

    #[test]
    fn what_still_waits_when_its_lease_ends_is_dropped_and_may_come_back() {
        let (mut outgoing, now) = (Outgoing::new(LIMITS), Instant::now());
        outgoing.take([fact(1)], now + S, now);
        assert_eq!(ids(&mut outgoing, now + S), [0; 0]);
        assert!(outgoing.is_empty());
        outgoing.take([fact(1)], now + 2 * S, now + S);
        assert_eq!(ids(&mut outgoing, now + S), [1]);
    }

    #[test]
    fn an_acknowledgement_that_comes_late_saves_the_repeat() {
        let (mut outgoing, now) = (Outgoing::new(LIMITS), Instant::now());
        outgoing.take((1..=2).map(fact), now + S, now);
        assert_eq!(ids(&mut outgoing, now), [1, 2]);
        for id in [1, 2].map(Uuid::from_u128) {
            outgoing.failed(id, false, "timed out", now);
        }
        outgoing.take((1..=2).map(fact), now + 3 * S, now + 2 * S);
        outgoing.stored_late(Uuid::from_u128(1));
        assert_eq!(ids(&mut outgoing, now + 2 * S), [2]);
        outgoing.stored_late(Uuid::from_u128(2));
        assert_eq!(outgoing.in_flight, 1, "its second copy is under way");
        assert_eq!(outgoing.take_published().len(), 2);
    }

    #[test]
    fn what_is_stored_and_not_yet_deleted_is_not_published_again() {
        let (mut outgoing, now) = (Outgoing::new(LIMITS), Instant::now());
        let again = |outgoing: &mut Outgoing| {
            outgoing.take([fact(1)], now + 3 * S, now + 2 * S);
            ids(outgoing, now + 2 * S)
        };
        outgoing.take([fact(1)], now + S, now);
        assert_eq!(ids(&mut outgoing, now), [1]);
        outgoing.stored(Uuid::from_u128(1), now);
        assert_eq!(again(&mut outgoing), [0; 0], "no batch has come by yet");
        let published = outgoing.take_published();
        assert_eq!(again(&mut outgoing), [0; 0], "the batch is under way");
        outgoing.put_back(published.clone());
        assert_eq!(again(&mut outgoing), [0; 0], "it failed");
        assert_eq!(outgoing.take_published(), published);
        outgoing.deleted(&published);
        assert_eq!(again(&mut outgoing), [1], "it is gone: this is another one");
    }

    #[test]
    fn what_is_stored_late_does_not_wait_under_a_second_lease() {
        let (mut outgoing, now) = (Outgoing::new(LIMITS), Instant::now());
        outgoing.take([fact(1)], now + S, now);
        assert_eq!(ids(&mut outgoing, now), [1]);
        outgoing.failed(Uuid::from_u128(1), false, "timed out", now);
        outgoing.take([fact(1)], now + 3 * S, now + S);
        outgoing.stored_late(Uuid::from_u128(1));
        let published = outgoing.take_published();
        outgoing.deleted(&published);
        outgoing.take([fact(1)], now + 5 * S, now + 3 * S);
        assert_eq!(ids(&mut outgoing, now + 3 * S), [1], "one copy, not two");
    }

    #[test]
    fn a_broker_that_acknowledges_nothing_in_time_gets_little_and_recovers() {
        let limits = Limits {
            waiting_max: 100,
            window_max: 64,
            ..LIMITS
        };
        let (mut outgoing, now) = (Outgoing::new(limits), Instant::now());
        outgoing.take((1..=100).map(fact), now + S, now);
        for id in ids(&mut outgoing, now) {
            outgoing.failed(Uuid::from_u128(id), false, "timed out", now);
        }
        assert_eq!(outgoing.room(), 0, "36 wait, and the window is 1");
        assert_eq!(ids(&mut outgoing, now), [65]);
        outgoing.stored(Uuid::from_u128(65), now);
        assert_eq!(ids(&mut outgoing, now), [66, 67]);
    }

    #[test]
    fn a_refusal_is_told_until_something_is_stored_or_nothing_is_left() {
        let (mut outgoing, now) = (Outgoing::new(LIMITS), Instant::now());
        let told = |outgoing: &Outgoing, now| outgoing.stall(now, S).map(|stall| stall.tell(now));
        outgoing.take([fact(1)], now + S, now);
        ids(&mut outgoing, now);
        assert_eq!(told(&outgoing, now), None, "not yet");
        outgoing.failed(Uuid::from_u128(1), true, "no space left", now + S);
        let word = "the broker has stored no fact for 2 s: no space left";
        assert_eq!(told(&outgoing, now + 2 * S).as_deref(), Some(word));
        assert_eq!(outgoing.window, 2, "it answered in time");
        outgoing.nothing_lies_there();
        assert_eq!(told(&outgoing, now + 2 * S), None);
    }
}
