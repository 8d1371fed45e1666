//! A secret in a file: read anew when the file changes, and written nowhere. Its types have neither `Debug` nor `Display`, so that no log line,
//! error or span can have it by accident. Not a vault: it is in memory as long as it is in use.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest that a secret's file may be, in bytes: a wrong path is not read into memory.
const FILE_MAX: u64 = 4_096;

/// A secret as it was read, to be compared and used, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(Arc<str>);

impl Secret {
    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        Self(text.into())
    }

    /// The secret itself, for who hands it to a header or a digest.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

/// What tells one state of a file from another without reading it. A replaced file has another inode, an overwritten one another time.
type Stamp = (u64, i64, i64, u64);

/// A file with a secret in it.
pub(super) struct SecretFile {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Secret)>>,
}

impl SecretFile {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            read: Mutex::new(None),
        }
    }

    /// The secret as it is in the file now. It costs a look at the file; it is small and local, so nobody else waits for it.
    ///
    /// # Errors
    /// In words that name the file and what to do, and nothing of what is in it.
    pub(super) fn now(&self) -> Result<Secret, String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.path).map_err(|error| self.unreadable(&error))?;
        if let Some((at, secret)) = &*read
            && *at == stamp
        {
            return Ok(secret.clone());
        }
        if stamp.3 > FILE_MAX {
            let (path, size) = (self.path.display(), stamp.3);
            return Err(format!(
                "{path} has {size} bytes and cannot be a secret; give the file with the secret alone"
            ));
        }
        let text = fs::read_to_string(&self.path).map_err(|error| self.unreadable(&error))?;
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let path = self.path.display();
            return Err(format!(
                "{path} has no secret in it: one line of letters, digits and signs is expected"
            ));
        }
        let secret = Secret(text.into());
        *read = Some((stamp, secret.clone()));
        Ok(secret)
    }

    fn unreadable(&self, error: &io::Error) -> String {
        format!("{} cannot be read: {error}", self.path.display())
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let found = fs::metadata(path)?;
    Ok((found.ino(), found.mtime(), found.mtime_nsec(), found.size()))
}
