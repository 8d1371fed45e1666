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
#[cfg(target_os = "linux")]
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::telemetry::Repeated;

/// How long a request's head may take to arrive, and so how long a connection may lie idle.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long nothing is accepted after something could not be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections beyond the bound that are answered all the same, one request each: probes have to get through, and callers to be told.
const SPARE: u64 = 64;
/// How long such a connection may take to say what it wants.
const SPARE_HEAD_WITHIN: Duration = Duration::from_secs(1);
/// How long an answer may lie unread before the connection ends (Linux).
const UNREAD_WITHIN_MS: u32 = 30_000;
/// The most of a head and of a body that is buffered for one connection, in bytes.
const BUFFER_MAX: usize = 64 * 1024;
/// Files that are left for what is no connection of a caller: database, broker, logs.
const FILES_KEPT: u64 = 64 + SPARE;

/// How many of so many connections this process can have at once: each is an open file. It says so when they are fewer.
pub(crate) fn connections(connections_max: u64) -> u64 {
    let files = files_max();
    let connections = connections_max.min(files.saturating_sub(FILES_KEPT).max(1));
    if connections < connections_max {
        tracing::warn!(
            files,
            connections,
            "{connections} connections at once and not {connections_max}, for this process may have {files} files open: raise that (ulimit -n)"
        );
    }
    connections
}

/// Serves until `drain` is ready, then takes no more connections, finishes what it has begun and returns. Takes so many `connections` at
/// once; those beyond are answered by `crowded`.
///
/// Not `axum::serve`, which waits for the rest of a half-sent request for ever, at any time and when it drains too.
///
/// # Errors
/// None as yet; whoever serves should not have to change when there are some.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    crowded: Router,
    connections: u64,
    drain: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let limits = Limits {
        head_within: HEAD_WITHIN,
        unread_within_ms: UNREAD_WITHIN_MS,
        connections,
    };
    serve_within(limits, listener, router, crowded, drain).await
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

/// What callers may take of a server.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) head_within: Duration,
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "only Linux takes it")
    )]
    pub(super) unread_within_ms: u32,
    pub(super) connections: u64,
}

pub(super) async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    router: Router,
    crowded: Router,
    drain: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let most = limits.connections;
    let mut usual = Server::new(limits, router);
    let few = Limits {
        head_within: SPARE_HEAD_WITHIN,
        connections: SPARE,
        ..limits
    };
    let mut spare = Server::new(few, crowded);
    spare.http.keep_alive(false);
    let mut turned_away = Repeated::default();
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
        let Some(connection) = usual.take(connection, &connections) else {
            continue;
        };
        if let Some(times) = turned_away.say(Instant::now()) {
            tracing::warn!(
                times,
                most,
                "{most} connections are open; {times} more were told to come back (CONNECTIONS_MAX)"
            );
        }
        // Whoever finds no place here either is not told.
        spare.take(connection, &connections);
    }
    drop(listener);
    connections.shutdown().await;
    Ok(())
}

/// So many connections, and what answers them.
struct Server {
    limits: Limits,
    room: Arc<Semaphore>,
    http: http1::Builder,
    router: Router,
}

impl Server {
    fn new(limits: Limits, router: Router) -> Self {
        let most = usize::try_from(limits.connections).unwrap_or(usize::MAX);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.head_within)
            .max_buf_size(BUFFER_MAX);
        Self {
            limits,
            room: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            http,
            router,
        }
    }

    /// Serves a connection, or gives it back when there is no room.
    fn take(&mut self, connection: TcpStream, all: &GracefulShutdown) -> Option<TcpStream> {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            return Some(connection);
        };
        // Answers are small and somebody waits for them.
        _ = connection.set_nodelay(true);
        // Nothing else ends a connection whose caller sends requests and reads no answer.
        #[cfg(target_os = "linux")]
        let _ = setsockopt(
            &connection,
            sockopt::TcpUserTimeout,
            &self.limits.unread_within_ms,
        );
        let service = TowerToHyperService::new(self.router.clone());
        let connection = self
            .http
            .serve_connection(TokioIo::new(connection), service);
        let connection = all.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early: {error}");
            }
        });
        None
    }
}
