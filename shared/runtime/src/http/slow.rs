//! Bounds how long a request's body may take as a whole: a byte now and then keeps no connection.
//!
//! Not how large it may be, which is each route's own limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use futures::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

/// How long a body may take before its speed counts.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// The least speed after that, in bytes a second: a slow mobile network's.
const LEAST_BYTES_PER_S: u64 = 4 * 1024;

/// Whether a request's body was given up on.
pub(super) struct Slow(Arc<AtomicBool>);

impl Slow {
    /// Whether it was.
    pub(super) fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Ends a body with an error once it is late.
pub(super) fn bound(request: Request, patience: Duration) -> (Request, Slow) {
    let given_up = Arc::new(AtomicBool::new(false));
    let slow = Slow(Arc::clone(&given_up));
    if request.body().is_end_stream() {
        return (request, slow);
    }
    let (parts, body) = request.into_parts();
    let started = Instant::now();
    let state = Some((body.into_data_stream(), 0));
    let chunks = stream::unfold(state, move |state| {
        let given_up = Arc::clone(&given_up);
        async move {
            let (mut chunks, received) = state?;
            let allowed = patience + Duration::from_secs(received / LEAST_BYTES_PER_S);
            match timeout_at(started + allowed, chunks.next()).await {
                Ok(Some(Ok(chunk))) => {
                    let received = received + chunk.len() as u64;
                    Some((Ok(chunk), Some((chunks, received))))
                }
                Ok(Some(Err(error))) => Some((Err(error), None)),
                Ok(None) => None,
                Err(_) => {
                    given_up.store(true, Ordering::Relaxed);
                    Some((Err(axum::Error::new("the body came too slowly")), None))
                }
            }
        }
    });
    (Request::from_parts(parts, Body::from_stream(chunks)), slow)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use axum::body::Bytes;

    use super::*;

    /// So many chunks, one each 20 ms.
    fn dripping(chunks: usize, chunk: &'static [u8]) -> Body {
        Body::from_stream(stream::iter(0..chunks).then(move |_| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, axum::Error>(Bytes::from_static(chunk))
        }))
    }

    async fn read(body: Body) -> (Result<usize, axum::Error>, bool) {
        let request = axum::http::Request::builder().body(body).unwrap();
        let (request, slow) = bound(request, Duration::from_millis(100));
        let read = axum::body::to_bytes(request.into_body(), usize::MAX).await;
        (read.map(|bytes| bytes.len()), slow.is_given_up())
    }

    #[tokio::test]
    async fn a_body_that_drips_is_given_up_and_one_that_flows_is_not() {
        let (read_by, given_up) = read(dripping(500, b"x")).await;
        assert!(read_by.is_err() && given_up);
        // Slower than its patience in all, and fast enough.
        let (read_by, given_up) = read(dripping(10, &[0; 8 * 1024])).await;
        assert_eq!((read_by.unwrap(), given_up), (10 * 8 * 1024, false));
        let (read_by, given_up) = read(Body::empty()).await;
        assert_eq!((read_by.unwrap(), given_up), (0, false));
    }
}
