//! Maintenance: drops what may be forgotten. What that is, the settings and the service's tables say.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::now_us;
use crate::database::Failure;
use crate::database::queries::{self, ROWS_MAX};
use crate::dead_letters::DEAD_LETTER_PAST;
use crate::service::Service;
use crate::settings::micros;
use crate::tasks::shared::Shared;

/// How often maintenance looks for what may be forgotten.
const EVERY: Duration = Duration::from_secs(30);

/// Drops what may be forgotten: ids behind the broker's window, and records whose time is over.
pub(crate) async fn run<S: Service>(shared: Arc<Shared<S>>) {
    let keep_us = micros(shared.settings.inbox_keep_s.saturating_mul(1_000));
    while !shared.stop.is_cancelled() {
        if let Err(error) = forget(&shared, keep_us).await {
            tracing::warn!(%error, "what may be forgotten could not be dropped; trying again later");
        }
        shared.pause(EVERY).await;
    }
}

async fn forget<S: Service>(shared: &Shared<S>, keep_us: i64) -> Result<(), Failure> {
    let now = now_us();
    while queries::forget_inbox(&shared.database, now.saturating_sub(keep_us)).await? >= ROWS_MAX
        && !shared.stop.is_cancelled()
    {}
    let own = shared.service.forgettable().iter().copied();
    for table in own.chain([DEAD_LETTER_PAST]) {
        while queries::forget_rows(&shared.database, table, now).await? >= ROWS_MAX
            && !shared.stop.is_cancelled()
        {}
    }
    Ok(())
}
