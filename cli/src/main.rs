//! The command `roundtrip`: what can be typed, and who does it. It parses, calls and renders; what is called lives in `tools/`.

mod address;
mod audit;
mod bench;
mod book;
mod cancel;
mod chaos;
mod completions;
mod conformance;
mod dead_letters;
mod demo;
mod doctor;
mod down;
mod failure;
mod folder;
mod import;
mod inventory;
mod legs;
mod list;
mod man;
mod out;
mod parse;
mod render;
mod reset;
mod sandbox;
mod serve;
mod settle;
mod show;
mod status;
mod stuck;
mod two_phase;
mod up;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::builder::Styles;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use client::paint::Paint;
use nix::sys::stat::{Mode, umask};

/// Books trips across services that never call each other; each goes through, or comes all the way back.
#[derive(Debug, Parser)]
#[command(
    name = "roundtrip",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Without a command it does what `roundtrip up` does, with the same options.\n\nA first round:\n  roundtrip demo                  five trips and what becomes of them, then an audit\n  roundtrip up                    the local stack; Ctrl-C ends it\n\nThen, in another terminal:\n  roundtrip status                what runs, and where\n  roundtrip book --flight RT100 --hotel LIS-PALACE --nights 2 --back RT101\n  roundtrip list                  the trips; `show TRIP` tells one's story\n  roundtrip audit                 is everything as it has to be?\n  roundtrip doctor                what is wrong, and what to do\n  roundtrip help COMMAND          examples of each command\n\nServices elsewhere (https:// or http://, by --url and --service) are asked with what is in the environment:\n  ROUNDTRIP_TOKEN                 a bearer token, or @FILE with it; never sent over plain http but on this machine\n  ROUNDTRIP_CA_FILE               certificates (PEM) to trust beside the system's"
)]
struct Roundtrip {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: up::Up,
}

// What each does is said at its own struct, where `--help` finds all of it.
#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    Down(down::Down),
    Status(status::Status),
    Reset(reset::Reset),
    Bench(bench::Bench),
    Chaos(chaos::Chaos),
    Conformance(Box<conformance::Conformance>),
    Demo(demo::Demo),
    Book(Box<book::Book>),
    Cancel(cancel::Cancel),
    Show(show::Show),
    List(list::List),
    Stuck(stuck::Stuck),
    Legs(legs::Legs),
    Settle(settle::Settle),
    DeadLetters(dead_letters::DeadLetters),
    Import(import::Import),
    Inventory(inventory::Inventory),
    Audit(audit::Audit),
    Doctor(Box<doctor::Doctor>),
    Serve(Box<serve::Serve>),
    #[command(hide = true)]
    TwoPhase(Box<two_phase::TwoPhase>),
    Sandbox(Box<sandbox::Sandbox>),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Services allocate with it too: a batch makes thousands of small values on one thread that another drops, for which the system's allocator
/// takes locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Whatever we and our children write is for our user alone: databases and logs name travellers.
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let typed = match typed() {
        Ok(typed) => typed,
        Err(error) => return failure::misread(error),
    };
    let command = typed.command.unwrap_or(Command::Up(typed.up));
    let done = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(command)))
        .and_then(|code| out::whole().map(|()| code));
    match done {
        Ok(code) => code,
        Err(error) => failure::tell(&error, ExitCode::FAILURE),
    }
}

fn typed() -> Result<Roundtrip, clap::Error> {
    let styles = if Paint::stderr().is_on() {
        Styles::styled()
    } else {
        Styles::plain()
    };
    // `up` reads its own variables: one that it cannot use is no other command's business.
    let command = Roundtrip::command().mut_args(|arg| arg.env(None::<&'static str>));
    let mut command = command.styles(styles);
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let mut found = command.try_get_matches_from_mut(&words)?;
    if found.subcommand_name().is_none() {
        words.insert(words.len().min(1), OsString::from("up"));
        found = command.try_get_matches_from_mut(words)?;
    }
    Roundtrip::from_arg_matches(&found).map_err(|error| error.format(&mut command))
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(up) => up.run().await,
        Command::Down(down) => down.run().await,
        Command::Status(status) => status.run().await,
        Command::Reset(reset) => reset.run(),
        Command::Bench(bench) => bench.run().await,
        Command::Chaos(chaos) => chaos.run().await,
        Command::Conformance(conformance) => conformance.run().await,
        Command::Demo(demo) => demo.run().await,
        Command::Book(book) => book.run().await,
        Command::Cancel(cancel) => cancel.run().await,
        Command::Show(show) => show.run().await,
        Command::List(list) => list.run().await,
        Command::Stuck(stuck) => stuck.run().await,
        Command::Legs(legs) => legs.run().await,
        Command::Settle(settle) => settle.run().await,
        Command::DeadLetters(letters) => letters.run().await,
        Command::Import(import) => import.run().await,
        Command::Inventory(inventory) => inventory.run().await,
        Command::Audit(audit) => audit.run().await,
        Command::Doctor(doctor) => doctor.run().await,
        Command::Serve(serve) => serve.run().await,
        Command::TwoPhase(two_phase) => two_phase.run().await,
        Command::Sandbox(sandbox) => sandbox.run().await,
        Command::Completions(completions) => Ok(completions.run()),
        Command::Man(man) => man.run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    /// clap finds a flag that is there twice only when its command is called.
    #[test]
    fn every_command_is_put_together_well() {
        super::Roundtrip::command().debug_assert();
    }
}
