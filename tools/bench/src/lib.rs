//! Measures a stack under load: completed trips a second, how long each took, what one costs, and what raw parts would cost.
//!
//! Pure: [`distribution`], [`spread`], [`cost`] (what lies between two readings), [`report`] (the data) and [`html`] (the same to be
//! looked at). The shell: `load` and `trip` (HTTP), `pace` (an open loop's clock), `usage`, `prometheus` and `database` (readings),
//! `watch` (second by second), `undone` (times out of the stream), [`floor`] (the same parts with nothing of ours), [`run`] (one after the
//! other), `rival` (two-phase commit beside the saga, a process of its own) and [`availability`] (what both do while something is away). It parses no command line, and decides nothing about trips.

pub mod availability;
pub mod cost;
mod database;
pub mod distribution;
pub mod exchange;
pub mod floor;
pub mod html;
mod load;
pub mod machine;
mod pace;
mod plots;
mod prometheus;
pub mod protocol;
pub mod report;
pub mod rival;
pub mod run;
pub mod spread;
pub mod stock;
mod tally;
mod trip;
mod turns;
mod undone;
mod usage;
mod watch;

pub use load::{Live, Pace, Window};
pub use protocol::Protocol;
pub use report::Report;
pub use run::{Going, Options, Target, measure};
pub use trip::Shares;
pub use watch::Series;
