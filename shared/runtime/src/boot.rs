//! From settings to a running service, and back: start everything, serve, drain in order.
//!
//! `main` of a service is one call of [`main`], which calls [`run`]; tests start a service with [`start`] on port 0.

mod process;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

pub use process::{main, main_with, run, stop_signal};

use crate::batch::Transactor;
use crate::broker::Broker;
use crate::call::{self, CALL, makes_calls};
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
use crate::tasks::{caller, consumer, gauges, maintenance, sweeper, timers};
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
    /// Has calls that are under way put back.
    hurry: CancellationToken,
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
    let listener = bind(settings.listen).await?;
    let address = listener.local_addr()?;
    let service = Arc::new(service);
    let metrics = Metrics::new(system.namespace, service.name(), about.version)?;
    let database = Database::open(&settings.database_url, &service.migrations()).await?;
    calls_have_their_table::<S>(&database).await?;
    let broker = Broker::connect(service.name(), system, service.filters(), &settings).await?;
    let parts = Parts {
        service,
        database,
        broker,
        metrics: Arc::new(metrics),
        saving: Arc::default(),
        settings,
        http_stop: CancellationToken::new(),
        hurry: CancellationToken::new(),
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
        hurry,
        lost,
        service: _,
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
        hurry,
        give_up,
        http_stop,
        lost,
        http,
        worker,
    })
}

async fn bind(listen: SocketAddr) -> Result<TcpListener, anyhow::Error> {
    let bound = TcpListener::bind(listen).await;
    bound.with_context(|| format!("LISTEN: {listen} cannot be bound; is it taken?"))
}

/// Whether a service that makes calls has the table that they wait in.
async fn calls_have_their_table<S: Service>(database: &Database) -> Result<(), anyhow::Error> {
    if makes_calls::<S>() {
        let calls = database.select(CALL).most(1).count().await;
        calls.context("its calls cannot be read; is runtime::database::calls_migration() among the service's migrations?")?;
    }
    Ok(())
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
    let mut routes = own.merge(crate::dead_letters::routes(handle.clone()));
    if makes_calls::<S>() {
        routes = routes.merge(call::http::routes(Arc::clone(handle.database())));
    }
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
    hurry: CancellationToken,
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
        hurry,
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
    let (answers_in, answers) = mpsc::channel(queue_max);
    let calling = Arc::new(Notify::new());
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
        calling: Arc::clone(&calling),
    };
    let worker = worker.run(
        Inputs {
            facts,
            commands,
            timers,
            answers,
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
        calling,
        stop: stop.clone(),
        hurry: hurry.clone(),
        lost: lost.clone(),
    });
    vital(lost, consumer::run(Arc::clone(&shared), facts_in));
    vital(lost, timers::run(Arc::clone(&shared), timers_in.clone()));
    vital(lost, timers::announce(Arc::clone(&shared), timers_in));
    vital(lost, caller::run(Arc::clone(&shared), answers_in));
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
        // An answer that does not come in time must not cost the others' puttings back, nor a lease.
        if tokio::time::timeout_at(deadline - whole / 8, &mut worker)
            .await
            .is_ok()
        {
            return;
        }
        self.hurry.cancel();
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
