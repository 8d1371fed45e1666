//! `roundtrip serve`, and `roundtrip two-phase serve`, as a program of this package: cargo then builds it before the tests that start them,
//! from the same sources and without a build inside a test; and they can be told to die at any step.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use payment::settings::MaybeProvider;
use runtime::Settings;
use stack::catalogue;

#[derive(Parser)]
enum UnderTest {
    /// Run one service in this process.
    Serve {
        #[arg(value_parser = catalogue::SERVED)]
        service: String,
        #[command(flatten)]
        settings: Box<Settings>,
        #[command(flatten)]
        provider: Box<MaybeProvider>,
    },
    /// Be a payment provider, until SIGTERM.
    Sandbox(sandbox::Options),
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
    let (service, settings, provider) = match UnderTest::parse() {
        UnderTest::Serve {
            service,
            settings,
            provider,
        } => (service, settings, provider),
        UnderTest::Sandbox(options) => {
            let stop = runtime::stop_signal();
            let running = sandbox::start(&options).await?;
            stop.await?;
            return running.stop().await;
        }
        UnderTest::TwoPhase { command } => {
            let Coordinator::Serve(settings) = command;
            return two_phase::serve(*settings).await;
        }
    };
    let service = catalogue::find(&service).context("there is no such service")?;
    service.serve(*settings, *provider).await
}
