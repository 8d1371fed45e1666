//! The travellers' own book: what each asked, what each was answered, and whether that adds up in itself and with what there is at the end.
//!
//! Beside the audit, and of another kind: the audit reads the databases and knows nothing of what was promised to whom; this knows only what
//! was promised over HTTP. Pure: it asks nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use booking::core::{Outcome, State};
use booking::view::TripView;
use choreography::TripId;

/// The most breaks that are named one by one.
const NAMED_MAX: usize = 20;

/// One leg of an itinerary: how much it takes of which stock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Take {
    /// Whose: an inventory path, such as `flights/C0/2039-06-03`.
    pub(super) stock: String,
    pub(super) many: i64,
}

/// One answer about a trip. Times are from the beginning of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) asked: Duration,
    pub(super) answered: Duration,
    pub(super) trip: TripId,
    pub(super) state: State,
    pub(super) outcome: Option<Outcome>,
}

impl Seen {
    pub(super) fn new(asked: Duration, answered: Duration, booking: &TripView) -> Self {
        Self {
            asked,
            answered,
            trip: booking.trip,
            state: booking.state,
            outcome: booking.outcome,
        }
    }

    /// Whether this can be what came of the other, which was answered before this was asked; `cancelled` when its traveller asked for that.
    fn can_follow(&self, before: &Self, cancelled: bool) -> bool {
        let outcome = match (before.outcome, self.outcome) {
            (None, _) => true,
            (Some(Outcome::Confirmed), Some(Outcome::Cancelled)) => cancelled,
            (before, after) => before == after,
        };
        outcome && rank(self.state) >= rank(before.state)
    }
}

/// A trip never goes back in here.
fn rank(state: State) -> u8 {
    match state {
        State::None => 0,
        State::Pending => 1,
        State::Confirmed => 2,
        State::Undoing => 3,
        State::Closed => 4,
    }
}

/// What stands under one key.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    pub(super) takes: Vec<Take>,
    /// Places on its itinerary.
    pub(super) legs: usize,
    /// How often it was booked, and answered.
    pub(super) booked: usize,
    /// All that was answered with 2xx, in whatever order it came in.
    pub(super) seen: Vec<Seen>,
    /// Its traveller asked that it be cancelled, answered or not.
    pub(super) cancel_asked: bool,
    /// And was told that this is done.
    pub(super) cancel_answered: bool,
}

impl Entry {
    pub(super) fn trip(&self) -> Option<TripId> {
        self.seen.first().map(|seen| seen.trip)
    }

    /// Whether anybody was told how it ended.
    pub(super) fn is_decided(&self) -> bool {
        self.seen.iter().any(|seen| seen.outcome.is_some())
    }
}

/// A trip as it stands at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) state: State,
    pub(super) outcome: Option<Outcome>,
}

/// What a stock row says at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) total: i64,
    pub(super) held: i64,
    pub(super) confirmed: i64,
    pub(super) free: i64,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) entries: BTreeMap<String, Entry>,
    /// Answers by HTTP status; 0 for requests that were never answered.
    pub(super) answers: BTreeMap<u16, u64>,
    /// Answers that no traveller of ours should ever get.
    pub(super) odd: Vec<String>,
}

impl Ledger {
    /// Counts an answer by its HTTP status; 0 for none.
    pub(super) fn count(&mut self, status: u16) {
        *self.answers.entry(status).or_default() += 1;
    }

    /// Keys that were given a trip of which nobody was told yet how it ended.
    pub(super) fn undecided(&self) -> usize {
        let open = |entry: &&Entry| !entry.seen.is_empty() && !entry.is_decided();
        self.entries.values().filter(open).count()
    }

