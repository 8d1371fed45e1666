//! Travellers over HTTP: each books under a key of its own and asks again under it until it is answered; some cancel, some ask twice, some look
//! again and again. Every answer goes into the ledger. Bounded in rate, in number at a time and in time; it judges nothing.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use booking::view::TripView;
use choreography::TripId;
use fastrand::Rng;
use reqwest::{Method, RequestBuilder, StatusCode};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::ledger::{Entry, Ledger, Seen};
use super::wish::Wish;

/// Requests at a time.
const REQUESTS_MAX: usize = 96;
/// Travellers at a time; who comes when there are so many turns back.
const TRAVELLERS_MAX: usize = 4_000;
/// How long a request may take, beyond what it asked to wait.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// What a backlog is made of: as many trips as otherwise come in so many seconds, and no more than that.
const BURST_S: u32 = 20;
const BURST_MAX: u32 = 3_000;

/// What the travellers are to do besides.
#[derive(Debug, Clone, Copy)]
pub(super) enum Errand {
    /// Many more book, all at once.
    Burst,
    /// So many of a hundred cancel.
    CancelMany(u8),
}

/// All travellers.
#[derive(Debug)]
pub(super) struct Crowd {
    seed: u64,
    rate: u32,
    /// Booking's replicas.
    urls: Vec<String>,
    http: reqwest::Client,
    began: Instant,
    room: Semaphore,
    number: AtomicU64,
    turned_back: AtomicU64,
    /// Nobody new sets out.
    closed: AtomicBool,
    /// And nobody asks again.
    over: AtomicBool,
    ledger: Mutex<Ledger>,
}

/// What came back of one request.
enum Answer {
    Trip(Box<TripView>),
    /// 5xx, or nothing at all: ask again.
    Again,
    /// Whatever it is, asking again brings nothing else.
    Odd,
}

impl Crowd {
    pub(super) fn new(seed: u64, rate: u32, urls: Vec<String>) -> Result<Arc<Self>> {
        let http = client::http::local()?
            .connect_timeout(Duration::from_secs(2))
            .tcp_nodelay(true)
            .build()?;
        Ok(Arc::new(Self {
            seed,
            rate,
            urls,
            http,
            began: Instant::now(),
            room: Semaphore::new(REQUESTS_MAX),
            number: AtomicU64::new(0),
            turned_back: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            over: AtomicBool::new(false),
            ledger: Mutex::default(),
        }))
    }

    /// The book of all answers.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who came when there was no room left.
    pub(super) fn turned_back(&self) -> u64 {
        self.turned_back.load(Ordering::Relaxed)
    }

    /// Nobody new sets out from now on.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Who has no answer yet goes home without one.
    pub(super) fn give_up(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Lets travellers set out until it is closed, and ends when all are home.
    pub(super) async fn run(self: Arc<Self>, mut errands: mpsc::Receiver<Errand>) {
        let mut travellers = JoinSet::new();
        let mut tick = tokio::time::interval(Duration::from_secs(1) / self.rate.max(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    if self.closed.load(Ordering::Relaxed) {
                        break;
                    }
                    self.set_out(&mut travellers);
                }
                Some(errand) = errands.recv() => match errand {
                    Errand::Burst => {
                        for _ in 0..(self.rate * BURST_S).min(BURST_MAX) {
                            self.set_out(&mut travellers);
                        }
                    }
                    Errand::CancelMany(percent) => self.cancel_many(percent, &mut travellers),
                },
                Some(_) = travellers.join_next(), if !travellers.is_empty() => {}
            }
        }
        while travellers.join_next().await.is_some() {}
    }

