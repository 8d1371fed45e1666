//! The circuit breaker: after failures in a row nothing is sent for a while, then one call tries. The states and their changes are
//! `failsafe`'s; how long it stays open (what the provider asked for, or a doubling, jittered pause) and that only one call tries at a time are
//! said here. Not which answers are failures: see `policy`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use failsafe::{FailurePolicy, Instrument, StateMachine};

/// When it opens and for how long.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) after: u32,
    pub(super) first: Duration,
    pub(super) max: Duration,
    /// For how long it has only to answer questions, with nothing to be done meanwhile, until it counts as back.
    pub(super) quiet: Duration,
}

/// What is known from outside of the state machine.
struct Known {
    phase: Phase,
    /// Since when it has not been closed.
    since: Option<SystemTime>,
    /// Until when it stays open.
    until: Instant,
    /// What the provider asked for with the failure that is being told.
    asked: Option<Duration>,
    why: String,
    opened: u64,
    /// Since when it answers questions again, while nobody knows yet whether it does anything.
    answers_since: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Open,
    HalfOpen,
}

type Shared = Arc<Mutex<Known>>;

/// Counts failures, and says for how long to stay away.
struct Pauses {
    limits: Limits,
    in_a_row: u32,
    openings: u32,
    known: Shared,
}

impl FailurePolicy for Pauses {
    fn record_success(&mut self) {
        self.in_a_row = 0;
    }

    fn mark_dead_on_failure(&mut self) -> Option<Duration> {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let mut known = lock(&self.known);
        let asked = known.asked.take();
        if asked.is_none() && self.in_a_row < self.limits.after && self.openings == 0 {
            return None;
        }
        let doubled = self.limits.first * 2_u32.saturating_pow(self.openings.min(16));
        let own = doubled.min(self.limits.max);
        self.openings = self.openings.saturating_add(1);
        // Never before what was asked for, and not all replicas at once.
        let pause = own
            .mul_f64(0.5 + fastrand::f64() / 2.0)
            .max(asked.unwrap_or_default());
        known.until = Instant::now() + pause;
        Some(pause)
    }

    fn revived(&mut self) {
        self.in_a_row = 0;
        self.openings = 0;
    }
}

/// Keeps what is known in step with the state machine.
struct Follower(Shared);

impl Instrument for Follower {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        let mut known = lock(&self.0);
        known.phase = Phase::Open;
        known.answers_since = None;
        known.opened += 1;
        if known.since.is_none() {
            known.since = Some(SystemTime::now());
            let pause_ms = known
                .until
                .saturating_duration_since(Instant::now())
                .as_millis();
            tracing::warn!(
                why = known.why,
                pause_ms,
                "the payment provider is down: nothing is sent to it for a while"
            );
        }
    }

    fn on_half_open(&self) {
        lock(&self.0).phase = Phase::HalfOpen;
    }

    fn on_closed(&self) {
        let mut known = lock(&self.0);
        known.phase = Phase::Closed;
        known.answers_since = None;
        if known.since.take().is_some() {
            tracing::info!("the payment provider is there again");
        }
    }
}

/// Whether calls go out.
pub(super) struct Breaker {
    machine: StateMachine<Pauses, Follower>,
    quiet: Duration,
    known: Shared,
    probing: Arc<AtomicBool>,
}

impl Breaker {
    pub(super) fn new(limits: Limits) -> Self {
        let known = Arc::new(Mutex::new(Known {
            phase: Phase::Closed,
            since: None,
            until: Instant::now(),
            asked: None,
            why: String::new(),
            opened: 0,
            answers_since: None,
        }));
        let pauses = Pauses {
            limits,
            in_a_row: 0,
            openings: 0,
            known: Arc::clone(&known),
        };
        let follower = Follower(Arc::clone(&known));
        Self {
            machine: StateMachine::new(pauses, follower),
            quiet: limits.quiet,
            known,
            probing: Arc::default(),
        }
    }

    /// How many calls may begin: none, one to try, or any number.
    pub(super) fn permits(&self) -> usize {
        let known = lock(&self.known);
        match known.phase {
            Phase::Closed => usize::MAX,
            _ if self.probing.load(Ordering::Acquire) => 0,
            Phase::Open if Instant::now() <= known.until => 0,
            Phase::Open | Phase::HalfOpen => 1,
        }
    }

    /// Begins a call; none while nothing is to be sent, with how long that lasts.
    pub(super) fn begin(&self) -> Result<Permit<'_>, Duration> {
        let (phase, until) = {
            let known = lock(&self.known);
            (known.phase, known.until)
        };
        if phase == Phase::Closed {
            return Ok(self.permit(false));
        }
        let left = until.saturating_duration_since(Instant::now());
        let first = || !self.probing.swap(true, Ordering::AcqRel);
        if !left.is_zero() || !first() {
            return Err(left);
        }
        if self.machine.is_call_permitted() {
            return Ok(self.permit(true));
        }
        self.probing.store(false, Ordering::Release);
        Err(left)
    }

    fn permit(&self, probe: bool) -> Permit<'_> {
        Permit {
            breaker: self,
            probe,
            told: false,
            failed: false,
        }
    }

    /// How long nothing is sent; none where calls go out.
    pub(super) fn begin_in(&self) -> Option<Duration> {
        let known = lock(&self.known);
        known.since?;
        Some(known.until.saturating_duration_since(Instant::now()))
    }

    /// Since when, and why, if calls do not simply go out.
    pub(super) fn down(&self) -> Option<(SystemTime, String)> {
        let known = lock(&self.known);
        Some((known.since?, known.why.clone()))
    }

    /// How often it has opened.
    pub(super) fn opened(&self) -> u64 {
        lock(&self.known).opened
    }

    fn failed(&self, why: &str, asked: Option<Duration>) {
        {
            let mut known = lock(&self.known);
            known.asked = asked;
            why.clone_into(&mut known.why);
        }
        self.machine.on_error();
        // One that failed while it was open already asked for nothing.
        lock(&self.known).asked = None;
    }
}

