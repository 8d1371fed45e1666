//! The timers: say *now* to every record that is due, and that this service is there. When something is due is a column of the
//! service's own tables; nothing is kept here.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::batch::{Step, now_us};
use crate::database::queries::{self, ROWS_MAX};
use crate::faults::{self, Guard};
use crate::service::{Input, Service};
use crate::settings::{Settings, micros};
use crate::tasks::shared::Shared;
use crate::telemetry::Repeated;
use crate::worker::{Completion, Item};

/// Says *now* to every record that is due.
pub(crate) async fn run<S: Service>(shared: Arc<Shared<S>>, timers: mpsc::Sender<Item<S>>) {
    let Some(table) = shared.service.timers() else {
        return;
    };
    let far_us = micros(shared.settings.reannounce_max_ms).saturating_mul(2);
    let mut noise = Repeated::default();
    while !shared.stop.is_cancelled() && !faults::is_off(Guard::Reannouncing) {
        let now = now_us();
        let due: Result<Vec<(S::Timer, bool)>, _> =
            queries::due(&shared.database, table, now, now.saturating_add(far_us)).await;
        let mut pause = Settings::ms(shared.settings.timer_interval_ms);
        match due {
            Ok(due) => {
                if due.len() >= ROWS_MAX {
                    // More are due. Let the loop judge these first, or the same ones are found again.
                    pause = pause.min(Duration::from_millis(20));
                }
                // Who has not yet heard what came before does not ask again: the answer may be among it, and each question makes
                // the queue longer.
                let patience = Settings::ms(shared.settings.reannounce_first_ms) / 2;
                let behind = shared.broker.is_behind(patience, now);
                for (key, unsent) in due {
                    if is_backing_off(&shared, &key) {
                        continue;
                    }
                    let input = Input::Due {
                        key: key.clone(),
                        waiting: unsent || behind,
                    };
                    if timers
                        .send((Step::Due(input), Completion::Timer(key)))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            }
            Err(error) => {
                if let Some(times) = noise.say(Instant::now()) {
                    tracing::warn!(%error, times, "due records cannot be read; trying again");
                }
            }
        }
        shared.pause(pause).await;
    }
}

/// Says every few minutes that this service is there.
pub(crate) async fn announce<S: Service>(shared: Arc<Shared<S>>, timers: mpsc::Sender<Item<S>>) {
    while !shared.stop.is_cancelled() {
        if timers
            .send((Step::Announcement, Completion::Nothing))
            .await
            .is_err()
        {
            return;
        }
        shared
            .pause(Settings::ms(shared.settings.join_interval_ms))
            .await;
    }
}

fn is_backing_off<S: Service>(shared: &Shared<S>, key: &S::Timer) -> bool {
    let mut backing_off = shared
        .backing_off
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let key = format!("{key:?}");
    let waits = backing_off
        .get(&key)
        .is_some_and(|until| *until > Instant::now());
    if !waits {
        backing_off.remove(&key);
    }
    waits
}
