//! Service × crash point × what becomes of the trip: a cell for each, and another one for the second time that the point is passed.
//! Nothing is listed here twice: a new service or crash point has its cells without a line of test.
//!
//! `CRASH_CELL='flight before-ack 2 refused'` plays only that one; a part of it plays all that have it in their names.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use booking::core::State;
use choreography::TripId;
use e2e_tests::trip::{flight, stay, trip};
use e2e_tests::{Answer, Engine, SERVICES, Setup, Stock, World, eventually, play};
use futures::future::join_all;
use reqwest::{Method, RequestBuilder};
use runtime::faults::CrashPoint;
use tokio::task::LocalSet;

use crate::{PATIENT_FOR, look, nobody_asks_again, until_final};

/// The setting that plays a part of the cells only.
pub(crate) const CELL: &str = "CRASH_CELL";
/// How much there is of everything.
const PLENTY: i64 = 10;
/// The cells of one point die the first time that it is passed, and the second.
const TIMES: u32 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn every_service_dies_at_every_point_sqlite() {
    every_service_dies_at_every_point(Engine::Sqlite, "sqlite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_dies_at_every_point_postgres() {
    every_service_dies_at_every_point(Engine::Postgres, "postgres").await;
}

/// What becomes of the trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    GoesThrough,
    /// The hotel is sold out.
    Refused,
    /// After it was confirmed; the point is passed on the way back.
    Cancelled,
}

impl Case {
    const ALL: [Self; 3] = [Self::GoesThrough, Self::Refused, Self::Cancelled];

    fn as_str(self) -> &'static str {
        match self {
            Self::GoesThrough => "goes-through",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }

    fn last_state(self) -> State {
        match self {
            Self::GoesThrough => State::Confirmed,
            Self::Refused | Self::Cancelled => State::Closed,
        }
    }

    /// All that is ever said about the trip, each once: effects are applied once.
    fn facts(self) -> &'static [&'static str] {
        match self {
            Self::GoesThrough => &[
                "booking.confirmed",
                "booking.requested",
                "flight.reserved",
                "hotel.reserved",
            ],
            Self::Refused => &[
                "booking.requested",
                "flight.released",
                "flight.reserved",
                "hotel.rejected",
            ],
            Self::Cancelled => &[
                "booking.cancelled",
                "booking.confirmed",
                "booking.requested",
                "flight.released",
                "flight.reserved",
                "hotel.released",
                "hotel.reserved",
            ],
        }
    }
}

/// One cell.
#[derive(Clone, Copy, Debug)]
struct Cell {
    service: &'static str,
    point: CrashPoint,
    time: u32,
    case: Case,
}

impl fmt::Display for Cell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (point, case) = (self.point.as_str(), self.case.as_str());
        write!(out, "{} {point} {} {case}", self.service, self.time)
    }
}

impl Cell {
    fn is_asked_for(&self) -> bool {
        std::env::var(CELL).map_or(true, |asked| self.to_string().contains(&asked))
    }
}

/// Whoever reads of a failure is told first which cell it was in.
struct Told(Cell);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the cell that failed: {}", self.0);
        }
    }
}

async fn every_service_dies_at_every_point(engine: Engine, database: &'static str) {
    let here = LocalSet::new();
    let worlds = SERVICES.map(|service| {
        here.spawn_local(async move {
            let cells: Vec<Cell> = cells(service).filter(Cell::is_asked_for).collect();
            if !cells.is_empty() {
                let test = format!("crash matrix, {service} on {database}");
                let all = async |world: &mut World| play_all(world, &cells).await;
                let setup = nobody_asks_again(Setup::on(engine));
                play(&test, setup, all).await;
            }
            cells.len()
        })
    });
    let cells: usize = here
        .run_until(join_all(worlds))
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    assert!(cells > 0, "there is no such cell");
}

fn cells(service: &'static str) -> impl Iterator<Item = Cell> {
    let cell = move |case, point, time| Cell {
        service,
        point,
        time,
        case,
    };
    // None of these services makes calls.
    let passed = |point: &&CrashPoint| !CrashPoint::OF_CALLS.contains(point);
    let points = move |case| {
        let points = CrashPoint::ALL.iter().filter(passed);
        points.map(move |point| (case, *point))
    };
    let points = Case::ALL.into_iter().flat_map(points);
    points.flat_map(move |(case, point)| (1..=TIMES).map(move |time| cell(case, point, time)))
}

