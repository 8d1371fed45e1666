//! Travellers who book without pause while the stack is broken and mended, and the count of what came of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use booking::core::State;
use booking::view::Booking;
use choreography::TripId;
use e2e_tests::Desk;
use e2e_tests::trip::{Asked, flight, stay, trip};
use tokio::task::JoinHandle;

/// Enough that no replica is idle, and few enough that two cores have time for the faults.
const TRAVELLERS: usize = 6;
/// A seat for everybody, and a hotel where every fifth traveller finds none.
const FLIGHT: &str = "RT100";
const ROOMY: &str = "ROOMY";
const FULL: &str = "FULL";

/// Travellers on their way.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    travellers: Vec<JoinHandle<Tally>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: usize,
    /// Requests that brought no answer or an error.
    pub(crate) failed: Vec<String>,
    /// Trips with an outcome, each once.
    pub(crate) trips: BTreeSet<TripId>,
    pub(crate) confirmed: usize,
}

/// Something to book.
pub(crate) async fn inventory(desk: &Desk) {
    desk.seats(FLIGHT, 1_000_000).await;
    desk.rooms(ROOMY, 1_000_000).await;
    desk.rooms(FULL, 0).await;
}

pub(crate) fn usual() -> Asked {
    trip([flight(FLIGHT, 1), stay(ROOMY, 1, 1)])
}

impl Load {
    /// From now on.
    pub(crate) fn start(desk: &Desk) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let travellers = (0..TRAVELLERS)
            .map(|_| tokio::spawn(travel(desk.clone(), Arc::clone(&stop))))
            .collect();
        Self { stop, travellers }
    }

    /// Until everybody who asked has an outcome.
    pub(crate) async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Tally::default();
        for traveller in self.travellers {
            let tally = traveller.await.unwrap();
            sum.requests += tally.requests;
            sum.failed.extend(tally.failed);
            sum.confirmed += tally.confirmed;
            let before = sum.trips.len();
            let more = tally.trips.len();
            sum.trips.extend(tally.trips);
            assert_eq!(sum.trips.len(), before + more, "one trip was given to two");
        }
        sum
    }
}

async fn travel(desk: Desk, stop: Arc<AtomicBool>) -> Tally {
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) {
        let full = tally.trips.len() % 5 == 4;
        let asked = match full {
            true => trip([flight(FLIGHT, 1), stay(FULL, 1, 1)]),
            false => usual(),
        };
        let booked = outcome(&desk, &asked, &mut tally).await;
        assert_eq!(booked.state == State::Closed, full, "{booked:?}");
        tally.confirmed += usize::from(booked.state == State::Confirmed);
        assert!(tally.trips.insert(booked.trip), "one trip for two keys");
    }
    tally
}

/// Asks under one key until the outcome is known. Every request that had to be repeated is counted as failed, but for those that were
/// answered and only had to wait longer.
async fn outcome(desk: &Desk, asked: &Asked, tally: &mut Tally) -> Booking {
    let key = format!("\"{}\"", uuid::Uuid::now_v7());
    loop {
        tally.requests += 1;
        let request = desk
            .asking(asked)
            .header("Idempotency-Key", &key)
            .header("Prefer", "wait=20")
            .timeout(Duration::from_secs(40));
        match desk.try_send(request).await {
            Some(answer) if answer.status == 200 => return answer.json(),
            Some(answer) if answer.status == 202 => continue,
            Some(answer) => tally
                .failed
                .push(format!("{} {}", answer.status, answer.text)),
            None => tally.failed.push(String::from("no answer")),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
