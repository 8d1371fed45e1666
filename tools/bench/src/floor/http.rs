//! Requests as long as a trip's, answered at once by a bare server with an answer as long as a trip's. The server on one thread, whoever
//! asks on another, as with the services and their load.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What one request costs.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) client_us: Option<f64>,
    pub(super) server_us: Option<f64>,
}

/// CPU time of this thread alone, where the system tells.
#[cfg(target_os = "linux")]
fn thread_cpu_us() -> Option<f64> {
    super::cpu_us(nix::sys::resource::UsageWho::RUSAGE_THREAD)
}
#[cfg(not(target_os = "linux"))]
fn thread_cpu_us() -> Option<f64> {
    None
}

/// So many ask at the same time, for so long.
pub(super) async fn measure(
    asked: String,
    answer_bytes: usize,
    callers: usize,
    time: Duration,
) -> Result<Requests> {
    let (bound, address) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = std::thread::spawn(move || serve(answer_bytes, bound, stopped));
    let address = address.await.context("the bare server did not start")?;
    let client = std::thread::spawn(move || {
        ask(&format!("http://{address}/bookings"), asked, callers, time)
    });
    let joined = tokio::task::spawn_blocking(move || client.join()).await?;
    let (requests, client_us) = joined.map_err(|_| anyhow!("whoever asks panicked"))??;
    drop(stop);
    let joined = tokio::task::spawn_blocking(move || server.join()).await?;
    let server_us = joined.map_err(|_| anyhow!("the bare server panicked"))??;
    let each = |us: Option<f64>| us.map(|us| us / requests.max(1) as f64);
    Ok(Requests {
        client_us: each(client_us),
        server_us: each(server_us),
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

fn serve(
    answer_bytes: usize,
    bound: oneshot::Sender<std::net::SocketAddr>,
    stopped: oneshot::Receiver<()>,
) -> Result<Option<f64>> {
    let answer = Bytes::from("x".repeat(answer_bytes));
    let handler = move |asked: Bytes| async move {
        drop(asked);
        ([(CONTENT_TYPE, "application/json")], answer)
    };
    runtime()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let _ = bound.send(listener.local_addr()?);
        let serving = axum::serve(listener, Router::new().route("/bookings", post(handler)));
        tokio::select! {
            served = serving => served?,
            _ = stopped => {}
        }
        anyhow::Ok(())
    })?;
    Ok(thread_cpu_us())
}

fn ask(url: &str, asked: String, callers: usize, time: Duration) -> Result<(u64, Option<f64>)> {
    let asked = Bytes::from(asked);
    let requests = runtime()?.block_on(async {
        let http = client::http::local()?
            .pool_max_idle_per_host(usize::MAX)
            .tcp_nodelay(true)
            .build()?;
        let until = Instant::now() + time;
        let callers = (0..callers).map(|_| {
            let (http, url, asked) = (http.clone(), url.to_owned(), asked.clone());
            tokio::spawn(async move {
                let mut requests = 0_u64;
                while Instant::now() < until {
                    let request = http.post(&url).header("content-type", "application/json");
                    let answer = request.header("prefer", "wait=30").body(asked.clone());
                    answer.send().await?.bytes().await?;
                    requests += 1;
                }
                anyhow::Ok(requests)
            })
        });
        let callers: Vec<_> = callers.collect();
        let mut all = 0;
        for caller in callers {
            all += caller.await??;
        }
        anyhow::Ok(all)
    })?;
    Ok((requests, thread_cpu_us()))
}