    fn set_out(self: &Arc<Self>, travellers: &mut JoinSet<()>) {
        if travellers.len() >= TRAVELLERS_MAX {
            self.turned_back.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        travellers.spawn(Arc::clone(self).travel(number));
    }

    /// Those who are already known to cancel are left out: for them it would be no news.
    fn cancel_many(self: &Arc<Self>, percent: u8, travellers: &mut JoinSet<()>) {
        let ledger = self.ledger();
        let all = ledger
            .entries
            .iter()
            .filter(|(_, entry)| !entry.cancel_asked);
        let some = all.filter(|_| fastrand::u8(..100) < percent);
        for (key, trip) in some.filter_map(|(key, entry)| Some((key.clone(), entry.trip()?))) {
            if travellers.len() >= TRAVELLERS_MAX {
                break;
            }
            let crowd = Arc::clone(self);
            travellers.spawn(async move { crowd.cancel(&key, trip, false).await });
        }
    }

    async fn travel(self: Arc<Self>, number: u64) {
        let mut rng = Rng::with_seed(self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let wish = Wish::draw(&mut rng);
        let key = format!("{}-{number}", self.seed);
        let entry = Entry {
            takes: wish.takes.clone(),
            legs: wish.legs(),
            ..Entry::default()
        };
        self.ledger().entries.insert(key.clone(), entry);
        let wait_s = if rng.u8(..4) == 0 { 3 } else { 0 };
        let Some(booking) = self.book(&key, &wish, wait_s).await else {
            return;
        };
        let trip = booking.trip;
        match rng.u8(..10) {
            // In the middle of it, or after it.
            0..3 => {
                self.pause(Duration::from_millis(rng.u64(..3_000))).await;
                self.cancel(&key, trip, rng.bool()).await;
            }
            // The same once more, as one does who has lost the answer; at two replicas at once.
            3 => {
                let (one, other) = (self.book(&key, &wish, 0), self.book(&key, &wish, 0));
                tokio::join!(one, other);
            }
            4..6 => {
                for _ in 0..5 {
                    self.pause(Duration::from_millis(rng.u64(200..2_000))).await;
                    let path = format!("bookings/{trip}");
                    self.ask(&key, || self.request(Method::GET, &path), Duration::ZERO)
                        .await;
                }
            }
            _ => {}
        }
    }

    async fn book(&self, key: &str, wish: &Wish, wait_s: u64) -> Option<TripView> {
        let request = || {
            let request = self
                .request(Method::POST, "bookings")
                .header("idempotency-key", format!("\"{key}\""))
                .json(&wish.body);
            match wait_s {
                0 => request,
                _ => request.header("prefer", format!("wait={wait_s}")),
            }
        };
        let booking = self.ask(key, request, Duration::from_secs(wait_s)).await?;
        if let Some(entry) = self.ledger().entries.get_mut(key) {
            entry.booked += 1;
        }
        Some(booking)
    }

    async fn cancel(&self, key: &str, trip: TripId, wait: bool) {
        if let Some(entry) = self.ledger().entries.get_mut(key) {
            entry.cancel_asked = true;
        }
        let path = format!("bookings/{trip}/cancel");
        let request = || {
            let request = self.request(Method::POST, &path);
            if wait {
                request.header("prefer", "wait=3")
            } else {
                request
            }
        };
        let wait = Duration::from_secs(if wait { 3 } else { 0 });
        if self.ask(key, request, wait).await.is_some()
            && let Some(entry) = self.ledger().entries.get_mut(key)
        {
            entry.cancel_answered = true;
        }
    }

    /// Asks, at one replica or another, until it is answered or all is over.
    async fn ask(
        &self,
        key: &str,
        request: impl Fn() -> RequestBuilder,
        wait: Duration,
    ) -> Option<TripView> {
        let mut pause_ms = 100;
        while !self.is_over() {
            let Ok(_room) = self.room.acquire().await else {
                return None;
            };
            let asked = self.began.elapsed();
            let answer = self
                .send(key, request().timeout(ANSWER_WITHIN + wait))
                .await;
            match answer {
                Answer::Trip(booking) => {
                    let seen = Seen::new(asked, self.began.elapsed(), &booking);
                    if let Some(entry) = self.ledger().entries.get_mut(key) {
                        entry.seen.push(seen);
                    }
                    return Some(*booking);
                }
                Answer::Odd => return None,
                Answer::Again => {}
            }
            drop(_room);
            self.pause(Duration::from_millis(pause_ms)).await;
            pause_ms = (pause_ms * 2).min(1_000);
        }
        None
    }

    async fn send(&self, key: &str, request: RequestBuilder) -> Answer {
        let Ok(answer) = request.send().await else {
            self.ledger().count(0);
            return Answer::Again;
        };
        let status = answer.status();
        let url = answer.url().path().to_owned();
        let body = answer.bytes().await;
        let mut ledger = self.ledger();
        let Ok(body) = body else {
            ledger.count(0);
            return Answer::Again;
        };
        ledger.count(status.as_u16());
        if status.is_server_error() {
            return Answer::Again;
        }
        match serde_json::from_slice(&body) {
            Ok(booking) if status.is_success() => Answer::Trip(Box::new(booking)),
            _ => {
                let text = String::from_utf8_lossy(&body);
                ledger.odd.push(format!(
                    "the key {key} was answered {status} at {url}: {text}"
                ));
                Answer::Odd
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let at = fastrand::usize(..self.urls.len().max(1));
        let url = self.urls.get(at).map_or("", String::as_str);
        self.http.request(method, format!("{url}/{path}"))
    }

    /// Waits, unless there is nothing left to wait for.
    fn pause(&self, time: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(if self.is_over() { Duration::ZERO } else { time })
    }
}

/// Whether a status says that the service could not, rather than that the traveller should not.
pub(super) fn is_error(status: u16) -> bool {
    StatusCode::from_u16(status).is_ok_and(|status| status.is_server_error())
}
