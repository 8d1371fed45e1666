//! From settings to a running service, and back: start everything, serve, drain in order.
//!
//! `main` of a service is one call of [`main`], which calls [`run`]; tests start a service with [`start`] on port 0.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::batch::Transactor;
use crate::broker::Broker;
use crate::database::Database;
use crate::handle::Handle;
use crate::http::{self, About};
use crate::publisher::Publisher;
use crate::readiness::Readiness;
use crate::saving::Saving;
use crate::service::Service;
use crate::settings::Settings;
use crate::system::System;
use crate::tasks::shared::Shared;
use crate::tasks::{consumer, gauges, maintenance, sweeper, timers};
use crate::telemetry::Metrics;
use crate::vital::vital;
use crate::worker::{BackingOff, Inputs, Worker};

/// A service that runs.
pub struct Running {
    /// Where it serves HTTP.
    pub address: SocketAddr,
    draining: Arc<AtomicBool>,
    settings: Settings,
    /// Stops the tasks and, after them, the loop.
    stop: CancellationToken,
    give_up: CancellationToken,
    http_stop: CancellationToken,
    lost: CancellationToken,
    http: JoinHandle<std::io::Result<()>>,
    worker: JoinHandle<()>,
}

/// Starts a service: schema, broker, loop, HTTP.
///
/// # Errors
/// When the database can't be opened, the address is taken, or a setting can't be used; in words that say what to do.
pub async fn start<S: Service>(
    service: S,
    system: System,
    about: About,
    settings: Settings,
    api: impl FnOnce(Handle<S>) -> OpenApiRouter,
) -> Result<Running, anyhow::Error> {
    settings.check().map_err(anyhow::Error::msg)?;
    let settings = Settings {
        connections_max: http::connections(settings.connections_max),
        ..settings
    };
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("LISTEN: {} cannot be bound; is it taken?", settings.listen))?;
    let address = listener.local_addr()?;
    let service = Arc::new(service);
    let metrics = Arc::new(Metrics::new(
        system.namespace,
        service.name(),
        about.version,
    )?);
    let database = Database::open(&settings.database_url, &service.migrations()).await?;
    let broker = Broker::connect(service.name(), system, service.filters(), &settings).await?;
    let parts = Parts {
        service,
        database,
        broker,
        metrics,
        saving: Arc::default(),
        settings,
        http_stop: CancellationToken::new(),
        lost: CancellationToken::new(),
    };
    let (handle, worker, stop, give_up) = start_loop(&parts);
    let Parts {
        database,
        broker,
        metrics,
        saving,
        settings,
        http_stop,
        lost,
        ..
    } = parts;
    let draining = Arc::new(AtomicBool::new(false));
    let readiness = Arc::new(Readiness {
        draining: Arc::clone(&draining),
        publisher: handle.publisher.clone(),
        broker,
        database,
        saving,
        complete: Mutex::default(),
    });
    let own = api(handle.clone());
    let router = router(handle, own, system.namespace, about, metrics, readiness);
    let http = tokio::spawn(http::serve(
        listener,
        router,
        http::crowded(system.namespace),
        settings.connections_max,
        http_stop.clone().cancelled_owned(),
    ));
    Ok(Running {
        address,
        draining,
        settings,
        stop,
        give_up,
        http_stop,
        lost,
        http,
        worker,
    })
}

/// A service's own routes and those of every service, with the shell around them.
fn router<S: Service>(
    handle: Handle<S>,
    own: OpenApiRouter,
    namespace: &'static str,
    about: About,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
) -> Router {
    let routes = own.merge(crate::dead_letters::routes(handle.clone()));
    let hosts = http::Hosts::new(handle.service().name(), &handle.settings().hosts);
    let names = http::Names {
        namespace,
        about,
        hosts,
    };
    let ready = move || Arc::clone(&readiness).ask();
    let describe = move |mut document| {
        let handle = handle.clone();
        async move {
            let (service, database) = (handle.service(), handle.database());
            let described = service.describe(database, &mut document).await;
            described.map(|()| document)
        }
    };
    http::shell(routes, names, metrics, ready, describe)
}

