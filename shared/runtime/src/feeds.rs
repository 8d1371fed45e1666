//! What feeds the loop and looks after it: the consumer, the timers, the sweeper, housekeeping and the gauges.
//!
//! Each is a task with one job that ends when the service stops. None judges anything: the consumer reads, the timers
//! say *now*, the sweeper hands rows to the publisher.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::PullConsumer;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::batch::{Step, now_us};
use crate::broker::Broker;
use crate::chores::{self, CHORE_MAX};
use crate::database::{Database, Failure};
use crate::event::Message;
use crate::faults::{self, CrashPoint, Guard};
use crate::letters::Letter;
use crate::publisher::Publisher;
use crate::service::{Input, Service, Unread};
use crate::settings::Settings;
use crate::subscription::Subscription;
use crate::telemetry::{Metrics, Redeclared, Repeated};
use crate::unreadable;
use crate::worker::{Item, Owed, Parked};

/// The largest fact that is read, in bytes; the broker's own limit for a message is higher.
const FACT_MAX: usize = 256 << 10;
/// How often housekeeping is done.
const FORGET_EVERY: Duration = Duration::from_secs(30);

/// The loop has ended.
struct Gone;

/// What every feed needs.
pub(crate) struct Feeds<S: Service> {
    pub(crate) service: Arc<S>,
    pub(crate) database: Arc<Database>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Settings,
    pub(crate) parked: Parked,
    /// Rows in the outbox, as last counted.
    pub(crate) outbox_depth: Arc<AtomicI64>,
    pub(crate) stop: CancellationToken,
    /// Ends the process.
    pub(crate) lost: CancellationToken,
}

impl<S: Service> Feeds<S> {
    /// Pulls facts; declares stream and consumer again whenever they are found missing.
    pub(crate) async fn consume(self: Arc<Self>, facts: mpsc::Sender<Item<S>>) {
        let mut declared_before = false;
        let mut noise = Repeated::default();
        while !self.stop.is_cancelled() {
            let mut connections = self.broker.connections();
            connections.mark_unchanged();
            let (consumer, subscription) = match self.subscribe(&facts).await {
                Ok(subscribed) => subscribed,
                Err(error) => {
                    if let Some(times) = noise.say(Instant::now()) {
                        tracing::warn!(
                            error = format!("{error:#}"),
                            times,
                            "the broker is not ready; trying again"
                        );
                    }
                    if self.broker.is_dead() {
                        tracing::error!("the broker's client panicked and connects no more");
                        self.lost.cancel();
                        return;
                    }
                    self.pause(Duration::from_millis(500)).await;
                    continue;
                }
            };
            if std::mem::replace(&mut declared_before, true) {
                self.metrics.redeclared(Redeclared::Consumer);
            }
            tokio::select! {
                () = self.pull(subscription, &facts) => {}
                () = self.bury_unreadable(consumer, connections, &facts) => {}
            }
            // A broker that answers with errors only is not to be asked as fast as it can answer.
            self.pause(Duration::from_millis(50)).await;
        }
    }

    async fn subscribe(
        &self,
        facts: &mpsc::Sender<Item<S>>,
    ) -> Result<(PullConsumer, Subscription), anyhow::Error> {
        let heard_us = chores::heard_us(&self.database).await?;
        let consumer = self.broker.declare(heard_us).await?;
        self.bury_delivered(&consumer, facts).await;
        let subscription = self.broker.subscribe().await?;
        Ok((consumer, subscription))
    }

    /// Buries what the client cannot hand over, after each further connection: it may be what ended the one before.
    async fn bury_unreadable(
        &self,
        consumer: PullConsumer,
        mut connections: watch::Receiver<u64>,
        facts: &mpsc::Sender<Item<S>>,
    ) {
        while connections.changed().await.is_ok() {
            self.bury_delivered(&consumer, facts).await;
        }
        // The puller goes on by itself.
        std::future::pending::<()>().await;
    }

