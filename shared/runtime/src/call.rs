//! Calls: what a service wants done outside, as rows. A reaction asks for one as it says a fact, in the same transaction; a task beside the
//! loop performs it ([`Service::perform`]), at least once and under one id; the answer is one more input of a batch.
//! Which records they are about, what the other side speaks and when it is better left alone is the service's own.

pub(crate) mod http;

use std::any::TypeId;
use std::convert::Infallible;
use std::time::Duration;

use serde::Deserialize;

pub use http::WaitingCall;

use crate::service::Service;
use crate::table::{Lock, Table, int, text};
use crate::telemetry::TraceContext;

/// When calls that go first and others both wait, one start in so many is another's.
pub const SHARE: usize = 4;
/// The longest pause that the other side may ask for.
pub const AFTER_MAX: Duration = Duration::from_secs(3_600);

/// The most bytes of an id, and of what a call is about. Who takes idempotency keys takes as much.
const ID_MAX: usize = 255;
/// The most bytes of a purpose.
const PURPOSE_MAX: usize = 64;
/// The most bytes of a request.
const REQUEST_MAX: usize = 256 << 10;
/// The most calls that one reaction asks for.
pub const CALLS_PER_REACTION_MAX: usize = 16;

/// The most characters that are kept of a problem.
const PROBLEM_MAX: usize = 300;

/// The table `call`, as it is read for lists and audits.
pub const CALL: &Table = &Table {
    name: "call",
    key: &[text("id")],
    columns: &[
        text("purpose"),
        text("about"),
        text("request"),
        int("goes_first"),
        int("asked_us"),
        int("due_us"),
        int("attempts"),
        text("problem"),
        text("traceparent"),
        text("tracestate"),
    ],
    lock: Lock::None,
};

/// What a batch loads of a call whose answer it judges: whether it waits, and since when. Whoever else has an answer to it waits too.
pub(crate) const WAITING: &Table = &Table {
    name: CALL.name,
    key: CALL.key,
    columns: &[int("asked_us")],
    lock: Lock::Update,
};

/// Something to be done outside.
///
/// It is performed at least once and under one id, by which the other side tells a repetition: so its effect is applied once. One beyond the
/// bounds of its fields is refused with the input that asks for it.
/// ```
/// use runtime::{Call, Context, TraceContext};
///
/// let mut context = Context::new(0, None, TraceContext::default());
/// context.call(Call::new("o-17-ship", "ship", "o-17", r#"{"parcels":2}"#));
/// context.call(Call::new("o-16-fetch-back", "fetch-back", "o-16", "{}").first());
/// assert_eq!(context.calls[0].id, "o-17-ship");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The idempotency key at the other side, 1 to 255 printable ASCII characters. Asking for an id that waits already is one call, and the
    /// first stays as it is.
    pub id: String,
    /// A constant word such as `capture`, 1 to 64 bytes: for metrics, log lines and lists. Metrics name the first hundred that they see.
    pub purpose: String,
    /// Which record it is about, 1 to 255 bytes.
    pub about: String,
    /// JSON text: whatever performing it needs, at most 256 KiB. Never a secret: it lies in the database.
    pub request: String,
    /// Whether it goes before others, as what undoes something should. When both wait, one start in four ([`SHARE`]) is another's.
    pub first: bool,
}

/// What came of one attempt to perform a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt<A> {
    /// The outcome is known. A no is an answer, too.
    Answered(A),
    /// The outcome is unknown, or nothing was done: the call is tried again under the same id.
    Again {
        /// What happened, in plain words without a secret: for the list and the log.
        why: String,
        /// Not before so long, where the other side says so; at most an hour ([`AFTER_MAX`]). Nor before a pause that doubles up to a bound.
        after: Option<Duration>,
    },
    /// Something came back that nobody can read. It is kept whole as a dead letter, and the call is tried again.
    Unreadable {
        /// What came, as it came.
        body: Vec<u8>,
        /// Why it cannot be read. Letters about one record with the same reason are one.
        why: String,
    },
}

impl<A> Attempt<A> {
    /// The outcome is unknown, or nothing was done; the other side says nothing of when to try again.
    pub fn again(why: impl Into<String>) -> Self {
        Self::Again {
            why: why.into(),
            after: None,
        }
    }
}

