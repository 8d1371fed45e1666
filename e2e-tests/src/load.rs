//! Travellers who book without pause while a stack is broken and mended, each trip under a key, again and again until its outcome is
//! known; and the count of what came of it. So whatever strikes strikes in the middle: somebody's trip is always under way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use booking::core::State;
use booking::view::TripView;
use choreography::TripId;
use reqwest::Method;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::trip::{Asked, flight, stay, trip};
use crate::{PATIENCE, eventually};

/// Enough that no replica is idle, and few enough that two cores have time for the faults.
const TRAVELLERS: usize = 6;
/// A seat and a room for everybody, and a hotel where every fifth traveller finds none.
const FLIGHT: &str = "RT100";
const ROOMY: &str = "LIS";
const FULL: &str = "FULL";
/// How much there is of what everybody finds.
pub const PLENTY: i64 = 1_000_000;

/// Travellers on their way.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    decided: Arc<AtomicUsize>,
    travellers: Vec<JoinHandle<Tally>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// How often somebody asked.
    pub requests: usize,
    /// Requests that brought no answer or an error.
    pub failed: Vec<String>,
    /// Trips with an outcome, each once.
    pub trips: BTreeSet<TripId>,
    /// Trips that went through; of the others each is back.
    pub confirmed: usize,
    /// The longest that anybody waited for an outcome.
    pub slowest: Duration,
}

/// What most of them ask for: a trip that goes through.
#[must_use]
pub fn usual() -> Asked {
    trip([flight(FLIGHT, 1), stay(ROOMY, 1, 1)])
}

impl Load {
    /// Puts something up to book. They book it from now on.
    pub async fn gather(client: &Client) -> Self {
        client.seats(FLIGHT, PLENTY).await;
        client.rooms(ROOMY, PLENTY).await;
        client.rooms(FULL, 0).await;
        let stop = Arc::new(AtomicBool::new(false));
        let decided = Arc::new(AtomicUsize::new(0));
        let travel = |_| {
            tokio::spawn(travel(
                client.clone(),
                Arc::clone(&stop),
                Arc::clone(&decided),
            ))
        };
        let travellers = (0..TRAVELLERS).map(travel).collect();
        Self {
            stop,
            decided,
            travellers,
        }
    }

    /// How many trips are decided by now.
    #[must_use]
    pub fn decided(&self) -> usize {
        self.decided.load(Ordering::Relaxed)
    }

    /// Waits until so many more are decided than by now.
    pub async fn until_more_are_decided(&self, trips: usize) {
        let wanted = self.decided() + trips;
        eventually(&format!("{wanted} trips are decided"), async || {
            let dead = self.travellers.iter().any(JoinHandle::is_finished);
            assert!(!dead, "a traveller gave up");
            (self.decided() >= wanted).then_some(())
        })
        .await;
    }

    /// Waits until everybody who asked has an outcome.
    ///
    /// # Panics
    /// When somebody got another outcome than there was to be had, or one trip was given to two.
    pub async fn go_home(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Tally::default();
        for traveller in self.travellers {
            let tally = traveller.await.unwrap();
            sum.requests += tally.requests;
            sum.failed.extend(tally.failed);
            sum.confirmed += tally.confirmed;
            sum.slowest = sum.slowest.max(tally.slowest);
            let both = sum.trips.len() + tally.trips.len();
            sum.trips.extend(tally.trips);
            assert_eq!(sum.trips.len(), both, "one trip was given to two");
        }
        sum
    }
}

async fn travel(client: Client, stop: Arc<AtomicBool>, decided: Arc<AtomicUsize>) -> Tally {
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) {
        let full = tally.trips.len() % 5 == 4;
        let asked = match full {
            true => trip([flight(FLIGHT, 1), stay(FULL, 1, 1)]),
            false => usual(),
        };
        let begun = Instant::now();
        let booked = outcome(&client, &asked, &mut tally).await;
        tally.slowest = tally.slowest.max(begun.elapsed());
        assert_eq!(booked.state == State::Closed, full, "{booked:?}");
        if full {
            assert_eq!(booked.reason.as_ref().unwrap().code, "sold-out");
        }
        tally.confirmed += usize::from(!full);
        assert!(tally.trips.insert(booked.trip), "one trip for two keys");
        decided.fetch_add(1, Ordering::Relaxed);
    }
    tally
}

/// Asks under one key, at one replica after the other, until the outcome is known. Every request that had to be repeated is counted as
/// failed, but for those that were answered and only had to wait longer.
async fn outcome(client: &Client, asked: &Asked, tally: &mut Tally) -> TripView {
    let key = format!("\"{}\"", uuid::Uuid::now_v7());
    let until = Instant::now() + 2 * PATIENCE;
    for replica in 0.. {
        tally.requests += 1;
        let request = client
            .request_at(replica, Method::POST, "booking", "/bookings")
            .json(&asked.body)
            .header("Idempotency-Key", &key)
            .header("Prefer", "wait=20")
            .timeout(Duration::from_secs(40));
        match client.try_send(request).await {
            Some(answer) if answer.status == 200 => return answer.json(),
            Some(answer) if answer.status == 202 => {}
            Some(answer) => {
                let retry = [502, 503, 504].contains(&answer.status);
                assert!(retry, "{} {}", answer.status, answer.text);
                let what = format!("{} {}", answer.status, answer.text);
                tally.failed.push(what);
            }
            None => tally.failed.push(String::from("no answer")),
        }
        assert!(Instant::now() < until, "{key} is not decided");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    unreachable!("they ask until they know")
}
