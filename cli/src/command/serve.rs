//! `roundtrip serve NAME`: one service in this process, the same library as in the services' own programs.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use runtime::Settings;

/// Run one service in this process, until SIGINT or SIGTERM; then it drains.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  DATABASE_URL=sqlite://flight.db roundtrip serve flight --listen 127.0.0.1:8081"
)]
pub(super) struct Serve {
    /// Which.
    service: Service,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Service {
    Booking,
    Flight,
    Hotel,
}

impl Serve {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let settings = self.settings;
        match self.service {
            Service::Booking => runtime::boot::run(booking::NAME, settings, booking::start).await,
            Service::Flight => runtime::boot::run(flight::NAME, settings, flight::start).await,
            Service::Hotel => runtime::boot::run(hotel::NAME, settings, hotel::start).await,
        }?;
        Ok(ExitCode::SUCCESS)
    }
}