/// What every part of a service shares.
struct Parts<S: Service> {
    service: Arc<S>,
    database: Arc<Database>,
    broker: Arc<Broker>,
    metrics: Arc<Metrics>,
    saving: Arc<Saving>,
    settings: Settings,
    http_stop: CancellationToken,
    lost: CancellationToken,
}

/// Starts the loop, and the tasks beside it. The first token stops the tasks and, once no fact can come any more, the loop; the second
/// one stops it where it is.
fn start_loop<S: Service>(
    parts: &Parts<S>,
) -> (
    Handle<S>,
    JoinHandle<()>,
    CancellationToken,
    CancellationToken,
) {
    let Parts {
        service,
        database,
        broker,
        metrics,
        saving,
        settings,
        http_stop,
        lost,
    } = parts;
    metrics.known(&service.kinds());
    let publisher = Publisher::start(
        Arc::clone(broker),
        format!("/{}", service.name()),
        Settings::ms(settings.outbox_lease_ms),
        Arc::clone(metrics),
        lost,
    );
    let queue_max = usize::try_from(settings.queue_max).unwrap_or(2_048);
    let (facts_in, facts) = mpsc::channel(queue_max);
    let (commands_in, commands) = mpsc::channel(queue_max);
    let (timers_in, timers) = mpsc::channel(queue_max);
    let (stop, give_up) = (CancellationToken::new(), CancellationToken::new());
    let backing_off = BackingOff::default();
    let worker = Worker {
        transactor: Transactor::new(
            Arc::clone(service),
            Arc::clone(database),
            settings.outbox_lease_ms,
        ),
        publisher: publisher.clone(),
        broker: Arc::clone(broker),
        metrics: Arc::clone(metrics),
        saving: Arc::clone(saving),
        backing_off: Arc::clone(&backing_off),
        batch_max: usize::try_from(settings.batch_max).unwrap_or(512),
    };
    let worker = worker.run(
        Inputs {
            facts,
            commands,
            timers,
        },
        stop.clone(),
        give_up.clone(),
    );
    let worker = vital(lost, worker);
    let shared = Arc::new(Shared {
        service: Arc::clone(service),
        database: Arc::clone(database),
        broker: Arc::clone(broker),
        publisher,
        metrics: Arc::clone(metrics),
        settings: settings.clone(),
        backing_off,
        outbox_depth: Arc::default(),
        stop: stop.clone(),
        lost: lost.clone(),
    });
    vital(lost, consumer::run(Arc::clone(&shared), facts_in));
    vital(lost, timers::run(Arc::clone(&shared), timers_in.clone()));
    vital(lost, timers::announce(Arc::clone(&shared), timers_in));
    vital(lost, sweeper::run(Arc::clone(&shared)));
    vital(lost, maintenance::run(Arc::clone(&shared)));
    let queue = commands_in.downgrade();
    let depth = move || {
        queue
            .upgrade()
            .map_or(0, |queue| queue.max_capacity() - queue.capacity())
    };
    vital(lost, gauges::run(Arc::clone(&shared), depth));
    let handle = Handle {
        service: Arc::clone(service),
        commands: commands_in,
        database: Arc::clone(database),
        outbox_depth: Arc::clone(&shared.outbox_depth),
        publisher: shared.publisher.clone(),
        settings: Arc::new(settings.clone()),
        stopping: http_stop.clone(),
        streams: http::EventStreams::new(settings.connections_max, http_stop.clone()),
        metrics: Arc::clone(metrics),
    };
    (handle, worker, stop, give_up)
}

