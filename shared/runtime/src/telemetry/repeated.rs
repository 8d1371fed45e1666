//! One log line for what repeats: at most one every ten seconds, with the number of times since the last. Not for what happens once
//! and must never be missed, such as a dead letter.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(10);

/// When something was last said, and how often it has happened since.
#[derive(Debug, Default)]
pub(crate) struct Repeated {
    said: Option<Instant>,
    times: u64,
}

impl Repeated {
    /// It happened once more. When a line is due: how often it has happened since the last one, at least once.
    pub(crate) fn say(&mut self, now: Instant) -> Option<u64> {
        self.times += 1;
        let due = self
            .said
            .is_none_or(|said| now.saturating_duration_since(said) >= EVERY);
        due.then(|| {
            self.said = Some(now);
            std::mem::take(&mut self.times)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_and_the_others_are_counted() {
        let (mut repeated, now) = (Repeated::default(), Instant::now());
        assert_eq!(repeated.say(now), Some(1));
        assert_eq!(repeated.say(now), None);
        assert_eq!(repeated.say(now + EVERY / 2), None);
        assert_eq!(repeated.say(now + EVERY), Some(3));
        assert_eq!(repeated.say(now + EVERY), None);
    }
}
