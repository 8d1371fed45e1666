//! `roundtrip reset`: a stopped stack's data are deleted.

use std::fs;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::folder::Folder;
use super::out;
use stack::Lock;

/// Delete a stopped stack's data: trips, inventory, logs, everything in its folder.
///
/// Databases on a PostgreSQL server of yours and streams on a broker of yours stay.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip reset\n  roundtrip reset --yes --folder /tmp/second"
)]
pub(crate) struct Reset {
    #[command(flatten)]
    folder: Folder,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

impl Reset {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (folder, shown) = (&self.folder.path, self.folder.shown());
        if !folder.exists() {
            out::line(&format!("there is no {shown}"));
            return Ok(ExitCode::SUCCESS);
        }
        if !folder.join("lock").is_file() {
            bail!(
                "{shown} is not a stack's folder: there is no file `lock` in it; nothing was deleted"
            );
        }
        if let Some(up) = Lock::holder(folder)? {
            bail!(
                "a stack runs in {shown} (pid {}): stop it with `{} down` first",
                up.pid,
                client::invocation()
            );
        }
        if !self.yes && !agreed(&shown)? {
            out::line("nothing was deleted");
            return Ok(ExitCode::FAILURE);
        }
        let _ours = Lock::take(folder)?;
        fs::remove_dir_all(folder).with_context(|| format!("cannot delete {shown}"))?;
        out::line(&format!("{shown} is deleted"));
        Ok(ExitCode::SUCCESS)
    }
}

fn agreed(folder: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody to ask: say --yes to delete {folder}");
    }
    let mut out = std::io::stderr();
    write!(out, "Delete {folder} and all in it? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
