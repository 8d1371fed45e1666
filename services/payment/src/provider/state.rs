//! What an operator is told of the provider: what is wrong and what to do, and the numbers behind it. It decides nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::Provider;
use super::webhook::{Heard, Refused};

/// Something that is wrong with the provider, or with how we stand with it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// For programs: `provider-down`, `provider-key-refused`, `provider-not-allowed`, `provider-unreadable` or `provider-slowed-down`.
    pub kind: &'static str,
    /// Since when.
    #[serde(serialize_with = "as_instant")]
    pub since: SystemTime,
    /// What is wrong and what to do, for people. No secret is in it.
    pub detail: String,
}

fn as_instant<S: serde::Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    match jiff::Timestamp::try_from(*at) {
        Ok(at) => serializer.collect_str(&at),
        Err(_) => serializer.serialize_none(),
    }
}

/// A number for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Its name, without the system's; a counter's ends in `_total`.
    pub name: &'static str,
    /// What tells it from others of that name.
    pub label: Option<(&'static str, &'static str)>,
    /// How much.
    pub value: u64,
}

/// What came of an exchange, as it is counted.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Read,
    No,
    NotSent,
    Unknown,
    Down,
    TooFast,
    InProgress,
    Key,
    NotAllowed,
    Unreadable,
}

const OUTCOMES: [(&str, Outcome); 10] = [
    ("read", Outcome::Read),
    ("no", Outcome::No),
    ("unreachable", Outcome::NotSent),
    ("unknown", Outcome::Unknown),
    ("down", Outcome::Down),
    ("slowed-down", Outcome::TooFast),
    ("in-progress", Outcome::InProgress),
    ("key-refused", Outcome::Key),
    ("not-allowed", Outcome::NotAllowed),
    ("unreadable", Outcome::Unreadable),
];

/// Something that comes and goes: it is over when it has not come for a while, not when it did not come once.
struct Recurring {
    since: SystemTime,
    last: Instant,
    why: String,
}

/// What was counted.
pub(super) struct Tally {
    exchanges: [AtomicU64; OUTCOMES.len()],
    webhooks: [AtomicU64; 2],
    quiet: Duration,
    /// What is answered cannot be read.
    unreadable: Mutex<Option<Recurring>>,
    /// What the key may not do, by what was to be done. There are no more of these than purposes.
    not_allowed: Mutex<BTreeMap<&'static str, SystemTime>>,
}

impl Tally {
    pub(super) fn new(quiet: Duration) -> Self {
        Self {
            exchanges: Default::default(),
            webhooks: Default::default(),
            quiet,
            unreadable: Mutex::default(),
            not_allowed: Mutex::default(),
        }
    }

