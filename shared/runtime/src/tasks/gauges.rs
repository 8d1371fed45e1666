//! The gauges: what waits where, once a second. What is counted as it happens is counted where it happens.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::database::queries;
use crate::dead_letters::DEAD_LETTER;
use crate::http::TOTAL_MAX;
use crate::service::Service;
use crate::tasks::shared::Shared;

/// Keeps the gauges up to date.
pub(crate) async fn run<S: Service>(
    shared: Arc<Shared<S>>,
    depths: impl Fn() -> usize + Send + 'static,
) {
    let mut lost_before = 0;
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
