//! Whether a load balancer should send requests here. `/livez` is another question: it asks nobody.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::database::Database;
use crate::publisher::Publisher;
use crate::saving::Saving;

/// What is missing for less makes no replica unready: all of them miss it at once, when one broker node of three dies and the others
/// elect a leader (up to nine seconds), or the database's standby takes over; and with all of them out no request would be taken at
/// all. What is asked meanwhile waits.
pub(crate) const BLINK: Duration = Duration::from_secs(15);

/// How long the database is waited for by whoever asks whether we are ready.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);

/// Whether a load balancer should send requests here.
pub(crate) struct Readiness {
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) publisher: Publisher,
    pub(crate) broker: Arc<Broker>,
    pub(crate) database: Arc<Database>,
    pub(crate) saving: Arc<Saving>,
    /// When nothing was missing, as last asked.
    pub(crate) complete: Mutex<Option<Instant>>,
}

impl Readiness {
    /// Asks all parts.
    ///
    /// # Errors
    /// With what is missing, in words.
    pub(crate) async fn ask(self: Arc<Self>) -> Result<(), String> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(String::from("it is draining"));
        }
        let missing = tokio::time::timeout(ANSWER_WITHIN, self.missing()).await;
        let missing = missing.unwrap_or_else(|_| Err(String::from("the database does not answer")));
        let mut complete = self.complete.lock().unwrap_or_else(PoisonError::into_inner);
        match missing {
            Ok(()) => *complete = Some(Instant::now()),
            Err(_) if complete.is_some_and(|then| then.elapsed() < BLINK) => {}
            Err(missing) => return Err(missing),
        }
        drop(complete);
        // These have been waited for already.
        self.saving.ready()?;
        self.publisher.ready()
    }

    async fn missing(&self) -> Result<(), String> {
        self.broker.ready()?;
        self.database
            .answers()
            .await
            .map_err(|error| format!("the database does not answer: {error}"))
    }
}
