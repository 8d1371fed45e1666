//! The load: callers in a closed loop, what they ask for, and what they got. Light, since it shares the machine with what it measures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

const FLIGHTS: usize = 200;
const HOTELS: usize = 100;
const DAYS: usize = 30;
const NIGHTS: usize = 2;
/// So much of everything that capacity never decides.
const PLENTY: u32 = 1_000_000;
/// After an error, so that a service that is down is not also flooded.
const PAUSE: Duration = Duration::from_millis(50);

/// What there is to book.
#[derive(Debug)]
pub(crate) struct Stock {
    days: Vec<Date>,
}

impl Stock {
    pub(crate) fn new() -> Result<Self> {
        let tomorrow = Timestamp::now().to_zoned(TimeZone::UTC).date().tomorrow()?;
        let days = tomorrow.series(1.day()).take(DAYS + NIGHTS).collect();
        Ok(Self { days })
    }

    fn range(&self) -> String {
        match (self.days.first(), self.days.last()) {
            (Some(first), Some(last)) => format!("{first}..{last}"),
            _ => String::new(),
        }
    }

    pub(crate) fn flights(&self) -> String {
        let days = self.range();
        (0..FLIGHTS).fold(
            String::from("flight,date,seats,price_minor,currency\n"),
            |csv, n| csv + &format!("B{n},{days},{PLENTY},12300,EUR\n"),
        )
    }

    /// Every hotel has doubles without end, and no suite at all.
    pub(crate) fn hotels(&self) -> String {
        let days = self.range();
        (0..HOTELS).fold(
            String::from("hotel,room_type,night,rooms,price_minor,currency\n"),
            |csv, n| {
                csv + &format!(
                    "H{n},double,{days},{PLENTY},9900,EUR\nH{n},suite,{days},0,29900,EUR\n"
                )
            },
        )
    }

    /// A flight and a stay; one that is to be refused asks for a suite.
    fn itinerary(&self, refused: bool) -> String {
        let day = fastrand::usize(..DAYS);
        let (flight, hotel) = (fastrand::usize(..FLIGHTS), fastrand::usize(..HOTELS));
        let room = if refused { "suite" } else { "double" };
        let (check_in, check_out) = (self.days.get(day), self.days.get(day + NIGHTS));
        let check_in = check_in.map(ToString::to_string).unwrap_or_default();
        let check_out = check_out.map(ToString::to_string).unwrap_or_default();
        format!(
            r#"{{"itinerary":[{{"leg":"flight","flight":"B{flight}","date":"{check_in}","seats":1}},{{"leg":"hotel","hotel":"H{hotel}","room_type":"{room}","check_in":"{check_in}","check_out":"{check_out}","rooms":1}}]}}"#
        )
    }
}

/// Counted while it runs, for whoever watches.
#[derive(Debug, Default)]
pub(crate) struct Live {
    trips: AtomicU64,
}

impl Live {
    pub(crate) fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }
}

/// What ends in here is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

/// One measurement's load.
#[derive(Debug)]
pub(crate) struct Load {
    /// Booking's replicas; callers are spread over them.
    pub(crate) urls: Vec<String>,
    pub(crate) callers: u32,
    pub(crate) refused: u8,
    pub(crate) window: Window,
    pub(crate) stock: Arc<Stock>,
    pub(crate) live: Arc<Live>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Microseconds from the question to the outcome, of every completed trip.
    pub(crate) took_us: Histogram<u32>,
    pub(crate) confirmed: u64,
    pub(crate) refused: u64,
    /// What went wrong, and how often.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            took_us: Histogram::new_with_bounds(1, 120_000_000, 3)?,
            confirmed: 0,
            refused: 0,
            errors: BTreeMap::new(),
        })
    }

    fn add(&mut self, other: &Self) -> Result<()> {
        self.took_us.add(&other.took_us).context("histograms")?;
        self.confirmed += other.confirmed;
        self.refused += other.refused;
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Confirmed,
    Refused,
}

