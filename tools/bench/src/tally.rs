//! What came of a load: trips counted by how they ended, and how long they took. It drives nothing, and judges nothing.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::distribution::Taken;
use super::load::Window;
use super::trip::{Ended, Failed, Wish};

/// So many refused trips are remembered, to look up when each was refused.
const REFUSED_MAX: usize = 500_000;
/// So many kinds of errors are told apart.
const ERRORS_MAX: usize = 50;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Tally {
    /// From the question, or from when it was to be asked, to the outcome, of every completed trip that counts.
    pub(crate) took: Taken,
    /// From the cancellation to the answer that everything is back.
    pub(crate) cancelled_to_undone: Taken,
    /// By how much trips set out too late: how far the load generator itself fell behind.
    pub(crate) late: Taken,
    /// Refused trips, and when their callers had been told that everything is back, in microseconds since 1970.
    pub(crate) undone: Vec<(String, i64)>,
    pub(crate) confirmed: u64,
    pub(crate) refused: u64,
    pub(crate) cancelled: u64,
    /// Completed while it was measured, whenever they began.
    pub(crate) ended: u64,
    /// That were to set out while it was measured.
    pub(crate) offered: u64,
    /// Of those, that had no room.
    pub(crate) not_started: u64,
    /// Of a closed loop: asked for in time, and completed only once it was over.
    pub(crate) unfinished: u64,
    /// That were turned away with 503.
    pub(crate) overloaded: u64,
    /// What went wrong, and how often.
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) requests: u64,
    pub(crate) answer_bytes: u64,
}

impl Tally {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            took: Taken::new()?,
            cancelled_to_undone: Taken::new()?,
            late: Taken::new()?,
            undone: Vec::new(),
            confirmed: 0,
            refused: 0,
            cancelled: 0,
            ended: 0,
            offered: 0,
            not_started: 0,
            unfinished: 0,
            overloaded: 0,
            errors: BTreeMap::new(),
            requests: 0,
            answer_bytes: 0,
        })
    }

    fn count(&mut self, error: String) {
        let known = self.errors.contains_key(&error) || self.errors.len() < ERRORS_MAX;
        let error = if known { error } else { String::from("other") };
        *self.errors.entry(error).or_default() += 1;
    }

    fn fail(&mut self, failed: Failed) {
        match failed {
            Failed::Overloaded => self.overloaded += 1,
            Failed::Otherwise(error) => self.count(error),
        }
    }

    /// A trip that counts came to an end, `began` being when it was to be asked for.
    fn end(&mut self, wish: Wish, result: Result<Ended, Failed>, began: Instant, ended: Instant) {
        let trip = match result {
            Ok(trip) => trip,
            Err(failed) => return self.fail(failed),
        };
        self.took.record(ended.saturating_duration_since(began));
        self.requests += trip.requests;
        self.answer_bytes += trip.answer_bytes as u64;
        if let Some(asked) = trip.cancelled {
            self.cancelled_to_undone.record(ended.duration_since(asked));
        }
        match wish {
            Wish::Confirmed => self.confirmed += 1,
            Wish::CancelledEarly | Wish::CancelledLate => self.cancelled += 1,
            Wish::Refused => {
                self.refused += 1;
                if self.undone.len() < REFUSED_MAX {
                    self.undone.push((trip.trip, us_since_1970(ended)));
                }
            }
        }
    }

    /// A caller of a closed loop has an answer to what was asked before the window ended: what ends inside counts, and what ends later is
    /// told of, or a stack that hangs would leave no trace.
    pub(crate) fn answer(
        &mut self,
        wish: Wish,
        result: Result<Ended, Failed>,
        began: Instant,
        ended: Instant,
        window: Window,
    ) {
        if window.contains(ended) {
            self.ended += u64::from(result.is_ok());
            self.end(wish, result, began, ended);
        } else if ended >= window.until {
            match result {
                Ok(_) => self.unfinished += 1,
                Err(failed) => self.fail(failed),
            }
        }
    }

    /// A trip of an open loop has ended: it counts when it was to set out in time.
    pub(crate) fn close(
        &mut self,
        (intended, set_out, wish, result, ended): (
            Instant,
            Instant,
            Wish,
            Result<Ended, Failed>,
            Instant,
        ),
        window: Window,
    ) {
        self.ended += u64::from(result.is_ok() && window.contains(ended));
        if window.contains(intended) {
            self.late
                .record(set_out.saturating_duration_since(intended));
            self.end(wish, result, intended, ended);
        }
    }
}

/// What the clock on the wall showed then.
fn us_since_1970(then: Instant) -> i64 {
    let now = SystemTime::now().checked_sub(then.elapsed());
    let us = now.and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    us.and_then(|us| i64::try_from(us.as_micros()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;

    fn ended() -> Result<Ended, Failed> {
        Ok(Ended {
            cancelled: None,
            trip: String::from("x"),
            requests: 1,
            answer_bytes: 100,
        })
    }

    #[test]
    fn what_ends_is_counted_by_how_it_ends() {
        let mut tally = Tally::new().unwrap();
        let now = Instant::now();
        tally.end(Wish::Refused, ended(), now, now);
        tally.end(Wish::Confirmed, Err(Failed::Overloaded), now, now);
        for error in 0..ERRORS_MAX + 3 {
            tally.fail(Failed::Otherwise(error.to_string()));
        }
        assert_eq!((tally.errors["0"], tally.errors["other"]), (1, 3));
        assert_eq!((tally.refused, tally.overloaded), (1, 1));
        assert_eq!((tally.took.len(), tally.undone.len()), (1, 1));
    }

    #[test]
    fn in_an_open_loop_what_was_to_set_out_counts_however_late_it_ends() {
        let from = Instant::now();
        let second = Duration::from_secs(1);
        let window = Window {
            from,
            until: from + second,
        };
        let mut tally = Tally::new().unwrap();
        let mut close =
            |intended, at| tally.close((intended, intended, Wish::Confirmed, ended(), at), window);
        close(from, from + second / 2);
        close(from, from + 5 * second);
        // Of those that are warming up only the throughput.
        close(from - second, from + second / 2);
        assert_eq!((tally.took.len(), tally.ended), (2, 2));
        let max_ms = tally.took.distribution().unwrap().max_ms;
        assert!((max_ms - 5_000.0).abs() < 10.0, "{max_ms}");
    }
}
