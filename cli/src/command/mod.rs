//! The command line: what can be typed, and who does it.

mod bench;
mod down;
mod folder;
pub mod out;
mod reset;
mod serve;
mod status;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Books trips across services that never call each other; each goes through, or comes all the way back.
#[derive(Debug, Parser)]
#[command(
    name = "roundtrip",
    version,
    after_help = "Without a command it does what `roundtrip up` does.\n\nA first round:\n  roundtrip up                    the local stack; Ctrl-C ends it\n  roundtrip status                in another terminal: what runs, and where\n  roundtrip help COMMAND          examples of each command"
)]
struct Roundtrip {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the local stack: broker, databases, services, sample inventory.
    Up(up::Up),
    /// Stop the stack that `up` started elsewhere.
    Down(down::Down),
    /// Say what runs, where, and whether it is ready.
    Status(status::Status),
    /// Delete a stopped stack's data.
    Reset(reset::Reset),
    /// Measure a stack of its own under load.
    Bench(bench::Bench),
    /// Run one service in this process.
    Serve(Box<serve::Serve>),
}

/// The command's whole `main`.
#[must_use]
pub fn main() -> ExitCode {
    let typed = Roundtrip::parse().command;
    let command = typed.or_else(|| Roundtrip::parse_from(["roundtrip", "up"]).command);
    let done = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(command)));
    match done {
        Ok(code) => code,
        Err(error) => {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("roundtrip: {error:#}\n"),
            );
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Option<Command>) -> Result<ExitCode> {
    match command {
        Some(Command::Up(up)) => up.run().await,
        Some(Command::Down(down)) => down.run().await,
        Some(Command::Status(status)) => status.run().await,
        Some(Command::Reset(reset)) => reset.run(),
        Some(Command::Bench(bench)) => bench.run().await,
        Some(Command::Serve(serve)) => serve.run().await,
        None => Ok(ExitCode::SUCCESS),
    }
}