    /// Whatever does not add up, given all trips that there are, and all stock.
    pub(super) fn breaks(
        &self,
        ends: &BTreeMap<TripId, End>,
        stock: &BTreeMap<String, Left>,
    ) -> Vec<String> {
        let mut breaks = self.odd.clone();
        let mut owners: BTreeMap<TripId, &str> = BTreeMap::new();
        let mut silent = 0;
        for (key, entry) in &self.entries {
            let trips: BTreeSet<TripId> = entry.seen.iter().map(|seen| seen.trip).collect();
            if trips.len() > 1 {
                breaks.push(format!(
                    "the key {key} was given more than one trip: {trips:?}"
                ));
            }
            for trip in trips {
                if let Some(other) = owners.insert(trip, key) {
                    breaks.push(format!(
                        "the trip {trip} was given to the keys {other} and {key}"
                    ));
                }
            }
            match entry.trip() {
                None => silent += 1,
                Some(trip) => breaks.extend(entry.breaks(trip, ends.get(&trip))),
            }
        }
        // A request that was never answered may have been taken all the same; more than one trip of it may not.
        let unknown = ends
            .keys()
            .filter(|trip| !owners.contains_key(trip))
            .count();
        if unknown > silent {
            breaks.push(format!(
                "there are {unknown} trips that nobody was told of, and only {silent} keys without an answer"
            ));
        }
        if unknown == 0 {
            breaks.extend(self.stock_breaks(ends, stock));
        }
        let more = breaks.len().saturating_sub(NAMED_MAX);
        breaks.truncate(NAMED_MAX);
        if more > 0 {
            breaks.push(format!(
                "and {more} more of the ledger's that are not named here"
            ));
        }
        breaks
    }

    /// What is confirmed of each stock is what confirmed trips asked for, no more and no less.
    fn stock_breaks(
        &self,
        ends: &BTreeMap<TripId, End>,
        stock: &BTreeMap<String, Left>,
    ) -> Vec<String> {
        let mut sold: BTreeMap<&str, i64> = BTreeMap::new();
        let is_confirmed = |entry: &&Entry| {
            let end = entry.trip().and_then(|trip| ends.get(&trip));
            end.is_some_and(|end| end.state == State::Confirmed)
        };
        for take in self
            .entries
            .values()
            .filter(is_confirmed)
            .flat_map(|entry| &entry.takes)
        {
            *sold.entry(&take.stock).or_default() += take.many;
        }
        let sold = |name: &str| sold.get(name).copied().unwrap_or_default();
        stock
            .iter()
            .filter(|(name, left)| {
                left.held != 0
                    || left.confirmed != sold(name)
                    || left.free != left.total - left.confirmed
            })
            .map(|(name, left)| {
                format!(
                    "{name}: confirmed trips took {}, and it says {left:?}",
                    sold(name)
                )
            })
            .collect()
    }
}

