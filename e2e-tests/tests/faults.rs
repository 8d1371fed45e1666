//! What goes down comes up again and goes on: `kill -9` of every process in turn, restarts in the middle of the work, a broker that is
//! gone for a while and one that forgets everything. The databases are the truth; whatever is lost costs time, never a trip.
//!
//! Travellers book all the while, each under a key, again and again until they know the outcome. Every fault is checked to have
//! struck in the middle: some trips were decided, and some were not.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::sync::Arc;

use booking::core::State;
use booking::view::Booking;
use e2e_tests::trip::{Asked, flight, stay, trip};
use e2e_tests::{Desk, Stock, World, eventually, on_both_databases};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

on_both_databases![
    each_process_is_killed_in_turn_during_two_hundred_trips,
    replicas_take_over_from_those_that_are_killed with |setup| setup.replicas(2),
    everything_is_restarted_in_the_middle,
    the_broker_is_down_for_a_while,
    the_broker_forgets_everything_in_the_middle,
];

/// Every tenth trip asks for a room in a hotel that is full.
const FULL_EVERY: usize = 10;

/// So many travellers are at a desk at a time; the others stand in line, so that there is a middle to strike in.
const AT_A_TIME: usize = 8;

/// Travellers at work.
struct Crowd {
    desk: Desk,
    line: Arc<Semaphore>,
    at_work: JoinSet<Booking>,
    asked: usize,
    decided: Vec<Booking>,
}

impl Crowd {
    async fn gather(world: &World) -> Self {
        world.seats("RT100", 500).await;
        world.rooms("LIS", 500).await;
        world.rooms("FULL", 0).await;
        Self {
            desk: (**world).clone(),
            line: Arc::new(Semaphore::new(AT_A_TIME)),
            at_work: JoinSet::new(),
            asked: 0,
            decided: Vec::new(),
        }
    }

    fn wish(number: usize) -> Asked {
        let hotel = if number.is_multiple_of(FULL_EVERY) {
            "FULL"
        } else {
            "LIS"
        };
        trip([flight("RT100", 1), stay(hotel, 1, 1)])
    }

    /// So many more begin to ask.
    fn ask(&mut self, trips: usize) {
        for _ in 0..trips {
            let (desk, line, number) = (self.desk.clone(), Arc::clone(&self.line), self.asked);
            self.asked += 1;
            self.at_work.spawn(async move {
                let _turn = line.acquire().await.unwrap();
                let key = format!("trip {number}");
                desk.book_stubbornly(&Self::wish(number), &key).await
            });
        }
    }

    /// Waits until so many are decided in all.
    async fn until_decided(&mut self, trips: usize) {
        while self.decided.len() < trips {
            let decided = self.at_work.join_next().await.unwrap();
            self.decided.push(decided.unwrap());
        }
    }

    /// What strikes now strikes in the middle.
    fn is_in_the_middle(&mut self) {
        while let Some(decided) = self.at_work.try_join_next() {
            self.decided.push(decided.unwrap());
        }
        let undecided = self.at_work.len();
        assert!(undecided > 0, "all {} were decided before", self.asked);
        assert!(!self.decided.is_empty(), "none was decided before");
    }

    /// Everybody gets what was to be had: all that they asked for, or all of it back.
    async fn until_content(mut self, world: &World) {
        self.until_decided(self.asked).await;
        let full = self.asked.div_ceil(FULL_EVERY);
        let confirmed = self
            .decided
            .iter()
            .filter(|view| view.state == State::Confirmed)
            .count();
        assert_eq!(confirmed, self.asked - full);
        for view in self
            .decided
            .iter()
            .filter(|view| view.state != State::Confirmed)
        {
            assert_eq!(view.reason.as_ref().unwrap().code, "sold-out");
        }
        let confirmed = i64::try_from(confirmed).unwrap();
        let sold = Stock::of(0, confirmed, 500 - confirmed);
        world.until_flight("RT100", sold).await;
        world.until_nights("LIS", 1, sold).await;
        let trips = world.trips("/bookings?limit=1000").await;
        assert_eq!(trips.len(), self.asked, "one for each key");
    }
}

async fn each_process_is_killed_in_turn_during_two_hundred_trips(world: &mut World) {
    let mut crowd = Crowd::gather(world).await;
    for victim in ["booking", "flight", "hotel", "broker"] {
        let before = crowd.asked;
        crowd.ask(50);
        crowd.until_decided(before + 5).await;
        if victim == "broker" {
            world.kill_broker().await;
            crowd.is_in_the_middle();
            world.restart_broker().await;
        } else {
            world.kill(victim, 0).await;
            crowd.is_in_the_middle();
            world.restart(victim, 0).await;
        }
        crowd.until_decided(before + 40).await;
    }
    crowd.until_content(world).await;
}

/// What a killed replica was about to publish, and what it had fetched and not acknowledged, is the others' now.
async fn replicas_take_over_from_those_that_are_killed(world: &mut World) {
    let mut crowd = Crowd::gather(world).await;
    for victim in ["booking", "flight", "hotel"] {
        let before = crowd.asked;
        crowd.ask(30);
        crowd.until_decided(before + 5).await;
        world.kill(victim, 0).await;
        crowd.is_in_the_middle();
        crowd.until_decided(before + 20).await;
    }
    crowd.until_content(world).await;
}

async fn everything_is_restarted_in_the_middle(world: &mut World) {
    let mut crowd = Crowd::gather(world).await;
    crowd.ask(60);
    crowd.until_decided(10).await;
    for service in ["booking", "flight", "hotel"] {
        world.stop(service, 0).await;
    }
    world.restart_broker().await;
    crowd.is_in_the_middle();
    for service in ["hotel", "flight", "booking"] {
        world.restart(service, 0).await;
    }
    crowd.until_content(world).await;
}

async fn the_broker_is_down_for_a_while(world: &mut World) {
    let mut crowd = Crowd::gather(world).await;
    crowd.ask(40);
    crowd.until_decided(5).await;
    world.kill_broker().await;
    crowd.is_in_the_middle();
    // Booking takes trips all the same, and says that it is not ready for more.
    let held = world.ask(&Crowd::wish(1)).await;
    eventually("booking says that it is not ready", async || {
        let ready = world.request(reqwest::Method::GET, "booking", "/readyz");
        (world.send(ready).await.status == 503).then_some(())
    })
    .await;
    assert_eq!(world.show(held.trip).await.state, State::Pending);
    world.cancel_soon(held.trip).await;
    world.restart_broker().await;
    world.until_state(held.trip, State::Closed).await;
    crowd.until_decided(40).await;
}

async fn the_broker_forgets_everything_in_the_middle(world: &mut World) {
    let mut crowd = Crowd::gather(world).await;
    crowd.ask(60);
    crowd.until_decided(5).await;
    world.wipe_broker().await;
    crowd.is_in_the_middle();
    crowd.until_decided(30).await;
    // And once more, without a restart: an operator deletes the stream under everybody's feet.
    crowd.ask(60);
    crowd.until_decided(65).await;
    world.jetstream().delete_stream("TRIPS").await.unwrap();
    crowd.is_in_the_middle();
    crowd.until_content(world).await;
}
