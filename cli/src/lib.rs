//! The command `roundtrip` as a library: the local stack, trips from a terminal, the audit, the doctor and the bench.
//! Not a service: what books, holds and confirms lives in the services' own crates.

pub mod audit;
pub mod chaos;
pub mod client;
pub mod command;
pub mod doctor;
pub mod local;
pub mod paint;
pub mod probe;
pub mod stack;
pub mod story;

/// How this program is called by whoever runs it, for hints on what to type next.
#[must_use]
pub fn invocation() -> &'static str {
    match std::env::var("CARGO_PKG_NAME") {
        Ok(name) if name == env!("CARGO_PKG_NAME") && cfg!(debug_assertions) => "cargo run --",
        Ok(name) if name == env!("CARGO_PKG_NAME") => "cargo run --release --",
        _ => env!("CARGO_PKG_NAME"),
    }
}
