//! Answers that go on: server-sent events (`text/event-stream`), with what they have in common: how many there may be, that a dead peer
//! shows, and that they end when the service does.
//!
//! What an event is, and where somebody who was cut off goes on, is the service's to say.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::Query;
use crate::problem::Problem;

/// How often a stream on which nothing happens says so: often enough for proxies that cut off what is silent for a minute.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// How long whoever was cut off waits before it comes back.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// One connection in so many may be a stream: the others are for those who ask.
const SHARE: u64 = 4;

/// The streams of one service.
#[derive(Clone, Debug)]
pub struct EventStreams {
    room: Arc<Semaphore>,
    most: usize,
    stopping: CancellationToken,
}

impl EventStreams {
    pub(crate) fn new(connections_max: u64, stopping: CancellationToken) -> Self {
        let most = usize::try_from((connections_max / SHARE).max(1)).unwrap_or(usize::MAX);
        Self {
            room: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            most,
            stopping,
        }
    }

    /// Answers with these events, until they end, the caller leaves or the service stops. They are asked for one by one, and only as
    /// fast as the caller reads. `id` is where somebody goes on who is cut off before the first of them.
    ///
    /// # Errors
    /// 503 with `Retry-After` when there are too many streams already.
    pub fn answer(
        &self,
        id: &str,
        events: impl Stream<Item = Event> + Send + 'static,
    ) -> Result<Response, Problem> {
        let place = Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            let most = self.most;
            let detail = format!(
                "All {most} streams of events are taken. Try again in a few seconds, or ask without one."
            );
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Problem::new(status, "too-many-streams", "Too many streams", detail).retry_after(5)
        })?;
        let first = Event::default().retry(RETRY_AFTER).id(id);
        let events = stream::iter([first])
            .chain(events)
            .take_until(self.stopping.clone().cancelled_owned())
            .map(move |event| {
                let _place = &place;
                Ok::<_, Infallible>(event)
            });
        let heartbeat = KeepAlive::new().interval(HEARTBEAT_EVERY);
        let headers = [
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            // A proxy that gathers an answer before it passes it on would keep every event to itself.
            (
                HeaderName::from_static("x-accel-buffering"),
                HeaderValue::from_static("no"),
            ),
        ];
        Ok((headers, Sse::new(events).keep_alive(heartbeat)).into_response())
    }
}

/// Where a caller who was cut off goes on: the header `Last-Event-ID`, which a browser sends when it comes back, or the parameter `after`
/// for whoever cannot set a header. The header counts: the address of a browser's stream stays what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEventId(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct After {
            after: Option<String>,
        }
        let Query(After { after }) = Query::from_request_parts(parts, state).await?;
        let header = parts.headers.get("last-event-id");
        let header = header.filter(|id| !id.is_empty());
        let header = header.map(|id| id.to_str().map_err(|_| Self::unusable()).map(str::to_owned));
        Ok(Self(header.transpose()?.or(after)))
    }
}

impl LastEventId {
    /// The problem with an id that is not of that stream.
    #[must_use]
    pub fn unusable() -> Problem {
        let detail = "The id is not of this stream of events; pass on the `id` of the last event that came, or leave it out to begin anew.";
        let status = StatusCode::BAD_REQUEST;
        Problem::new(status, "event-id", "Unusable event id", detail)
    }
}
