//! Takes trips, decides each one's outcome, and sees that all of it comes back when it has to.
//!
//! The one decider: only its own row turns a trip confirmed or cancelled, in one local commit. It holds no capacity, calls
//! nobody, and knows no leg by name: what can be booked is what has joined.
//!
//! - [`core`]: the decisions, pure; [`store`]: its rows; [`service`]: the loop's view; [`http`]: what travellers see;
//!   [`legs`]: what can be booked; [`waiters`]: who waits for news of one trip; [`outcomes`]: who hears of every outcome.

mod api;
pub mod core;
mod events;
pub mod http;
pub mod legs;
pub mod outcomes;
mod schema;
pub mod service;
pub mod store;
pub mod view;
pub mod waiters;

use runtime::http::About;
use runtime::{Running, Settings};

/// Its name, and its consumer's.
pub const NAME: &str = "booking";

/// What its HTTP API says of itself.
pub const ABOUT: About = About {
    title: "Roundtrip: booking",
    description: "Takes trips and decides each one's outcome: it goes through, or comes all the way back.",
    version: env!("CARGO_PKG_VERSION"),
};

/// Starts the service.
///
/// # Errors
/// When the database can't be opened, the address is taken, or a setting can't be used.
pub async fn start(settings: Settings) -> Result<Running, anyhow::Error> {
    let service = service::BookingService::new(&settings);
    runtime::start(service, participant::SYSTEM, ABOUT, settings, http::routes).await
}
