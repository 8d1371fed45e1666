//! JetStream as the services use it: one stream that is a window, one durable consumer for each service, both declared
//! again whenever they are found missing. The broker is a fast messenger that may forget; nothing here is the truth.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow, bail};
use async_nats::client::FlushErrorKind;
use async_nats::connection::State;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::CreateStreamErrorKind;
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, Event};
use futures::FutureExt as _;
use tokio::sync::watch;

use crate::settings::Settings;
use crate::system::System;

/// Raised by one whenever the consumer's configuration changes: of two versions side by side the newer one wins.
pub const CONSUMER_CONFIG: u32 = 1;
/// Where a consumer's metadata have that number.
#[must_use]
pub fn config_key(system: System) -> String {
    format!("{}-config", system.namespace)
}
/// The oldest server that has all that is asked for.
pub const SERVER_FLOOR: (u32, u32) = (2, 11);
/// The pause between two looks for a missing connection, and how many looks there are before it is reported.
const CONNECT_LOOK: Duration = Duration::from_millis(20);
const CONNECT_LOOKS: u32 = 150;
/// How long an acknowledgement of a publish is still listened for that did not come in time.
pub(crate) const LATE: Duration = Duration::from_secs(30);
const NOT_DECLARED: &str = "the consumer is not declared yet";

/// The connection to the broker, and what this service needs to be there.
pub struct Broker {
    pub(crate) client: Client,
    /// How many connections there have been: each new one has forgotten what was asked on the one before.
    connections: watch::Receiver<u64>,
    pub(crate) context: Context,
    /// The same for publishing, which has more patience.
    pub(crate) publishing: Context,
    system: System,
    consumer: String,
    filters: Vec<String>,
    settings: Settings,
    /// What keeps stream and consumer from being there; nothing once they are.
    missing: watch::Sender<Option<String>>,
    /// The broker's time of the last fact that was applied, in microseconds since 1970; 0 before the first.
    heard_us: AtomicI64,
    /// Facts that wait in the stream for this service, as last counted.
    pending: AtomicU64,
}

impl Broker {
    /// Connects; keeps trying for ever, in the background, when the broker is not there yet.
    ///
    /// # Errors
    /// When the URL can't be read.
    pub async fn connect(
        service: &str,
        system: System,
        filters: Vec<String>,
        settings: &Settings,
    ) -> Result<Arc<Self>, anyhow::Error> {
        let (connected, connections) = watch::channel(0);
        let client = client(service, settings, connected).await?;
        let context = jetstream::ContextBuilder::new()
            .timeout(Duration::from_secs(5))
            .build(client.clone());
        let publishing = jetstream::ContextBuilder::new()
            .timeout(LATE)
            // Never waited for: the publisher has a smaller window of its own, and a few that are late.
            .max_ack_inflight(16_384)
            .backpressure_on_inflight(false)
            .build(client.clone());
        Ok(Arc::new(Self {
            client,
            connections,
            context,
            publishing,
            system,
            consumer: service.to_owned(),
            filters,
            settings: settings.clone(),
            missing: watch::Sender::new(Some(String::from(NOT_DECLARED))),
            heard_us: AtomicI64::new(0),
            pending: AtomicU64::new(0),
        }))
    }

    /// Ready: connected, with stream and consumer declared.
    ///
    /// # Errors
    /// With what is missing, in words.
    pub fn ready(&self) -> Result<(), String> {
        if !self.is_connected() {
            return Err(format!(
                "NATS is not reached at {}",
                shown(&self.settings.nats_url)
            ));
        }
        match self.missing.borrow().clone() {
            Some(missing) => Err(missing),
            None => Ok(()),
        }
    }

    /// How long handing a fact over may take, and then its acknowledgement: half the lease each, 5 s at most. It may wait before.
    pub(crate) fn ack_within(&self) -> Duration {
        (Settings::ms(self.settings.outbox_lease_ms) / 2).min(Duration::from_secs(5))
    }

