//! `roundtrip completions SHELL`: what a shell needs to complete the command.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Roundtrip, out};

/// Print what a shell reads to complete the command: its commands, options and their values.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip completions bash > ~/.local/share/bash-completion/completions/roundtrip\n  roundtrip completions zsh > ~/.zfunc/_roundtrip          # with ~/.zfunc in fpath\n  roundtrip completions fish > ~/.config/fish/completions/roundtrip.fish"
)]
pub(crate) struct Completions {
    /// Which shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> ExitCode {
        let (mut command, mut script) = (Roundtrip::command(), Vec::new());
        clap_complete::generate(self.shell, &mut command, client::COMMAND, &mut script);
        out::verbatim(&script);
        ExitCode::SUCCESS
    }
}