    pub(super) fn exchange(&self, outcome: Outcome) {
        self.exchanges[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn webhook(&self, heard: &Result<Option<Heard>, Refused>) {
        self.webhooks[usize::from(heard.is_err())].fetch_add(1, Ordering::Relaxed);
    }

    /// Something came that nobody can read.
    pub(super) fn unreadable(&self, why: &str) {
        self.exchange(Outcome::Unreadable);
        if self.is_unreadable().is_none() {
            tracing::error!(
                why,
                "the payment provider answers what nobody can read; it is kept as a dead letter"
            );
        }
        let since = self.is_unreadable().map(|(since, _)| since);
        *lock(&self.unreadable) = Some(Recurring {
            since: since.unwrap_or_else(SystemTime::now),
            last: Instant::now(),
            why: why.to_owned(),
        });
    }

    /// Since when what it answers cannot be read, and why; none once that has not happened for a while.
    fn is_unreadable(&self) -> Option<(SystemTime, String)> {
        let unreadable = lock(&self.unreadable);
        let recent = unreadable
            .as_ref()
            .filter(|it| it.last.elapsed() < self.quiet);
        recent.map(|it| (it.since, it.why.clone()))
    }

    /// What it answers can be read.
    pub(super) fn readable(&self, purpose: &'static str) {
        self.exchange(Outcome::Read);
        self.allowed(purpose);
    }

    /// The key may not do this.
    pub(super) fn not_allowed(&self, purpose: &'static str) {
        self.exchange(Outcome::NotAllowed);
        lock(&self.not_allowed).entry(purpose).or_insert_with(|| {
            tracing::error!(
                purpose,
                "the payment provider's key may not do this: give it the right to, or put another one into the file of PROVIDER_KEY_FILE"
            );
            SystemTime::now()
        });
    }

    /// The key may do this.
    pub(super) fn allowed(&self, purpose: &'static str) {
        lock(&self.not_allowed).remove(purpose);
    }
}

fn lock<T>(it: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Provider {
    /// What is wrong, if anything is: for who asks whether the service is ready, for the doctor, for the log.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(refusal) = self.keys.refusal() {
            let why = refusal.why;
            problems.push(Problem {
                kind: "provider-key-refused",
                since: refusal.since,
                detail: format!(
                    "the payment provider does not take the key ({why}): put a valid one into the file of PROVIDER_KEY_FILE; it is taken up without a restart, and what waits goes on"
                ),
            });
        }
        if let Some((since, why)) = self.breaker.down() {
            problems.push(Problem {
                kind: "provider-down",
                since,
                detail: format!(
                    "the payment provider is down ({why}): nothing is to be done here but to look at its status page and at the network; it is tried again by itself"
                ),
            });
        }
        for (purpose, since) in lock(&self.tally.not_allowed).iter() {
            problems.push(Problem {
                kind: "provider-not-allowed",
                since: *since,
                detail: format!(
                    "the payment provider's key may not {purpose} (403): give it the right to at the provider, or put another one into the file of PROVIDER_KEY_FILE; everything else goes on, and this as soon as it may"
                ),
            });
        }
        if let Some((since, why)) = self.tally.is_unreadable() {
            problems.push(Problem {
                kind: "provider-unreadable",
                since,
                detail: format!(
                    "the payment provider answers what nobody can read ({why}): look at the dead letters `call.…`, and whether PROVIDER_URL leads to the provider or to something before it"
                ),
            });
        }
        if let Some((since, per_s)) = self.pace.slow() {
            problems.push(Problem {
                kind: "provider-slowed-down",
                since,
                detail: format!(
                    "the payment provider was asked too often (429): {per_s} calls a second for now; set PROVIDER_CALLS_PER_S to what it allows"
                ),
            });
        }
        problems
    }

    /// The numbers, each at each time, also those that are 0: an alert on what is absent never fires.
    #[must_use]
    pub fn measures(&self) -> Vec<Measure> {
        let plain = |name, value| Measure {
            name,
            label: None,
            value,
        };
        let (slowed, per_s) = self.pace.counts();
        let mut all = vec![
            plain("provider_down", u64::from(self.breaker.down().is_some())),
            plain(
                "provider_key_refused",
                u64::from(self.keys.refusal().is_some()),
            ),
            plain(
                "provider_unreadable",
                u64::from(self.tally.is_unreadable().is_some()),
            ),
            plain(
                "provider_not_allowed",
                lock(&self.tally.not_allowed).len() as u64,
            ),
            plain("provider_calls_per_second_max", per_s),
            plain("provider_breaker_opened_total", self.breaker.opened()),
            plain("provider_slowed_down_total", slowed),
        ];
        for (label, outcome) in OUTCOMES {
            all.push(Measure {
                name: "provider_exchanges_total",
                label: Some(("outcome", label)),
                value: self.tally.exchanges[outcome as usize].load(Ordering::Relaxed),
            });
        }
        for (label, count) in ["taken", "refused"].into_iter().zip(&self.tally.webhooks) {
            all.push(Measure {
                name: "provider_webhooks_total",
                label: Some(("outcome", label)),
                value: count.load(Ordering::Relaxed),
            });
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of many calls some are answered in a way that nobody can read: that others are not is no reason to take the alarm back.
    #[test]
    fn what_comes_and_goes_is_over_when_it_has_not_come_for_a_while() {
        let tally = Tally::new(Duration::from_millis(60));
        tally.unreadable("a page");
        let since = tally.is_unreadable().map(|it| it.0);
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(30));
            tally.unreadable("another page");
            tally.readable("capture");
            assert_eq!(tally.is_unreadable().map(|it| it.0), since);
        }
        assert!(since.is_some());
        std::thread::sleep(Duration::from_millis(70));
        assert!(tally.is_unreadable().is_none());
    }
}
