//! `roundtrip man`: the help as manual pages.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _};
use client::paint::visible_path;

use super::{Roundtrip, out};

/// Print the manual page, or write the pages of all commands to a folder.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip man | man -l -\n  roundtrip man ~/.local/share/man/man1     # then: man roundtrip-book"
)]
pub(crate) struct Man {
    /// Where to write a page for each command; it is made if it is not there.
    folder: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        // As the pages in a folder are: `help` has none.
        let command = Roundtrip::command().disable_help_subcommand(true);
        let Some(folder) = &self.folder else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            out::verbatim(&page);
            return Ok(ExitCode::SUCCESS);
        };
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(command, folder));
        written.with_context(|| format!("cannot write to {}", visible_path(folder)))?;
        Ok(ExitCode::SUCCESS)
    }
}
