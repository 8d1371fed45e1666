//! What the model's world is made of: facts without their words, rows without their times, so that there are finitely many.

use booking::core::Trip;
use choreography::{
    Backoff, Currency, Fact, FactBody, Itinerary, Money, Now, Plan, Position, Price, Reason,
    Speaker, TripId, instant,
};
use leg::Leg as _;
use leg::core::{LATE_US, Record, State, Stock, positions};
use uuid::Uuid;

pub(crate) const FLIGHT: &str =
    r#"{"leg":"flight","flight":"RT100","date":"2026-12-24","seats":1}"#;
pub(crate) const HOTEL: &str = r#"{"leg":"hotel","hotel":"LIS","room_type":"double","check_in":"2026-12-24","check_out":"2026-12-25","rooms":1}"#;

/// The flight back.
pub(crate) const BACK: &str = r#"{"leg":"flight","flight":"RT101","date":"2026-12-25","seats":1}"#;

const START_US: i64 = 1_796_000_000_000_000;
const DEADLINE_US: i64 = START_US + 120_000_000;

/// A fact, but for its words: they are the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Word {
    Requested,
    Reserved(Position),
    Rejected(Position),
    Confirmed,
    Cancelled,
    Released(Position),
}

/// The services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Who {
    Booking,
    Flight,
    Hotel,
}

pub(crate) const EVERYBODY: [Who; 3] = [Who::Booking, Who::Flight, Who::Hotel];

/// What a service's clock says of a trip's deadline. Each step has its own: clocks may disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Clock {
    Before,
    Behind,
    /// More than an hour behind.
    Late,
}

/// All that can be said of a trip.
pub(crate) fn everything(plan: &Plan) -> impl Iterator<Item = Word> {
    let positions = plan.itinerary.positions();
    let each = positions.flat_map(|n| [Word::Reserved(n), Word::Rejected(n), Word::Released(n)]);
    [Word::Requested, Word::Confirmed, Word::Cancelled]
        .into_iter()
        .chain(each)
}

pub(crate) fn word(said: &FactBody) -> Word {
    match said {
        FactBody::Requested => Word::Requested,
        FactBody::Reserved { position, .. } => Word::Reserved(*position),
        FactBody::Rejected { position, .. } => Word::Rejected(*position),
        FactBody::Confirmed => Word::Confirmed,
        FactBody::Cancelled { .. } => Word::Cancelled,
        FactBody::Released { position, .. } => Word::Released(*position),
        FactBody::Settled { .. } => panic!("nobody settles by hand here"),
    }
}

/// What a trip's row has as the id of what it said last.
pub(crate) fn said_id(word: Word) -> String {
    format!("{word:?}")
}

/// The word as a fact of this trip.
pub(crate) fn fact(trip: usize, plan: &Plan, word: Word) -> Fact {
    let leg = |position| Speaker::Leg(plan.itinerary.name_at(position).unwrap().clone());
    let (speaker, said) = match word {
        Word::Requested => (Speaker::Booking, FactBody::Requested),
        Word::Confirmed => (Speaker::Booking, FactBody::Confirmed),
        Word::Cancelled => (Speaker::Booking, FactBody::Cancelled { reason: reason() }),
        Word::Rejected(position) => (
            leg(position),
            FactBody::Rejected {
                position,
                reason: reason(),
            },
        ),
        Word::Released(position) => (
            leg(position),
            FactBody::Released {
                position,
                reason: reason(),
            },
        ),
        Word::Reserved(position) => {
            let eur = |n| Money::new(100 * n, Currency::EUR);
            let price = Price {
                price: eur(1),
                total: vec![eur(i64::from(position) + 1)],
            };
            (leg(position), FactBody::Reserved { position, price })
        }
    };
    Fact {
        speaker,
        trip: trip_id(trip),
        plan: plan.clone(),
        said,
    }
}

/// Who hears it.
pub(crate) fn hearers(fact: &Fact) -> Vec<Who> {
    let last = fact.plan.itinerary.last();
    let hears = |who: &Who| match who {
        Who::Booking => match fact.said {
            FactBody::Rejected { .. } | FactBody::Released { .. } => true,
            FactBody::Reserved { position, .. } => position == last,
            _ => false,
        },
        Who::Flight => !positions(&flight::Flight::name(), fact).is_empty(),
        Who::Hotel => !positions(&hotel::Hotel::name(), fact).is_empty(),
    };
    EVERYBODY.into_iter().filter(hears).collect()
}

/// Who has a timer for a trip: booking one, and the legs one for each position.
pub(crate) fn timers(plan: &Plan) -> impl Iterator<Item = (Who, Position)> {
    let owner = |position| {
        let flies = plan.itinerary.name_at(position) == Some(&flight::Flight::name());
        (if flies { Who::Flight } else { Who::Hotel }, position)
    };
    std::iter::once((Who::Booking, 0)).chain(plan.itinerary.positions().map(owner))
}

pub(crate) fn plan(legs: &[&str]) -> Plan {
    let itinerary = Itinerary::parse(&format!("[{}]", legs.join(","))).unwrap();
    Plan {
        itinerary,
        deadline: instant(DEADLINE_US),
        budget: None,
    }
}

pub(crate) fn reason() -> Reason {
    Reason::new("reason", "")
}

pub(crate) fn trip_id(trip: usize) -> TripId {
    Uuid::from_u128(trip as u128).into()
}

pub(crate) fn moment(clock: Clock) -> Now {
    let now_us = match clock {
        Clock::Before => START_US,
        Clock::Behind => DEADLINE_US + 1,
        Clock::Late => DEADLINE_US + LATE_US + 1,
    };
    Now {
        at: instant(now_us),
        jitter: 0.5,
        backoff: Backoff::default(),
    }
}

pub(crate) fn holds(record: &Record) -> bool {
    matches!(record.state, State::Held | State::Confirmed)
}

/// So many seats on [`FLIGHT`].
pub(crate) fn seats(total: i64) -> Stock {
    stock(&["RT100", "2026-12-24"], total)
}

/// So many seats on [`BACK`].
pub(crate) fn seats_back(total: i64) -> Stock {
    stock(&["RT101", "2026-12-25"], total)
}

/// So many rooms in [`HOTEL`].
pub(crate) fn rooms(total: i64) -> Stock {
    stock(&["LIS", "double", "2026-12-24"], total)
}

fn stock(key: &[&str], total: i64) -> Stock {
    let key = key.iter().map(|part| (*part).into()).collect();
    Stock {
        key,
        total,
        held: 0,
        confirmed: 0,
        free: total,
        price_minor: 100,
        currency: "EUR".into(),
    }
}

/// The row without times, tries and words. A timer that is set has always gone off.
pub(crate) fn plain_trip(trip: Trip) -> Trip {
    Trip {
        reason_code: trip.reason_code.map(|_| "reason".into()),
        reason_message: None,
        due_us: trip.due_us.map(|_| 0),
        tries: 0,
        created_us: 0,
        changed_us: 0,
        undoing_since_us: trip.undoing_since_us.map(|_| 0),
        forget_us: trip.forget_us.map(|_| 0),
        ..trip
    }
}

/// See [`plain_trip`].
pub(crate) fn plain_record(record: Record) -> Record {
    Record {
        reason_code: record.reason_code.map(|_| "reason".into()),
        reason_message: None,
        due_us: record.due_us.map(|_| 0),
        tries: 0,
        changed_us: 0,
        forget_us: record.forget_us.map(|_| 0),
        ..record
    }
}
