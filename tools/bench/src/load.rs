//! The load: callers that wait for each other's turn (a closed loop), or trips that set out at a fixed rate whatever comes of those before
//! them (an open loop). Light, since it shares the machine with what it measures. It counts, and judges nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::distribution::Taken;
use super::pace;
use super::stock::Stock;
use super::trip::{ANSWER_WITHIN, Ended, Failed, Shares, Wish, travel};

/// After an error, so that a service that is down is not also flooded.
const PAUSE: Duration = Duration::from_millis(50);
/// So many refused trips are remembered, to look up when each was refused.
const REFUSED_MAX: usize = 500_000;
/// So many kinds of errors are told apart.
const ERRORS_MAX: usize = 50;

/// How hard the stack is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// So many callers, each of whom waits for its trip before it asks for the next.
    Callers(u32),
    /// So many trips a second, evenly, whatever becomes of them.
    Rate(u32),
}

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Callers(callers) => write!(f, "{callers} callers"),
            Self::Rate(rate) => write!(f, "{rate} trips/s offered"),
        }
    }
}

/// Counted while it runs, for whoever watches.
#[derive(Debug, Default)]
pub struct Live {
    trips: AtomicU64,
    in_flight: AtomicU64,
    not_started: AtomicU64,
    failed: AtomicU64,
}

impl Live {
    /// Trips that ended as they were to.
    pub fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    /// Trips under way.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Trips for which there was no room.
    pub fn not_started(&self) -> u64 {
        self.not_started.load(Ordering::Relaxed)
    }

    /// Trips that were turned away with 503, or went wrong.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// When it is measured.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// From then on.
    pub from: Instant,
    /// Until then.
    pub until: Instant,
}

