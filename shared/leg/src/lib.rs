//! What every leg of a trip is. A leg service adds only what it alone knows: its details, its stock and its prices.
//!
//! - [`core`]: the leg's half of the protocol, a pure function.
//! - [`store`]: its rows; [`service`]: the loop's view of it; [`inventory`]: the same HTTP for every kind of stock.
//!
//! It does not know any leg by name: flight, hotel, and a leg from another team all stand on it in the same way.

pub mod core;
pub mod inventory;
pub mod service;
pub mod store;

pub use crate::core::{Hold, Stock, Trade};
pub use service::{Leg, LegService, Line};

use runtime::System;

/// What all services of the saga have in common.
pub const SYSTEM: System = System {
    namespace: "roundtrip",
    stream: choreography::STREAM,
    subjects: choreography::STREAM_SUBJECTS,
};