    /// A fact was applied that the broker stored at this time.
    pub(crate) fn heard(&self, stored_us: i64) {
        self.heard_us.fetch_max(stored_us, Ordering::Relaxed);
    }

    /// Whether facts wait for this service, and the last one applied was stored longer ago than `by`: an answer may be among them.
    pub(crate) fn is_behind(&self, by: Duration, now_us: i64) -> bool {
        let heard_us = self.heard_us.load(Ordering::Relaxed);
        let by_us = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let behind_us = now_us.saturating_sub(heard_us);
        self.pending.load(Ordering::Relaxed) > 0 && heard_us > 0 && behind_us > by_us
    }

    /// Waits until stream and consumer are there: what is published before reaches nobody.
    pub(crate) async fn wait_declared(&self) {
        // The sender is ours, so it cannot be gone.
        let _ = self.missing.subscribe().wait_for(Option::is_none).await;
    }

    /// Waits a moment for the connection.
    async fn connected(&self) -> Result<(), anyhow::Error> {
        for _ in 0..CONNECT_LOOKS {
            if self.is_connected() {
                return Ok(());
            }
            tokio::time::sleep(CONNECT_LOOK).await;
        }
        bail!("NATS is not reached at {}", shown(&self.settings.nats_url))
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Which connection it is: the next one has the next number.
    pub(crate) fn connections(&self) -> watch::Receiver<u64> {
        self.connections.clone()
    }

    /// Waits until the broker has what was sent to it, acknowledgements among it, but not long.
    pub(crate) async fn flush(&self) {
        if self.is_connected() {
            let _ = tokio::time::timeout(Duration::from_secs(1), self.client.flush()).await;
        }
    }

    /// Where a request for the consumer's next messages goes.
    pub(crate) fn requests(&self) -> String {
        let (stream, consumer) = (self.system.stream, &self.consumer);
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}")
    }

    /// The most facts in one batch of the loop.
    pub(crate) fn batch_max(&self) -> usize {
        usize::try_from(self.settings.batch_max).unwrap_or(512)
    }

    /// Whether this service listens for a subject.
    pub(crate) fn hears(&self, subject: &str) -> bool {
        let matches = |filter: &String| {
            let (mut wanted, mut found) = (filter.split('.'), subject.split('.'));
            loop {
                match (wanted.next(), found.next()) {
                    (Some(">"), Some(_)) | (None, None) => return true,
                    (Some(wanted), Some(found)) if wanted == "*" || wanted == found => {}
                    _ => return false,
                }
            }
        };
        self.filters.iter().any(matches)
    }