/// One measurement's load.
#[derive(Debug)]
pub(crate) struct Load {
    /// A client of its own, for whoever is asked.
    pub(crate) http: fn(&str) -> Result<reqwest::ClientBuilder>,
    /// Booking's replicas; trips are spread over them.
    pub(crate) urls: Vec<String>,
    pub(crate) pace: Pace,
    pub(crate) in_flight_max: u32,
    pub(crate) shares: Shares,
    pub(crate) window: Window,
    pub(crate) stock: Arc<Stock>,
    pub(crate) live: Arc<Live>,
}

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
            overloaded: 0,
            errors: BTreeMap::new(),
            requests: 0,
            answer_bytes: 0,
        })
    }

    fn add(&mut self, other: Self) -> Result<()> {
        self.took.add(&other.took)?;
        self.cancelled_to_undone.add(&other.cancelled_to_undone)?;
        self.late.add(&other.late)?;
        let room = REFUSED_MAX.saturating_sub(self.undone.len());
        self.undone.extend(other.undone.into_iter().take(room));
        self.confirmed += other.confirmed;
        self.refused += other.refused;
        self.cancelled += other.cancelled;
        self.ended += other.ended;
        self.offered += other.offered;
        self.not_started += other.not_started;
        self.overloaded += other.overloaded;
        self.requests += other.requests;
        self.answer_bytes += other.answer_bytes;
        for (error, count) in other.errors {
            self.count(error, count);
        }
        Ok(())
    }

    fn count(&mut self, error: String, times: u64) {
        let known = self.errors.contains_key(&error) || self.errors.len() < ERRORS_MAX;
        let error = if known { error } else { String::from("other") };
        *self.errors.entry(error).or_default() += times;
    }

    /// A trip that counts came to an end, `began` being when it was to be asked for.
    fn end(&mut self, wish: Wish, result: Result<Ended, Failed>, began: Instant, ended: Instant) {
        let trip = match result {
            Ok(trip) => trip,
            Err(Failed::Overloaded) => {
                self.overloaded += 1;
                return;
            }
            Err(Failed::Otherwise(error)) => return self.count(error, 1),
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
}

/// What the clock on the wall showed then.
fn us_since_1970(then: Instant) -> i64 {
    let now = SystemTime::now().checked_sub(then.elapsed());
    let us = now.and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    us.and_then(|us| i64::try_from(us.as_micros()).ok())
        .unwrap_or_default()
}

impl Load {
    /// Runs to its end, on this thread alone.
    pub(crate) fn run(self) -> Result<Tally> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let load = Arc::new(self);
        runtime.block_on(async {
            let first = load.urls.first().map_or("", String::as_str);
            let http = (load.http)(first)?
                .pool_max_idle_per_host(usize::MAX)
                .tcp_nodelay(true)
                .timeout(ANSWER_WITHIN)
                .build()?;
            match load.pace {
                Pace::Callers(callers) => closed(load, http, callers).await,
                Pace::Rate(rate) => {
                    let (due, window) = (pace::due(rate, load.window), load.window);
                    open(load, http, due, window).await
                }
            }
        })
    }

    fn bookings(&self, number: usize) -> String {
        let url = self.urls.get(number % self.urls.len().max(1));
        let url = url.map_or("", |url| url.trim_end_matches('/'));
        format!("{url}/bookings")
    }

    async fn one(
        &self,
        http: &reqwest::Client,
        bookings: &str,
    ) -> (Wish, Result<Ended, Failed>, Instant) {
        let wish = self.shares.wish(fastrand::u8(..100));
        let body = self.stock.itinerary(wish == Wish::Refused);
        self.live.in_flight.fetch_add(1, Ordering::Relaxed);
        let result = travel(http, bookings, body, wish).await;
        self.live.in_flight.fetch_sub(1, Ordering::Relaxed);
        let count = match result {
            Ok(_) => &self.live.trips,
            Err(_) => &self.live.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        (wish, result, Instant::now())
    }

    fn is_inside(&self, at: Instant) -> bool {
        (self.window.from..self.window.until).contains(&at)
    }

    /// One caller: asks, waits, asks again. What ends while it is measured counts.
    async fn call(self: Arc<Self>, http: reqwest::Client, bookings: String) -> Result<Tally> {
        let mut tally = Tally::new()?;
        loop {
            let began = Instant::now();
            if began >= self.window.until {
                return Ok(tally);
            }
            let (wish, result, ended) = self.one(&http, &bookings).await;
            let failed = result.is_err();
            if self.is_inside(ended) {
                tally.ended += u64::from(!failed);
                tally.end(wish, result, began, ended);
            }
            if failed {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn closed(load: Arc<Load>, http: reqwest::Client, callers: u32) -> Result<Tally> {
    let callers = (0..callers as usize).map(|number| {
        let bookings = load.bookings(number);
        tokio::spawn(Arc::clone(&load).call(http.clone(), bookings))
    });
    let callers: Vec<_> = callers.collect();
    let mut all = Tally::new()?;
    for caller in callers {
        all.add(caller.await??)?;
    }
    Ok(all)
}

/// Trips set out when they are due; what is due while so many are under way does not, and is counted. What was to set out while it was
/// measured counts, however late it ends.
async fn open(
    load: Arc<Load>,
    http: reqwest::Client,
    mut due: mpsc::Receiver<Instant>,
    window: Window,
) -> Result<Tally> {
    let mut all = Tally::new()?;
    let mut under_way = JoinSet::new();
    let mut number = 0;
    loop {
        let intended = tokio::select! {
            intended = due.recv() => intended,
            Some(trip) = under_way.join_next() => {
                all.close(trip?, window);
                continue;
            }
        };
        let Some(intended) = intended else { break };
        let counts = load.is_inside(intended);
        all.offered += u64::from(counts);
        if under_way.len() >= load.in_flight_max as usize {
            all.not_started += u64::from(counts);
            load.live.not_started.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        if counts {
            all.late.record(intended.elapsed());
        }
        let (load, http, bookings) = (Arc::clone(&load), http.clone(), load.bookings(number));
        number += 1;
        under_way.spawn(async move {
            let (wish, result, ended) = load.one(&http, &bookings).await;
            (intended, wish, result, ended)
        });
    }
    while let Some(trip) = under_way.join_next().await {
        let trip = trip.map_err(|error| anyhow!("a trip was lost: {error}"))?;
        all.close(trip, window);
    }
    Ok(all)
}

impl Tally {
    fn close(
        &mut self,
        (intended, wish, result, ended): (Instant, Wish, Result<Ended, Failed>, Instant),
        window: Window,
    ) {
        let inside = |at: Instant| (window.from..window.until).contains(&at);
        self.ended += u64::from(result.is_ok() && inside(ended));
        if inside(intended) {
            self.end(wish, result, intended, ended);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
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
    fn tallies_add_up() {
        let (mut one, mut other) = (Tally::new().unwrap(), Tally::new().unwrap());
        one.count("x".into(), 2);
        other.count("x".into(), 3);
        let now = Instant::now();
        other.end(Wish::Refused, ended(), now, now);
        other.end(Wish::Confirmed, Err(Failed::Overloaded), now, now);
        one.add(other).unwrap();
        assert_eq!((one.errors["x"], one.refused, one.overloaded), (5, 1, 1));
        assert_eq!((one.took.len(), one.undone.len()), (1, 1));
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
            |intended, at| tally.close((intended, Wish::Confirmed, ended(), at), window);
        close(from, from + second / 2);
        close(from, from + 5 * second);
        // Of those that are warming up only the throughput.
        close(from - second, from + second / 2);
        assert_eq!((tally.took.len(), tally.ended), (2, 2));
        let max_ms = tally.took.distribution().unwrap().max_ms;
        assert!((max_ms - 5_000.0).abs() < 10.0, "{max_ms}");
    }
}