impl Call {
    /// A call under this id, for a purpose, about a record, with what performing it needs: see the fields.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        purpose: &'static str,
        about: impl Into<String>,
        request: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            purpose: purpose.to_owned(),
            about: about.into(),
            request: request.into(),
            first: false,
        }
    }

    /// The same, to go before others, also before one about the same record that was asked for earlier: calls have no order, and two may be under
    /// way at once. So ask for what undoes something only in the answer to what it undoes.
    #[must_use]
    pub fn first(self) -> Self {
        Self {
            first: true,
            ..self
        }
    }

    /// Whether it is within bounds.
    ///
    /// # Errors
    /// With what is not, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        let printable = self.id.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if self.id.is_empty() || !printable {
            return Err(format!(
                "the id of a call, {:?}, is not 1 to {ID_MAX} printable ASCII characters",
                self.id
            ));
        }
        for (name, text) in [("purpose", &self.purpose), ("about", &self.about)] {
            if text.is_empty() {
                return Err(format!("the {name} of the call {:?} is empty", self.id));
            }
        }
        let bounds = [
            ("id", &self.id, ID_MAX),
            ("purpose", &self.purpose, PURPOSE_MAX),
            ("about", &self.about, ID_MAX),
            ("request", &self.request, REQUEST_MAX),
        ];
        for (name, text, most) in bounds {
            if text.len() > most {
                let bytes = text.len();
                return Err(format!(
                    "the {name} of a call has {bytes} bytes, and {most} is the most"
                ));
            }
        }
        Ok(())
    }
}

/// Whether a service makes calls: it has an answer to them. One that has none pays nothing for those who do.
pub(crate) fn makes_calls<S: Service>() -> bool {
    TypeId::of::<S::Answer>() != TypeId::of::<Infallible>()
}

/// A call that this process is to perform now, as its row was when it was claimed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Claimed {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub purpose: String,
    /// Which record it is about.
    pub about: String,
    /// Whatever performing it needs.
    pub request: String,
    /// 1 if it goes before others, else 0.
    pub goes_first: i64,
    /// When it was asked for.
    pub asked_us: i64,
    /// How often it was tried, this attempt counted.
    pub attempts: i64,
    traceparent: Option<String>,
    tracestate: Option<String>,
}

impl Claimed {
    /// The call itself.
    #[must_use]
    pub fn call(&self) -> Call {
        Call {
            id: self.id.clone(),
            purpose: self.purpose.clone(),
            about: self.about.clone(),
            request: self.request.clone(),
            first: self.goes_first == 1,
        }
    }

    /// Where in the trace it was asked for.
    pub(crate) fn trace(&self) -> TraceContext {
        TraceContext {
            traceparent: self.traceparent.clone(),
            tracestate: self.tracestate.clone(),
        }
    }
}

/// How long who was told nothing pauses before the next attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Pace {
    /// After so many attempts, by chance (0 to 1): between the half and the whole of a pause that doubles up to the longest; and no less than
    /// the other side asked for and a little more, up to [`AFTER_MAX`].
    pub(crate) fn pause(self, attempts: i64, after: Option<Duration>, chance: f64) -> Duration {
        let doublings = u32::try_from(attempts.clamp(1, 31) - 1).unwrap_or(0);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        let ours = whole.mul_f64(0.5 + chance / 2.0);
        after.map_or(ours, |after| {
            after.min(AFTER_MAX).mul_f64(1.0 + chance / 10.0).max(ours)
        })
    }
}

/// Which calls are started next: those that go first, but one start in [`SHARE`] is another's while others wait.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    started: usize,
}

impl Turns {
    /// How many of so many starts are kept for others.
    pub(crate) fn kept(&self, room: usize) -> usize {
        (self.started % SHARE).saturating_add(room) / SHARE
    }

    pub(crate) fn started(&mut self, calls: usize) {
        self.started = (self.started % SHARE).saturating_add(calls);
    }
}

/// Words from outside as they are kept and shown: bounded, and every character that could play tricks on who reads them is made visible.
pub(crate) fn plain(words: &str) -> String {
    let tricks = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut plain = String::new();
    for c in words.chars().take(PROBLEM_MAX) {
        if tricks(c) {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    if words.chars().nth(PROBLEM_MAX).is_some() {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests;
