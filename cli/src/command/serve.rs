//! `roundtrip serve NAME`: one service in this process, the same library as in the services' own programs.

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
    pub(super) fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(async {
            match self.service {
                Service::Booking => {
                    runtime::boot::run(booking::NAME, self.settings, booking::start).await
                }
                Service::Flight => {
                    runtime::boot::run(flight::NAME, self.settings, flight::start).await
                }
                Service::Hotel => {
                    runtime::boot::run(hotel::NAME, self.settings, hotel::start).await
                }
            }
        })
    }
}
