//! The rival: the trip that the saga books, by two-phase commit over the same three PostgreSQL databases, to be measured beside it.
//!
//! A coordinator takes `POST /bookings` as booking does. It has flight's and hotel's database prepare their part of the trip, both at once
//! (`PREPARE TRANSACTION`), writes its decision to booking's database in the trip's own row, and has both commit what they prepared. Booking
//! is the *last agent*: it prepares nothing, for its one commit is the decision. What is not decided there is undone (*presumed abort*), so a
//! refusal writes nothing. After a restart `recovery` asks each database what lies prepared in it, and ends it by the decision; whoever
//! lives does that for a coordinator that died.
//!
//! What makes it as good as we can make it: one round trip for each phase at each database, both databases at a time, connections that stay,
//! statements that are planned once, decisions of several trips in one commit (`decisions`), trips for the same item in a line of their own
//! so that none waits inside a database (`queue`), an answer as soon as the decision is on disk. Every wait and every queue has a bound.
//!
//! It is no part of the product: no service knows it, its tables lie in a schema of their own, `two_phase`, and it has no cancellation, no
//! idempotency keys and no currencies. Two-phase commit needs every database in reach of one program, and that is what the saga does without.

pub mod audit;
mod coordinator;
mod database;
mod decisions;
pub mod faults;
mod http;
mod queue;
mod recovery;
mod settings;
mod trip;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

pub use database::schema::set_up;
pub use settings::{Databases, Settings};

use coordinator::Coordinator;

/// Runs a coordinator until SIGINT or SIGTERM. It answers once it has ended what an earlier process of its name left in doubt.
///
/// # Errors
/// When a database cannot be used, another process has its name, or its address is taken: what, and what to do.
pub async fn serve(settings: Settings) -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .init();
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen at {}: is it taken?", settings.listen))?;
    let coordinator = Arc::new(Coordinator::new(&settings)?);
    let sweeping = recovery::begin(&settings, Arc::clone(&coordinator)).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let asked = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    axum::serve(listener, http::router(Arc::clone(&coordinator)))
        .with_graceful_shutdown(asked)
        .await?;
    // What was decided is committed everywhere before we go, unless a database is away: then the next process does it.
    coordinator.quiet().await;
    sweeping.abort();
    Ok(())
}
