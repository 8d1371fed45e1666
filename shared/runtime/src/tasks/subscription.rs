//! A pull subscription that can be ended without leaving anything fetched behind. It judges no message and declares nothing.
//!
//! async-nats 0.51 has two of its own, and neither can do that: `Stream` asks for more as long as it is read and throws away what the
//! server had already sent when it is dropped, `Batch` does so after a pause of the process that is longer than its request. What is
//! thrown away is delivered again only after `ACK_WAIT_MS`. Here each request is short and the server's answers are counted, so whoever
//! stops asking knows, within [`EXPIRES`], when nothing more can come.

use std::time::Duration;

use anyhow::anyhow;
use async_nats::jetstream::Message;
use async_nats::{StatusCode, Subject, Subscriber};
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::broker::Broker;

/// How long the server keeps a request open: the longest that an orderly end waits.
const EXPIRES: Duration = Duration::from_secs(1);
/// A request without any answer for so long was lost, or the server was.
const SILENCE: Duration = Duration::from_secs(4);
/// How long a silence has to go on to be believed: a process that was frozen finds its timer over before it has read its connection.
const LINGER: Duration = Duration::from_millis(250);

/// What is asked for of one consumer, and what was delivered.
pub(crate) struct Subscription {
    client: async_nats::Client,
    context: async_nats::jetstream::Context,
    subscriber: Subscriber,
    /// Where deliveries go.
    inbox: Subject,
    /// Where requests go.
    requests: String,
    /// Changes with every connection: a new one has forgotten what was asked on the one before.
    connections: watch::Receiver<u64>,
    /// Messages in one request.
    batch: usize,
    /// Messages that were asked for and may still come.
    asked: usize,
}

impl Subscription {
    /// Subscribes to what the consumer has for this service, and asks for nothing yet.
    ///
    /// # Errors
    /// When the client is gone.
    pub(crate) async fn open(broker: &Broker) -> Result<Self, anyhow::Error> {
        let inbox = Subject::from(broker.client.new_inbox());
        let mut connections = broker.connections();
        connections.mark_unchanged();
        Ok(Self {
            client: broker.client.clone(),
            context: broker.context.clone(),
            subscriber: broker.client.subscribe(inbox.clone()).await?,
            inbox,
            requests: broker.requests(),
            connections,
            batch: broker.batch_max() * 2,
            asked: 0,
        })
    }

    /// The next message. Safe to drop while it waits: nothing is lost.
    ///
    /// # Errors
    /// When nothing will come any more until the consumer is declared again; with the broker's words where it has any.
    pub(crate) async fn next(&mut self) -> Result<Message, anyhow::Error> {
        loop {
            if self.asked <= self.batch / 2 {
                self.ask().await?;
            }
            tokio::select! {
                biased;
                message = heard(&mut self.subscriber, SILENCE) => {
                    if let Some(message) = self.take(message?)? {
                        return Ok(message);
                    }
                }
                Ok(()) = self.connections.changed() => self.asked = 0,
            }
        }
    }

    /// What comes of the requests that are open, once no further one is made; none when all of them have ended.
    pub(crate) async fn last(&mut self) -> Option<Message> {
        loop {
            let message = match self.subscriber.next().now_or_never() {
                // Sent before the connection was lost, and so before the count began anew.
                Some(message) => message?,
                None if self.asked == 0 => return None,
                None => heard(&mut self.subscriber, EXPIRES).await.ok()?,
            };
            // The error of one request is no end of the others.
            if let Ok(Some(message)) = self.take(message) {
                return Some(message);
            }
        }
    }

    async fn ask(&mut self) -> Result<(), anyhow::Error> {
        let request =
            serde_json::json!({"batch": self.batch, "expires": EXPIRES.as_nanos() as u64});
        let (subject, inbox) = (self.requests.clone(), self.inbox.clone());
        // Before it is sent: whoever drops this future must not know of less than was asked for.
        self.asked += self.batch;
        self.client
            .publish_with_reply(subject, inbox, request.to_string().into())
            .await?;
        Ok(())
    }

    /// A message, or none when it was the server's word about a request that has ended.
    fn take(&mut self, message: async_nats::Message) -> Result<Option<Message>, anyhow::Error> {
        let Some(status) = message.status.filter(|status| *status != StatusCode::OK) else {
            self.asked = self.asked.saturating_sub(1);
            let context = self.context.clone();
            return Ok(Some(Message { message, context }));
        };
        let headers = message.headers.as_ref();
        // A request that merely ended says how much of it is left.
        let left = headers.and_then(|headers| {
            headers
                .get("Nats-Pending-Messages")?
                .as_str()
                .parse::<usize>()
                .ok()
        });
        let Some(left) = left else {
            let words = message.description.unwrap_or_default();
            return Err(anyhow!("the broker ended it: {status} {words}"));
        };
        self.asked = self.asked.saturating_sub(left);
        Ok(None)
    }
}

/// Whatever comes, unless nothing does for too long.
async fn heard(
    subscriber: &mut Subscriber,
    silence: Duration,
) -> Result<async_nats::Message, anyhow::Error> {
    let message = match timeout(silence, subscriber.next()).await {
        Ok(message) => Ok(message),
        Err(_) => timeout(LINGER, subscriber.next()).await,
    };
    match message {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(anyhow!("the subscription is closed")),
        Err(_) => Err(anyhow!("the broker does not answer")),
    }
}
