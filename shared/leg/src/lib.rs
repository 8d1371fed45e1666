//! What every leg of a trip is. A leg service adds only what it alone knows: its details, its stock and its prices.

pub mod core;
