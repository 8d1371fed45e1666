//! The caller: has the calls performed that are due, beside the loop, and puts back those that were tried in vain. Whose turn it is and how long
//! a pause lasts are rules of [`call`](crate::call); what an answer means is the service's, in a batch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};

use crate::call::{AFTER_MAX, Claimed, Pace, Turns, makes_calls};
use crate::database::Failure;
use crate::database::calls::{self, Back};
use crate::database::queries::ROWS_MAX;
use crate::faults::{self, CrashPoint};
use crate::service::Service;
use crate::settings::{Settings, micros};
use crate::tasks::attempt::{Performing, Vain};
use crate::tasks::shared::Shared;
use crate::telemetry::Repeated;
use crate::worker::Item;

/// How often it is looked for calls that are due so late that a clock must have gone back.
const MEND_EVERY: Duration = Duration::from_secs(60);
/// How much longer than ours another replica's pauses and leases may be, for their settings may differ.
const APART_US: i64 = 1_800_000_000;

/// What attempts under way share with who started them.
pub(super) struct Beside {
    /// Calls that were started and that the service has not seen yet.
    pub(super) unseen: AtomicUsize,
    /// More calls may be due than there was room for: whoever makes room says so.
    pub(super) more: AtomicBool,
}

/// Has calls performed until the service stops; then waits for those under way.
pub(crate) async fn run<S: Service>(shared: Arc<Shared<S>>, answers: mpsc::Sender<Item<S>>) {
    if !makes_calls::<S>() {
        return;
    }
    let calls_max = usize::try_from(shared.settings.calls_max).unwrap_or(1);
    let (back, mut vain) = mpsc::channel(calls_max);
    let pace = Pace {
        first: Settings::ms(shared.settings.call_retry_first_ms),
        longest: Settings::ms(shared.settings.call_retry_max_ms),
    };
    let mut caller = Caller {
        lease_us: micros(shared.settings.call_timeout_ms.saturating_mul(2)),
        pace,
        shared,
        answers,
        back,
        permits: Arc::new(Semaphore::new(calls_max)),
        beside: Arc::new(Beside {
            unseen: AtomicUsize::new(0),
            more: AtomicBool::new(false),
        }),
        turns: Turns::default(),
        mended: None,
        failed: Repeated::default(),
    };
    caller.work(&mut vain).await;
    let Caller {
        shared,
        back,
        pace,
        answers,
        ..
    } = caller;
    // What is under way has clones of it, and nobody else has.
    drop(back);
    let mut noise = Repeated::default();
    while let Some(one) = vain.recv().await {
        put_back(&shared, pace, one, &mut vain, &mut noise).await;
    }
    // The loop waits for whoever may send answers, and the process for the loop: so for what is put back, too.
    drop(answers);
}

struct Caller<S: Service> {
    shared: Arc<Shared<S>>,
    answers: mpsc::Sender<Item<S>>,
    /// Where attempts in vain go.
    back: mpsc::Sender<Vain>,
    permits: Arc<Semaphore>,
    beside: Arc<Beside>,
    turns: Turns,
    pace: Pace,
    lease_us: i64,
    mended: Option<Instant>,
    failed: Repeated,
}

impl<S: Service> Caller<S> {
    async fn work(&mut self, vain: &mut mpsc::Receiver<Vain>) {
        let interval = Settings::ms(self.shared.settings.timer_interval_ms);
        let mut noise = Repeated::default();
        while !self.shared.stop.is_cancelled() {
            match self.start_due().await {
                // There may be more, and room for it.
                Ok(true) if self.room() > 0 => continue,
                Ok(_) => {}
                Err(error) => {
                    if let Some(times) = self.failed.say(Instant::now()) {
                        tracing::warn!(%error, times, "calls that are due cannot be read; trying again");
                    }
                }
            }
            tokio::select! {
                Some(one) = vain.recv() => {
                    put_back(&self.shared, self.pace, one, vain, &mut noise).await;
                }
                () = self.shared.calling.notified() => {}
                () = self.shared.pause(interval) => {}
            }
        }
    }

