//! One attempt at a call: performed within its time, and what came of it handed to the loop, or back to the caller. It starts nothing and
//! judges nothing.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanKind};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::batch::Step;
use crate::call::{Attempt, Call, Claimed, plain};
use crate::dead_letters::DeadLetter;
use crate::faults::{self, CrashPoint};
use crate::service::{Input, Service};
use crate::settings::Settings;
use crate::tasks::caller::Beside;
use crate::tasks::shared::Shared;
use crate::telemetry::{self, ActiveSpan, TraceContext};
use crate::worker::{Completion, Item};

/// An attempt that told nothing. It keeps its place among those under way until it is put back.
pub(super) struct Vain {
    pub(super) claimed: Claimed,
    pub(super) why: String,
    pub(super) after: Option<Duration>,
    _permit: OwnedSemaphorePermit,
}

/// One attempt at a call.
pub(super) struct Performing<S: Service> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) answers: mpsc::Sender<Item<S>>,
    pub(super) back: mpsc::Sender<Vain>,
    pub(super) beside: Arc<Beside>,
    pub(super) claimed: Claimed,
    pub(super) permit: OwnedSemaphorePermit,
}

/// What was performed, or of which kind a failure was that the service could not tell of, and what happened.
type Came<A> = Result<Attempt<A>, (&'static str, String)>;

/// What an attempt came to, by name; and where that tells nothing, why, and after which pause the other side wants the next.
struct Told {
    outcome: &'static str,
    vain: Option<(String, Option<Duration>)>,
}

/// The loop has ended: nobody is told anything any more, and the call is due again when its lease ends.
struct Gone;

/// A call that the service has not seen yet.
struct Unseen<S: Service> {
    beside: Arc<Beside>,
    shared: Arc<Shared<S>>,
}

impl<S: Service> Drop for Unseen<S> {
    fn drop(&mut self) {
        self.beside.unseen.fetch_sub(1, Ordering::AcqRel);
        wake(&self.beside, &self.shared);
    }
}

/// There may be room for one more, where one more may be due.
fn wake<S: Service>(beside: &Beside, shared: &Shared<S>) {
    if beside.more.load(Ordering::SeqCst) {
        shared.calling.notify_one();
    }
}

impl<S: Service> Performing<S> {
    /// Performs the call, which counts as unseen from now on and not from the first poll on.
    pub(super) fn run(self) -> impl Future<Output = ()> + Send {
        self.beside.unseen.fetch_add(1, Ordering::AcqRel);
        let unseen = Unseen {
            beside: Arc::clone(&self.beside),
            shared: Arc::clone(&self.shared),
        };
        self.attempt(unseen)
    }

    async fn attempt(self, unseen: Unseen<S>) {
        let call = self.claimed.call();
        let mut span = self.span();
        let began = Instant::now();
        let came = self.perform(&call, unseen).await;
        let seconds = began.elapsed().as_secs_f64();
        if let Some((kind, why)) = failure(&came) {
            span.error(kind, &plain(why));
        }
        let trace = span.context();
        drop(span);
        let told = match came {
            Ok(Attempt::Answered(answer)) => self.answered(call, answer, trace).await,
            Ok(Attempt::Again { why, after }) => Ok(Told {
                outcome: "again",
                vain: Some((why, after)),
            }),
            Ok(Attempt::Unreadable { body, why }) => self.unreadable(&call, &body, why).await,
            Err((outcome, why)) => Ok(in_vain(outcome, why)),
        };
        let Ok(Told { outcome, vain }) = told else {
            return;
        };
        let purpose = &self.claimed.purpose;
        self.shared.metrics.call_attempt(purpose, outcome, seconds);
        let Some((why, after)) = vain else {
            drop(self.permit);
            wake(&self.beside, &self.shared);
            return;
        };
        let vain = Vain {
            claimed: self.claimed,
            why: plain(&why),
            after,
            _permit: self.permit,
        };
        // Nobody takes it once the service has stopped: then its lease ends.
        let _ = self.back.send(vain).await;
    }

    fn span(&self) -> ActiveSpan {
        let Claimed {
            id,
            purpose,
            about,
            attempts,
            ..
        } = &self.claimed;
        telemetry::span(&self.claimed.trace(), || {
            SpanBuilder::from_name(format!("call {purpose}"))
                .with_kind(SpanKind::Client)
                .with_attributes([
                    KeyValue::new("call.id", id.clone()),
                    KeyValue::new("call.about", about.clone()),
                    KeyValue::new("call.attempt", *attempts),
                ])
        })
    }

    async fn perform(&self, call: &Call, unseen: Unseen<S>) -> Came<S::Answer> {
        let limit_ms = self.shared.settings.call_timeout_ms;
        let service = &self.shared.service;
        let performing = async {
            let performing = AssertUnwindSafe(async { service.perform(call).await });
            let mut performing = pin!(performing.catch_unwind());
            let mut unseen = Some(unseen);
            poll_fn(|context| {
                let polled = performing.poll_unpin(context);
                // It has run up to its first wait.
                drop(unseen.take());
                polled
            })
            .await
        };
        tokio::select! {
            performed = tokio::time::timeout(Settings::ms(limit_ms), performing) => match performed {
                Ok(Ok(attempt)) => Ok(attempt),
                Ok(Err(_)) => Err(("panicked", "performing it panicked; see the log".into())),
                Err(_) => Err(("timeout", format!("no answer within {limit_ms} ms"))),
            },
            () = self.shared.hurry.cancelled() => {
                Err(("timeout", "no answer before the process that asked stops".into()))
            }
        }
    }

    async fn answered(
        &self,
        call: Call,
        answer: S::Answer,
        trace: TraceContext,
    ) -> Result<Told, Gone> {
        faults::reach(CrashPoint::CallPerformed);
        let asked_us = self.claimed.asked_us;
        let input = Input::Answer { call, answer };
        let step = Step::Answer {
            asked_us,
            trace,
            input,
        };
        let done = |outcome| Told {
            outcome,
            vain: None,
        };
        Ok(match self.tell(step).await? {
            Ok(true) => done("answered"),
            Ok(false) => done("late"),
            Err(why) => in_vain("refused", format!("its answer cannot be applied: {why}")),
        })
    }

    /// Keeps what nobody can read, before the next attempt is put off.
    async fn unreadable(&self, call: &Call, body: &[u8], why: String) -> Result<Told, Gone> {
        let letter = DeadLetter::of_call(call, body, &plain(&why));
        self.shared
            .metrics
            .known(std::slice::from_ref(&letter.kind));
        // One that cannot be kept is in the log.
        let _ = self.tell(Step::DeadLetter(Box::new(letter))).await?;
        Ok(in_vain("unreadable", why))
    }

    /// Gives the loop a step, and waits until it is committed: whether it came in time, or why it cannot be applied.
    async fn tell(&self, step: Step<S>) -> Result<Result<bool, String>, Gone> {
        let (to, told) = oneshot::channel();
        let item = (step, Completion::Told(to));
        self.answers.send(item).await.map_err(|_| Gone)?;
        told.await.map_err(|_| Gone)
    }
}

fn in_vain(outcome: &'static str, why: String) -> Told {
    let vain = Some((why, None));
    Told { outcome, vain }
}

/// Of which kind a failure was, and what happened.
fn failure<A>(came: &Came<A>) -> Option<(&'static str, &str)> {
    match came {
        Ok(Attempt::Answered(_)) => None,
        Ok(Attempt::Again { why, .. }) => Some(("again", why.as_str())),
        Ok(Attempt::Unreadable { why, .. }) => Some(("unreadable", why.as_str())),
        Err((kind, why)) => Some((*kind, why.as_str())),
    }
}