/// A call that is under way. Dropped without a word it failed: whoever waited for it gave up.
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
    told: bool,
    failed: bool,
}

impl Permit<'_> {
    /// The provider did what was asked for, or said no to it.
    pub(super) fn is_up(&mut self) {
        self.told = true;
        self.breaker.machine.on_success();
    }

    /// It answered a question, or brought an old answer: of whether it does anything that says nothing. So it makes up for no failure, and where
    /// nothing is sent it is no more than a reason to try; only where nothing was to be done for long it is believed.
    pub(super) fn answers(&mut self) {
        self.told = true;
        if !self.probe || self.failed {
            return;
        }
        let is_believed = {
            let mut known = lock(&self.breaker.known);
            let since = *known.answers_since.get_or_insert_with(Instant::now);
            since.elapsed() >= self.breaker.quiet
        };
        if is_believed {
            self.breaker.machine.on_success();
        }
    }

    /// It did not, or in a way that nobody can use; it may have asked to be left alone for so long. One call fails once, whatever was asked
    /// about it afterwards.
    pub(super) fn is_down(&mut self, why: &str, asked: Option<Duration>) {
        self.told = true;
        if !self.failed || asked.is_some() {
            self.failed = true;
            self.breaker.failed(why, asked);
        }
    }

    /// Nothing was sent after all.
    pub(super) fn is_not_used(&mut self) {
        self.told = true;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.is_down("it did not answer in time", None);
        }
        if self.probe {
            self.breaker.probing.store(false, Ordering::Release);
        }
    }
}

fn lock(known: &Mutex<Known>) -> std::sync::MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn breaker(first_ms: u64) -> Breaker {
        Breaker::new(Limits {
            after: 3,
            first: Duration::from_millis(first_ms),
            max: Duration::from_secs(60),
            quiet: Duration::from_millis(200),
        })
    }

    /// Waits until somebody may try, who then does.
    fn probe(breaker: &Breaker) -> Permit<'_> {
        while breaker.permits() == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        breaker.begin().ok().unwrap()
    }

    #[test]
    fn it_opens_after_so_many_failures_in_a_row_and_one_call_tries() {
        let breaker = breaker(40);
        for _ in 0..2 {
            breaker.begin().ok().unwrap().is_down("no", None);
        }
        breaker.begin().ok().unwrap().is_up();
        for _ in 0..3 {
            assert_eq!(breaker.permits(), usize::MAX);
            breaker.begin().ok().unwrap().is_down("no", None);
        }
        assert_eq!(breaker.permits(), 0);
        assert!(breaker.down().unwrap().1.contains("no"));
        let mut probe = probe(&breaker);
        assert_eq!(breaker.permits(), 0, "one tries");
        assert!(breaker.begin().is_err());
        probe.is_up();
        drop(probe);
        assert_eq!(breaker.permits(), usize::MAX);
        assert!(breaker.down().is_none());
        assert_eq!(breaker.opened(), 1);
    }

    #[test]
    fn it_stays_open_as_long_as_it_was_asked_to() {
        let breaker = breaker(1);
        let asked = Some(Duration::from_secs(30));
        breaker.begin().ok().unwrap().is_down("503", asked);
        let left = breaker.begin().err().unwrap();
        assert!(left > Duration::from_secs(29), "{left:?}");
    }

    /// Its reads work and its writes do not: what is read back makes up for nothing.
    #[test]
    fn questions_that_are_answered_make_up_for_no_failure() {
        let breaker = breaker(1);
        for _ in 0..3 {
            assert!(breaker.down().is_none());
            let mut permit = breaker.begin().ok().unwrap();
            permit.is_down("500", None);
            permit.is_down("one call fails once", None);
            permit.answers();
        }
        let (since, _) = breaker.down().unwrap();
        // A question that is answered lets one call try, and no more; that it fails doubles the pause, and the alarm is the same.
        for opened in 2..6 {
            probe(&breaker).answers();
            assert_eq!(breaker.permits(), 1);
            assert_eq!(breaker.down().unwrap().0, since);
            probe(&breaker).is_down("500", None);
            assert_eq!(breaker.opened(), opened);
        }
        let left = breaker.begin().err().unwrap();
        assert!(left >= Duration::from_millis(7), "{left:?} is not doubled");
        probe(&breaker).is_up();
        assert!(breaker.down().is_none());
    }

    /// Nothing is to be done, so nobody would ever find out.
    #[test]
    fn where_nothing_is_to_be_done_answers_are_believed_in_the_end() {
        let breaker = breaker(1);
        for _ in 0..3 {
            breaker.begin().ok().unwrap().is_down("no", None);
        }
        probe(&breaker).answers();
        assert!(breaker.down().is_some());
        std::thread::sleep(Duration::from_millis(210));
        probe(&breaker).answers();
        assert!(breaker.down().is_none());
    }

    #[test]
    fn a_probe_that_nobody_waits_for_any_more_was_a_failure() {
        let breaker = breaker(1);
        for _ in 0..3 {
            drop(breaker.begin().ok().unwrap());
        }
        std::thread::sleep(Duration::from_millis(3));
        drop(breaker.begin().ok().unwrap());
        assert_eq!(breaker.opened(), 2);
    }
}
