//! What every leg of a trip is. A leg service adds only what it alone knows: its details, its stock and its prices.
//!
//! - [`core`]: the leg's half of the protocol, a pure function.
//! - [`store`]: its rows; [`service`]: the loop's view of it; [`inventory`], `http` and `document`: the same inventory for every kind of
//!   stock.
//!
//! It does not know any leg by name: flight, hotel, and a leg from another team all stand on it in the same way.

pub mod core;
mod document;
mod http;
pub mod inventory;
mod lines;
pub mod service;
mod shelf;
pub mod store;

pub use crate::core::{Hold, LegPolicy, Stock};
pub use runtime::table::text;
pub use service::{Leg, LegService, LegSpec, StockLevel};
pub use store::stock_table;

use runtime::{Running, Settings};

/// Starts a leg: its whole service, with its inventory over HTTP.
///
/// # Errors
/// When the database cannot be opened, the address is taken, or a setting cannot be used.
pub async fn start<L: Leg>(leg: L, settings: Settings) -> Result<Running, anyhow::Error> {
    let service = LegService::new(leg, &settings);
    runtime::start(
        service,
        participant::SYSTEM,
        L::SPEC.about,
        settings,
        http::routes,
    )
    .await
}
