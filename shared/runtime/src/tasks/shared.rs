//! What all tasks of a service share. It starts none of them.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::database::Database;
use crate::publisher::Publisher;
use crate::service::Service;
use crate::settings::Settings;
use crate::telemetry::Metrics;
use crate::worker::BackingOff;

/// The parts of a running service.
pub(crate) struct Shared<S: Service> {
    pub(crate) service: Arc<S>,
    pub(crate) database: Arc<Database>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Settings,
    pub(crate) backing_off: BackingOff,
    /// Rows in the outbox, as last counted.
    pub(crate) outbox_depth: Arc<AtomicI64>,
    /// Wakes whoever performs calls: there may be something to start.
    pub(crate) calling: Arc<Notify>,
    /// The service is to stop.
    pub(crate) stop: CancellationToken,
    /// It stops, and has little time left: whoever is not done by himself is to put back what he has.
    pub(crate) hurry: CancellationToken,
    /// A part of it is lost: ends the process.
    pub(crate) lost: CancellationToken,
}

impl<S: Service> Shared<S> {
    /// Waits so long, or until the service is to stop.
    pub(crate) async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.cancelled() => {}
        }
    }
}
