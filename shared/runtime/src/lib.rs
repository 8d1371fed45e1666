//! Empty.
pub mod telemetry;
pub mod problem;
pub mod http;
