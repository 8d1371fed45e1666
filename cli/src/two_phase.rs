//! `roundtrip two-phase serve`: a coordinator of two-phase commit in this process. `bench` starts and kills it; nobody books by it otherwise, so
//! `--help` does not list it.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use two_phase::Settings;

/// The rival that `bench --protocol saga,two-phase` measures.
#[derive(Debug, Args)]
pub(crate) struct TwoPhase {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a coordinator in this process, until SIGINT or SIGTERM. Its tables are there before, which `bench` makes.
    #[command(
        after_help = "Example:\n  BOOKING_DATABASE_URL=... FLIGHT_DATABASE_URL=... HOTEL_DATABASE_URL=... roundtrip two-phase serve --listen 127.0.0.1:8090"
    )]
    Serve(Settings),
}

impl TwoPhase {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let Command::Serve(settings) = self.command;
        two_phase::serve(settings).await?;
        Ok(ExitCode::SUCCESS)
    }
}
