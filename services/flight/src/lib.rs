//! The flight leg of a trip: seats per flight and date.
//!
//! What being a leg means is [`leg`]'s; here is only what a flight is: [`core`]: its details, pure; [`store`]: its stock table;
//! [`http`]: its inventory for operators. It knows no other service by name.

pub mod core;
pub mod http;
pub mod store;

use leg::LegService;
use runtime::http::About;
use runtime::{Running, Settings};

/// Its name on itineraries, and its consumer's.
pub const NAME: &str = "flight";

/// What its HTTP API says of itself.
pub const ABOUT: About = About {
    title: "Roundtrip: flight",
    description: "The flight leg of a trip: holds, confirms and gives back seats per flight and date.",
    version: env!("CARGO_PKG_VERSION"),
};

/// Starts the service.
///
/// # Errors
/// When the database can't be opened, the address is taken, or a setting can't be used.
pub async fn start(settings: Settings) -> Result<Running, anyhow::Error> {
    let service = LegService::new(core::Flight, &settings);
    runtime::start(service, leg::SYSTEM, ABOUT, settings, http::routes).await
}
