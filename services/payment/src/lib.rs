//! The payment leg of a trip: holds the money for all other legs at a payment provider, takes it when the trip is confirmed, and gives it
//! back when the trip comes back.
//!
//! To the trip it is a leg as any other, and the last one on the itinerary. It sells nothing of its own and knows no other leg: what is to be
//! paid is the running total that the fact before it carries. The money lies with somebody else, whose API may be away, slow, or wrong.
//!
//! - [`core`]: the decisions, pure; [`store`]: its rows; [`service`]: the loop's view of it; [`http`] and [`view`]: what operators see, and
//!   where the provider's own news comes in; [`provider`]: the one place that knows whose API it is.

pub mod core;
pub mod http;
pub mod provider;
mod schema;
pub mod service;
pub mod settings;
pub mod store;
pub mod view;
mod watch;

use runtime::http::About;
use runtime::{Running, Settings};

use crate::provider::{Provider, ProviderSettings};
use crate::service::PaymentService;

/// Its name, on itineraries and its consumer's.
pub const NAME: &str = "payment";

/// What its HTTP API says of itself.
pub const ABOUT: About = About {
    title: "Roundtrip: payment",
    description: "The payment leg of a trip: holds, takes and gives back what the trip costs, at a payment provider.",
    version: env!("CARGO_PKG_VERSION"),
};

/// Starts the service.
///
/// # Errors
/// When the database can't be opened, the address is taken, or a setting can't be used.
pub async fn start(
    settings: Settings,
    provider: ProviderSettings,
) -> Result<Running, anyhow::Error> {
    let provider = Provider::new(&provider)?;
    let service = PaymentService::new(provider, &settings);
    runtime::start(service, participant::SYSTEM, ABOUT, settings, http::routes).await
}
