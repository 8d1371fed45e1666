//! The load: callers that wait for each other's turn (a closed loop), or trips that set out at a fixed rate whatever comes of those before
//! them (an open loop). Light, since it shares the machine with what it measures. What comes of them is [`Tally`]'s.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::pace;
use super::stock::Stock;
use super::tally::Tally;
use super::trip::{ANSWER_WITHIN, Ended, Failed, Shares, Wish, travel};

/// After an error, so that a service that is down is not also flooded.
const PAUSE: Duration = Duration::from_millis(50);

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

impl Window {
    /// Whether it is measured then.
    #[must_use]
    pub fn contains(&self, at: Instant) -> bool {
        (self.from..self.until).contains(&at)
    }
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
        self.window.contains(at)
    }

    /// One caller: asks, waits, asks again.
    async fn call(self: Arc<Self>, http: reqwest::Client, bookings: String, all: Arc<Shared>) {
        loop {
            let began = Instant::now();
            if began >= self.window.until {
                return;
            }
            let (wish, result, ended) = self.one(&http, &bookings).await;
            let failed = result.is_err();
            all.lock().unwrap_or_else(PoisonError::into_inner).answer(
                wish,
                result,
                began,
                ended,
                self.window,
            );
            if failed {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// All callers' tally: they run on one thread, so none waits for it.
type Shared = Mutex<Tally>;

async fn closed(load: Arc<Load>, http: reqwest::Client, callers: u32) -> Result<Tally> {
    let all = Arc::new(Shared::new(Tally::new()?));
    let callers = (0..callers as usize).map(|number| {
        let bookings = load.bookings(number);
        tokio::spawn(Arc::clone(&load).call(http.clone(), bookings, Arc::clone(&all)))
    });
    let callers: Vec<_> = callers.collect();
    for caller in callers {
        caller.await?;
    }
    let all = Arc::into_inner(all).context("a caller goes on")?;
    Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner))
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
        // What has ended makes room, also where nobody has looked at it yet.
        while let Some(trip) = under_way.try_join_next() {
            all.close(trip?, window);
        }
        if under_way.len() >= load.in_flight_max as usize {
            all.not_started += u64::from(counts);
            load.live.not_started.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let (load, http, bookings) = (Arc::clone(&load), http.clone(), load.bookings(number));
        number += 1;
        under_way.spawn(async move {
            let set_out = Instant::now();
            let (wish, result, ended) = load.one(&http, &bookings).await;
            (intended, set_out, wish, result, ended)
        });
    }
    while let Some(trip) = under_way.join_next().await {
        let trip = trip.map_err(|error| anyhow!("a trip was lost: {error}"))?;
        all.close(trip, window);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;

    use super::*;

    /// Booking, that confirms at once until then, and from then on answers late that it cannot.
    async fn hangs_from(then: Instant, late: Duration) -> String {
        let handler = move || async move {
            if Instant::now() < then {
                let confirmed = r#"{"trip":"x","state":"confirmed"}"#;
                tokio::time::sleep(Duration::from_millis(20)).await;
                return (StatusCode::OK, confirmed);
            }
            tokio::time::sleep(late).await;
            (StatusCode::INTERNAL_SERVER_ERROR, "")
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/bookings", post(handler));
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn what_hangs_until_a_closed_loop_is_over_is_counted_and_not_forgotten() {
        let from = Instant::now();
        let ms = Duration::from_millis;
        let load = Load {
            http: |_| client::http::local(),
            urls: vec![hangs_from(from + ms(300), ms(600)).await],
            pace: Pace::Callers(3),
            in_flight_max: 3,
            shares: Shares {
                refused: 0,
                cancelled: 0,
            },
            window: Window {
                from,
                until: from + ms(600),
            },
            stock: Arc::new(Stock::own(false).unwrap()),
            live: Arc::default(),
        };
        let http = client::http::local().unwrap().build().unwrap();
        let tally = closed(Arc::new(load), http, 3).await.unwrap();
        assert!(!tally.took.is_empty());
        let errors: u64 = tally.errors.values().sum();
        assert_eq!((errors, tally.unfinished), (3, 0), "{:?}", tally.errors);
    }
}
