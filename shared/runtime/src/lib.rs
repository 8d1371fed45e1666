//! One service is one loop.
//!
//! ```text
//!  facts (JetStream) ─┐
//!  commands (HTTP) ───┼─► batch ─► one transaction: inbox · load · react · save · outbox ─► commit ─┬─► publish, acks, replies
//!  timers (rows due) ─┤                                                                            ├─► next batch is waiting
//!  answers ───────────┘◄───────────── performed outside, beside the loop ◄──────────────────────────┴─► calls (rows due)
//! ```
//!
//! A service gives the runtime its tables and a pure reaction ([`Service`]); the runtime gives it at-least-once delivery
//! with effects applied once, an outbox, timers, calls to others, dead letters, HTTP with problem details, telemetry, and an orderly end.
//! It knows nothing of what its services are about, and works the same on SQLite and PostgreSQL.
//!
//! # Layout
//! - [`service`]: what a service is, and [`keyed`] the small way to be one; [`table`]: how it tells of its rows; [`event`]: a fact on its way.
//! - [`call`]: what is done outside and answered, so that nobody waits for it in a transaction.
//! - [`batch`]: the transaction; `worker`: the loop around it; `tasks`: what fills it, one file a task; `publisher`: what empties it, by
//!   the rules of [`outgoing`].
//! - [`faults`]: what a test may ask of a service, in no image.
//! - [`database`]: the one place that knows how the two databases differ, and what is asked of them between batches
//!   ([`database::queries`]); [`broker`]: JetStream.
//! - [`http`], [`health`], [`problem`], [`dead_letters`], [`telemetry`], [`settings`], [`handle`], [`boot`]: the shell.

pub mod batch;
pub mod boot;
pub mod broker;
pub mod call;
pub mod database;
pub mod dead_letters;
pub mod event;
pub mod faults;
pub mod handle;
pub mod health;
pub mod http;
pub mod keyed;
pub mod outgoing;
pub mod problem;
mod publisher;
mod readiness;
mod reading;
mod saving;
pub mod service;
pub mod settings;
pub mod system;
pub mod table;
mod tasks;
pub mod telemetry;
mod vital;
mod worker;

pub use boot::{Running, start, stop_signal};
pub use call::{Attempt, Call};
pub use database::{Database, Param};
pub use event::{Event, Message};
pub use handle::Handle;
pub use keyed::Keyed;
pub use problem::Problem;
pub use service::{Context, Entity, Input, ReadError, Service, ServiceInput};
pub use settings::Settings;
pub use system::System;
pub use table::{Cell, Row, Rows, Table, Working};
pub use telemetry::TraceContext;
