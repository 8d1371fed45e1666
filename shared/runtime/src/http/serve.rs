//! The server beneath the shell: connections, their time limits, and how they end.
//!
//! HTTP/1.1 without TLS; whoever needs more puts a proxy before it.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

/// How long a request's head may take to arrive, and so how long a connection may lie idle.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long nothing is accepted after something could not be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `drain` is ready, then takes no more connections, finishes what it has begun and returns.
///
/// Not `axum::serve`, which waits for the rest of a half-sent request for ever, at any time and when it drains too.
///
/// # Errors
/// None as yet; whoever serves should not have to change when there are some.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    drain: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_heads_within(HEAD_WITHIN, listener, router, drain).await
}

pub(super) async fn serve_heads_within(
    head_within: Duration,
    listener: TcpListener,
    router: Router,
    drain: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
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
        // Answers are small and somebody waits for them.
        _ = connection.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(connection), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early: {error}");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
    Ok(())
}
