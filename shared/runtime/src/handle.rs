//! What a service's HTTP needs of its loop: a way to give it commands, and its database for reading.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use opentelemetry::metrics::Gauge;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::batch::Step;
use crate::database::Database;
use crate::http::EventStreams;
use crate::problem::Problem;
use crate::publisher::Publisher;
use crate::service::{Input, Service};
use crate::settings::Settings;
use crate::telemetry::{Metrics, TraceContext};
use crate::worker::{Completion, Item};

/// How long a caller is kept waiting for a commit: longer than the largest command takes, and short of for ever while the database is away.
const COMMIT_WITHIN: Duration = Duration::from_secs(60);

/// What a service's HTTP needs of its loop.
pub struct Handle<S: Service> {
    pub(crate) service: Arc<S>,
    pub(crate) commands: mpsc::Sender<Item<S>>,
    pub(crate) database: Arc<Database>,
    pub(crate) outbox_depth: Arc<AtomicI64>,
    pub(crate) publisher: Publisher,
    pub(crate) settings: Arc<Settings>,
    pub(crate) stopping: CancellationToken,
    pub(crate) streams: EventStreams,
    pub(crate) metrics: Arc<Metrics>,
}

impl<S: Service> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            commands: self.commands.clone(),
            database: Arc::clone(&self.database),
            outbox_depth: Arc::clone(&self.outbox_depth),
            publisher: self.publisher.clone(),
            settings: Arc::clone(&self.settings),
            stopping: self.stopping.clone(),
            streams: self.streams.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

impl<S: Service> Handle<S> {
    /// The service itself.
    #[must_use]
    pub fn service(&self) -> &Arc<S> {
        &self.service
    }

    /// Its database, for reading.
    #[must_use]
    pub fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// How it is set up.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Waits until the service is told to stop: callers who wait for something are then to be answered.
    pub async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// Its answers that go on.
    #[must_use]
    pub fn streams(&self) -> &EventStreams {
        &self.streams
    }

    /// A gauge of the service's own at `/metrics`; its name begins with the system's namespace.
    #[must_use]
    pub fn gauge(&self, name: &str, description: &'static str) -> Gauge<u64> {
        self.metrics.own_gauge(name, description)
    }

    /// Facts that wait to be published, as last counted.
    #[must_use]
    pub fn outbox_depth(&self) -> i64 {
        self.outbox_depth.load(Ordering::Relaxed)
    }

    /// Whether facts get out to the broker.
    ///
    /// # Errors
    /// When none did for some time although one waits, with the broker's own words.
    pub fn publishes(&self) -> Result<(), String> {
        self.publisher.ready()
    }

    /// Gives the loop a command, waiting for room in its queue, and waits until it is committed.
    ///
    /// # Errors
    /// A problem when the command cannot be applied, when the service is stopping, or when nothing is committed within a minute: then
    /// (503) nobody can say yet whether it will be.
    pub async fn command(
        &self,
        command: S::Command,
        trace: TraceContext,
    ) -> Result<S::Reply, Problem> {
        let (item, reply) = ordered(command, trace);
        let committed = async {
            self.commands.send(item).await.map_err(|_| stopping())?;
            reply.await.map_err(|_| stopping())?
        };
        in_time(committed).await
    }

    /// As [`command`](Self::command), but refused at once when the queue is full: for what may be asked again later.
    ///
    /// # Errors
    /// A problem (503 with Retry-After) when the queue is full; else as [`command`](Self::command).
    pub async fn offer(
        &self,
        command: S::Command,
        trace: TraceContext,
    ) -> Result<S::Reply, Problem> {
        let (item, reply) = ordered(command, trace);
        self.commands.try_send(item).map_err(|_| {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "Too busy",
                "Too many requests are waiting; nothing was done. Try again in a second.",
            )
            .retry_after(1)
        })?;
        in_time(async { reply.await.map_err(|_| stopping())? }).await
    }
}

type Answer<S> = oneshot::Receiver<Result<<S as Service>::Reply, Problem>>;

fn ordered<S: Service>(command: S::Command, trace: TraceContext) -> (Item<S>, Answer<S>) {
    let (reply, answer) = oneshot::channel();
    let step = Step::Command {
        id: Uuid::now_v7(),
        trace,
        input: Input::Command(command),
    };
    ((step, Completion::Reply(reply)), answer)
}

/// What is committed, or the problem that nobody can say yet whether it will be.
pub(crate) async fn in_time<T>(
    committed: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    within(COMMIT_WITHIN, committed).await
}

async fn within<T>(
    time: Duration,
    committed: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let unknown = || {
        let detail = "The service could not write it down in time; its database may be away. It may still be done. Ask again later with the same Idempotency-Key, or look first.";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Problem::new(status, "not-committed", "Not committed yet", detail).retry_after(5)
    };
    let answer = tokio::time::timeout(time, committed).await;
    answer.unwrap_or_else(|_| Err(unknown()))
}

pub(crate) fn stopping() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "stopping",
        "Stopping",
        "This service is stopping and cannot say whether it took the request. Ask again with the same Idempotency-Key.",
    )
    .retry_after(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_a_commit_for_ever() {
        let time = Duration::from_millis(10);
        let never = within::<()>(time, std::future::pending()).await;
        let kind = never.map_err(|problem| (problem.status().as_u16(), problem.kind().to_owned()));
        assert_eq!(kind, Err((503, String::from("not-committed"))));
        assert!(matches!(within(time, async { Ok(1) }).await, Ok(1)));
    }
}