/// One after the other. Every point is passed in every case once at least, so every first cell must have seen its crash; what
/// comes of a second one whose point is passed only once is said, and is a trip like any other.
async fn play_all(world: &mut World, cells: &[Cell]) {
    let begun = Instant::now();
    let mut once = Vec::new();
    for cell in cells {
        let told = Told(*cell);
        if !cell.play(world).await {
            assert_eq!(cell.time, 2, "a trip never passes there");
            once.push(cell.to_string());
        }
        drop(told);
    }
    let (crashes, seconds) = (cells.len() - once.len(), begun.elapsed().as_secs());
    eprintln!("{crashes} crashes in {seconds} s; passed once only: {once:?}");
}

impl Cell {
    /// Arms the point, sends somebody on the trip, and has the service die in the middle. Answers whether it did.
    async fn play(self, world: &mut World) -> bool {
        let name = uuid::Uuid::now_v7().simple().to_string();
        let (plane, hotel) = (format!("F{}", &name[20..]), format!("H{}", &name[20..]));
        let refused = self.case == Case::Refused;
        world.seats(&plane, PLENTY).await;
        world.rooms(&hotel, if refused { 0 } else { PLENTY }).await;
        let asked = trip([flight(&plane, 1), stay(&hotel, 1, 1)]).deadline_s(3_600);
        let confirmed = match self.case {
            Case::Cancelled => Some(world.book(&asked).await.trip),
            Case::GoesThrough | Case::Refused => None,
        };
        world.until_at_rest().await;

        world.arm(self.service, 0, self.point, self.time);
        let ask = |world: &World| match confirmed {
            Some(trip) => {
                world.request(Method::POST, "booking", &format!("/bookings/{trip}/cancel"))
            }
            None => world
                .asking(&asked)
                .header("Idempotency-Key", format!("\"{name}\"")),
        };
        let mut answer = answered(world, ask(world)).await;
        let crashed = self.until_crashed_or_over(world, answer).await;
        if crashed {
            world.restart(self.service, 0).await;
            if answer.is_none() {
                // As a traveller does who got no answer.
                answer = answered(world, ask(world)).await;
            }
        } else {
            let left = world.disarm(self.service, 0);
            assert_eq!(
                (left, self.time),
                (1, 2),
                "passed {} times",
                self.time - left
            );
        }
        let trip = answer.expect("booking is there again");
        self.until_over(world, trip, &plane, &hotel).await;
        crashed
    }

    /// Whether it dies before all is over.
    async fn until_crashed_or_over(self, world: &mut World, trip: Option<TripId>) -> bool {
        let until = Instant::now() + *PATIENT_FOR;
        while !world.has_crashed(self.service, 0).await {
            // Who got no answer asked somebody who is about to be dead.
            if let Some(trip) = trip
                && let Some(view) = look(world, trip).await
                && view.state == self.case.last_state()
                && world.is_at_rest().await
                && !world.has_crashed(self.service, 0).await
            {
                return false;
            }
            assert!(Instant::now() < until, "it neither died nor came to an end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        true
    }

    /// Waits until the trip is final, and nothing is sold or held but what it has; and nobody said anything twice.
    async fn until_over(self, world: &World, trip: TripId, plane: &str, hotel: &str) {
        until_final(world, trip, self.case.last_state()).await;
        let (seats, rooms) = match self.case {
            Case::GoesThrough => (Stock::of(0, 1, PLENTY - 1), Stock::of(0, 1, PLENTY - 1)),
            Case::Refused => (Stock::all_free(PLENTY), Stock::all_free(0)),
            Case::Cancelled => (Stock::all_free(PLENTY), Stock::all_free(PLENTY)),
        };
        world.until_flight(plane, seats).await;
        world.until_nights(hotel, 1, rooms).await;
        world.until_at_rest().await;
        let said = || {
            let words = world.timeline.of(trip);
            let ids: BTreeSet<(String, &str)> = words
                .iter()
                .map(|word| (word.fact(), word.header("ce-id")))
                .collect();
            ids.into_iter().map(|(fact, _)| fact).collect::<Vec<_>>()
        };
        let facts = self.case.facts();
        eventually("the story is told", async || {
            (said().len() >= facts.len()).then_some(())
        })
        .await;
        assert_eq!(said(), facts, "each fact is said under one id");
    }
}

/// The trip that booking answers with; none when it does not answer.
async fn answered(world: &World, request: RequestBuilder) -> Option<TripId> {
    let answer: Answer = world.try_send(request).await?;
    assert!(answer.status < 300, "{} {}", answer.status, answer.text);
    let view: booking::view::TripView = answer.json();
    Some(view.trip)
}
