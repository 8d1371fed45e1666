//! The hotel leg of a trip: rooms per room type and night.
//!
//! What being a leg means (holding, giving back, prices, budgets, inventory) is [`leg`]'s; here is only what a hotel is. It knows no
//! other service by name.

use choreography::Reason;
use jiff::{Timestamp, ToSpan, civil::Date};
use leg::core::details;
use leg::{Hold, Leg, LegPolicy, LegSpec};
use runtime::http::About;
use runtime::{Running, Settings};
use serde::{Deserialize, Serialize};

/// What a hotel leg is.
pub const SPEC: LegSpec = LegSpec {
    name: "hotel",
    about: About {
        title: "Roundtrip: hotel",
        description: "The hotel leg of a trip: holds, confirms and gives back rooms per room type and night.",
        version: env!("CARGO_PKG_VERSION"),
    },
    path: "hotels",
    unit: "rooms",
    dates: &["check_in", "check_out"],
    stock: &leg::stock_table(
        "room",
        &[
            leg::text("hotel"),
            leg::text("room_type"),
            leg::text("night"),
        ],
    ),
    key: &[
        "The hotel, such as `LIS-PALACE`.",
        "The kind of room, such as `double`.",
        "The local calendar date on which the night begins, `YYYY-MM-DD`.",
    ],
    migrations: || {
        runtime::database::migrations([(1001, "room", include_str!("../migrations/1001_room.sql"))])
    },
};

/// Longest stay.
pub const NIGHTS_MAX: usize = 60;

/// `{"leg":"hotel","hotel":"LIS-PALACE","room_type":"double","check_in":"2026-12-01","check_out":"2026-12-04","rooms":1}`. What
/// else is in it is for somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The hotel's code.
    pub hotel: String,
    /// Which kind of room.
    pub room_type: String,
    /// The local calendar date of the first night.
    pub check_in: Date,
    /// The morning after the last night.
    pub check_out: Date,
    /// How many, 1 to 500.
    pub rooms: i64,
}

/// Sells rooms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hotel;

impl Leg for Hotel {
    const SPEC: &'static LegSpec = &SPEC;
}

impl LegPolicy for Hotel {
    /// Rooms of that type for every night from the check-in to the day before the check-out.
    fn needs(&self, details: &str, now: Timestamp) -> Result<Vec<Hold>, Reason> {
        let Details {
            hotel,
            room_type,
            check_in,
            check_out,
            rooms,
        } = details::read(details)?;
        let hotel = details::key("hotel", hotel)?;
        let room_type = details::key("room_type", room_type)?;
        let quantity = details::quantity("rooms", rooms)?;
        let check_in = details::not_past("check_in", check_in, now)?;
        let nights: Vec<Date> = check_in
            .series(1.day())
            .take_while(|night| *night < check_out)
            .take(NIGHTS_MAX + 1)
            .collect();
        if !(1..=NIGHTS_MAX).contains(&nights.len()) {
            let message = format!("check_out is 1 to {NIGHTS_MAX} days after check_in");
            return Err(Reason::new("nights", message));
        }
        let hold = |night: Date| Hold {
            key: vec![hotel.clone(), room_type.clone(), night.to_string()],
            quantity,
        };
        Ok(nights.into_iter().map(hold).collect())
    }
}

/// Starts the service.
///
/// # Errors
/// When the database can't be opened, the address is taken, or a setting can't be used.
pub async fn start(settings: Settings) -> Result<Running, anyhow::Error> {
    leg::start(Hotel, settings).await
}
