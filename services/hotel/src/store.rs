//! The stock: rooms per room type and night. No SQL: the runtime makes that of the description here.

use leg::Leg;
use leg::store::STOCK_COLUMNS;
use runtime::Table;
use runtime::table::{Lock, text};
use sqlx::migrate::Migrator;

use crate::core::Hotel;

/// The table `room`.
pub const ROOM: &Table = &Table {
    name: "room",
    key: &[text("hotel"), text("room_type"), text("night")],
    columns: STOCK_COLUMNS,
    lock: Lock::Update,
};

impl Leg for Hotel {
    fn name(&self) -> choreography::LegName {
        crate::core::name()
    }

    fn counts(&self) -> &'static [&'static str] {
        &["rooms"]
    }

    fn dates(&self) -> &'static [&'static str] {
        &["check_in", "check_out"]
    }

    fn stock(&self) -> &'static Table {
        ROOM
    }

    fn migrations(&self) -> Migrator {
        sqlx::migrate!("./migrations")
    }
}