    /// Whether the client's own task has ended: async-nats 0.51 panics on a header with a bare carriage return in it, still
    /// calls itself connected, and never is again.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.client.flush().now_or_never(), Some(Err(error)) if error.kind() == FlushErrorKind::SendError)
    }

    /// Declares stream and consumer where they are missing, and hands out the consumer. A consumer that is made anew hears what was
    /// stored since `heard_us` (microseconds since 1970), or since the last fact that this process applied, less the acknowledgement
    /// wait: what had been delivered and not applied is not older. Without either it hears the whole window.
    ///
    /// By time and never by sequence: a broker that lost its store begins to count anew.
    ///
    /// # Errors
    /// When the broker does not answer, is too old, or has no JetStream.
    pub async fn declare(&self, heard_us: Option<i64>) -> Result<PullConsumer, anyhow::Error> {
        self.missing.send_if_modified(|missing| {
            let there = missing.is_none();
            if there {
                *missing = Some(String::from(NOT_DECLARED));
            }
            there
        });
        let declared = self.declare_both(heard_us).await;
        let missing = declared.as_ref().err().map(|error| format!("{error:#}"));
        self.missing.send_replace(missing);
        declared
    }

    async fn declare_both(&self, heard_us: Option<i64>) -> Result<PullConsumer, anyhow::Error> {
        self.connected().await?;
        check_version(&self.client.server_info().version)?;
        self.declare_stream().await?;
        let mut wanted =
            consumer_config(self.system, &self.consumer, &self.filters, &self.settings);
        wanted.deliver_policy = self.since(heard_us);
        let stream = self
            .context
            .get_stream_no_info(self.system.stream)
            .await
            .map_err(|e| anyhow!("{e}"))?;
        let consumer: PullConsumer = stream
            .get_or_create_consumer(&self.consumer, wanted.clone())
            .await
            .with_context(|| format!("the consumer {} cannot be declared", self.consumer))?;
        let config = &consumer.cached_info().config;
        let found = config
            .metadata
            .get(&config_key(self.system))
            .and_then(|n| n.parse::<u32>().ok())
            .unwrap_or(0);
        if found >= CONSUMER_CONFIG {
            return Ok(consumer);
        }
        // Where it began cannot be changed.
        wanted.deliver_policy = config.deliver_policy;
        self.context
            .update_consumer_on_stream(wanted, self.system.stream)
            .await
            .context("the consumer cannot be updated")
    }

    fn since(&self, heard_us: Option<i64>) -> DeliverPolicy {
        let here_us = self.heard_us.load(Ordering::Relaxed);
        let heard_us = if here_us > 0 { Some(here_us) } else { heard_us };
        let since = heard_us.and_then(|heard_us| {
            let heard = Duration::from_micros(u64::try_from(heard_us).ok()?);
            let since = heard.saturating_sub(Settings::ms(self.settings.ack_wait_ms));
            SystemTime::UNIX_EPOCH.checked_add(since)
        });
        since.map_or(DeliverPolicy::All, |since| DeliverPolicy::ByStartTime {
            start_time: since.into(),
        })
    }

    /// Declares the stream where it is missing. An existing one is left as its operator set it up.
    pub(crate) async fn declare_stream(&self) -> Result<(), anyhow::Error> {
        let declared = self
            .context
            .get_or_create_stream(stream_config(self.system, &self.settings))
            .await;
        let Err(error) = declared else { return Ok(()) };
        if let CreateStreamErrorKind::JetStream(error) = error.kind()
            && error.error_code() == ErrorCode::STORAGE_RESOURCES_EXCEEDED
        {
            bail!("{}", self.too_large().await);
        }
        let name = self.system.stream;
        Err(error).with_context(|| format!("the stream {name} cannot be declared"))
    }

    /// The stream reserves more than the broker has. How much that is it says only where the account has a limit; else it is three
    /// quarters of what was free on its disk when it started.
    async fn too_large(&self) -> String {
        let wanted = self.settings.stream_max_bytes;
        let account = self.context.query_account().await.ok();
        let left = account.and_then(|account| {
            let reserved = i64::try_from(account.reserved_storage).ok()?;
            Some(account.limits.max_storage?.saturating_sub(reserved))
        });
        let fits = match left {
            Some(left) => format!("set it to {left} at most"),
            None => String::from(
                "set it lower (a broker offers three quarters of what is free on its disk when it starts, less what other streams reserve)",
            ),
        };
        format!(
            "STREAM_MAX_BYTES: the broker has no room to reserve {wanted} bytes for the stream {}: {fits}, or give the broker a larger disk or max_file_store",
            self.system.stream
        )
    }

    /// How many messages the consumer has yet to deliver, and how many sequence numbers past its last delivery have
    /// fallen out of the stream.
    pub(crate) async fn lag(&self) -> Result<(u64, u64), anyhow::Error> {
        let stream = self
            .context
            .get_stream(self.system.stream)
            .await
            .map_err(|e| anyhow!("{e}"))?;
        let consumer: PullConsumer = stream
            .get_consumer(&self.consumer)
            .await
            .map_err(|e| anyhow!("{e}"))?;
        let info = consumer.cached_info();
        let first = stream.cached_info().state.first_sequence;
        let next = info.delivered.stream_sequence + 1;
        self.pending.store(info.num_pending, Ordering::Relaxed);
        Ok((info.num_pending, first.saturating_sub(next)))
    }
}