impl Running {
    /// Waits until the service is no use any more and has to be started again: a part of it panicked.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Stops in order: unready, wait for the balancer, finish requests, take no more facts, publish, leave. Bounded by
    /// DRAIN_NOTICE_MS, DRAIN_TIMEOUT_MS and 5 s together; what is not done by then stays in the database for the next start.
    pub async fn drain(self) {
        self.draining.store(true, Ordering::Relaxed);
        tokio::time::sleep(Settings::ms(self.settings.drain_notice_ms)).await;
        let whole = Settings::ms(self.settings.drain_timeout_ms);
        let deadline = tokio::time::Instant::now() + whole;
        self.http_stop.cancel();
        let mut http = self.http;
        // A caller who never sends the rest of a request must not use up the time that the loop needs.
        if tokio::time::timeout(whole / 2, &mut http).await.is_err() {
            http.abort();
        }
        self.stop.cancel();
        let mut worker = self.worker;
        if tokio::time::timeout_at(deadline, &mut worker)
            .await
            .is_err()
        {
            tracing::warn!("draining took too long; what is left is taken up at the next start");
            self.give_up.cancel();
            // A transaction is never cancelled: it ends or fails by itself.
            let _ = tokio::time::timeout(Duration::from_secs(5), &mut worker).await;
        }
    }
}

/// Waits for SIGINT or SIGTERM.
///
/// # Errors
/// When the signals can't be listened to.
pub async fn stop_signal() -> Result<(), anyhow::Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Runs a service of this name and version until it is told to stop, then drains it.
///
/// # Errors
/// When it can't be started, in words that say what to do.
pub async fn run<F>(
    service: &'static str,
    version: &'static str,
    settings: Settings,
    start: impl FnOnce(Settings) -> F,
) -> Result<(), anyhow::Error>
where
    F: Future<Output = Result<Running, anyhow::Error>>,
{
    let telemetry = crate::telemetry::init(service, version, &settings.log, settings.log_format)?;
    // From the first moment: in a container, process 1 is deaf to a signal that it does not ask for.
    let mut stop = pin!(stop_signal());
    let running = tokio::select! {
        running = start(settings) => running?,
        stop = &mut stop => return stop,
    };
    tracing::info!(service, address = %running.address, "serving");
    let lost = tokio::select! {
        stop = &mut stop => { stop?; false }
        () = running.lost() => true,
    };
    tracing::info!(service, "draining");
    running.drain().await;
    tracing::info!(service, "stopped");
    // The exporter blocks while it sends its last spans.
    tokio::task::spawn_blocking(move || telemetry.shutdown()).await?;
    anyhow::ensure!(!lost, "a part of it panicked; start it again");
    Ok(())
}

/// A service's whole `main`: settings from flags and environment, then [`run`]. Exits 2 on settings that can't be read.
pub fn main<F>(
    service: &'static str,
    version: &'static str,
    start: impl FnOnce(Settings) -> F,
) -> std::process::ExitCode
where
    F: Future<Output = Result<Running, anyhow::Error>>,
{
    main_with(service, version, |settings, NoMore {}| start(settings))
}

/// Settings of a service that has none of its own.
#[derive(clap::Args)]
struct NoMore {}

/// As [`main`], for a service with settings of its own beside those of every service.
pub fn main_with<O: clap::Args, F>(
    service: &'static str,
    version: &'static str,
    start: impl FnOnce(Settings, O) -> F,
) -> std::process::ExitCode
where
    F: Future<Output = Result<Running, anyhow::Error>>,
{
    use clap::{Args as _, FromArgMatches as _};
    let command = Settings::augment_args(clap::Command::new(service).version(version));
    let command = O::augment_args(command)
        .subcommand_negates_reqs(true)
        .subcommand(
            clap::Command::new("health")
                .about("Ask the one that runs at LISTEN whether it is ready; ends with 0 if it is"),
        );
    let matches = command.get_matches();
    let done = if matches.subcommand_name() == Some("health") {
        let listen = matches.get_one("listen").copied();
        listen.map_or_else(
            || Err(anyhow::anyhow!("LISTEN is not set")),
            crate::health::ask,
        )
    } else {
        let settings = Settings::from_arg_matches(&matches);
        let own = O::from_arg_matches(&matches);
        let (settings, own) = match settings.and_then(|settings| Ok((settings, own?))) {
            Ok(settings) => settings,
            Err(error) => error.exit(),
        };
        let start = |settings| start(settings, own);
        tokio::runtime::Runtime::new()
            .map_err(anyhow::Error::from)
            .and_then(|runtime| runtime.block_on(run(service, version, settings, start)))
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "stopped");
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("{service}: {error:#}\n"),
            );
            std::process::ExitCode::FAILURE
        }
    }
}
