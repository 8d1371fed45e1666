//! The hotel leg of a trip: rooms per room type and night.
//!
//! What being a leg means is [`leg`]'s; here is only what a hotel is: [`core`]: its details, pure; [`store`]: its stock table;
//! [`http`]: its inventory for operators. It knows no other service by name.

pub mod core;
pub mod http;
pub mod store;

use leg::LegService;
use runtime::http::About;
use runtime::{Running, Settings};

/// Its name on itineraries, and its consumer's.
pub const NAME: &str = "hotel";

/// What its HTTP API says of itself.
pub const ABOUT: About = About {
    title: "Roundtrip: hotel",
    description: "The hotel leg of a trip: holds, confirms and gives back rooms per room type and night.",
    version: env!("CARGO_PKG_VERSION"),
};

/// Starts the service.
///
/// # Errors
/// When the database can't be opened, the address is taken, or a setting can't be used.
pub async fn start(settings: Settings) -> Result<Running, anyhow::Error> {
    let service = LegService::new(core::Hotel, &settings);
    runtime::start(service, leg::SYSTEM, ABOUT, settings, http::routes).await
}
