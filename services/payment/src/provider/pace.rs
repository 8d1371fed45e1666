//! How fast calls begin: a token bucket (`governor`'s), slower after the provider said 429 and back to the full pace when it is content. Not
//! how many are under way at once: that is the runtime's CALLS_MAX.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// How long all goes well before the pace is raised again.
const RAISE_AFTER: Duration = Duration::from_secs(5);
/// The least that nothing begins after a 429 that does not say for how long.
const REST: Duration = Duration::from_millis(500);
/// Of a second's tokens, the part that may be used at once is one in so many.
const BURST_PART: u32 = 5;

struct Bucket {
    limiter: DefaultDirectRateLimiter,
    per_s: u32,
    /// Tokens that were taken out and are not used yet.
    in_hand: usize,
    rests_until: Instant,
    changed: Instant,
    slow_since: Option<SystemTime>,
    slowed: u64,
}

/// The pace of calls.
pub(super) struct Pace {
    max_per_s: u32,
    bucket: Mutex<Bucket>,
}

impl Pace {
    pub(super) fn new(max_per_s: u32) -> Self {
        let now = Instant::now();
        Self {
            max_per_s,
            bucket: Mutex::new(Bucket {
                limiter: limiter(max_per_s),
                per_s: max_per_s,
                in_hand: 0,
                rests_until: now,
                changed: now,
                slow_since: None,
                slowed: 0,
            }),
        }
    }

    /// How many calls may begin now.
    pub(super) fn tokens(&self) -> usize {
        let mut bucket = self.lock();
        if Instant::now() < bucket.rests_until {
            return 0;
        }
        let most = burst(bucket.per_s);
        while bucket.in_hand < most && bucket.limiter.check().is_ok() {
            bucket.in_hand += 1;
        }
        bucket.in_hand
    }

    /// Takes a token; none where there is none, with how long that lasts.
    pub(super) fn take(&self) -> Result<(), Duration> {
        let mut bucket = self.lock();
        let rest = bucket.rests_until.saturating_duration_since(Instant::now());
        if !rest.is_zero() {
            return Err(rest);
        }
        if bucket.in_hand > 0 {
            bucket.in_hand -= 1;
            return Ok(());
        }
        let second = Duration::from_secs(1);
        let each = second / bucket.per_s.max(1);
        bucket.limiter.check().map_err(|_| each)
    }

    /// The provider said 429: half the pace, and nothing at all for as long as it asked for.
    pub(super) fn slow_down(&self, asked: Option<Duration>) -> Duration {
        let mut bucket = self.lock();
        let now = Instant::now();
        let rest = asked.unwrap_or(REST).max(REST);
        // Calls that were under way together are refused together; that is one hint and not many.
        if now >= bucket.rests_until {
            bucket.per_s = (bucket.per_s / 2).max(1);
            bucket.limiter = limiter(bucket.per_s);
            bucket.in_hand = 0;
            bucket.slowed += 1;
            bucket.slow_since.get_or_insert_with(SystemTime::now);
        }
        bucket.rests_until = bucket.rests_until.max(now + rest);
        bucket.changed = bucket.rests_until;
        rest
    }

    /// All went well.
    pub(super) fn content(&self) {
        let mut bucket = self.lock();
        let now = Instant::now();
        if bucket.per_s < self.max_per_s
            && now.saturating_duration_since(bucket.changed) >= RAISE_AFTER
        {
            bucket.per_s = bucket.per_s.saturating_mul(2).min(self.max_per_s);
            bucket.limiter = limiter(bucket.per_s);
            bucket.changed = now;
            if bucket.per_s == self.max_per_s {
                bucket.slow_since = None;
            }
        }
    }

    /// Since when the pace is less than it might be, and what it is.
    pub(super) fn slow(&self) -> Option<(SystemTime, u32)> {
        let bucket = self.lock();
        Some((bucket.slow_since?, bucket.per_s))
    }

    /// How often it was slowed down, and how many calls it takes in a second now.
    pub(super) fn counts(&self) -> (u64, u64) {
        let bucket = self.lock();
        (bucket.slowed, u64::from(bucket.per_s))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn burst(per_s: u32) -> usize {
    (per_s / BURST_PART).max(1) as usize
}

fn limiter(per_s: u32) -> DefaultDirectRateLimiter {
    let at_least_one = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::per_second(at_least_one(per_s));
    RateLimiter::direct(quota.allow_burst(at_least_one(per_s / BURST_PART)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_begin_and_no_more() {
        let pace = Pace::new(50);
        assert_eq!(pace.tokens(), 10);
        let taken = (0..30).filter(|_| pace.take().is_ok()).count();
        assert!((10..=25).contains(&taken), "{taken} began at once");
    }

    #[test]
    fn a_429_halves_the_pace_once_for_all_that_were_under_way() {
        let pace = Pace::new(40);
        for _ in 0..8 {
            pace.slow_down(Some(Duration::from_secs(2)));
        }
        assert_eq!(pace.counts(), (1, 20));
        assert_eq!(pace.tokens(), 0, "it rests as long as it was asked to");
        assert!(pace.take().is_err_and(|left| left > Duration::from_secs(1)));
        assert!(pace.slow().is_some());
    }
}
