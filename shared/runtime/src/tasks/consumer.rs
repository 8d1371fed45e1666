//! The consumer: pulls facts for the loop, and declares stream and consumer again whenever they are found missing. It reads, and judges
//! nothing: what can't be read is a dead letter, what is of a newer version is put back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::PullConsumer;
use tokio::sync::{mpsc, watch};

use crate::batch::{Step, now_us};
use crate::database::queries;
use crate::dead_letters::{DeadLetter, HEADERS_UNREADABLE};
use crate::faults::{self, CrashPoint};
use crate::reading::read;
use crate::service::{ReadError, Service};
use crate::settings::Settings;
use crate::tasks::shared::Shared;
use crate::tasks::subscription::Subscription;
use crate::tasks::unreadable;
use crate::telemetry::{Redeclared, Repeated};
use crate::worker::{Completion, Item};

/// The loop has ended.
struct Gone;

/// Pulls facts until the service stops, and then what was asked for already.
pub(crate) async fn run<S: Service>(shared: Arc<Shared<S>>, facts: mpsc::Sender<Item<S>>) {
    Consumer { shared, facts }.run().await;
}

struct Consumer<S: Service> {
    shared: Arc<Shared<S>>,
    facts: mpsc::Sender<Item<S>>,
}

impl<S: Service> Consumer<S> {
    async fn run(&self) {
        let mut declared_before = false;
        let mut noise = Repeated::default();
        while !self.shared.stop.is_cancelled() {
            let mut connections = self.shared.broker.connections();
            connections.mark_unchanged();
            let (consumer, subscription) = match self.subscribe().await {
                Ok(subscribed) => subscribed,
                Err(error) => {
                    if let Some(times) = noise.say(Instant::now()) {
                        tracing::warn!(
                            error = format!("{error:#}"),
                            times,
                            "the broker is not ready; trying again"
                        );
                    }
                    if self.shared.broker.is_dead() {
                        tracing::error!("the broker's client panicked and connects no more");
                        self.shared.lost.cancel();
                        return;
                    }
                    self.shared.pause(Duration::from_millis(500)).await;
                    continue;
                }
            };
            if std::mem::replace(&mut declared_before, true) {
                self.shared.metrics.redeclared(Redeclared::Consumer);
            }
            tokio::select! {
                () = self.pull(subscription) => {}
                () = self.bury_unreadable(consumer, connections) => {}
            }
            // A broker that answers with errors only is not to be asked as fast as it can answer.
            self.shared.pause(Duration::from_millis(50)).await;
        }
    }

    async fn subscribe(&self) -> Result<(PullConsumer, Subscription), anyhow::Error> {
        let heard_us = queries::heard_us(&self.shared.database).await?;
        let consumer = self.shared.broker.declare(heard_us).await?;
        self.bury_delivered(&consumer).await;
        let subscription = Subscription::open(&self.shared.broker).await?;
        Ok((consumer, subscription))
    }

    /// Buries what the client cannot hand over, after each further connection: it may be what ended the one before.
    async fn bury_unreadable(&self, consumer: PullConsumer, mut connections: watch::Receiver<u64>) {
        while connections.changed().await.is_ok() {
            self.bury_delivered(&consumer).await;
        }
        // The puller goes on by itself.
        std::future::pending::<()>().await;
    }

    /// Makes dead letters of delivered messages that the client cannot hand over, and waits until the broker has their
    /// acknowledgements. If such a message were pulled again, it would end this process, and then its successor.
    async fn bury_delivered(&self, consumer: &PullConsumer) {
        while !self.shared.stop.is_cancelled() {
            let found = match unreadable::find(&self.shared.broker, consumer.clone()).await {
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
                let letter = DeadLetter::of(&message, HEADERS_UNREADABLE);
                let step = Step::DeadLetter(Box::new(letter));
                let completion = Completion::Acknowledgement(Box::new(message));
                if self.facts.send((step, completion)).await.is_err() {
                    return;
                }
            }
            self.shared.pause(Duration::from_secs(1)).await;
        }
    }

    /// Hears facts until the service stops or the consumer does not answer, and then those that were sent already: nobody else would
    /// get them before the acknowledgement wait is over.
    async fn pull(&self, mut subscription: Subscription) {
        loop {
            let message = tokio::select! {
                message = subscription.next() => message,
                () = self.shared.stop.cancelled() => break,
            };
            match message {
                Ok(message) => {
                    if self.hear(message).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the consumer does not answer; declaring it again"
                    );
                    break;
                }
            }
        }
        while let Some(message) = subscription.last().await {
            if self.hear(message).await.is_err() {
                return;
            }
        }
    }

    /// Hands a message to the loop; an error when that is gone.
    async fn hear(&self, message: async_nats::jetstream::Message) -> Result<(), Gone> {
        let Some(item) = self.classify(message).await else {
            return Ok(());
        };
        if matches!(item.0, Step::Fact { .. }) {
            faults::reach(CrashPoint::Received);
        }
        self.facts.send(item).await.map_err(|_| Gone)
    }

    /// Reads a message as far as this service can. What can't be read is a dead letter; what is newer is put back.
    async fn classify(&self, message: async_nats::jetstream::Message) -> Option<Item<S>> {
        let (delivered, age_ms) = message.info().map_or((1, 0), |info| {
            let published_ms = info.published.unix_timestamp().saturating_mul(1_000);
            (info.delivered, now_us() / 1_000 - published_ms)
        });
        let wait_ms = self.shared.settings.unknown_version_wait_ms;
        let step = match read(&*self.shared.service, &message) {
            Ok(step) => step,
            Err(ReadError::NewerVersion(_))
                if age_ms < i64::try_from(wait_ms).unwrap_or(i64::MAX) =>
            {
                let delay = Duration::from_millis(250)
                    * 2_u32.pow(u32::try_from(delivered.clamp(0, 8)).unwrap_or(8));
                let delay = delay.min(Settings::ms(wait_ms.max(100)));
                let _ = message.ack_with(AckKind::Nak(Some(delay))).await;
                return None;
            }
            Err(ReadError::NewerVersion(reason) | ReadError::Malformed(reason)) => {
                Step::DeadLetter(Box::new(DeadLetter::of(&message, &reason)))
            }
        };
        Some((step, Completion::Acknowledgement(Box::new(message))))
    }
}
