//! The stock: seats per flight and date. No SQL: the runtime makes that of the description here.

use leg::Leg;
use leg::store::STOCK_COLUMNS;
use runtime::Table;
use runtime::table::{Lock, text};
use sqlx::migrate::Migrator;

use crate::core::Flight;

/// The table `seat`.
pub const SEAT: &Table = &Table {
    name: "seat",
    key: &[text("flight"), text("date")],
    columns: STOCK_COLUMNS,
    lock: Lock::Update,
};

impl Leg for Flight {
    fn name(&self) -> choreography::LegName {
        crate::core::name()
    }

    fn counts(&self) -> &'static [&'static str] {
        &["seats"]
    }

    fn dates(&self) -> &'static [&'static str] {
        &["date"]
    }

    fn stock(&self) -> &'static Table {
        SEAT
    }

    fn migrations(&self) -> Migrator {
        sqlx::migrate!("./migrations")
    }
}
