//! The sweeper: takes up outbox rows that nobody publishes any more. It publishes nothing itself.

use std::sync::Arc;
use std::time::Instant;

use crate::database::queries::{self, ROWS_MAX};
use crate::service::Service;
use crate::settings::{Settings, micros};
use crate::tasks::shared::Shared;
use crate::telemetry::Repeated;

/// Takes up outbox rows whose publisher died or gave up, and hands them to this process's own: no more than it can publish while
/// it has their lease.
pub(crate) async fn run<S: Service>(shared: Arc<Shared<S>>) {
    let lease_us = micros(shared.settings.outbox_lease_ms);
    let (mut found, mut failed) = (Repeated::default(), Repeated::default());
    let mut more = false;
    while !shared.stop.is_cancelled() {
        if !std::mem::take(&mut more) {
            shared
                .pause(Settings::ms(shared.settings.sweep_interval_ms))
                .await;
        }
        let room = shared.publisher.room().min(ROWS_MAX);
        if room == 0 || shared.broker.ready().is_err() {
            continue;
        }
        let leased = Instant::now();
        match queries::sweep(&shared.database, lease_us, room).await {
            Ok(events) if events.is_empty() => {}
            Ok(events) => {
                if let Some(times) = found.say(leased) {
                    tracing::info!(
                        rows = events.len(),
                        times,
                        "outbox rows are published again"
                    );
                }
                shared.metrics.republished(events.len() as u64);
                more = events.len() >= room;
                shared.publisher.offer(events, leased);
            }
            Err(error) => {
                if let Some(times) = failed.say(leased) {
                    tracing::warn!(%error, times, "the outbox cannot be swept; trying again");
                }
            }
        }
    }
}
