//! `cargo xtask`: what is done to the whole house at once. `test` is the one test command, `ci` is what has to pass before anything lands.
//! Not a build system: each step is an ordinary cargo command that can be typed by hand.

mod ci;
mod test;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What is done to the whole house at once.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Examples:
  cargo xtask test                                  every test; the last line counts them
  cargo xtask test -- --package roundtrip           only one package's tests
  ROUNDTRIP_REQUIRE=nats,postgres cargo xtask test  a missing server is a failure, not a skip
  cargo xtask ci                                    formatting, lints, documentation, then every test"
)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every test of the workspace and counts what passed, failed and was skipped
    Test {
        /// For `cargo test`, in place of `--workspace`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Checks formatting, lints, documentation and dependencies, then runs `cargo xtask test`
    Ci,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Task::Test { args } => test::run(&args, &[]),
        Task::Ci => ci::run(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The cargo that runs us.
fn cargo() -> std::process::Command {
    std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
