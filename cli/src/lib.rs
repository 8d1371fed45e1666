//! The command `roundtrip` as a library: the local stack, trips from a terminal, the audit and the bench.
//! Not a service: what books, holds and confirms lives in the services' own crates.

pub mod audit;
pub mod command;
pub mod local;
