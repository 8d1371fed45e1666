//! A server as a child process: its own process group (Ctrl-C in a terminal reaches us, not it), its output in a log file, and an end that is
//! sure: asked first, killed when it does not listen, killed as well when we ourselves are killed.
//! Not a supervisor: what to do about a child that ended is for the caller to decide.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use client::paint::{visible, visible_path};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::private;

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How a child ends when nobody is left to end it.
#[derive(Debug, Clone, Default)]
pub struct LastWill {
    /// The signal that a child gets when the process that started it is gone. None is SIGKILL.
    pub signal: Option<Signal>,
    /// A folder to remove after that.
    pub remove: Option<PathBuf>,
}

/// A running (or just ended) child process. Dropped, it is killed.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: Process,
    watch: Option<Process>,
    log: PathBuf,
    log_from: u64,
    ended: Option<ExitStatus>,
}

impl Child {
    /// Starts `command`; what it prints is appended to the file `log`.
    ///
    /// # Errors
    /// When the log cannot be written or the program cannot be run.
    pub fn spawn(mut command: Command, name: &str, log: &Path, will: LastWill) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(private::FILE)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(log)
            .with_context(|| format!("cannot write the log {}", visible_path(log)))?;
        let log_from = out.metadata()?.len();
        let err = out.try_clone()?;
        command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0);
        let mut process = command
            .spawn()
            .with_context(|| format!("cannot run {}", visible(&program)))?;
        let watch = match watch(process.id(), will) {
            Ok(watch) => watch,
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                return Err(error);
            }
        };
        Ok(Self {
            name: name.to_owned(),
            process,
            watch: Some(watch),
            log: log.to_owned(),
            log_from,
            ended: None,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file with all that it printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.process.try_wait().ok().flatten();
            if self.ended.is_some() {
                self.unwatch();
            }
        }
        self.ended
    }

    /// Sends a signal; one that has ended already gets none.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended().is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.pid()).context("a process id beyond i32")?;
        kill(Pid::from_raw(pid), signal)
            .with_context(|| format!("cannot send {signal} to {}", self.name))
    }

    /// Asks it to end, waits that long, then kills it. True when it went by itself.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn stop(&mut self, ask: Signal, within: Duration) -> Result<bool> {
        self.signal(ask)?;
        if self.wait(within).await.is_some() {
            return Ok(true);
        }
        self.kill().await?;
        Ok(false)
    }

    /// Waits at most that long for its end.
    pub async fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be signalled or does not go within ten seconds.
    pub async fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.wait(Duration::from_secs(10))
            .await
            .map(|_| ())
            .with_context(|| format!("{} (pid {}) outlived SIGKILL", self.name, self.pid()))
    }

    /// The last lines that it logged, for an error message, each as it may be shown; not those of one that had the log before it.
    pub fn last_words(&self) -> String {
        let last = tail(&self.log, self.log_from, 8);
        let lines: Vec<_> = last.lines().map(visible).collect();
        lines.join("\n")
    }

    /// The watcher must go before the process id can be given to somebody else.
    fn unwatch(&mut self) {
        if let Some(mut watch) = self.watch.take() {
            let _ = watch.kill();
            let _ = watch.wait();
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.unwatch();
        if self.ended.is_none() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// A shell that waits for the end of its standard input. Its other end is ours, so it closes however we end, even by SIGKILL.
fn watch(pid: u32, will: LastWill) -> Result<Process> {
    const SCRIPT: &str = r#"read -r _
kill -s "$2" "$1" 2>/dev/null
if [ -n "$3" ]; then
  n=0
  while kill -0 "$1" 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done
  rm -rf -- "$3"
fi"#;
    let signal = will.signal.unwrap_or(Signal::SIGKILL);
    Command::new("sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(pid.to_string())
        .arg(signal.as_str().trim_start_matches("SIG"))
        .arg(will.remove.unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0)
        .spawn()
        .context("cannot run sh")
}

/// The last lines that a text file has after its first `from` bytes; empty when it cannot be read.
fn tail(file: &Path, from: u64, lines: usize) -> String {
    const MOST: u64 = 8 * 1024;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = fs::File::open(file)?;
        let length = file.metadata()?.len();
        // One that is shorter by now was put aside meanwhile, and began anew.
        let from = if from > length { 0 } else { from };
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(MOST))))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok(end)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

    use std::fs;

    use super::tail;

    #[test]
    fn last_words_are_found_in_a_log_that_became_shorter() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        fs::write(&log, "one\ntwo\nthree\n").unwrap();
        assert_eq!(tail(&log, 4, 8), "two\nthree");
        assert_eq!(tail(&log, 4, 1), "three");
        // Put aside, and begun anew.
        fs::write(&log, "four\n").unwrap();
        assert_eq!(tail(&log, 14, 8), "four");
    }
}
