//! One service's settings: environment variables and the same as flags, in one struct, checked before any socket opens.
//!
//! There are no files of settings and no layers of them.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use crate::http::is_name;
use crate::telemetry::LogFormat;

/// How a service is set up. Every field is a flag and an environment variable.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings (each also an environment variable)")]
pub struct Settings {
    /// NATS servers, separated by commas. JetStream must be on; 2.11 or newer.
    #[arg(
        long,
        env = "NATS_URL",
        hide_env_values = true,
        default_value = "nats://127.0.0.1:4222"
    )]
    pub nats_url: String,
    /// User at the NATS server.
    #[arg(long, env = "NATS_USER", requires = "nats_password")]
    pub nats_user: Option<String>,
    /// Password at the NATS server.
    #[arg(long, env = "NATS_PASSWORD", hide_env_values = true)]
    pub nats_password: Option<String>,
    /// This service's own database: sqlite:///path/to/file.db or postgres://user:password@host/database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    /// Where HTTP is served. There is no login: keep it on loopback unless something in front of it has one.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// By which names it may be called, separated by commas, beside addresses, localhost and its own name: a host, `*.example.com` for all
    /// below one, or `*` for any. Web pages on the named ones may change something, others may not; `*` names none.
    #[arg(long, env = "HOSTS", value_delimiter = ',')]
    pub hosts: Vec<String>,
    /// The most connections at once; 128 fewer than this process may have files open, if that is less. Further ones get 503 and are closed.
    #[arg(long, env = "CONNECTIONS_MAX", default_value_t = 8_192, value_parser = clap::value_parser!(u64).range(1..))]
    pub connections_max: u64,
    /// Which log lines are written (tracing's filter syntax, such as `info,runtime=debug`).
    #[arg(long, env = "LOG", default_value = "info")]
    pub log: String,
    /// How log lines are written: `auto` is human on a terminal and JSON otherwise.
    #[arg(long, env = "LOG_FORMAT", default_value = "auto")]
    pub log_format: LogFormat,
    /// Size of the stream's window in bytes; the oldest facts fall out first.
    #[arg(long, env = "STREAM_MAX_BYTES", default_value_t = 1 << 30, value_parser = clap::value_parser!(i64).range(1_000_000..))]
    pub stream_max_bytes: i64,
    /// Age after which a fact falls out of the stream's window, in seconds.
    #[arg(long, env = "STREAM_MAX_AGE_S", default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(10..))]
    pub stream_max_age_s: u64,
    /// Copies of the stream, on as many broker nodes.
    #[arg(long, env = "STREAM_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=5))]
    pub stream_replicas: u64,
    /// How long a record waits for an answer before it is announced again, in milliseconds; from the ninth time on the pause doubles. At
    /// least OUTBOX_LEASE_MS and ACK_WAIT_MS.
    #[arg(long, env = "REANNOUNCE_FIRST_MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(10..))]
    pub reannounce_first_ms: u64,
    /// The longest pause between announcements, in milliseconds.
    #[arg(long, env = "REANNOUNCE_MAX_MS", default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(10..))]
    pub reannounce_max_ms: u64,
    /// How often the database is asked for records that are due, in milliseconds.
    #[arg(long, env = "TIMER_INTERVAL_MS", default_value_t = 250, value_parser = clap::value_parser!(u64).range(5..=60_000))]
    pub timer_interval_ms: u64,
    /// How often the outbox is swept for rows whose publisher died, in milliseconds.
    #[arg(long, env = "SWEEP_INTERVAL_MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(5..=60_000))]
    pub sweep_interval_ms: u64,
    /// How long an outbox row belongs to the process that is publishing it, in milliseconds.
    #[arg(long, env = "OUTBOX_LEASE_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(50..))]
    pub outbox_lease_ms: u64,
    /// After how long the broker delivers again what was not acknowledged, in milliseconds.
    #[arg(long, env = "ACK_WAIT_MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(100..))]
    pub ack_wait_ms: u64,
    /// How often a service says that it is there, in milliseconds.
    #[arg(long, env = "JOIN_INTERVAL_MS", default_value_t = 180_000, value_parser = clap::value_parser!(u64).range(50..))]
    pub join_interval_ms: u64,
    /// The most inputs of one kind in one transaction.
    #[arg(long, env = "BATCH_MAX", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub batch_max: u64,
    /// The most inputs of one kind that wait for their transaction.
    #[arg(long, env = "QUEUE_MAX", default_value_t = 2_048, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub queue_max: u64,
    /// A service that takes new work refuses it (503) while more than this many of its records are open, or this many facts lie in the outbox.
    #[arg(long, env = "PENDING_MAX", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub pending_max: u64,
    /// How long a stopping service may take to finish what it has, in milliseconds.
    #[arg(long, env = "DRAIN_TIMEOUT_MS", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(0..))]
    pub drain_timeout_ms: u64,
    /// How long a stopping service stays up, unready, so that a load balancer notices, in milliseconds.
    #[arg(long, env = "DRAIN_NOTICE_MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub drain_notice_ms: u64,
    /// How long a fact of a newer major version is put back before it becomes a dead letter, in milliseconds.
    #[arg(long, env = "UNKNOWN_VERSION_WAIT_MS", default_value_t = 3_600_000, value_parser = clap::value_parser!(u64).range(0..))]
    pub unknown_version_wait_ms: u64,
    /// How long ids of applied facts and commands are remembered, in seconds; set it above STREAM_MAX_AGE_S.
    #[arg(long, env = "INBOX_KEEP_S", default_value_t = 90_000, value_parser = clap::value_parser!(u64).range(10..))]
    pub inbox_keep_s: u64,
    /// The most calls of a service to others that are under way at once.
    #[arg(long, env = "CALLS_MAX", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub calls_max: u64,
    /// How long one attempt at a call may take, in milliseconds. After twice as long it counts as lost, and any replica makes another.
    #[arg(long, env = "CALL_TIMEOUT_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub call_timeout_ms: u64,
    /// The pause after the first attempt at a call that told nothing, in milliseconds; it doubles with each further one.
    #[arg(long, env = "CALL_RETRY_FIRST_MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub call_retry_first_ms: u64,
    /// The longest pause between attempts at a call, in milliseconds; the other side may ask for up to an hour.
    #[arg(long, env = "CALL_RETRY_MAX_MS", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub call_retry_max_ms: u64,
}

