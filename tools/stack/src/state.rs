//! What a stack leaves in its folder for others to find: who holds the folder, and where everything is.
//! Written by the stack, read by every command that looks for it. Not settings: changing it changes nothing.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use client::paint::visible_path;
use serde::{Deserialize, Serialize};

use crate::{private, process};

/// How often a lock is tried that somebody may only be looking at.
const TRIES: u32 = 10;
const TRY_EVERY: Duration = Duration::from_millis(30);

/// A process, known again by when it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it started, as the system says it.
    pub started: String,
}

impl Process {
    /// The one that runs under this id now.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let started = process::started(pid)?;
        Some(Self { pid, started })
    }

    /// Whether it still runs, and is not another one that was given its id.
    #[must_use]
    pub fn lives(&self) -> bool {
        process::started(self.pid).is_some_and(|started| started == self.started)
    }
}

/// One service process of a stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceState {
    /// Such as `flight`; its second replica is `flight-2`.
    pub name: String,
    /// Which service it is, such as `flight`.
    pub service: String,
    /// Its HTTP.
    pub url: String,
    /// Whether anybody answers there: a leg may have no HTTP.
    #[serde(default = "yes")]
    pub http: bool,
    /// Its log file.
    pub log: PathBuf,
    /// The process; None while it is down.
    pub process: Option<Process>,
}

fn yes() -> bool {
    true
}

/// Where everything of a stack is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// Whether it is up: every service was ready, every leg had joined, and the inventory was there.
    #[serde(default)]
    pub up: bool,
    /// The broker.
    pub nats_url: String,
    /// Its process, when it is the stack's own.
    pub nats: Option<Process>,
    /// The local PostgreSQL's process, when there is one.
    pub postgres: Option<Process>,
    /// Each service's database URL, with its password: this file is for its owner alone.
    pub databases: BTreeMap<String, String>,
    /// The service processes.
    pub services: Vec<ServiceState>,
    /// The payment provider on this machine, where there is one.
    #[serde(default)]
    pub provider: Option<ProviderState>,
}

/// A payment provider on this machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProviderState {
    /// Its HTTP.
    pub url: String,
    /// The file with the key that it takes.
    pub key_file: PathBuf,
    /// Its log file.
    pub log: PathBuf,
    /// The process; None while it is down.
    pub process: Option<Process>,
}

impl State {
    /// What the stack in this folder wrote last; None when there never was one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let file = file(folder);
        match fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .with_context(|| format!("cannot make sense of {}", visible_path(&file))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("cannot read {}", visible_path(&file)))
            }
        }
    }

    /// The stack that runs in this folder.
    ///
    /// # Errors
    /// When none runs there; says how to start one.
    pub fn running(folder: &Path) -> Result<Self> {
        if let (Some(_), Some(state)) = (Lock::holder(folder)?, Self::read(folder)?) {
            return Ok(state);
        }
        bail!(
            "no stack runs in {}: start one with `{} up`, or name its folder with --folder",
            visible_path(folder),
            client::invocation()
        )
    }

    /// The HTTP of a service's first replica.
    #[must_use]
    pub fn url(&self, service: &str) -> Option<&str> {
        let mut of_service = self.services.iter().filter(|s| s.service == service);
        of_service.next().map(|service| service.url.as_str())
    }

    /// What was written of an earlier run is no longer true.
    pub(super) fn forget(folder: &Path) -> Result<()> {
        match fs::remove_file(file(folder)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot delete {}", visible_path(&file(folder))))
            }
            _ => Ok(()),
        }
    }

    /// Replaces the file at once, so that nobody reads half of it.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let part = folder.join("stack.json.part");
        let text = serde_json::to_string_pretty(self)?;
        OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(private::FILE)
            .open(&part)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::set_permissions(&part, Permissions::from_mode(private::FILE)))
            .and_then(|()| fs::rename(&part, file(folder)))
            .with_context(|| format!("cannot write {}", visible_path(&file(folder))))
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("stack.json")
}

/// The right to use a folder, ours alone until it is dropped or we die.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it; makes the folder where there is none.
    ///
    /// # Errors
    /// When somebody else has it, and who.
    pub fn take(folder: &Path) -> Result<Self> {
        private::make(folder)?;
        let path = folder.join("lock");
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .mode(private::FILE)
            .open(&path)
            .with_context(|| format!("cannot write {}", visible_path(&path)))?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(TRY_EVERY);
                }
                Err(TryLockError::WouldBlock) => {
                    let who = read_holder(&path)
                        .map_or_else(|| "another process".into(), |p| format!("pid {}", p.pid));
                    bail!(
                        "{} is in use by another `roundtrip up` ({who}): stop it with `{} down`, or choose another folder with --folder",
                        visible_path(folder),
                        client::invocation()
                    );
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error)
                        .with_context(|| format!("cannot lock {}", visible_path(&path)));
                }
            }
        }
        file.set_len(0)?;
        if let Some(us) = Process::of(std::process::id()) {
            file.write_all(serde_json::to_string(&us)?.as_bytes())?;
        }
        Ok(Self { _file: file })
    }

    /// Whether somebody used the folder, or does.
    pub(super) fn lies_in(folder: &Path) -> bool {
        let path = folder.join("lock");
        path.is_file() && read_holder(&path).is_some()
    }

    /// Whether somebody uses the folder, and who.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn holder(folder: &Path) -> Result<Option<Process>> {
        let path = folder.join("lock");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", visible_path(&path)));
            }
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => read_holder(&path).map(Some).with_context(|| {
                format!("{} is in use, by whom cannot be seen", visible_path(folder))
            }),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", visible_path(&path)))
            }
        }
    }
}

fn read_holder(lock: &Path) -> Option<Process> {
    // It may just be writing its name.
    for _ in 0..TRIES {
        let text = fs::read_to_string(lock).ok()?;
        if let Ok(holder) = serde_json::from_str(&text) {
            return Some(holder);
        }
        std::thread::sleep(TRY_EVERY);
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::{Lock, Process, State};

    #[test]
    fn a_folder_is_held_by_one_and_it_is_said_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("new");
        assert_eq!(Lock::holder(&inside).unwrap(), None);
        let lock = Lock::take(&inside).unwrap();
        let us = Process::of(std::process::id()).unwrap();
        assert!(us.lives());
        assert_eq!(Lock::holder(&inside).unwrap(), Some(us.clone()));
        let refused = Lock::take(&inside).unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", us.pid)), "{refused}");
        drop(lock);
        assert_eq!(Lock::holder(&inside).unwrap(), None);
        Lock::take(&inside).unwrap();
    }

    #[test]
    fn no_stack_is_found_where_none_runs() {
        let folder = tempfile::tempdir().unwrap();
        assert!(State::read(folder.path()).unwrap().is_none());
        let error = State::running(folder.path()).unwrap_err().to_string();
        assert!(error.contains(" up`"), "{error}");
    }

    #[test]
    fn a_process_with_another_beginning_is_another_one() {
        let mut us = Process::of(std::process::id()).unwrap();
        us.started.push('0');
        assert!(!us.lives());
    }
}
