//! The flight leg of a trip: seats per flight and date.
//!
//! What being a leg means (holding, giving back, prices, budgets, inventory) is [`leg`]'s; here is only what a flight is. It knows no
//! other service by name.

use choreography::Reason;
use jiff::{Timestamp, civil::Date};
use leg::core::details;
use leg::{Hold, Leg, LegPolicy, LegSpec};
use runtime::http::About;
use runtime::{Running, Settings};
use serde::{Deserialize, Serialize};

/// What a flight leg is.
pub const SPEC: LegSpec = LegSpec {
    name: "flight",
    about: About {
        title: "Roundtrip: flight",
        description: "The flight leg of a trip: holds, confirms and gives back seats per flight and date.",
        version: env!("CARGO_PKG_VERSION"),
    },
    path: "flights",
    unit: "seats",
    dates: &["date"],
    stock: &leg::stock_table("seat", &[leg::text("flight"), leg::text("date")]),
    key: &[
        "The flight, such as `RT100`.",
        "The local calendar date of departure, `YYYY-MM-DD`.",
    ],
    migrations: || {
        runtime::database::migrations([(1001, "seat", include_str!("../migrations/1001_seat.sql"))])
    },
};

/// `{"leg":"flight","flight":"RT100","date":"2026-12-01","seats":2}`. What else is in it is for somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The flight's number.
    pub flight: String,
    /// The local calendar date of its departure.
    pub date: Date,
    /// How many, 1 to 500.
    pub seats: i64,
}

/// Sells seats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flight;

impl Leg for Flight {
    const SPEC: &'static LegSpec = &SPEC;
}

impl LegPolicy for Flight {
    /// Seats on that flight on that date.
    fn needs(&self, details: &str, now: Timestamp) -> Result<Vec<Hold>, Reason> {
        let Details {
            flight,
            date,
            seats,
        } = details::read(details)?;
        let flight = details::key("flight", flight)?;
        let quantity = details::quantity("seats", seats)?;
        let date = details::not_past("date", date, now)?;
        Ok(vec![Hold {
            key: vec![flight, date.to_string()],
            quantity,
        }])
    }
}

/// Starts the service.
///
/// # Errors
/// When the database can't be opened, the address is taken, or a setting can't be used.
pub async fn start(settings: Settings) -> Result<Running, anyhow::Error> {
    leg::start(Flight, settings).await
}
