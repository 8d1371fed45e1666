//! How a coordinator is set up: flags, each also an environment variable. Nothing is read from files.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

/// The three databases.
#[derive(Clone, Args)]
pub struct Databases {
    /// Booking's database, where the decision is kept: postgres://user:password@host/database.
    #[arg(
        long,
        value_name = "URL",
        env = "BOOKING_DATABASE_URL",
        hide_env_values = true
    )]
    pub booking_database_url: String,
    /// Flight's database.
    #[arg(
        long,
        value_name = "URL",
        env = "FLIGHT_DATABASE_URL",
        hide_env_values = true
    )]
    pub flight_database_url: String,
    /// Hotel's database.
    #[arg(
        long,
        value_name = "URL",
        env = "HOTEL_DATABASE_URL",
        hide_env_values = true
    )]
    pub hotel_database_url: String,
}

/// Without the addresses: there are passwords in them.
impl std::fmt::Debug for Databases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Databases").finish_non_exhaustive()
    }
}

/// A coordinator's settings.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Where the trips are.
    #[command(flatten)]
    pub databases: Databases,
    /// Its name: what it prepares carries it, and whoever lives ends it after a crash. One process at a time has it.
    #[arg(long, value_name = "NAME", env = "COORDINATOR", default_value = "one", value_parser = name)]
    pub name: String,
    /// Where HTTP is served. There is no login: keep it on loopback.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// The most trips between their first prepare and their last commit. Each prepares in two databases: a server of both needs
    /// max_prepared_transactions of twice as many, for each coordinator.
    #[arg(long, value_name = "N", env = "IN_FLIGHT_MAX", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    pub in_flight_max: u16,
    /// The most trips that wait for that; what comes beyond is answered with 503.
    #[arg(long, value_name = "N", env = "QUEUE_MAX", default_value_t = 2_048, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    pub queue_max: u16,
    /// The most connections to flight's database, and to hotel's. A quarter of them is kept for commits and rollbacks.
    #[arg(long, value_name = "N", env = "CONNECTIONS_MAX", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub connections_max: u16,
    /// How long a trip waits for a row that another trip holds, in milliseconds; then it is undone and answered with 504.
    #[arg(long, value_name = "MS", env = "LOCK_TIMEOUT_MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub lock_timeout_ms: u64,
    /// How long a trip waits in this process for those before it at the same item, and for room, in milliseconds.
    #[arg(long, value_name = "MS", env = "TURN_WITHIN_MS", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(10..=120_000))]
    pub turn_within_ms: u64,
    /// How long a database may take for one statement, in milliseconds, before it counts as away.
    #[arg(long, value_name = "MS", env = "ANSWER_WITHIN_MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(100..=120_000))]
    pub answer_within_ms: u64,
    /// How often the databases are asked for what is in doubt, in milliseconds.
    #[arg(long, value_name = "MS", env = "SWEEP_INTERVAL_MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(20..=60_000))]
    pub sweep_interval_ms: u64,
}

impl Settings {
    pub(crate) fn turn_within(&self) -> Duration {
        Duration::from_millis(self.turn_within_ms)
    }

    pub(crate) fn lock_timeout(&self) -> Duration {
        Duration::from_millis(self.lock_timeout_ms)
    }

    /// Longer than the wait for a lock, or every such wait would look like a database that is away.
    pub(crate) fn answer_within(&self) -> Duration {
        Duration::from_millis(self.answer_within_ms.max(self.lock_timeout_ms + 1_000))
    }

    pub(crate) fn sweep_interval(&self) -> Duration {
        Duration::from_millis(self.sweep_interval_ms)
    }
}

/// It stands in the name of a prepared transaction, and in a pattern that finds those.
fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > 32 || !text.bytes().all(plain) {
        return Err(String::from("give a-z, 0-9 and -, at most 32"));
    }
    Ok(text.to_owned())
}
