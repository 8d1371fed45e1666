//! `roundtrip serve NAME`: one service in this process, the same library as in the services' own programs.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use payment::settings::MaybeProvider;
use runtime::Settings;
use stack::catalogue;

/// Run one service in this process, until SIGINT or SIGTERM; then it drains.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  DATABASE_URL=sqlite://flight.db roundtrip serve flight --listen 127.0.0.1:8081\n  DATABASE_URL=sqlite://payment.db roundtrip serve payment --provider-url https://api.stripe.com --provider-key-file stripe.key"
)]
pub(crate) struct Serve {
    /// The service's name.
    #[arg(value_parser = catalogue::SERVED)]
    service: String,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    provider: MaybeProvider,
}

impl Serve {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let service = catalogue::find(&self.service).context("there is no such service")?;
        service.serve(self.settings, self.provider).await?;
        Ok(ExitCode::SUCCESS)
    }
}
