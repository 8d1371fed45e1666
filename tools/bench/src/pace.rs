//! When each trip of an open loop is to set out. On a thread of its own, which sleeps more exactly than a timer among thousands of tasks;
//! what nobody takes waits with the time at which it was due, and no trip is forgotten because the load generator was late.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::load::Window;

/// More that are due at once than can wait here are held back, with the time at which they were due.
const WAITING_MAX: usize = 65_536;

/// Every time at which a trip is due, from now until the window ends.
pub(crate) fn due(rate: u32, window: Window) -> mpsc::Receiver<Instant> {
    let (send, receive) = mpsc::channel(WAITING_MAX);
    let began = Instant::now();
    std::thread::spawn(move || {
        for number in 0.. {
            let due = began + nth(rate, number);
            if due >= window.until {
                return;
            }
            let left = due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                std::thread::sleep(left);
            }
            // Nobody listens any more: the load was given up.
            if send.blocking_send(due).is_err() {
                return;
            }
        }
    });
    receive
}

/// How long after the first one the trip of this number is due.
fn nth(rate: u32, number: u64) -> Duration {
    let rate = u64::from(rate.max(1));
    let nanos = (number % rate) * 1_000_000_000 / rate;
    Duration::from_secs(number / rate) + Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trips_are_due_evenly_and_never_drift() {
        assert_eq!(nth(4, 0), Duration::ZERO);
        assert_eq!(nth(4, 3), Duration::from_millis(750));
        assert_eq!(nth(3, 3_000_000), Duration::from_secs(1_000_000));
    }

    #[tokio::test]
    async fn whoever_is_late_is_told_when_it_was_due() {
        let from = Instant::now();
        let until = from + Duration::from_millis(100);
        let mut due = due(100, Window { from, until });
        tokio::time::sleep(Duration::from_millis(150)).await;
        let mut all = Vec::new();
        while let Some(at) = due.recv().await {
            all.push(at);
        }
        assert!(all.len() == 10 || all.len() == 9, "{}", all.len());
        assert!(all.iter().all(|at| *at < until));
    }
}
