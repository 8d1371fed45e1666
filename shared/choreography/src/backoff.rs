//! Time as a value: the moment in which something is judged, and how long to wait before asking again.
//!
//! Who waits, re-announces: every half minute at first, and after some four minutes at pauses that double to five minutes, with jitter
//! so that a crowd of trips that began together does not ask together. So whatever was lost in the first minutes of a trip is said again
//! within 38 seconds of the last loss, within a minute if there was a queue then, and a trip that waits for a leg that is gone for a day
//! costs next to nothing. The clock and the die are read outside; here is only arithmetic, and it cannot overflow.

use jiff::Timestamp;

/// How often a record asks at the first pause before its pauses double.
pub const STEADY_TRIES: i64 = 8;

/// How long a waiting record waits before it says again what it has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause.
    pub first_ms: i64,
    /// The longest, before jitter.
    pub max_ms: i64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first_ms: 30_000,
            max_ms: 300_000,
        }
    }
}

/// When something is judged. One per batch would do; one per message is as good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    /// The time by the clock.
    pub at: Timestamp,
    /// The die: 0 to 1, stretches a pause to between 3/4 and 5/4 of itself.
    pub jitter: f64,
    /// The setting.
    pub backoff: Backoff,
}

impl Now {
    /// Now in microseconds, as rows keep it.
    pub fn now_us(&self) -> i64 {
        self.at.as_microsecond()
    }

    /// When to wake a record that has asked `tries` times without an answer, in microseconds.
    pub fn wake_us(&self, tries: i64) -> i64 {
        self.now_us().saturating_add(self.pause_us(tries))
    }

    /// When to look again at a record that does not ask yet, for its answer may be under way: after a quarter of a pause. So whoever was put
    /// off twice still asks within a minute of the last loss (38 s and twice 10 s at the default setting).
    pub fn look_again_us(&self, tries: i64) -> i64 {
        self.now_us().saturating_add(self.pause_us(tries) / 4)
    }

    fn pause_us(&self, tries: i64) -> i64 {
        let doublings =
            u32::try_from(tries.saturating_sub(STEADY_TRIES - 1).clamp(0, 30)).unwrap_or(0);
        let pause_ms = self
            .backoff
            .first_ms
            .saturating_mul(1 << doublings)
            .clamp(0, self.backoff.max_ms.max(0));
        // Thousandths keep the arithmetic in integers; a die that is no number at all counts as 0.
        let stretch = ((750.0 + self.jitter * 500.0) as i64).clamp(750, 1_250);
        pause_ms.saturating_mul(stretch)
    }

    /// Whether a timer set for `due_us` has gone off. One that is further away than any pause is long has: a clock went back.
    pub fn is_due(&self, due_us: i64) -> bool {
        let longest_us = self.backoff.max_ms.saturating_mul(1_250);
        due_us <= self.now_us() || due_us > self.now_us().saturating_add(longest_us)
    }
}

/// A time as rows keep it, back as a time. Out of range is the nearest that is in.
pub fn instant(us: i64) -> Timestamp {
    Timestamp::from_microsecond(us).unwrap_or(if us < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
