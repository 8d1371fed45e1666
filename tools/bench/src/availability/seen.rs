//! What is seen from outside while it happens: trips completed, failed and waited for, and of two-phase commit what lies in doubt and who
//! waits for a lock, in flight's database. Looked at and noted; what it comes to is a sum over the notes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use two_phase::audit::{Locks, Watch};

use crate::load::Live;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A look.
#[derive(Debug, Clone)]
pub(super) struct Note {
    pub(super) at: Instant,
    pub(super) trips: u64,
    pub(super) failed: u64,
    pub(super) in_flight: u64,
    /// Of the coordinator that is killed, and of all.
    pub(super) locks: Option<Locks>,
}

/// Looks until then; at the locks where flight's database is named.
pub(super) async fn watch(
    live: Arc<Live>,
    flight: Option<String>,
    victim: &str,
    until: Instant,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut flight = flight.map(|url| Watch::new(&url));
    let mut next = Instant::now();
    while next < until {
        tokio::time::sleep_until(next.into()).await;
        next = Instant::now() + LOOK_EVERY;
        // When looking began: what is seen is no older.
        let mut note = Note {
            at: Instant::now(),
            trips: live.trips(),
            failed: live.failed(),
            in_flight: live.in_flight(),
            locks: None,
        };
        if let Some(flight) = &mut flight {
            note.locks = flight.look(victim).await.ok();
        }
        notes.push(note);
    }
    notes
}

/// The last note until then, or the first there is.
fn at(notes: &[Note], when: Instant) -> Option<&Note> {
    let until = notes.iter().rev().find(|note| note.at <= when);
    until.or_else(|| notes.first())
}

/// How much something grew between two times, each second.
pub(super) fn per_s(
    notes: &[Note],
    (from, until): (Instant, Instant),
    of: fn(&Note) -> u64,
) -> f64 {
    let (Some(first), Some(last)) = (at(notes, from), at(notes, until)) else {
        return 0.0;
    };
    let seconds = last.at.saturating_duration_since(first.at).as_secs_f64();
    if seconds <= 0.0 {
        return 0.0;
    }
    of(last).saturating_sub(of(first)) as f64 / seconds
}

/// How much something grew.
pub(super) fn grown(
    notes: &[Note],
    (from, until): (Instant, Instant),
    of: fn(&Note) -> u64,
) -> u64 {
    match (at(notes, from), at(notes, until)) {
        (Some(first), Some(last)) => of(last).saturating_sub(of(first)),
        _ => 0,
    }
}

/// How many trips callers waited for then.
pub(super) fn waited_for(notes: &[Note], when: Instant) -> u64 {
    at(notes, when).map_or(0, |note| note.in_flight)
}

/// The longest time without a completed trip, from then on.
pub(super) fn silence(notes: &[Note], from: Instant) -> Duration {
    let mut longest = Duration::ZERO;
    let mut last = (from, at(notes, from).map_or(0, |note| note.trips));
    for note in notes.iter().filter(|note| note.at > from) {
        longest = longest.max(note.at - last.0);
        if note.trips > last.1 {
            last = (note.at, note.trips);
        }
    }
    longest
}

/// How long any of the parts lay in doubt that the victim had there at the first look from then on; zero where there were none. What its
/// successor prepares is not among them.
pub(super) fn locked(notes: &[Note], from: Instant) -> Duration {
    let mut after = notes.iter().filter(|note| note.at > from);
    let Some(at_kill) = after.clone().find_map(|note| note.locks.as_ref()) else {
        return Duration::ZERO;
    };
    let still = |locks: &Locks| {
        locks
            .of_these
            .iter()
            .any(|gid| at_kill.of_these.contains(gid))
    };
    let held = after
        .by_ref()
        .take_while(|note| note.locks.as_ref().is_none_or(still));
    held.last().map_or(Duration::ZERO, |note| note.at - from)
}

/// The most of something from then on.
pub(super) fn most(notes: &[Note], from: Instant, of: fn(&Locks) -> u64) -> Option<u64> {
    let after = notes.iter().filter(|note| note.at > from);
    after
        .filter_map(|note| Some(of(note.locks.as_ref()?)))
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(from: Instant) -> Vec<Note> {
        // Completed until then, and in doubt then, second by second.
        let seen: [(u64, &[u64]); 6] = [
            (0, &[]),
            (10, &[]),
            (10, &[1, 2]),
            (10, &[2]),
            (30, &[3]),
            (40, &[1]),
        ];
        let seconds = (0..).map(Duration::from_secs);
        let note = |(after, (trips, of_these)): (Duration, (u64, &[u64]))| Note {
            at: from + after,
            trips,
            failed: trips / 10,
            in_flight: 4,
            locks: Some(Locks {
                of_these: of_these.iter().map(u64::to_string).collect(),
                in_doubt: of_these.len() as u64 + 1,
                waiting: 7,
            }),
        };
        seconds.zip(seen).map(note).collect()
    }

    #[test]
    fn what_is_noted_comes_to_rates_silences_and_locks() {
        let from = Instant::now();
        let notes = notes(from);
        let after = |seconds| from + Duration::from_secs(seconds);
        let rate = |from, until| per_s(&notes, (after(from), after(until)), |note| note.trips);
        assert!((rate(0, 1) - 10.0).abs() < 1e-9 && rate(1, 3).abs() < 1e-9);
        assert_eq!(grown(&notes, (after(0), after(5)), |note| note.failed), 4);
        assert_eq!(silence(&notes, after(1)), Duration::from_secs(3));
        assert_eq!(locked(&notes, after(1)), Duration::from_secs(2));
        // What comes later is another trip's.
        assert_eq!(locked(&notes, after(3)), Duration::from_secs(1));
        assert_eq!(most(&notes, after(3), |locks| locks.in_doubt), Some(2));
        assert_eq!(waited_for(&notes, after(9)), 4);
    }
}