impl Load {
    /// Runs to its end, on this thread alone.
    pub(crate) fn run(self) -> Result<Tally> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let load = Arc::new(self);
        runtime.block_on(async {
            let http = client::http::local()?
                .pool_max_idle_per_host(usize::MAX)
                .tcp_nodelay(true)
                .build()?;
            let callers = (0..load.callers).map(|number| {
                let url = load.urls.iter().cycle().nth(number as usize);
                let url = format!("{}/bookings", url.map_or("", String::as_str));
                tokio::spawn(Arc::clone(&load).call(http.clone(), url))
            });
            let callers: Vec<_> = callers.collect();
            let mut all = Tally::new()?;
            for caller in callers {
                all.add(&caller.await??)?;
            }
            Ok(all)
        })
    }

    /// One caller: asks, waits, asks again.
    async fn call(self: Arc<Self>, http: reqwest::Client, url: String) -> Result<Tally> {
        let mut tally = Tally::new()?;
        loop {
            let began = Instant::now();
            if began >= self.window.until {
                return Ok(tally);
            }
            let refused = fastrand::u8(..100) < self.refused;
            let asked = ask(&http, &url, self.stock.itinerary(refused)).await;
            let ended = Instant::now();
            let expected = if refused {
                Outcome::Refused
            } else {
                Outcome::Confirmed
            };
            let result = asked.and_then(|outcome| match outcome {
                outcome if outcome == expected => Ok(outcome),
                _ => Err(String::from("another outcome than asked for")),
            });
            let measured = (self.window.from..=self.window.until).contains(&ended);
            match result {
                Ok(outcome) => {
                    self.live.trips.fetch_add(1, Ordering::Relaxed);
                    if measured {
                        let took = ended.duration_since(began).as_micros();
                        tally
                            .took_us
                            .saturating_record(u64::try_from(took).unwrap_or(u64::MAX));
                        match outcome {
                            Outcome::Confirmed => tally.confirmed += 1,
                            Outcome::Refused => tally.refused += 1,
                        }
                    }
                }
                Err(error) => {
                    *tally.errors.entry(error).or_default() += 1;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// One trip, to its outcome.
async fn ask(http: &reqwest::Client, url: &str, body: String) -> Result<Outcome, String> {
    let asked = http
        .post(url)
        .header("content-type", "application/json")
        .header("prefer", "wait=30")
        .body(body);
    let answer = asked.send().await.map_err(|error| format!("{error:#}"))?;
    let status = answer.status().as_u16();
    let body = answer.bytes().await.map_err(|error| format!("{error:#}"))?;
    outcome(status, &body)
}

/// Without reading all of the answer: its first fields decide.
fn outcome(status: u16, body: &[u8]) -> Result<Outcome, String> {
    let says = |word: &[u8]| body.windows(word.len()).any(|window| window == word);
    match status {
        200 if says(br#""state":"confirmed""#) => Ok(Outcome::Confirmed),
        200 if says(br#""outcome":"rejected""#) => Ok(Outcome::Refused),
        200 => Err(String::from("final, but neither confirmed nor refused")),
        202 => Err(String::from("no outcome within 30 s")),
        _ => Err(format!("answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Stock, Tally, outcome};

    #[test]
    fn a_trip_asks_for_what_there_is() {
        let stock = Stock::new().unwrap_or_else(|_| Stock { days: Vec::new() });
        assert_eq!(stock.flights().lines().count(), 201);
        assert_eq!(stock.hotels().lines().count(), 201);
        for refused in [false, true] {
            let asked: serde_json::Value =
                serde_json::from_str(&stock.itinerary(refused)).unwrap_or_default();
            let room = &asked["itinerary"][1]["room_type"];
            assert_eq!(room, if refused { "suite" } else { "double" });
            assert_eq!(asked["itinerary"][0]["seats"], 1);
        }
    }

    #[test]
    fn an_answer_is_known_by_its_state() {
        let confirmed = br#"{"trip":"x","state":"confirmed","outcome":"confirmed"}"#;
        let refused = br#"{"trip":"x","state":"closed","outcome":"rejected"}"#;
        assert_eq!(outcome(200, confirmed), Ok(Outcome::Confirmed));
        assert_eq!(outcome(200, refused), Ok(Outcome::Refused));
        assert!(outcome(200, br#"{"outcome":"expired"}"#).is_err());
        assert!(outcome(202, confirmed).is_err());
        assert_eq!(outcome(503, b""), Err("answered 503".into()));
    }

    #[test]
    fn tallies_add_up() {
        let sum = || -> anyhow::Result<Tally> {
            let (mut one, mut other) = (Tally::new()?, Tally::new()?);
            one.errors.insert("x".into(), 2);
            other.errors.insert("x".into(), 3);
            other.took_us.saturating_record(7);
            other.confirmed = 1;
            one.add(&other)?;
            Ok(one)
        };
        assert!(
            sum().is_ok_and(|sum| {
                (sum.errors["x"], sum.confirmed, sum.took_us.len()) == (5, 1, 1)
            })
        );
    }
}
