//! Reactions and batches, with all that they need made beforehand: for those who count what they allocate (`allocations.rs`) and how long
//! they take (`benches/reactions.rs`).

use booking::core::{self, Trip};
use choreography::{Backoff, Currency, Fact, FactBody, Money, Now, Price, Speaker};
use flight::Flight;
use leg::core::{Input, Record, Stock, StockView};
use leg::{Leg, service::LegService};
use runtime::batch::Step;
use tokio::runtime::{Builder, Runtime};

use crate::place::{DATE, Engine, Place, Replica, fact, heard, plan, trip};

fn now() -> Now {
    Now {
        at: jiff::Timestamp::now(),
        jitter: 0.5,
        backoff: Backoff::default(),
    }
}

/// Booking hears that the last leg holds, and confirms.
pub(crate) struct Pivot(Trip, Fact, Now);

impl Pivot {
    pub(crate) fn new() -> Self {
        let (trip, plan, now) = (trip(), plan(1), now());
        let price = Money::new(100, Currency::EUR);
        let total = vec![price];
        let said = FactBody::Reserved {
            position: 0,
            price: Price { price, total },
        };
        let pending = core::request(trip, &plan, None, &now).record;
        let fact = Fact {
            speaker: Speaker::Leg(Flight::name()),
            ..fact(trip, 1, said)
        };
        Self(pending, fact, now)
    }

    pub(crate) fn react(self) -> core::Reaction {
        core::react(self.0, core::Input::Fact(&self.1), &self.2)
    }
}

/// A leg hears that it is its turn, and holds.
pub(crate) struct Turn(Record, Fact, StockView, Now);

impl Turn {
    pub(crate) fn new() -> Self {
        let requested = fact(trip(), 1, FactBody::Requested);
        let shelf = StockView::new([Stock {
            key: vec!["RT1".into(), DATE.into()],
            total: 10,
            held: 0,
            confirmed: 0,
            free: 10,
            price_minor: 100,
            currency: "EUR".into(),
        }]);
        Self(Record::none(requested.trip, 0), requested, shelf, now())
    }

    pub(crate) fn react(mut self) -> leg::core::Reaction {
        let (heard, shelf) = (Input::Fact(&self.1), &mut self.2);
        leg::core::react(&Flight::name(), &Flight, self.0, heard, shelf, &self.3)
    }
}

/// Flight's transactions on a SQLite file, on this thread but for SQLite itself.
pub(crate) struct Batches {
    runtime: Runtime,
    flight: Replica<LegService<Flight>>,
    _place: Place,
}

impl Batches {
    pub(crate) fn open() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (place, flight) = runtime.block_on(async {
            let place = Place::new(Engine::Sqlite, "batches").await.unwrap();
            let flight = place.flight().await;
            flight.stock(1_000_000).await;
            (place, flight)
        });
        Self {
            runtime,
            flight,
            _place: place,
        }
    }

    /// So many trips whose turn it is, each about a seat.
    pub(crate) fn turns(count: usize) -> Vec<Step<LegService<Flight>>> {
        let turn = || heard(fact(trip(), 1, FactBody::Requested));
        std::iter::repeat_with(turn).take(count).collect()
    }

    /// One transaction; how many facts it said.
    pub(crate) fn run(&self, steps: &[Step<LegService<Flight>>]) -> usize {
        let done = self.flight.transactor.run(steps, &[]);
        self.runtime.block_on(done).unwrap().said.len()
    }
}
