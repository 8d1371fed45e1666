//! The key and the webhooks' secret: made where there are none, in files for their owner alone, printed nowhere. Not a vault: it is a sandbox.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use client::paint::visible_path;

const FOR_ITS_OWNER: u32 = 0o600;
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// A key with fewer letters could be guessed.
const LENGTH: usize = 48;

/// What a request is let in by. It cannot be shown.
pub struct Keys {
    file: PathBuf,
    taken: Arc<Mutex<String>>,
}

impl Keys {
    /// The key in this file, made if there is none.
    ///
    /// # Errors
    /// When the file cannot be read or made.
    pub fn open(file: &Path) -> Result<Self> {
        let key = read_or_make(file, "sk_test_")?;
        Ok(Self {
            file: file.to_owned(),
            taken: Arc::new(Mutex::new(key)),
        })
    }

    /// Whether this is the key.
    #[must_use]
    pub fn takes(&self, key: &str) -> bool {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) == key
    }

    /// From now on another key is taken, and the one before it no more. What is to be done to have it in the file comes back, for later or now.
    ///
    /// # Errors
    /// When none can be drawn.
    pub fn rotate(&self) -> Result<impl FnOnce() -> Result<()> + Send + use<>> {
        let key = draw("sk_test_")?;
        key.clone_into(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner));
        let (file, taken) = (self.file.clone(), Arc::clone(&self.taken));
        Ok(move || {
            // Rotated once more meanwhile, it would be a key that is not taken any more.
            let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
            if *taken == key {
                replace(&file, &key)?;
            }
            Ok(())
        })
    }
}

/// The secret in a file, made if there is none.
///
/// # Errors
/// When the file cannot be read or made.
pub fn read_or_make(file: &Path, prefix: &str) -> Result<String> {
    let what = || format!("cannot read the secret in {}", visible_path(file));
    match fs::read_to_string(file) {
        Ok(text) => {
            let secret = text.trim().to_owned();
            ensure!(
                !secret.is_empty(),
                "{} is empty: remove it, and a secret is made",
                visible_path(file)
            );
            Ok(secret)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let secret = draw(prefix)?;
            replace(file, &secret)?;
            Ok(secret)
        }
        Err(error) => Err(error).with_context(what),
    }
}

/// In one step: whoever reads it meanwhile has the old one or the new one, whole.
fn replace(file: &Path, secret: &str) -> Result<()> {
    let beside = file.with_extension("new");
    let write = || {
        let _ = fs::remove_file(&beside);
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FOR_ITS_OWNER)
            .open(&beside)?;
        writeln!(new, "{secret}")?;
        new.sync_all()?;
        fs::rename(&beside, file)
    };
    write().with_context(|| format!("cannot write {}", visible_path(file)))
}

fn draw(prefix: &str) -> Result<String> {
    let mut bytes = [0_u8; LENGTH];
    File::open("/dev/urandom")
        .and_then(|mut urandom| urandom.read_exact(&mut bytes))
        .context("no secret can be drawn")?;
    let letters = bytes.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    Ok(prefix.chars().chain(letters).collect())
}

/// Letters and digits for an id, which is no secret.
#[must_use]
pub fn fresh() -> String {
    let letter = |_| char::from(LETTERS[fastrand::usize(..LETTERS.len())]);
    (0..24).map(letter).collect()
}
