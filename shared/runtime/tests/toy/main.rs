//! What the runtime promises of a transaction, by a toy service that knows no trips, on SQLite: this needs no server. The same on PostgreSQL,
//! and what the whole loop promises on a broker, is `on_servers.rs`. What it comes to for trips is tested where trips are.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[macro_use]
mod promises;
mod asking;
mod parcels;
mod place;
mod transactions;
mod wallet;

of_transactions!(crate::place::Place::sqlite());
