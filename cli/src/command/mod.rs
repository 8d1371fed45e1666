//! The command line: what can be typed, and who does it.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Books trips across services that never call each other; each goes through, or comes all the way back.
#[derive(Debug, Parser)]
#[command(name = "roundtrip", version)]
struct Roundtrip {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one service in this process.
    Serve(serve::Serve),
}

/// The command's whole `main`.
pub fn main() -> ExitCode {
    let done = match Roundtrip::parse().command {
        Some(Command::Serve(serve)) => serve.run(),
        None => Ok(()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("roundtrip: {error:#}\n"),
            );
            ExitCode::FAILURE
        }
    }
}
