//! How the provider is reached: flags, each also an environment variable. The key itself is no setting: its file is, for a command line and
//! an environment are read by others.

use std::path::{Path, PathBuf};

use clap::Args;

/// Where the provider is, and how it is treated.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Payment provider (each also an environment variable)")]
pub struct ProviderSettings {
    /// The provider's address: `https://api.stripe.com`, or that of `roundtrip sandbox`. Plain http is taken to this machine alone.
    #[arg(long, env = "PROVIDER_URL")]
    pub provider_url: String,
    /// The file with the secret key. It is read anew when it changes, so a key is rotated without a restart.
    #[arg(long, env = "PROVIDER_KEY_FILE")]
    pub provider_key_file: PathBuf,
    /// The file with the secret that webhooks are signed with; without it none is believed.
    #[arg(long, env = "PROVIDER_WEBHOOK_SECRET_FILE")]
    pub provider_webhook_secret_file: Option<PathBuf>,
    /// Certificates (PEM) to trust beside the system's, such as those of a proxy.
    #[arg(long, env = "PROVIDER_CA_FILE")]
    pub provider_ca_file: Option<PathBuf>,
    /// How long a call may take in all, with reading back what became of it, in milliseconds. Keep it below CALL_TIMEOUT_MS.
    #[arg(long, env = "PROVIDER_TIMEOUT_MS", default_value_t = 8_000, value_parser = clap::value_parser!(u64).range(50..=600_000))]
    pub provider_timeout_ms: u64,
    /// How long it may take to reach the provider (name, connection, TLS), in milliseconds.
    #[arg(long, env = "PROVIDER_CONNECT_TIMEOUT_MS", default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub provider_connect_timeout_ms: u64,
    /// The most calls that begin in a second. Stripe takes 100, and 25 in its test mode.
    #[arg(long, env = "PROVIDER_CALLS_PER_S", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub provider_calls_per_s: u32,
    /// After so many failures in a row nothing is sent for a while.
    #[arg(long, env = "PROVIDER_BREAK_AFTER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub provider_break_after: u32,
    /// After how long a provider that is down is tried again, in milliseconds; from then on each pause is twice as long.
    #[arg(long, env = "PROVIDER_PROBE_FIRST_MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub provider_probe_first_ms: u64,
    /// The longest of these pauses, in milliseconds.
    #[arg(long, env = "PROVIDER_PROBE_MAX_MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub provider_probe_max_ms: u64,
    /// How often a key that was refused is tried again although its file has not changed, in milliseconds.
    #[arg(long, env = "PROVIDER_KEY_PROBE_MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub provider_key_probe_ms: u64,
    /// For how long all has to be well until a problem is over that comes and goes (answers that nobody can read, calls that the key may not make,
    /// a provider that answers questions while there is nothing for it to do), in milliseconds.
    #[arg(long, env = "PROVIDER_QUIET_MS", default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(10..=86_400_000))]
    pub provider_quiet_ms: u64,
}

impl ProviderSettings {
    /// A provider at this address, and everything else as it is without settings.
    #[must_use]
    pub fn at(url: &str, key_file: &Path) -> Self {
        Self {
            provider_url: url.to_owned(),
            provider_key_file: key_file.to_owned(),
            provider_webhook_secret_file: None,
            provider_ca_file: None,
            provider_timeout_ms: 8_000,
            provider_connect_timeout_ms: 3_000,
            provider_calls_per_s: 25,
            provider_break_after: 5,
            provider_probe_first_ms: 1_000,
            provider_probe_max_ms: 30_000,
            provider_key_probe_ms: 30_000,
            provider_quiet_ms: 300_000,
        }
    }
}
