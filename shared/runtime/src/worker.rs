//! The loop: whatever arrived while the last transaction ran is the next batch.
//!
//! Nothing waits for a timer to fill a batch: at low load a batch is one message, at high load one commit pays for
//! hundreds. Facts, commands and due records come through the same door and none starves another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::batch::{Done, Item, Transactor};
use crate::database::Failure;
use crate::letters::Letter;
use crate::problem::Problem;
use crate::publisher::Publisher;
use crate::service::Service;
use crate::telemetry::{Consequence, Metrics};

/// The longest pause before a batch is tried again.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How long a due record that fails alone is left alone.
const PARKED: Duration = Duration::from_secs(60);
/// How often published rows are deleted when no batch comes along to do it.
const TIDY: Duration = Duration::from_millis(100);
/// The most bytes of facts in one batch.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Due records that failed, by key, and until when they are left alone.
pub(crate) type Parked = Arc<Mutex<HashMap<String, Instant>>>;

/// The three inputs of the loop.
pub(crate) struct Inputs<S: Service> {
    pub(crate) facts: mpsc::Receiver<Item<S>>,
    pub(crate) commands: mpsc::Receiver<Item<S>>,
    pub(crate) timers: mpsc::Receiver<Item<S>>,
}

/// What runs the loop.
pub(crate) struct Worker<S: Service> {
    pub(crate) transactor: Transactor<S>,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) parked: Parked,
    pub(crate) batch_max: usize,
}

impl<S: Service> Worker<S> {
    /// Runs until `stop`, and then until its inputs are empty and what it said is published; or until `give_up`.
    pub(crate) async fn run(
        self,
        mut inputs: Inputs<S>,
        stop: CancellationToken,
        give_up: CancellationToken,
    ) {
        let mut tidy = tokio::time::interval(TIDY);
        tidy.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let (mut facts, mut commands, mut timers) = (Vec::new(), Vec::new(), Vec::new());
            tokio::select! {
                Some(item) = inputs.facts.recv() => facts.push(item),
                Some(item) = inputs.commands.recv() => commands.push(item),
                Some(item) = inputs.timers.recv() => timers.push(item),
                _ = tidy.tick() => {}
            }
            self.take(&mut inputs.facts, &mut facts);
            self.take(&mut inputs.commands, &mut commands);
            self.take(&mut inputs.timers, &mut timers);
            let batch: Vec<Item<S>> = facts.into_iter().chain(commands).chain(timers).collect();
            if !batch.is_empty() || self.publisher.has_published() {
                self.process(batch, &give_up).await;
            } else if give_up.is_cancelled() || (stop.is_cancelled() && self.publisher.is_done()) {
                return;
            }
        }
    }

    /// Takes what is waiting, up to the limits.
    fn take(&self, input: &mut mpsc::Receiver<Item<S>>, taken: &mut Vec<Item<S>>) {
        let mut bytes = 0;
        while taken.len() < self.batch_max && bytes < BATCH_BYTES_MAX {
            let Ok(item) = input.try_recv() else { break };
            if let Item::Fact { message, .. } = &item {
                bytes += message.payload.len();
            }
            taken.push(item);
        }
    }

    /// Applies a batch, whatever it takes: tries again while the infrastructure is to blame, splits while an input is.
    async fn process(&self, batch: Vec<Item<S>>, give_up: &CancellationToken) {
        let mut pause = Duration::from_millis(20);
        let mut waiting = vec![batch];
        while let Some(mut batch) = waiting.pop() {
            let published = self.publisher.take_published();
            let started = Instant::now();
            match self.transactor.run(&batch, &published).await {
                Ok(done) => {
                    self.metrics
                        .batch(batch.len(), started.elapsed().as_secs_f64());
                    pause = Duration::from_millis(20);
                    self.settle(batch, done).await;
                }
                Err(Failure::Retry(reason)) => {
                    self.publisher.put_back(published);
                    self.metrics.batch_failure(Consequence::Retry);
                    tracing::warn!(
                        reason,
                        inputs = batch.len(),
                        pause_ms = pause.as_millis(),
                        "a batch could not be saved and is tried again"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())) => {}
                        () = give_up.cancelled() => return,
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                    waiting.push(batch);
                }
                Err(Failure::Poison(reason)) => {
                    self.publisher.put_back(published);
                    self.metrics.batch_failure(Consequence::Poison);
                    if batch.len() > 1 {
                        let second = batch.split_off(batch.len() / 2);
                        waiting.push(second);
                        waiting.push(batch);
                    } else if let Some(item) = batch.pop() {
                        waiting.extend(self.put_aside(item, &reason).map(|item| vec![item]));
                    }
                }
            }
        }
    }

    /// After the commit: publish, acknowledge, reply.
    async fn settle(&self, batch: Vec<Item<S>>, done: Done<S>) {
        self.publisher.offer(done.said);
        self.transactor.service.committed(&done.rows);
        for anomaly in done.anomalies {
            self.metrics.anomaly(anomaly);
            tracing::warn!(
                anomaly,
                "something that cannot happen did, and was met with silence"
            );
        }
        for (item, reply) in batch.into_iter().zip(done.replies) {
            match item {
                Item::Fact { kind, message, .. } => {
                    self.metrics.facts_in(&kind, 1);
                    acknowledge(&message).await;
                }
                Item::Letter { letter, message } => {
                    self.metrics.dead_letter(&letter.kind);
                    tracing::error!(
                        letter = letter.id,
                        kind = letter.kind,
                        reason = letter.reason,
                        "a message became a dead letter"
                    );
                    acknowledge(&message).await;
                }
                Item::Command { reply: to, .. } => {
                    // Nobody may be waiting any more; what was done stays done.
                    let _ = to.send(reply.ok_or_else(Problem::internal));
                }
                Item::Due { .. } => self.metrics.timers_fired(1),
                Item::Announcement => {}
            }
        }
    }

    /// What fails alone: a fact becomes a dead letter, a command is answered, a due record is left alone for a while.
    fn put_aside(&self, item: Item<S>, reason: &str) -> Option<Item<S>> {
        tracing::error!(reason, "an input cannot be applied and is put aside");
        match item {
            Item::Fact { message, .. } => Some(Item::Letter {
                letter: Box::new(Letter::of(&message, reason)),
                message,
            }),
            Item::Command { reply, .. } => {
                let _ = reply.send(Err(Problem::internal()));
                None
            }
            Item::Due { key, .. } => {
                let until = Instant::now() + PARKED;
                self.parked
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(format!("{key:?}"), until);
                None
            }
            Item::Letter { .. } | Item::Announcement => None,
        }
    }
}

/// A plain acknowledgement: one that is lost brings the message again, and the inbox drops it.
async fn acknowledge(message: &async_nats::jetstream::Message) {
    if let Err(error) = message.ack().await {
        tracing::debug!(%error, "an acknowledgement was not sent; the message will come again");
    }
}