    /// Buries what was delivered before and cannot be handed over, and waits until the broker knows that it was. Pulled once
    /// more, it would end this process before that could be said, and after each longer pause the next one.
    async fn bury_delivered(&self, consumer: &PullConsumer, facts: &mpsc::Sender<Item<S>>) {
        while !self.stop.is_cancelled() {
            let found = match unreadable::find(&self.broker, consumer.clone()).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::debug!(%error, "what was delivered cannot be looked at");
                    return;
                }
            };
            if found.is_empty() {
                return;
            }
            for message in found {
                let letter = Letter::of(&message, "its subject or headers cannot be read");
                let step = Step::Letter(Box::new(letter));
                let owed = Owed::Acknowledgement(Box::new(message));
                if facts.send((step, owed)).await.is_err() {
                    return;
                }
            }
            self.pause(Duration::from_secs(1)).await;
        }
    }

    /// Hears facts until the service stops, and then those that were asked for already: nobody else would get them before the
    /// acknowledgement wait is over.
    async fn pull(&self, mut subscription: Subscription, facts: &mpsc::Sender<Item<S>>) {
        loop {
            let message = tokio::select! {
                message = subscription.next() => message,
                () = self.stop.cancelled() => break,
            };
            match message {
                Ok(message) => {
                    if self.hear(message, facts).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the consumer does not answer; declaring it again"
                    );
                    return;
                }
            }
        }
        while let Some(message) = subscription.last().await {
            if self.hear(message, facts).await.is_err() {
                return;
            }
        }
    }

    /// Hands a message to the loop; an error when that is gone.
    async fn hear(
        &self,
        message: async_nats::jetstream::Message,
        facts: &mpsc::Sender<Item<S>>,
    ) -> Result<(), Gone> {
        let Some(item) = self.classify(message).await else {
            return Ok(());
        };
        if matches!(item.0, Step::Fact { .. }) {
            faults::reach(CrashPoint::Received);
        }
        facts.send(item).await.map_err(|_| Gone)
    }

    /// Reads a message as far as this service can. What can't be read is a dead letter; what is newer is put back.
    async fn classify(&self, message: async_nats::jetstream::Message) -> Option<Item<S>> {
        let bury = |message: async_nats::jetstream::Message, reason: &str| {
            let letter = Box::new(Letter::of(&message, reason));
            Some((
                Step::Letter(letter),
                Owed::Acknowledgement(Box::new(message)),
            ))
        };
        if message.payload.len() > FACT_MAX {
            return bury(message, &format!("it is larger than {FACT_MAX} bytes"));
        }
        let opened = match Message::open(&message) {
            Ok(opened) => opened,
            Err(reason) => return bury(message, &reason),
        };
        let read = std::panic::AssertUnwindSafe(|| self.service.read(&opened));
        match std::panic::catch_unwind(read) {
            Err(_) => bury(message, "reading it panicked; see the log"),
            Ok(Ok(fact)) => {
                let Message {
                    id, kind, trace, ..
                } = opened;
                let input = Input::Fact(fact);
                Some((
                    Step::Fact {
                        id,
                        kind,
                        trace,
                        input,
                    },
                    Owed::Acknowledgement(Box::new(message)),
                ))
            }
            Ok(Err(Unread::Malformed(reason))) => bury(message, &reason),
            Ok(Err(Unread::NewerVersion(reason))) => {
                let (delivered, age) = message.info().map_or((1, 0), |info| {
                    (
                        info.delivered,
                        now_us() / 1_000 - info.published.unix_timestamp().saturating_mul(1_000),
                    )
                });
                if age >= i64::try_from(self.settings.unknown_version_wait_ms).unwrap_or(i64::MAX) {
                    return bury(message, &reason);
                }
                let delay = Duration::from_millis(250)
                    * 2_u32.pow(u32::try_from(delivered.clamp(0, 8)).unwrap_or(8));
                let delay = delay.min(Settings::ms(self.settings.unknown_version_wait_ms.max(100)));
                let _ = message.ack_with(AckKind::Nak(Some(delay))).await;
                None
            }
        }
    }

    /// Says *now* to every record that is due.
    pub(crate) async fn timers(self: Arc<Self>, timers: mpsc::Sender<Item<S>>) {
        let far_us = micros(self.settings.reannounce_max_ms).saturating_mul(2);
        let mut noise = Repeated::default();
        while !self.stop.is_cancelled() && !faults::is_off(Guard::Reannouncing) {
            let now = now_us();
            let due: Result<Vec<(S::Timer, bool)>, _> = chores::due(
                &self.database,
                self.service.timers(),
                now,
                now.saturating_add(far_us),
            )
            .await;
            let mut pause = Settings::ms(self.settings.timer_interval_ms);
            match due {
                Ok(due) => {
                    if due.len() >= CHORE_MAX {
                        // More are due. Let the loop judge these first, or the same ones are found again.
                        pause = pause.min(Duration::from_millis(20));
                    }
                    // Who has not yet heard what came before does not ask again: the answer may be among it, and each question makes
                    // the queue longer.
                    let patience = Settings::ms(self.settings.reannounce_first_ms) / 2;
                    let behind = self.broker.is_behind(patience, now);
                    for (key, unsent) in due {
                        if self.is_parked(&key) {
                            continue;
                        }
                        let input = Input::Due {
                            key: key.clone(),
                            waiting: unsent || behind,
                        };
                        if timers
                            .send((Step::Due(input), Owed::Patience(key)))
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
            self.pause(pause).await;
        }
    }

    fn is_parked(&self, key: &S::Timer) -> bool {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{key:?}");
        let waits = parked
            .get(&key)
            .is_some_and(|until| *until > Instant::now());
        if !waits {
            parked.remove(&key);
        }
        waits
    }

    /// Takes up outbox rows whose publisher died or gave up, and hands them to this process's own: no more than it can publish while
    /// it has their lease.
    pub(crate) async fn sweep(self: Arc<Self>) {
        let lease_us = micros(self.settings.outbox_lease_ms);
        let (mut found, mut failed) = (Repeated::default(), Repeated::default());
        let mut more = false;
        while !self.stop.is_cancelled() {
            if !std::mem::take(&mut more) {
                self.pause(Settings::ms(self.settings.sweep_interval_ms))
                    .await;
            }
            let room = self.publisher.room().min(CHORE_MAX);
            if room == 0 || self.broker.ready().is_err() {
                continue;
            }
            let leased = Instant::now();
            match chores::sweep(&self.database, lease_us, room).await {
                Ok(events) if events.is_empty() => {}
                Ok(events) => {
                    if let Some(times) = found.say(leased) {
                        tracing::info!(
                            rows = events.len(),
                            times,
                            "outbox rows are published again"
                        );
                    }
                    self.metrics.republished(events.len() as u64);
                    more = events.len() >= room;
                    self.publisher.offer(events, leased);
                }
                Err(error) => {
                    if let Some(times) = failed.say(leased) {
                        tracing::warn!(%error, times, "the outbox cannot be swept; trying again");
                    }
                }
            }
        }
    }

    /// Drops what may be forgotten: ids behind the broker's window, and records whose time is over.
    pub(crate) async fn forget(self: Arc<Self>) {
        let keep_us = micros(self.settings.inbox_keep_s.saturating_mul(1_000));
        while !self.stop.is_cancelled() {
            if let Err(error) = self.forget_once(keep_us).await {
                tracing::warn!(%error, "housekeeping failed; trying again later");
            }
            self.pause(FORGET_EVERY).await;
        }
    }

    async fn forget_once(&self, keep_us: i64) -> Result<(), Failure> {
        let now = now_us();
        while chores::forget_inbox(&self.database, now.saturating_sub(keep_us)).await? >= CHORE_MAX
            && !self.stop.is_cancelled()
        {}
        for table in self.service.forgettable() {
            while chores::forget_rows(&self.database, table, now).await? >= CHORE_MAX
                && !self.stop.is_cancelled()
            {}
        }
        Ok(())
    }

    /// Says every few minutes that this service is there.
    pub(crate) async fn announce(self: Arc<Self>, timers: mpsc::Sender<Item<S>>) {
        while !self.stop.is_cancelled() {
            if timers
                .send((Step::Announcement, Owed::Nothing))
                .await
                .is_err()
            {
                return;
            }
            self.pause(Settings::ms(self.settings.join_interval_ms))
                .await;
        }
    }

    /// Keeps the gauges up to date.
    pub(crate) async fn watch(self: Arc<Self>, depths: impl Fn() -> usize + Send + 'static) {
        let mut lost_before = 0;
        while !self.stop.is_cancelled() {
            let most = self.settings.pending_max.saturating_add(1);
            let sql = "select count(*) from (select 1 from outbox limit $1) as counted";
            if let Ok(depth) = self
                .database
                .number(sql, vec![i64::try_from(most).unwrap_or(i64::MAX).into()])
                .await
            {
                self.outbox_depth.store(depth, Ordering::Relaxed);
                self.metrics.outbox_depth(u64::try_from(depth).unwrap_or(0));
                if depth == 0 {
                    self.publisher.nothing_lies_there();
                }
            }
            self.metrics
                .publisher_stalled(self.publisher.stalled_for().as_secs());
            self.metrics.queue_depth(depths() as u64);
            // Without a connection it answers after ten seconds, and the depth of the outbox would be that old.
            if self.broker.is_connected()
                && let Ok((lag, lost)) = self.broker.lag().await
            {
                self.metrics.consumer_lag(lag);
                if lost > lost_before {
                    self.metrics.window_lost();
                }
                lost_before = lost;
            }
            self.pause(Duration::from_secs(1)).await;
        }
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// Milliseconds as microseconds, far from overflowing when added to a time.
fn micros(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).min(i64::MAX / 4_000) * 1_000
}
