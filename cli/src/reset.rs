//! `roundtrip reset`: a stopped stack's data are deleted.

use std::fs;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
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
        let folder = &self.folder.path;
        if !folder.exists() {
            out::line(&format!("there is no {}", folder.display()));
            return Ok(ExitCode::SUCCESS);
        }
        if !folder.join("lock").is_file() {
            bail!(
                "{} is not a stack's folder: there is no file `lock` in it; nothing was deleted",
                folder.display()
            );
        }
        if let Some(up) = Lock::holder(folder)? {
            bail!(
                "a stack runs in {} (pid {}): stop it with `{} down` first",
                folder.display(),
                up.pid,
                client::invocation()
            );
        }
        if !self.yes && !agreed(folder)? {
            out::line("nothing was deleted");
            return Ok(ExitCode::FAILURE);
        }
        let _ours = Lock::take(folder)?;
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot delete {}", folder.display()))?;
        out::line(&format!("{} is deleted", folder.display()));
        Ok(ExitCode::SUCCESS)
    }
}

fn agreed(folder: &Path) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody to ask: say --yes to delete {}", folder.display());
    }
    let mut out = std::io::stderr();
    write!(out, "Delete {} and all in it? [y/N] ", folder.display())?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
