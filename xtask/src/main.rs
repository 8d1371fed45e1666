//! `cargo xtask`: what is done to the whole workspace at once. `test` is the one test command, `containers` runs what needs a Docker engine,
//! `ci` is what has to pass before anything lands, and `mutants` says which bugs the tests would see.
//! Not a build system: each step is an ordinary cargo command that can be typed by hand.

mod ci;
mod containers;
mod mutants;
mod test;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What is done to the whole workspace at once.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Examples:
  cargo xtask test                                  every test; the last line counts them
  cargo xtask test -- --package roundtrip           only one package's tests
  ROUNDTRIP_REQUIRE=nats,postgres,python cargo xtask test  a missing server is a failure, not a skip
  cargo xtask containers --rounds 3                 the scenarios on the docker-compose stack, and its faults, three times
  cargo xtask ci                                    formatting, lints, documentation, manifests, then every test
  cargo xtask mutants --only booking-trip-unlocked  whether the tests see that bug; --list says which there are"
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
    /// Builds the images, and runs the tests that need the docker-compose stack
    Containers {
        /// How often the tests run
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
    },
    /// Checks formatting, lints, documentation, dependencies and manifests, then runs every test: with containers where an engine answers
    Ci {
        /// Makes stand-ins for the public images first, where no registry is reached: deploy/airgapped/images.sh
        #[arg(long)]
        stand_ins: bool,
    },
    /// Plants bugs, one after another, and counts those that a test sees; takes half an hour
    Mutants(mutants::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Task::Test { args } => test::run(&args),
        Task::Containers { rounds } => containers::only(rounds),
        Task::Ci { stand_ins } => ci::run(stand_ins),
        Task::Mutants(args) => mutants::run(&args),
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
