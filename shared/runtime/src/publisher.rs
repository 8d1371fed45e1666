//! From the outbox to the stream: pipelined, many acknowledgements in flight, beside the next transaction.
//!
//! It deletes nothing: it remembers what the broker acknowledged, and a later batch's transaction deletes it. What it
//! could not publish stays in the outbox until its lease ends and a sweeper, in any replica, takes it up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::context::PublishErrorKind;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::boot::vital;
use crate::broker::Broker;
use crate::event::Event;
use crate::telemetry::{Metrics, Redeclared};

/// Batches that wait for the publisher; more than these are left to the sweeper.
const WAITING_MAX: usize = 256;
/// Acknowledgements in flight.
const IN_FLIGHT_MAX: usize = 2_048;

/// A handle on the publishing task.
#[derive(Clone)]
pub(crate) struct Publisher {
    batches: mpsc::Sender<Vec<Event>>,
    broker: Arc<Broker>,
    /// Acknowledged by the broker, not yet deleted.
    published: Arc<Mutex<Vec<Uuid>>>,
    /// Handed over and neither acknowledged nor given up.
    open: Arc<AtomicUsize>,
}

impl Publisher {
    /// Starts the task; it ends when the last handle is gone.
    pub(crate) fn start(
        broker: Arc<Broker>,
        source: String,
        metrics: Arc<Metrics>,
        lost: &CancellationToken,
    ) -> Self {
        let (batches, waiting) = mpsc::channel(WAITING_MAX);
        let publisher = Self {
            batches,
            broker: Arc::clone(&broker),
            published: Arc::default(),
            open: Arc::default(),
        };
        let task = Task {
            broker,
            source,
            metrics,
            published: Arc::clone(&publisher.published),
            open: Arc::clone(&publisher.open),
            declared: Instant::now(),
        };
        vital(lost, task.run(waiting));
        publisher
    }

    /// Hands facts over without waiting; what there is no room for is the sweeper's.
    pub(crate) fn offer(&self, said: Vec<Event>) {
        let count = said.len();
        if count == 0 {
            return;
        }
        self.open.fetch_add(count, Ordering::Relaxed);
        if self.batches.try_send(said).is_err() {
            self.open.fetch_sub(count, Ordering::Relaxed);
        }
    }

    /// Room for the sweeper's finds.
    pub(crate) fn is_idle(&self) -> bool {
        self.batches.capacity() > WAITING_MAX / 2
    }

    /// What may be deleted now.
    pub(crate) fn take_published(&self) -> Vec<Uuid> {
        std::mem::take(
            &mut *self
                .published
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Gives back what a failed transaction did not delete.
    pub(crate) fn put_back(&self, mut ids: Vec<Uuid>) {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&mut ids);
    }

    /// Whether something may be deleted.
    pub(crate) fn has_published(&self) -> bool {
        !self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Whether nothing is under way, or nothing can be: what is left stays in the outbox.
    pub(crate) fn is_done(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0 || self.broker.ready().is_err()
    }

    /// Whether the broker is there.
    pub(crate) fn is_connected(&self) -> bool {
        self.broker.is_connected()
    }
}

struct Task {
    broker: Arc<Broker>,
    source: String,
    metrics: Arc<Metrics>,
    published: Arc<Mutex<Vec<Uuid>>>,
    open: Arc<AtomicUsize>,
    declared: Instant,
}

impl Task {
    async fn run(mut self, mut waiting: mpsc::Receiver<Vec<Event>>) {
        let mut in_flight = FuturesUnordered::new();
        loop {
            tokio::select! {
                batch = waiting.recv(), if in_flight.len() < IN_FLIGHT_MAX => {
                    let Some(batch) = batch else { break };
                    self.broker.wait_declared().await;
                    for event in batch {
                        let (id, headers, kind) = (event.id, event.headers(&self.source), event.kind);
                        match self.broker.context.publish_with_headers(event.subject, headers, event.payload.into()).await {
                            Ok(acknowledgement) => in_flight.push(async move { (id, kind, acknowledgement.await) }),
                            Err(error) => self.failed(error.kind(), &error.to_string()).await,
                        }
                    }
                }
                Some((id, kind, acknowledgement)) = in_flight.next() => match acknowledgement {
                    Ok(_) => {
                        self.metrics.facts_out(&kind, 1);
                        self.published.lock().unwrap_or_else(PoisonError::into_inner).push(id);
                        self.open.fetch_sub(1, Ordering::Relaxed);
                    }
                    Err(error) => self.failed(error.kind(), &error.to_string()).await,
                },
            }
        }
    }

    /// The row stays in the outbox, and its outcome is unknown. A stream that is gone is declared again at once.
    async fn failed(&mut self, kind: PublishErrorKind, error: &str) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if kind == PublishErrorKind::MaxPayloadExceeded {
            tracing::error!(
                error,
                "a fact is larger than the broker takes; raise its max_payload"
            );
        } else {
            tracing::debug!(error, "a fact was not published; it stays in the outbox");
        }
        if kind == PublishErrorKind::StreamNotFound
            && self.declared.elapsed() > Duration::from_millis(500)
        {
            self.declared = Instant::now();
            if let Err(error) = self.broker.declare_stream().await {
                tracing::warn!(%error, "the stream is gone and cannot be declared yet");
            } else {
                tracing::warn!("the stream was gone and is declared again");
                self.metrics.redeclared(Redeclared::Stream);
            }
        }
    }
}
