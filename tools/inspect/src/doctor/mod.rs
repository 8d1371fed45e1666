//! Looks at a stack from outside and says what is wrong and what to do: services, broker, databases, and the ways between them.
//!
//! It reads, and publishes one trial message that no service hears; every look is bounded in time. It mends nothing and judges no trips.
//!
//! - [`observations`]: what can be seen; `observe`: sees it; `judge`: what to think of it, pure; [`report`]: that, for people and programs.
//! - `expected`: what this program itself would declare and migrate, to hold what is there against it.

mod expected;
mod judge;
pub mod observations;
mod observe;
pub mod report;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;

use crate::audit::{Nats, Part};
use observations::Home;
pub use report::{Finding, Group, Report, Verdict};

/// Where to look. What is left out is named in the report as not looked at.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Services, or their replicas.
    pub services: Vec<ServicePlace>,
    /// The broker.
    pub broker: Option<Nats>,
    /// Databases.
    pub databases: Vec<Part>,
    /// The local stack, when it is one.
    pub home: Option<Home>,
}

/// A service's address, or a replica's.
#[derive(Debug, Clone)]
pub struct ServicePlace {
    /// Such as `flight`, or `flight-2` for a second replica.
    pub name: String,
    /// Which service it is.
    pub service: String,
    /// Its HTTP.
    pub url: String,
    /// Whether anybody answers there: a leg may have no HTTP.
    pub http: bool,
    /// Its log file, on this machine.
    pub log: Option<PathBuf>,
}

/// The services that nobody listens for at the broker: their consumers were looked at for some seconds, and nobody asked for anything.
///
/// # Errors
/// When the broker does not answer.
pub async fn silent(broker: &Nats) -> Result<BTreeSet<String>> {
    observe::silent(broker, &expected::Expected::new()?.stream().name).await
}

/// Looks, everywhere at once, and judges what was seen.
///
/// # Errors
/// Only when this program does not know its own settings.
pub async fn examine(places: &Places) -> Result<Report> {
    let expected = expected::Expected::new()?;
    let seen = observe::observe(places, &expected).await;
    Ok(judge::judge(&seen, &expected))
}
