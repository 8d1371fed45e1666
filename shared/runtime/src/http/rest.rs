//! Reads on what a caller still sends when the answer is an error already.
//!
//! A server that answers "too large" and closes resets the connection while the caller writes, and now and then the caller then
//! never sees the answer (3 in 100 at 1 MB). So what is left of a large body is read and thrown away, up to a bound.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::http::header;
use futures::stream::{self, Fuse};
use futures::{Stream, StreamExt};

use super::BODY_LIMIT;

/// How much is thrown away, and how long that may take, before the connection closes after all.
const MAX: usize = 64 * 1024 * 1024;
const WITHIN: Duration = Duration::from_secs(5);

/// What the handler leaves of a request's body.
pub(super) struct Rest(Arc<Mutex<Fuse<BodyDataStream>>>);

/// Keeps a hold on the body if it is large, or of unknown size. Not if the caller waits to be asked for it (`Expect`).
pub(super) fn hold(request: Request) -> (Request, Option<Rest>) {
    let small = |size: u64| size <= BODY_LIMIT as u64;
    if request.body().size_hint().upper().is_some_and(small)
        || request.headers().contains_key(header::EXPECT)
    {
        return (request, None);
    }
    let (parts, body) = request.into_parts();
    let shared = Arc::new(Mutex::new(body.into_data_stream().fuse()));
    let rest = Rest(Arc::clone(&shared));
    let body = Body::from_stream(stream::poll_fn(move |context| {
        Pin::new(&mut *shared.lock().unwrap_or_else(PoisonError::into_inner)).poll_next(context)
    }));
    (Request::from_parts(parts, body), Some(rest))
}

impl Rest {
    /// Reads until the end, an error, or the bound.
    pub(super) async fn throw_away(self) {
        let mut left = stream::poll_fn(|context| {
            Pin::new(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).poll_next(context)
        });
        let read = async {
            let mut size = 0;
            while let Some(Ok(chunk)) = left.next().await {
                size += chunk.len();
                if size > MAX {
                    break;
                }
            }
        };
        // Out of time is out of luck: the answer goes out, and may be lost.
        _ = tokio::time::timeout(WITHIN, read).await;
    }
}
