//! The leg's half of the protocol, held to its table: every state hears everything, and each cell is one line below.
#![expect(clippy::unwrap_used, reason = "tests")]

mod own;
mod row;
mod table;
mod turn;

use choreography::{
    Backoff, Currency, Fact, FactBody, Itinerary, LegName, Money, Now, Plan, Position, Price,
    Reason, Speaker, TripId,
};
use jiff::Timestamp;
use leg::core::{
    Hold, Input, LegPolicy, Reaction, Record, State, Stock, StockView, details, positions, react,
};
use serde::Deserialize;
use uuid::Uuid;

/// A trade in rooms: `{"leg":"hotel","rooms":2}`, or several of them by name: `{"leg":"hotel","take":["a","b"]}`.
struct Rooms;

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    rooms: Option<i64>,
    #[serde(default)]
    take: Vec<String>,
}

impl LegPolicy for Rooms {
    fn needs(&self, details: &str, _now: Timestamp) -> Result<Vec<Hold>, Reason> {
        let Details { rooms, take } = details::read(details)?;
        let rooms = rooms.map(|quantity| hold("room", quantity));
        Ok(rooms
            .into_iter()
            .chain(take.iter().map(|key| hold(key, 1)))
            .collect())
    }
}

fn hold(key: &str, quantity: i64) -> Hold {
    Hold {
        key: vec![key.into()],
        quantity,
    }
}

fn stock(key: &str, free: i64, price_minor: i64, currency: &str) -> Stock {
    Stock {
        key: vec![key.into()],
        total: free,
        held: 0,
        confirmed: 0,
        free,
        price_minor,
        currency: currency.into(),
    }
}

fn hotel() -> LegName {
    "hotel".parse().unwrap()
}

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

fn now() -> Now {
    Now {
        at: "2026-11-22T12:00:00Z".parse().unwrap(),
        jitter: 0.5,
        backoff: Backoff::default(),
    }
}

fn later(seconds: i64) -> Now {
    let now = now();
    Now {
        at: choreography::instant(now.now_us() + seconds * 1_000_000),
        ..now
    }
}

fn reason(code: &str) -> Reason {
    Reason::new(code, "because")
}

/// A hotel between a flight and a car, asking for two rooms.
fn plan() -> Plan {
    plan_for(r#"{"leg":"hotel","rooms":2}"#, None)
}

fn plan_for(hotel: &str, budget: Option<Money>) -> Plan {
    let raw = format!(r#"[{{"leg":"flight"}},{hotel},{{"leg":"car"}}]"#);
    Plan {
        itinerary: Itinerary::parse(&raw).unwrap(),
        deadline: later(120).at,
        budget,
    }
}

fn trip() -> TripId {
    Uuid::from_u128(1).into()
}

fn fact(speaker: &str, plan: Plan, said: FactBody) -> Fact {
    let speaker = if speaker == "booking" {
        Speaker::Booking
    } else {
        Speaker::Leg(speaker.parse().unwrap())
    };
    Fact {
        speaker,
        trip: trip(),
        plan,
        said,
    }
}

fn turn(plan: Plan) -> Fact {
    fact(
        "flight",
        plan,
        FactBody::Reserved {
            position: 0,
            price: Price {
                price: eur(500),
                total: vec![eur(500)],
            },
        },
    )
}

fn apply(record: Record, fact: &Fact, shelf: &mut StockView, moment: &Now) -> Reaction {
    react(&hotel(), &Rooms, record, Input::Fact(fact), shelf, moment)
}

/// A shelf with five rooms, one of them held by somebody else.
fn five() -> StockView {
    StockView::new([Stock {
        held: 1,
        total: 6,
        ..stock("room", 5, 1000, "EUR")
    }])
}

fn at_turn(plan: Plan, shelf: &mut StockView) -> Reaction {
    apply(Record::none(trip(), 1), &turn(plan), shelf, &now())
}

/// A record in this state, and the shelf as it is then.
fn in_state(state: State) -> (Record, StockView) {
    let mut shelf = five();
    let none = Record::none(trip(), 1);
    let held = apply(none.clone(), &turn(plan()), &mut shelf, &now()).record;
    match state {
        State::None => (none, five()),
        State::Held => (held, shelf),
        State::Confirmed => {
            let confirmed = apply(
                held,
                &fact("booking", plan(), FactBody::Confirmed),
                &mut shelf,
                &now(),
            )
            .record;
            (confirmed, shelf)
        }
        State::Released => {
            let cancelled = fact(
                "booking",
                plan(),
                FactBody::Cancelled {
                    reason: reason("first"),
                },
            );
            (apply(held, &cancelled, &mut shelf, &now()).record, shelf)
        }
        State::Rejected => {
            let mut empty = StockView::new([stock("room", 1, 1000, "EUR")]);
            (at_turn(plan(), &mut empty).record, five())
        }
    }
}

/// held, confirmed, free of the rooms.
fn rooms(shelf: &StockView) -> (i64, i64, i64) {
    let room = shelf.get(&["room".to_string()]).unwrap();
    assert_eq!(room.held + room.confirmed + room.free, room.total);
    (room.held, room.confirmed, room.free)
}

/// Rule 7's order.
fn height(said: &FactBody) -> u32 {
    match said {
        FactBody::Requested => 0,
        FactBody::Reserved { position, .. } => 1 + u32::from(*position),
        FactBody::Confirmed | FactBody::Cancelled { .. } | FactBody::Settled { .. } => 100,
        FactBody::Rejected { .. } => 200,
        FactBody::Released { .. } => 300,
    }
}
