//! JetStream as the services use it: one stream that is a window, one durable consumer for each service, both declared
//! again whenever they are found missing. The broker is a fast messenger that may forget; nothing here is the truth.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use async_nats::client::FlushErrorKind;
use async_nats::connection::State;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions};
use futures::FutureExt as _;
use tokio::sync::watch;

use crate::settings::Settings;

/// Raised by one whenever the consumer's configuration changes: of two versions side by side the newer one wins.
pub const CONSUMER_CONFIG: u32 = 1;
/// Where a consumer's metadata have that number.
pub const CONFIG_KEY: &str = "roundtrip-config";
/// The oldest server that has all that is asked for.
pub const SERVER_FLOOR: (u32, u32) = (2, 11);
/// How long, and how often, a missing connection is looked for before it is reported.
const CONNECT_LOOK: Duration = Duration::from_millis(20);
const CONNECT_LOOKS: u32 = 150;

/// The stream that a house shares: its name and the subjects in it.
#[derive(Debug, Clone, Copy)]
pub struct StreamName {
    /// Such as `TRIPS`.
    pub name: &'static str,
    /// Such as `trips.>`.
    pub subjects: &'static str,
}

/// The connection to the broker, and what this service needs to be there.
pub struct Broker {
    pub(crate) client: Client,
    pub(crate) context: Context,
    stream: StreamName,
    consumer: String,
    filters: Vec<String>,
    settings: Settings,
    /// Whether stream and consumer are there, as far as is known.
    declared: watch::Sender<bool>,
}

impl Broker {
    /// Connects; keeps trying for ever, in the background, when the broker is not there yet.
    ///
    /// # Errors
    /// When the URL can't be read.
    pub async fn connect(
        service: &str,
        stream: StreamName,
        filters: Vec<String>,
        settings: &Settings,
    ) -> Result<Arc<Self>, anyhow::Error> {
        let client = client(service, settings).await?;
        let context = jetstream::ContextBuilder::new()
            .timeout(Duration::from_secs(5))
            .ack_timeout(Settings::ms(settings.outbox_lease_ms).min(Duration::from_secs(5)))
            .max_ack_inflight(4_096)
            .build(client.clone());
        Ok(Arc::new(Self {
            client,
            context,
            stream,
            consumer: service.to_owned(),
            filters,
            settings: settings.clone(),
            declared: watch::Sender::new(false),
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
        if !*self.declared.borrow() {
            return Err(String::from("the consumer is not declared yet"));
        }
        Ok(())
    }

    /// Waits until stream and consumer are there: what is published before reaches nobody.
    pub(crate) async fn wait_declared(&self) {
        // The sender is ours, so it cannot be gone.
        let _ = self
            .declared
            .subscribe()
            .wait_for(|declared| *declared)
            .await;
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
    pub(crate) fn connection(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
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

    /// Declares stream and consumer where they are missing, and hands out the consumer.
    ///
    /// # Errors
    /// When the broker does not answer, is too old, or has no JetStream.
    pub async fn declare(&self) -> Result<PullConsumer, anyhow::Error> {
        self.declared.send_replace(false);
        self.connected().await?;
        check_version(&self.client.server_info().version)?;
        self.declare_stream().await?;
        let wanted = consumer_config(&self.consumer, &self.filters, &self.settings);
        let stream = self
            .context
            .get_stream_no_info(self.stream.name)
            .await
            .map_err(|e| anyhow!("{e}"))?;
        let consumer: PullConsumer = stream
            .get_or_create_consumer(&self.consumer, wanted.clone())
            .await
            .with_context(|| format!("the consumer {} cannot be declared", self.consumer))?;
        let found = consumer
            .cached_info()
            .config
            .metadata
            .get(CONFIG_KEY)
            .and_then(|n| n.parse::<u32>().ok())
            .unwrap_or(0);
        let consumer = if found < CONSUMER_CONFIG {
            self.context
                .update_consumer_on_stream(wanted, self.stream.name)
                .await
                .context("the consumer cannot be updated")?
        } else {
            consumer
        };
        self.declared.send_replace(true);
        Ok(consumer)
    }

    /// Declares the stream where it is missing. An existing one is left as its operator set it up.
    pub(crate) async fn declare_stream(&self) -> Result<(), anyhow::Error> {
        self.context
            .get_or_create_stream(stream_config(self.stream, &self.settings))
            .await
            .map(drop)
            .with_context(|| format!("the stream {} cannot be declared", self.stream.name))
    }

    /// What the consumer still has to deliver, and what was delivered but not acknowledged; and the first sequence that
    /// the stream still has beyond the consumer's, if any fell out unread.
    pub(crate) async fn lag(&self) -> Result<(u64, u64), anyhow::Error> {
        let stream = self
            .context
            .get_stream(self.stream.name)
            .await
            .map_err(|e| anyhow!("{e}"))?;
        let consumer: PullConsumer = stream
            .get_consumer(&self.consumer)
            .await
            .map_err(|e| anyhow!("{e}"))?;
        let info = consumer.cached_info();
        let first = stream.cached_info().state.first_sequence;
        let next = info.delivered.stream_sequence + 1;
        Ok((info.num_pending, first.saturating_sub(next)))
    }
}

/// What the stream is declared as where it is missing.
#[must_use]
pub fn stream_config(stream: StreamName, settings: &Settings) -> StreamConfig {
    StreamConfig {
        name: stream.name.to_owned(),
        subjects: vec![stream.subjects.to_owned()],
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
pub fn consumer_config(service: &str, filters: &[String], settings: &Settings) -> pull::Config {
    pull::Config {
        durable_name: Some(service.to_owned()),
        description: Some(format!("what {service} hears")),
        filter_subjects: filters.to_vec(),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: Settings::ms(settings.ack_wait_ms),
        max_deliver: -1,
        max_ack_pending: 10_000,
        metadata: HashMap::from([(CONFIG_KEY.to_owned(), CONSUMER_CONFIG.to_string())]),
        ..pull::Config::default()
    }
}

async fn client(service: &str, settings: &Settings) -> Result<Client, anyhow::Error> {
    let mut options = ConnectOptions::new()
        .name(service)
        // An inbox of its own, so that a broker with permissions can tell services apart.
        .custom_inbox_prefix(format!("_INBOX_{service}"))
        .retry_on_initial_connect()
        .ping_interval(Duration::from_secs(5))
        .connection_timeout(Duration::from_secs(3))
        .reconnect_delay_callback(|attempts| Duration::from_millis(100 * (attempts.min(20) as u64)))
        .event_callback(|event| async move { tracing::debug!(%event, "broker connection") });
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
