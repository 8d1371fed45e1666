//! The server beneath the shell: connections, their time limits, and how they end.
//!
//! HTTP/1.1 without TLS; whoever needs more puts a proxy before it.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::telemetry::Repeated;

/// How long a request's head may take to arrive, and so how long a connection may lie idle.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long nothing is accepted after something could not be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Files that are left for what is no connection of a caller: database, broker, logs.
const FILES_KEPT: u64 = 128;
/// Serves until `drain` is ready, then takes no more connections, finishes what it has begun and returns. Of callers as many as
/// `connections_max`, or as this process may have files open.
///
/// Not `axum::serve`, which waits for the rest of a half-sent request for ever, at any time and when it drains too.
///
/// # Errors
/// None as yet; whoever serves should not have to change when there are some.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections_max: u64,
    drain: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let limits = Limits {
        head_within: HEAD_WITHIN,
        connections: connections_max.min(files_max().saturating_sub(FILES_KEPT).max(1)),
    };
    serve_within(limits, listener, router, drain).await
}

/// How many files this process may have open: as many as it can have for the asking.
fn files_max() -> u64 {
    let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(_) => return u64::MAX,
    };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

/// What a caller gets for whom there is no room; the connection is closed then.
fn full(most: usize) -> String {
    let detail =
        format!("All {most} connections are taken. Try again in a second, on fewer connections.");
    let problem =
        serde_json::json!({"title": "Too many connections", "status": 503, "detail": detail})
            .to_string();
    let (kind, length) = (crate::problem::CONTENT_TYPE, problem.len());
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nRetry-After: 1\r\nConnection: close\r\n\r\n{problem}"
    )
}

/// What a caller may take of a server.
pub(super) struct Limits {
    pub(super) head_within: Duration,
    pub(super) connections: u64,
}

pub(super) async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    router: Router,
    drain: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let head_within = limits.head_within;
    let most = usize::try_from(limits.connections).unwrap_or(usize::MAX);
    let room = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
    let (full, mut turned_away) = (full(most), Repeated::default());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_within);
    let connections = GracefulShutdown::new();
    let mut drain = pin!(drain);
    loop {
        let connection = tokio::select! {
            connection = listener.accept() => connection,
            () = &mut drain => break,
        };
        let connection = match connection {
            Ok((connection, _)) => connection,
            Err(error) => {
                // Either that caller is gone already, or we have too many files open: both pass.
                tracing::warn!(%error, "a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            // It has not said anything yet, and may miss this: nobody waits until it has.
            _ = connection.try_write(full.as_bytes());
            if let Some(times) = turned_away.say(Instant::now()) {
                tracing::warn!(
                    times,
                    most,
                    "{times} connections were turned away: {most} are open; see CONNECTIONS_MAX"
                );
            }
            continue;
        };
        // Answers are small and somebody waits for them.
        _ = connection.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(connection), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early: {error}");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
    Ok(())
}