    /// How many calls may be started now.
    fn room(&self) -> usize {
        let unseen = self.beside.unseen.load(Ordering::Acquire);
        let service = &self.shared.service;
        let now = catch_unwind(AssertUnwindSafe(|| service.calls_now())).unwrap_or_else(|_| {
            tracing::error!("calls_now panicked; no call is started");
            0
        });
        let may = now.saturating_sub(unseen);
        may.min(self.permits.available_permits()).min(ROWS_MAX)
    }

    /// Starts what is due, as far as there is room. Answers whether more may be due.
    async fn start_due(&mut self) -> Result<bool, Failure> {
        self.mend().await?;
        // Before it is looked, in one order for all: who makes room from now on says so.
        self.beside.more.store(true, Ordering::SeqCst);
        let room = self.room();
        if room == 0 {
            return Ok(true);
        }
        let kept = self.turns.kept(room);
        let firsts = self.start(true, room - kept).await?;
        let others = self.start(false, room - firsts).await?;
        let mut started = firsts + others;
        if firsts == room - kept {
            started += self.start(true, room - started).await?;
        }
        let more = started == room;
        self.beside.more.store(more, Ordering::SeqCst);
        Ok(more)
    }

    /// Claims and starts as many of one sort. Answers how many there were.
    async fn start(&mut self, first: bool, most: usize) -> Result<usize, Failure> {
        if most == 0 {
            return Ok(0);
        }
        let claimed = calls::claim(&self.shared.database, first, most, self.lease_us).await?;
        let count = claimed.len();
        if count > 0 {
            faults::reach(CrashPoint::CallClaimed);
        }
        self.turns.started(count);
        for claimed in claimed {
            self.perform(claimed);
        }
        Ok(count)
    }

    fn perform(&self, claimed: Claimed) {
        // Only this task takes them, and there was room.
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            return;
        };
        let performing = Performing {
            shared: Arc::clone(&self.shared),
            answers: self.answers.clone(),
            back: self.back.clone(),
            beside: Arc::clone(&self.beside),
            claimed,
            permit,
        };
        tokio::spawn(performing.run());
    }

    /// Now and then: makes due what a clock that went back has put off too far.
    async fn mend(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        if self
            .mended
            .is_some_and(|then| now.duration_since(then) < MEND_EVERY)
        {
            return Ok(());
        }
        let after_us = i64::try_from(AFTER_MAX.as_micros()).unwrap_or(i64::MAX);
        let longest_us = micros(self.shared.settings.call_retry_max_ms);
        let far_us = after_us.max(longest_us).max(self.lease_us);
        let far_us = far_us.saturating_add(APART_US);
        // More may be so late: the rest when it is looked next.
        if calls::mend(&self.shared.database, far_us).await? < ROWS_MAX {
            self.mended = Some(now);
        }
        Ok(())
    }
}

/// Puts back what was tried in vain: this one, and whatever else waits for that.
async fn put_back<S: Service>(
    shared: &Shared<S>,
    pace: Pace,
    one: Vain,
    vain: &mut mpsc::Receiver<Vain>,
    noise: &mut Repeated,
) {
    let mut all = vec![one];
    while let Ok(one) = vain.try_recv() {
        all.push(one);
    }
    let now = Instant::now();
    let mut back = Vec::with_capacity(all.len());
    for Vain {
        claimed,
        why,
        after,
        ..
    } in &all
    {
        let pause = pace.pause(claimed.attempts, *after, fastrand::f64());
        if let Some(times) = noise.say(now) {
            let span = shared.service.log_span(&claimed.about);
            span.in_scope(|| {
                tracing::warn!(
                    call = claimed.id,
                    purpose = claimed.purpose,
                    attempts = claimed.attempts,
                    why,
                    times,
                    pause_ms = pause.as_millis(),
                    "a call has no answer yet and is tried again"
                );
            });
        }
        back.push(Back {
            id: claimed.id.clone(),
            asked_us: claimed.asked_us,
            attempts: claimed.attempts,
            pause_us: i64::try_from(pause.as_micros()).unwrap_or(i64::MAX / 4),
            problem: why.clone(),
        });
    }
    // Their permits are given back after it, so that what cannot be put back is not taken up as fast as it fails.
    if let Err(error) = calls::put_back(&shared.database, back).await {
        tracing::warn!(%error, calls = all.len(), "calls cannot be put back; they are due again when their leases end");
    }
}
