//! What travellers ask for, drawn from a seed: 1 to 16 legs, flights and hotels mixed, some of which cannot be had; and what there is to book.
//! Pure: who asks, and when, is the load's business.

use fastrand::Rng;
use serde_json::{Value, json};

use super::ledger::Take;

/// The nights, of which the first is the day of every flight.
const NIGHTS: [&str; 4] = ["2039-06-03", "2039-06-04", "2039-06-05", "2039-06-06"];
const ROOM: &str = "double";
const PLENTY: i64 = 1_000_000;
/// So few seats that they are sold out in the middle of a run, and come back when trips are cancelled.
const SCARCE: i64 = 40;
const FLIGHTS: [(&str, i64); 5] = [
    ("C0", PLENTY),
    ("C1", PLENTY),
    ("C2", PLENTY),
    ("C3", PLENTY),
    ("RARE", SCARCE),
];
const HOTELS: [(&str, i64); 4] = [("H0", PLENTY), ("H1", PLENTY), ("H2", PLENTY), ("FULL", 0)];
const SEAT_MINOR: i64 = 12_300;
const ROOM_MINOR: i64 = 9_900;

/// A row of stock as it is put: whose, where, and the body.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) service: &'static str,
    pub(super) path: String,
    pub(super) body: Value,
}

/// All there is to book.
pub(super) fn stock() -> Vec<Row> {
    let seats = FLIGHTS.iter().map(|(name, seats)| Row {
        service: flight::SPEC.name,
        path: seat(name),
        body: json!({"seats": seats, "price_minor": SEAT_MINOR, "currency": "EUR"}),
    });
    let nights = NIGHTS.iter().take(NIGHTS.len() - 1);
    let rooms = nights.flat_map(|night| {
        HOTELS.iter().map(move |(name, rooms)| Row {
            service: hotel::SPEC.name,
            path: room(name, night),
            body: json!({"rooms": rooms, "price_minor": ROOM_MINOR, "currency": "EUR"}),
        })
    });
    seats.chain(rooms).collect()
}

fn seat(flight: &str) -> String {
    format!("flights/{flight}/{}", NIGHTS[0])
}

fn room(hotel: &str, night: &str) -> String {
    format!("hotels/{hotel}/{ROOM}/{night}")
}

/// A trip that somebody wants.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wish {
    /// The body of `POST /bookings`.
    pub(super) body: Value,
    /// What it takes when it goes through.
    pub(super) takes: Vec<Take>,
}

impl Wish {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let legs = match rng.u8(..100) {
            0..15 => 1,
            15..70 => 2,
            70..90 => rng.usize(3..=4),
            _ => rng.usize(5..=16),
        };
        // One trip in seven asks for what is not to be had, at whatever place on its itinerary.
        let refused = (rng.u8(..7) == 0).then(|| rng.usize(..legs));
        let mut takes = Vec::new();
        let itinerary: Vec<Value> = (0..legs)
            .map(|place| match refused == Some(place) {
                true => stay(rng, "FULL", &mut takes),
                // Mostly there and then a bed, but in any order, and the same seat twice.
                false if legs == 2 && place == 1 || legs != 2 && rng.bool() => {
                    let hotel = HOTELS[rng.usize(..HOTELS.len() - 1)].0;
                    stay(rng, hotel, &mut takes)
                }
                false if rng.u8(..20) == 0 => flight(rng, "RARE", &mut takes),
                false => {
                    let name = FLIGHTS[rng.usize(..FLIGHTS.len() - 1)].0;
                    flight(rng, name, &mut takes)
                }
            })
            .collect();
        let mut body = json!({ "itinerary": itinerary });
        let deadline_s = match rng.u8(..10) {
            0 => Some(rng.i64(1..=5)),
            1..4 => Some(rng.i64(15..=60)),
            _ => None,
        };
        if let Some(deadline_s) = deadline_s {
            body["deadline_s"] = deadline_s.into();
        }
        if rng.u8(..20) == 0 {
            body["budget"] = json!({"amount_minor": SEAT_MINOR, "currency": "EUR"});
        }
        Self { body, takes }
    }

    /// Places on its itinerary.
    pub(super) fn legs(&self) -> usize {
        self.body["itinerary"].as_array().map_or(0, Vec::len)
    }
}

fn flight(rng: &mut Rng, name: &str, takes: &mut Vec<Take>) -> Value {
    let many = rng.i64(1..=3);
    takes.push(Take {
        stock: seat(name),
        many,
    });
    json!({"leg": flight::SPEC.name, "flight": name, "date": NIGHTS[0], "seats": many})
}

fn stay(rng: &mut Rng, name: &str, takes: &mut Vec<Take>) -> Value {
    let nights = rng.usize(1..NIGHTS.len());
    let many = rng.i64(1..=2);
    takes.extend(NIGHTS.iter().take(nights).map(|night| Take {
        stock: room(name, night),
        many,
    }));
    json!({"leg": hotel::SPEC.name, "hotel": name, "room_type": ROOM, "check_in": NIGHTS[0], "check_out": NIGHTS[nights], "rooms": many})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn wishes_are_of_every_length_and_ask_for_what_there_is_and_what_there_is_not() {
        let mut rng = Rng::with_seed(1);
        let wishes: Vec<Wish> = (0..2_000).map(|_| Wish::draw(&mut rng)).collect();
        let lengths: BTreeSet<usize> = wishes.iter().map(Wish::legs).collect();
        assert_eq!(lengths, (1..=16).collect());
        let there: BTreeSet<String> = stock().into_iter().map(|row| row.path).collect();
        let wanted: BTreeSet<String> = wishes
            .iter()
            .flat_map(|wish| wish.takes.iter().map(|take| take.stock.clone()))
            .collect();
        assert_eq!(wanted, there);
        let mut again = Rng::with_seed(1);
        assert_eq!(wishes[0], Wish::draw(&mut again));
    }
}