/// What the stream is declared as where it is missing.
#[must_use]
pub fn stream_config(system: System, settings: &Settings) -> StreamConfig {
    StreamConfig {
        name: system.stream.to_owned(),
        subjects: vec![system.subjects.to_owned()],
        description: Some(String::from(
            "the facts of the last while: a window, not a queue",
        )),
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        max_bytes: settings.stream_max_bytes,
        max_age: Duration::from_secs(settings.stream_max_age_s),
        num_replicas: usize::try_from(settings.stream_replicas).unwrap_or(1),
        ..StreamConfig::default()
    }
}

/// What a service's consumer is declared as where it is missing or its configuration has a lower number.
#[must_use]
pub fn consumer_config(
    system: System,
    service: &str,
    filters: &[String],
    settings: &Settings,
) -> pull::Config {
    pull::Config {
        durable_name: Some(service.to_owned()),
        description: Some(format!("what {service} hears")),
        filter_subjects: filters.to_vec(),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: Settings::ms(settings.ack_wait_ms),
        max_deliver: -1,
        max_ack_pending: 10_000,
        metadata: HashMap::from([(config_key(system), CONSUMER_CONFIG.to_string())]),
        ..pull::Config::default()
    }
}

async fn client(
    service: &str,
    settings: &Settings,
    connected: watch::Sender<u64>,
) -> Result<Client, anyhow::Error> {
    let connected = Arc::new(connected);
    let mut options = ConnectOptions::new()
        .name(service)
        // An inbox of its own, so that a broker with permissions can tell services apart.
        .custom_inbox_prefix(format!("_INBOX_{service}"))
        .retry_on_initial_connect()
        .ping_interval(Duration::from_secs(5))
        .connection_timeout(Duration::from_secs(3))
        .reconnect_delay_callback(|attempts| Duration::from_millis(100 * (attempts.min(20) as u64)))
        .event_callback(move |event| {
            let connected = Arc::clone(&connected);
            async move {
                tracing::debug!(%event, "broker connection");
                if matches!(event, Event::Connected) {
                    connected.send_modify(|connections| *connections += 1);
                }
            }
        });
    if let (Some(user), Some(password)) = (&settings.nats_user, &settings.nats_password) {
        options = options.user_and_password(user.clone(), password.clone());
    }
    let servers: Vec<async_nats::ServerAddr> = settings
        .nats_url
        .split(',')
        .map(|url| {
            url.trim().parse().with_context(|| {
                format!(
                    "NATS_URL: {:?} is not an address such as nats://127.0.0.1:4222",
                    shown(url)
                )
            })
        })
        .collect::<Result<_, _>>()?;
    options
        .connect(servers)
        .await
        .context("the broker cannot be reached")
}

/// The servers without users and passwords: `/readyz` shows them to everybody.
fn shown(urls: &str) -> String {
    let server = |url: &str| match (url.find("://"), url.rfind('@')) {
        (Some(start), Some(end)) if start < end => {
            format!("{}***{}", &url[..start + 3], &url[end..])
        }
        (None, Some(end)) => format!("***{}", &url[end..]),
        _ => url.to_owned(),
    };
    let servers: Vec<String> = urls.split(',').map(server).collect();
    servers.join(",")
}

fn check_version(version: &str) -> Result<(), anyhow::Error> {
    let mut parts = version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found < SERVER_FLOOR {
        bail!(
            "nats-server {version} is too old: {}.{} or newer is needed",
            SERVER_FLOOR.0,
            SERVER_FLOOR.1
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn servers_are_shown_without_their_passwords() {
        assert_eq!(
            super::shown("nats://u:p@a:4222,b:4222,u:p@c:1,nats://u:p@x@d"),
            "nats://***@a:4222,b:4222,***@c:1,nats://***@d"
        );
    }
}
