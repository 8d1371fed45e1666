//! All of it together: the file, the switches, the key, HTTP, and an end that drains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::failures::Failures;
use super::secrets::{self, Keys};
use super::store::Store;
use super::webhooks::{self, Teller};
use super::{Options, broken, control};

/// How long requests that are under way may take when it ends.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// What requests share.
#[derive(Clone)]
pub struct App {
    /// The payments.
    pub store: Arc<Store>,
    /// What is to go wrong.
    pub failures: Arc<Failures>,
    /// What lets a request in.
    pub keys: Arc<Keys>,
    /// How long money is held.
    pub hold: Duration,
    /// There is something to tell; none: nobody is told.
    pub webhooks: Option<Arc<Notify>>,
    stop: watch::Receiver<bool>,
}

impl App {
    /// Until the sandbox is to end.
    pub async fn stopped(&self) {
        let mut stop = self.stop.clone();
        // Whoever could say so being gone, it ends as well.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// What went wrong that nobody asked for, for whoever runs it.
    pub fn complain(&self, error: &anyhow::Error) {
        eprintln!("sandbox: {}", client::paint::visible(&format!("{error:#}")));
    }
}

/// A sandbox that runs.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    served: JoinHandle<std::io::Result<()>>,
    told: JoinHandle<()>,
}

impl Running {
    /// Takes no more requests, answers those under way, and ends.
    ///
    /// # Errors
    /// When it did not end well.
    pub async fn stop(self) -> Result<()> {
        self.stop.send_replace(true);
        let Self { served, told, .. } = self;
        let ended = tokio::time::timeout(DRAIN_WITHIN, async { (served.await, told.await) });
        if let Ok((served, _)) = ended.await {
            served.context("the sandbox did not end well")??;
        }
        Ok(())
    }
}

/// Starts one.
///
/// # Errors
/// When a file cannot be opened or made, or the address is taken.
pub async fn start(options: &Options) -> Result<Running> {
    let keys = Keys::open(&options.key_file)?;
    let teller = match &options.webhook_url {
        Some(url) => {
            let secret = secrets::read_or_make(&options.webhook_secret_file, "whsec_")?;
            Some(Arc::new(Teller::new(url, secret)?))
        }
        None => None,
    };
    let store = Store::open(&options.data).await?;
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("--listen: {} cannot be bound; is it taken?", options.listen))?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let app = App {
        store: Arc::new(store),
        failures: Arc::default(),
        keys: Arc::new(keys),
        hold: options.authorisation(),
        webhooks: teller.is_some().then(Arc::default),
        stop: stopped,
    };
    let told = tokio::spawn(webhooks::run(app.clone(), teller));
    let router = Router::new()
        .merge(control::routes())
        .fallback(broken::answer)
        .with_state(app.clone());
    let served = axum::serve(listener, router).with_graceful_shutdown(async move {
        app.stopped().await;
    });
    Ok(Running {
        address,
        stop,
        served: tokio::spawn(served.into_future()),
        told,
    })
}

/// Now, in milliseconds since 1970.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