impl Entry {
    fn breaks(&self, trip: TripId, end: Option<&End>) -> Vec<String> {
        let mut breaks = Vec::new();
        let Some(end) = end else {
            return vec![format!("the trip {trip} was promised and is not there")];
        };
        let last = Seen {
            asked: Duration::MAX,
            answered: Duration::MAX,
            trip,
            state: end.state,
            outcome: end.outcome,
        };
        let all = || self.seen.iter().chain([&last]);
        for later in all() {
            let before = all().filter(|before| before.answered <= later.asked);
            let contradicted = before
                .filter(|before| !std::ptr::eq(*before, later))
                .find(|before| !later.can_follow(before, self.cancel_asked));
            if let Some(before) = contradicted {
                breaks.push(format!(
                    "the trip {trip} was said to be {:?} {:?}, and after that {:?} {:?}",
                    before.state, before.outcome, later.state, later.outcome
                ));
                break;
            }
        }
        if self.cancel_answered && end.outcome == Some(Outcome::Confirmed) {
            breaks.push(format!("the trip {trip} was cancelled, and is confirmed"));
        }
        breaks
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn trip(number: u8) -> TripId {
        format!("01890000-0000-7000-8000-0000000000{number:02x}")
            .parse()
            .unwrap()
    }

    fn seen(asked: u64, trip_number: u8, state: State, outcome: Option<Outcome>) -> Seen {
        Seen {
            asked: Duration::from_secs(asked),
            answered: Duration::from_secs(asked + 1),
            trip: trip(trip_number),
            state,
            outcome,
        }
    }

    fn end(state: State, outcome: Outcome) -> End {
        End {
            state,
            outcome: Some(outcome),
        }
    }

    /// One key with one trip of two seats, which ends like that; and what the seats say.
    fn breaks(seen: Vec<Seen>, ended: End, confirmed: i64, change: fn(&mut Entry)) -> Vec<String> {
        let mut entry = Entry {
            takes: vec![Take {
                stock: String::from("flights/C0"),
                many: 2,
            }],
            seen,
            ..Entry::default()
        };
        change(&mut entry);
        let ledger = Ledger {
            entries: BTreeMap::from([(String::from("a"), entry)]),
            ..Ledger::default()
        };
        let left = Left {
            total: 10,
            held: 0,
            confirmed,
            free: 10 - confirmed,
        };
        let stock = BTreeMap::from([(String::from("flights/C0"), left)]);
        ledger.breaks(&BTreeMap::from([(trip(1), ended)]), &stock)
    }

    #[test]
    fn what_was_promised_and_kept_is_no_break() {
        let pending = seen(0, 1, State::Pending, None);
        let confirmed = seen(2, 1, State::Confirmed, Some(Outcome::Confirmed));
        let closed = end(State::Closed, Outcome::Cancelled);
        let kept = end(State::Confirmed, Outcome::Confirmed);
        assert!(breaks(vec![pending, confirmed], kept, 2, |_| {}).is_empty());
        let cancel = |entry: &mut Entry| entry.cancel_asked = true;
        assert!(breaks(vec![pending, confirmed], closed, 0, cancel).is_empty());
        // Asked at the same time, the older answer may come in last.
        let late = seen(2, 1, State::Pending, None);
        assert!(breaks(vec![confirmed, late], kept, 2, |_| {}).is_empty());
    }

    #[test]
    fn every_break_of_a_promise_is_named() {
        let pending = seen(0, 1, State::Pending, None);
        let confirmed = seen(2, 1, State::Confirmed, Some(Outcome::Confirmed));
        let kept = end(State::Confirmed, Outcome::Confirmed);
        let closed = end(State::Closed, Outcome::Cancelled);
        let named = |breaks: Vec<String>, word: &str| {
            assert!(
                breaks.len() == 1 && breaks[0].contains(word),
                "{word}: {breaks:?}"
            );
        };
        named(
            breaks(vec![pending, confirmed], closed, 0, |_| {}),
            "and after that",
        );
        named(
            breaks(
                vec![confirmed, seen(4, 1, State::Pending, None)],
                kept,
                2,
                |_| {},
            ),
            "and after that",
        );
        named(
            breaks(vec![pending], kept, 2, |entry| entry.cancel_answered = true),
            "was cancelled",
        );
        named(breaks(vec![pending], kept, 4, |_| {}), "took 2");
        let two = breaks(
            vec![pending, seen(2, 2, State::Pending, None)],
            kept,
            2,
            |_| {},
        );
        named(two, "more than one trip");
        let rejected = end(State::Closed, Outcome::Rejected);
        let another = breaks(vec![seen(0, 2, State::Pending, None)], rejected, 0, |_| {});
        assert!(
            another.len() == 2
                && another[0].contains("is not there")
                && another[1].contains("nobody was told"),
            "{another:?}"
        );
    }

    #[test]
    fn a_trip_of_two_keys_and_one_that_is_gone_are_named() {
        let entry = |number| Entry {
            seen: vec![seen(0, number, State::Pending, None)],
            ..Entry::default()
        };
        let entries = [("a", 1), ("b", 1), ("c", 3)];
        let ledger = Ledger {
            entries: entries
                .map(|(key, number)| (key.to_owned(), entry(number)))
                .into(),
            ..Ledger::default()
        };
        let ends = BTreeMap::from([(trip(1), end(State::Closed, Outcome::Expired))]);
        let breaks = ledger.breaks(&ends, &BTreeMap::new());
        assert!(breaks[0].contains("the keys a and b"), "{breaks:?}");
        assert!(breaks[1].contains("is not there"), "{breaks:?}");
    }
}
