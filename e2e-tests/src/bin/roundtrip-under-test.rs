//! `roundtrip serve`, and `roundtrip two-phase serve`, as a program of this package: cargo then builds it before the tests that start them,
//! from the same sources and without a build inside a test; and they can be told to die at any step.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use runtime::Settings;
use stack::{SERVICES, catalogue};

#[derive(Parser)]
enum UnderTest {
    /// Run one service in this process.
    Serve {
        #[arg(value_parser = SERVICES)]
        service: String,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Run a coordinator of two-phase commit in this process.
    TwoPhase {
        #[command(subcommand)]
        command: Coordinator,
    },
}

#[derive(Parser)]
enum Coordinator {
    /// Until SIGINT or SIGTERM.
    Serve(Box<two_phase::Settings>),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("roundtrip: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    match UnderTest::parse() {
        UnderTest::Serve { service, settings } => {
            let service = catalogue::find(&service).context("there is no such service")?;
            service.serve(*settings).await
        }
        UnderTest::TwoPhase { command } => {
            let Coordinator::Serve(settings) = command;
            two_phase::serve(*settings).await
        }
    }
}
