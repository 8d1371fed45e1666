//! What travellers ask for: itineraries over a small inventory that all tests know.

use serde_json::{Value, json};

/// The day on which all flights leave and all stays begin.
pub const DAY: &str = "2039-06-03";
/// The nights that the hotels have rooms for.
pub const NIGHTS: [&str; 3] = [DAY, "2039-06-04", "2039-06-05"];
/// What one seat costs, in cents.
pub const SEAT_PRICE: i64 = 12_300;
/// What one room costs a night, in cents.
pub const ROOM_PRICE: i64 = 9_900;

/// Seats on a flight.
#[must_use]
pub fn flight(flight: &str, seats: i64) -> Value {
    json!({"leg": "flight", "flight": flight, "date": DAY, "seats": seats})
}

/// Rooms in a hotel for one to three nights.
#[must_use]
pub fn stay(hotel: &str, nights: usize, rooms: i64) -> Value {
    let check_out = ["2039-06-04", "2039-06-05", "2039-06-06"][nights - 1];
    json!({"leg": "hotel", "hotel": hotel, "room_type": "double", "check_in": DAY, "check_out": check_out, "rooms": rooms})
}

/// What a traveller asks for, as the body of `POST /bookings`.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The body.
    pub body: Value,
}

/// Asks for these legs in this order.
#[must_use]
pub fn trip<const N: usize>(legs: [Value; N]) -> Asked {
    Asked {
        body: json!({"itinerary": Vec::from(legs)}),
    }
}

impl Asked {
    /// And spends no more than that many cents.
    #[must_use]
    pub fn budget(self, amount_minor: i64) -> Self {
        self.with(
            "budget",
            json!({"amount_minor": amount_minor, "currency": "EUR"}),
        )
    }

    /// And wants it decided in so many seconds.
    #[must_use]
    pub fn deadline_s(self, deadline_s: i64) -> Self {
        self.with("deadline_s", deadline_s.into())
    }

    /// And says this too.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.body[field] = value;
        self
    }
}
