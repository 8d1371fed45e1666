//! The command `roundtrip`: what can be typed, and who does it. It parses, calls and renders; what is called lives in `tools/`.

mod address;
mod audit;
mod bench;
mod book;
mod cancel;
mod chaos;
mod dead_letters;
mod demo;
mod doctor;
mod down;
mod folder;
mod import;
mod list;
mod out;
mod parse;
mod render;
mod reset;
mod serve;
mod settle;
mod show;
mod status;
mod stuck;
mod up;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};
use nix::sys::stat::{Mode, umask};

/// Books trips across services that never call each other; each goes through, or comes all the way back.
#[derive(Debug, Parser)]
#[command(
    name = "roundtrip",
    version,
    after_help = "Without a command it does what `roundtrip up` does.\n\nA first round:\n  roundtrip demo                  five trips and what becomes of them, then an audit\n  roundtrip up                    the local stack; Ctrl-C ends it\n\nThen, in another terminal:\n  roundtrip status                what runs, and where\n  roundtrip book --flight RT100 --hotel LIS-PALACE --nights 2 --back RT101\n  roundtrip list                  the trips; `show TRIP` tells one's story\n  roundtrip audit                 is everything as it has to be?\n  roundtrip doctor                what is wrong, and what to do\n  roundtrip help COMMAND          examples of each command"
)]
struct Roundtrip {
    #[command(subcommand)]
    command: Option<Command>,
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
    Demo(demo::Demo),
    Book(Box<book::Book>),
    Cancel(cancel::Cancel),
    Show(show::Show),
    List(list::List),
    Stuck(stuck::Stuck),
    Settle(settle::Settle),
    DeadLetters(dead_letters::DeadLetters),
    Import(import::Import),
    Audit(audit::Audit),
    Doctor(Box<doctor::Doctor>),
    Serve(Box<serve::Serve>),
}

fn main() -> ExitCode {
    // Whatever we and our children write is for our user alone: databases and logs name travellers.
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let command = typed(std::env::args_os()).or_else(|| typed(["roundtrip", "up"]));
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

/// What was typed; whoever typed something else is told, and that is the end.
fn typed<T: Into<OsString> + Clone>(words: impl IntoIterator<Item = T>) -> Option<Command> {
    match Roundtrip::try_parse_from(words) {
        Ok(typed) => typed.command,
        Err(error) => without_secrets(error).exit(),
    }
}

/// An address that cannot be taken may have a password in it all the same, and may come from the environment.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidValue)
        && let Some((scheme, _)) = given.split_once("://")
    {
        let shown = format!("{scheme}://…");
        error.insert(ContextKind::InvalidValue, ContextValue::String(shown));
    }
    error
}

async fn run(command: Option<Command>) -> Result<ExitCode> {
    match command {
        Some(Command::Up(up)) => up.run().await,
        Some(Command::Down(down)) => down.run().await,
        Some(Command::Status(status)) => status.run().await,
        Some(Command::Reset(reset)) => reset.run(),
        Some(Command::Bench(bench)) => bench.run().await,
        Some(Command::Chaos(chaos)) => chaos.run().await,
        Some(Command::Demo(demo)) => demo.run().await,
        Some(Command::Book(book)) => book.run().await,
        Some(Command::Cancel(cancel)) => cancel.run().await,
        Some(Command::Show(show)) => show.run().await,
        Some(Command::List(list)) => list.run().await,
        Some(Command::Stuck(stuck)) => stuck.run().await,
        Some(Command::Settle(settle)) => settle.run().await,
        Some(Command::DeadLetters(letters)) => letters.run().await,
        Some(Command::Import(import)) => import.run().await,
        Some(Command::Audit(audit)) => audit.run().await,
        Some(Command::Doctor(doctor)) => doctor.run().await,
        Some(Command::Serve(serve)) => serve.run().await,
        None => Ok(ExitCode::SUCCESS),
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
