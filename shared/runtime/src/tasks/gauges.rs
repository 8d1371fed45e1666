//! The gauges: what waits where, once a second. What is counted as it happens is counted where it happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Deserialize;

use crate::batch::now_us;
use crate::call::{CALL, makes_calls};
use crate::database::{Failure, calls, queries};
use crate::dead_letters::DEAD_LETTER;
use crate::http::TOTAL_MAX;
use crate::service::Service;
use crate::table::{Lock, Table, int};
use crate::tasks::shared::Shared;

/// Keeps the gauges up to date.
pub(crate) async fn run<S: Service>(
    shared: Arc<Shared<S>>,
    depths: impl Fn() -> usize + Send + 'static,
) {
    let mut lost_before = 0;
    let mut purposes = BTreeSet::new();
    while !shared.stop.is_cancelled() {
        let most = shared.settings.pending_max.saturating_add(1);
        if let Ok(depth) = queries::outbox_depth(&shared.database, most).await {
            shared.outbox_depth.store(depth, Ordering::Relaxed);
            shared
                .metrics
                .outbox_depth(u64::try_from(depth).unwrap_or(0));
            if depth == 0 {
                shared.publisher.nothing_lies_there();
            }
        }
        let letters = shared.database.select(DEAD_LETTER).most(TOTAL_MAX);
        if let Ok(letters) = letters.count().await {
            let letters = u64::try_from(letters).unwrap_or(0);
            shared.metrics.dead_letters_kept(letters);
        }
        if makes_calls::<S>()
            && let Err(error) = waiting(&shared, &mut purposes).await
        {
            tracing::debug!(%error, "the calls that wait cannot be counted");
        }
        shared
            .metrics
            .publisher_stalled(shared.publisher.stalled_for().as_secs());
        shared.metrics.queue_depth(depths() as u64);
        // Without a connection it answers after ten seconds, and the depth of the outbox would be that old.
        if shared.broker.is_connected()
            && let Ok((lag, lost)) = shared.broker.lag().await
        {
            shared.metrics.consumer_lag(lag);
            if lost > lost_before {
                shared.metrics.window_lost();
            }
            lost_before = lost;
        }
        shared.pause(Duration::from_secs(1)).await;
    }
}

/// Counts the calls that wait, up to a bound. Of a purpose that has been seen before it is said, too, when none does: unless there are more
/// calls than are counted, for then some may.
async fn waiting<S: Service>(
    shared: &Shared<S>,
    purposes: &mut BTreeSet<String>,
) -> Result<(), Failure> {
    let mut waiting = BTreeMap::<String, u64>::new();
    for (purpose, calls) in calls::waiting(&shared.database, TOTAL_MAX).await? {
        let purpose = shared.metrics.purpose(&purpose).to_owned();
        *waiting.entry(purpose).or_default() += u64::try_from(calls).unwrap_or(0);
    }
    let all = waiting.values().sum::<u64>() < TOTAL_MAX as u64;
    for purpose in purposes.iter().filter(|_| all) {
        if !waiting.contains_key(purpose) {
            shared.metrics.calls_waiting(purpose, 0);
        }
    }
    for (purpose, calls) in waiting {
        shared.metrics.calls_waiting(&purpose, calls);
        purposes.insert(purpose);
    }
    let oldest = shared.database.select(OLDEST).order(&["asked_us", "id"]);
    let oldest: Vec<Oldest> = oldest.most(1).rows().await?;
    let waited_us = oldest.first().map_or(0, |call| now_us() - call.asked_us);
    let seconds = u64::try_from(waited_us / 1_000_000).unwrap_or(0);
    shared.metrics.calls_oldest(seconds);
    Ok(())
}

/// When a call was asked for.
const OLDEST: &Table = &Table {
    name: CALL.name,
    key: CALL.key,
    columns: &[int("asked_us")],
    lock: Lock::None,
};

#[derive(Deserialize)]
struct Oldest {
    asked_us: i64,
}
