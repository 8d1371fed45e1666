//! The switches: what is to go wrong, for which requests, and how often. What each does to a request is in `broken`.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// The most switches at once.
const SWITCHES_MAX: usize = 32;

/// What is asked of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// `POST /v1/payment_intents`
    Open,
    /// `POST …/confirm`
    Authorise,
    /// `POST …/capture`
    Capture,
    /// `POST …/cancel`
    Void,
    /// `POST /v1/refunds`
    Refund,
    /// `GET /v1/payment_intents/{id}`, `GET /v1/refunds/{id}`
    Read,
    /// `GET /v1/payment_intents`, `GET /v1/refunds`
    List,
}

/// Everything that can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// 503, with `retry_after_s` if it is given; nothing is done.
    Down,
    /// 500, kept under the idempotency key; `when` says whether it was done all the same.
    Broken,
    /// 401 to any key.
    RefuseKey,
    /// 403 to any key.
    ForbidKey,
    /// 429 to whatever is more than `per_s` in a second; to everything, where that is not given.
    TooMany,
    /// 409: the idempotency key is in use.
    InUse,
    /// The answer takes `ms` longer.
    Slow,
    /// No answer until the switch is taken back, or for `ms`; `when` says whether it is done before that.
    Hang,
    /// 200, and bytes that are nothing.
    Garbage,
    /// 200, and a page for people.
    Html,
    /// 200, and JSON of another shape.
    OtherShape,
    /// 200, and the first half of the answer.
    Truncated,
    /// The connection ends in the middle of the answer.
    Cut,
    /// Every card is declined.
    Decline,
    /// No capture is taken.
    RefuseCapture,
    /// No cancellation is taken.
    RefuseVoid,
    /// No refund is taken.
    RefuseRefund,
    /// Refunds are taken, and pending until `POST /sandbox/refunds/settle` says what becomes of them.
    PendingRefund,
    /// 400, and a page for people in which everything is that was sent, as some proxies have it: the key as well.
    Echo,
}

impl Failure {
    /// The one operation that it is about, where it is about one.
    fn purpose(self) -> Option<Purpose> {
        Some(match self {
            Self::Decline => Purpose::Authorise,
            Self::RefuseCapture => Purpose::Capture,
            Self::RefuseVoid => Purpose::Void,
            Self::RefuseRefund | Self::PendingRefund => Purpose::Refund,
            _ => return None,
        })
    }
}

/// Before or after what was asked for is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Nothing is done.
    Before,
    /// It is done, and the failure is in the answer.
    After,
}

/// A switch, as it is thrown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// What goes wrong.
    pub failure: Failure,
    /// For these requests alone; none: for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<Purpose>,
    /// So often; none: until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Whether what was asked for is done all the same; where it matters and is not said, it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// What `Retry-After` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// How long, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// How many in a second are let through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_s: Option<u32>,
}

/// A switch that is thrown.
#[derive(Clone, Debug, Serialize)]
pub struct Thrown {
    /// What to take it back by.
    pub id: u64,
    /// As it was thrown; its count is what is left of it.
    #[serde(flatten)]
    pub switch: Switch,
    /// How often it was met.
    pub met: u64,
    #[serde(skip)]
    window: Option<(Instant, u32)>,
}

/// All of them.
#[derive(Debug)]
pub struct Failures {
    thrown: Mutex<(u64, Vec<Thrown>)>,
    changed: watch::Sender<u64>,
}

impl Default for Failures {
    fn default() -> Self {
        Self {
            thrown: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Failures {
    /// Throws one. None when there are too many.
    #[must_use]
    pub fn throw(&self, switch: Switch) -> Option<Thrown> {
        let mut thrown = self.lock();
        if thrown.1.len() >= SWITCHES_MAX {
            return None;
        }
        thrown.0 += 1;
        let new = Thrown {
            id: thrown.0,
            switch,
            met: 0,
            window: None,
        };
        thrown.1.push(new.clone());
        Some(new)
    }

    /// Takes back one of them, or all. How many there were.
    pub fn take_back(&self, id: Option<u64>) -> usize {
        let mut thrown = self.lock();
        let before = thrown.1.len();
        thrown.1.retain(|it| id.is_some_and(|id| it.id != id));
        let gone = before - thrown.1.len();
        drop(thrown);
        self.changed.send_modify(|times| *times += 1);
        gone
    }

    /// All that are thrown.
    #[must_use]
    pub fn all(&self) -> Vec<Thrown> {
        self.lock().1.clone()
    }

    /// What goes wrong with this request, if anything does.
    #[must_use]
    pub fn meet(&self, purpose: Purpose) -> Option<Thrown> {
        let mut thrown = self.lock();
        let mut all = thrown.1.iter_mut();
        let met = all.find_map(|it| it.is_about(purpose).then_some(it))?;
        met.met += 1;
        if let Some(left) = &mut met.switch.count {
            *left -= 1;
        }
        Some(met.clone())
    }

    /// Until it is taken back.
    pub async fn gone(&self, id: u64) {
        let mut changed = self.changed.subscribe();
        while self.lock().1.iter().any(|it| it.id == id) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (u64, Vec<Thrown>)> {
        self.thrown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Thrown {
    fn is_about(&mut self, purpose: Purpose) -> bool {
        let switch = &self.switch;
        let named = switch.only.is_empty() || switch.only.contains(&purpose);
        let its_own = switch.failure.purpose().is_none_or(|own| own == purpose);
        if !named || !its_own || switch.count == Some(0) {
            return false;
        }
        let (Failure::TooMany, Some(most)) = (switch.failure, switch.per_s) else {
            return true;
        };
        let now = Instant::now();
        let (since, so_far) = self.window.get_or_insert((now, 0));
        if now.duration_since(*since).as_secs() >= 1 {
            (*since, *so_far) = (now, 0);
        }
        *so_far += 1;
        *so_far > most
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn switch(text: &str) -> Switch {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_switch_is_met_by_what_it_is_about_and_so_often() {
        let failures = Failures::default();
        let down = switch(r#"{"failure":"down","only":["capture"],"count":2,"retry_after_s":3}"#);
        failures.throw(down).unwrap();
        failures.throw(switch(r#"{"failure":"decline"}"#)).unwrap();
        assert!(failures.meet(Purpose::Open).is_none());
        assert_eq!(
            failures.meet(Purpose::Authorise).unwrap().switch.failure,
            Failure::Decline
        );
        assert!(failures.meet(Purpose::Capture).is_some());
        assert!(failures.meet(Purpose::Capture).is_some());
        assert!(failures.meet(Purpose::Capture).is_none());
        assert_eq!(failures.take_back(None), 2);
        assert!(failures.meet(Purpose::Authorise).is_none());
    }

    #[test]
    fn so_many_in_a_second_are_let_through() {
        let failures = Failures::default();
        failures
            .throw(switch(r#"{"failure":"too-many","per_s":3}"#))
            .unwrap();
        let met = (0..10).filter(|_| failures.meet(Purpose::Open).is_some());
        assert_eq!(met.count(), 7);
    }

    #[test]
    fn what_is_no_switch_is_refused() {
        for text in [
            r#"{"failure":"fire"}"#,
            r#"{"failure":"down","cont":1}"#,
            "{}",
        ] {
            assert!(serde_json::from_str::<Switch>(text).is_err(), "{text}");
        }
    }
}
