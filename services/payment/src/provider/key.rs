//! The provider's key, and whether the provider still knows it. A key that is refused is used seldom, and never in a row: every call would be
//! refused as well. A changed file is taken up at once. Not how it is sent.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::HeaderValue;

use super::secret::{Secret, SecretFile};

/// The key as a header, and as it is told from others. It cannot be shown.
pub(super) struct Key {
    pub(super) secret: Secret,
    pub(super) bearer: HeaderValue,
}

/// Since when the key is refused, in which words, and when it is tried again.
#[derive(Clone)]
pub(super) struct Refusal {
    pub(super) since: SystemTime,
    pub(super) why: String,
    /// None: the file could not be read, so there was no key to be refused.
    secret: Option<Secret>,
    again: Instant,
}

/// The file with the key, and what the provider thinks of it.
pub(super) struct KeyRing {
    file: SecretFile,
    probe: Duration,
    refusal: Mutex<Option<Refusal>>,
}

impl KeyRing {
    pub(super) fn new(file: &Path, probe: Duration) -> Self {
        Self {
            file: SecretFile::new(file),
            probe,
            refusal: Mutex::new(None),
        }
    }

    /// The key to use now; none while it would be refused. A key that was refused is given to one caller when a probe is due.
    pub(super) fn take(&self) -> Result<Key, Refusal> {
        let found = self.file.now();
        let mut refusal = self.lock();
        let secret = match found {
            Ok(secret) => secret,
            Err(why) => return Err(self.note(&mut refusal, None, why)),
        };
        match refusal.as_mut() {
            Some(refused) if refused.secret.as_ref() == Some(&secret) => {
                if Instant::now() < refused.again {
                    return Err(refused.clone());
                }
                refused.again = Instant::now() + self.pause();
            }
            // What is in the file now was never refused; whether it is known is seen at its first use.
            _ => {}
        }
        let mut bearer = match HeaderValue::try_from(format!("Bearer {}", secret.reveal())) {
            Ok(bearer) => bearer,
            Err(_) => {
                let why = String::from("the key has characters in it that no key has");
                return Err(self.note(&mut refusal, Some(secret), why));
            }
        };
        bearer.set_sensitive(true);
        Ok(Key { secret, bearer })
    }

    /// How many calls may begin: none without a key that may be taken, one to try it, or any number. A look at the file, no probe.
    pub(super) fn permits(&self) -> usize {
        let Some(refused) = self.lock().clone() else {
            return usize::MAX;
        };
        let is_same = || self.file.now().ok().as_ref() == refused.secret.as_ref();
        usize::from(Instant::now() >= refused.again || !is_same())
    }

    /// The provider does not know this key. Where the file has another one by now, that says nothing.
    pub(super) fn refused(&self, key: &Key, why: String) {
        let mut refusal = self.lock();
        if self.file.now().is_ok_and(|now| now != key.secret) {
            return;
        }
        if refusal.is_none() {
            tracing::error!(
                why,
                "the payment provider does not take the key: put a valid one into the file of PROVIDER_KEY_FILE"
            );
        }
        self.note(&mut refusal, Some(key.secret.clone()), why);
    }

    /// The provider knows this key. A late answer to an older one says nothing of the one that is in use.
    pub(super) fn accepted(&self, key: &Key) {
        let mut refusal = self.lock();
        let older = |it: &Refusal| it.secret.as_ref().is_some_and(|it| *it != key.secret);
        let current = || self.file.now().is_ok_and(|now| now == key.secret);
        if refusal.as_ref().is_some_and(|it| !older(it) || current()) {
            *refusal = None;
        }
    }

    /// Since when it is refused, if it is.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.lock().clone()
    }

    fn note(&self, refusal: &mut Option<Refusal>, secret: Option<Secret>, why: String) -> Refusal {
        let since = refusal.as_ref().map_or_else(SystemTime::now, |it| it.since);
        let again = Instant::now() + self.pause();
        let noted = Refusal {
            since,
            why,
            secret,
            again,
        };
        *refusal = Some(noted.clone());
        noted
    }

    /// Replicas do not all ask at the same moment.
    fn pause(&self) -> Duration {
        self.probe.mul_f64(0.75 + fastrand::f64() / 2.0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Refusal>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Refusal {
    /// How long until it is tried again although nothing has changed.
    pub(super) fn pause(&self) -> Duration {
        self.again.saturating_duration_since(Instant::now())
    }
}