impl Settings {
    /// Whether the settings fit each other.
    ///
    /// # Errors
    /// With the rule that is broken, in words, and what would keep it.
    pub fn check(&self) -> Result<(), String> {
        let names = self.hosts.iter().map(|name| name.trim());
        if let Some(none) = names
            .filter(|name| !name.is_empty())
            .find(|name| !is_name(name))
        {
            return Err(format!(
                "HOSTS: {none:?} is no host; give shop.example.com, *.example.com or *, without scheme and port"
            ));
        }
        let rules = [
            (
                ("REANNOUNCE_FIRST_MS", self.reannounce_first_ms),
                ("OUTBOX_LEASE_MS", self.outbox_lease_ms),
                "who waits would ask again before another process may publish what a dead one left",
            ),
            (
                ("REANNOUNCE_FIRST_MS", self.reannounce_first_ms),
                ("ACK_WAIT_MS", self.ack_wait_ms),
                "who waits would ask again before the broker delivers again what a dead process had fetched",
            ),
            (
                ("REANNOUNCE_MAX_MS", self.reannounce_max_ms),
                ("REANNOUNCE_FIRST_MS", self.reannounce_first_ms),
                "the longest pause is no shorter than the first",
            ),
            (
                ("OUTBOX_LEASE_MS", self.outbox_lease_ms),
                ("SWEEP_INTERVAL_MS", self.sweep_interval_ms),
                "leases would end long before anybody looks",
            ),
            (
                ("CALL_RETRY_MAX_MS", self.call_retry_max_ms),
                ("CALL_RETRY_FIRST_MS", self.call_retry_first_ms),
                "the longest pause is no shorter than the first",
            ),
        ];
        for ((name, value), (least_name, least), why) in rules {
            if value < least {
                return Err(format!(
                    "{name} is {value} and {least_name} is {least}: {why}. Set {name} to {least} at least, or {least_name} to {value} at most"
                ));
            }
        }
        Ok(())
    }

    /// A number of milliseconds as a duration.
    pub(crate) fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }
}

/// Milliseconds as microseconds, far from overflowing when added to a time.
pub(crate) fn micros(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).min(i64::MAX / 4_000) * 1_000
}
