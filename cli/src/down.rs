//! `roundtrip down`: ends the stack that `up` started in another terminal.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::folder::Folder;
use super::out;
use stack::Lock;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Stop the stack that `roundtrip up` started elsewhere: it drains first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  roundtrip down\n  roundtrip down --folder /tmp/second")]
pub(crate) struct Down {
    #[command(flatten)]
    folder: Folder,
    /// How long to wait for its end, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    within: u64,
}

impl Down {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let folder = &self.folder.path;
        let Some(up) = Lock::holder(folder)? else {
            out::line(&format!("nothing runs in {}", self.folder.shown()));
            return Ok(ExitCode::SUCCESS);
        };
        if !up.lives() {
            bail!(
                "{} is in use, but not by pid {}, which should be it: it may run in another container",
                self.folder.shown(),
                up.pid
            );
        }
        let pid = i32::try_from(up.pid).context("a process id beyond i32")?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)
            .with_context(|| format!("cannot signal `roundtrip up`, pid {pid}"))?;
        out::line(&format!("draining (pid {pid})"));
        let until = Instant::now() + Duration::from_secs(self.within);
        while Lock::holder(folder)?.is_some_and(|holder| holder == up) {
            if Instant::now() >= until {
                bail!("pid {pid} still runs after {} s", self.within);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        out::line("stopped");
        Ok(ExitCode::SUCCESS)
    }
}
