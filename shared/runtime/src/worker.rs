//! The loop: whatever arrived while the last transaction ran is the next batch.
//!
//! Nothing waits for a timer to fill a batch: at low load a batch is one message, at high load one commit pays for
//! hundreds. Facts, commands, due records and answers have a queue each, and none starves another.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::batch::{Done, Step, Transactor};
use crate::broker::Broker;
use crate::database::Failure;
use crate::dead_letters::{DeadLetter, Fate};
use crate::faults::{self, CrashPoint};
use crate::problem::Problem;
use crate::publisher::Publisher;
use crate::saving::Saving;
use crate::service::{Entity, Service};
use crate::telemetry::{Consequence, Metrics, Repeated};

/// The first pause before a batch is tried again.
const RETRY_MIN: Duration = Duration::from_millis(20);
/// The longest pause before a batch is tried again.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How long a due record that fails alone is left alone.
const BACK_OFF: Duration = Duration::from_secs(60);
/// How often published rows are deleted when no batch comes along to do it.
const TIDY: Duration = Duration::from_millis(100);
/// How long the acknowledgements of one batch may keep the next one waiting.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(1);
/// The most bytes of facts, and of dead letters, in one batch.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Due records that failed, by key, and until when they are left alone.
pub(crate) type BackingOff = Arc<Mutex<HashMap<String, Instant>>>;

/// What is owed for a step after its commit.
pub(crate) enum Completion<S: Service> {
    /// An acknowledgement.
    Acknowledgement(Box<async_nats::jetstream::Message>),
    /// A reply.
    Reply(oneshot::Sender<Result<S::Reply, Problem>>),
    /// To a due record: nothing; but one that fails alone is left alone, by its key.
    Timer(S::Timer),
    /// To whoever has a dead letter put away or a call's answer judged: whether that was still there, or why it cannot be applied.
    Told(oneshot::Sender<Result<bool, String>>),
    /// Nothing.
    Nothing,
}

/// One input of the loop: what to do, and what is owed for it.
pub(crate) type Item<S> = (Step<S>, Completion<S>);

/// The inputs of the loop.
pub(crate) struct Inputs<S: Service> {
    pub(crate) facts: mpsc::Receiver<Item<S>>,
    pub(crate) commands: mpsc::Receiver<Item<S>>,
    pub(crate) timers: mpsc::Receiver<Item<S>>,
    /// Answers to calls. Closed from the start where a service makes none.
    pub(crate) answers: mpsc::Receiver<Item<S>>,
}

/// What runs the loop.
pub(crate) struct Worker<S: Service> {
    pub(crate) transactor: Transactor<S>,
    pub(crate) publisher: Publisher,
    pub(crate) broker: Arc<Broker>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) saving: Arc<Saving>,
    pub(crate) backing_off: BackingOff,
    pub(crate) batch_max: usize,
    /// Wakes whoever performs calls.
    pub(crate) calling: Arc<Notify>,
}

impl<S: Service> Worker<S> {
    /// Runs until `stop`, and then until no fact and no answer can come any more and what it said is published; or until `give_up`.
    pub(crate) async fn run(
        self,
        mut inputs: Inputs<S>,
        stop: CancellationToken,
        give_up: CancellationToken,
    ) {
        let mut tidy = tokio::time::interval(TIDY);
        tidy.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut noise = Repeated::default();
        loop {
            let (mut facts, mut commands, mut timers) = (Vec::new(), Vec::new(), Vec::new());
            let mut answers = Vec::new();
            tokio::select! {
                Some(item) = inputs.facts.recv() => facts.push(item),
                Some(item) = inputs.commands.recv() => commands.push(item),
                Some(item) = inputs.timers.recv() => timers.push(item),
                Some(item) = inputs.answers.recv() => answers.push(item),
                _ = tidy.tick() => {}
            }
            self.take(&mut inputs.facts, &mut facts);
            self.take(&mut inputs.commands, &mut commands);
            self.take(&mut inputs.timers, &mut timers);
            self.take(&mut inputs.answers, &mut answers);
            let others = commands.into_iter().chain(timers).chain(answers);
            let batch: Batch<S> = facts.into_iter().chain(others).unzip();
            if !batch.0.is_empty() || self.publisher.has_published() {
                self.process(batch, &give_up, &mut noise).await;
            } else if give_up.is_cancelled()
                || (stop.is_cancelled()
                    && inputs.facts.is_closed()
                    && inputs.answers.is_closed()
                    && self.publisher.is_done())
            {
                break;
            }
        }
        // Else acknowledgements may end with the process.
        self.broker.flush().await;
    }

    /// Takes what is waiting, up to the limits.
    fn take(&self, input: &mut mpsc::Receiver<Item<S>>, taken: &mut Vec<Item<S>>) {
        let mut bytes = 0;
        while taken.len() < self.batch_max && bytes < BATCH_BYTES_MAX {
            let Ok(item) = input.try_recv() else { break };
            bytes += match &item {
                (Step::DeadLetter(letter), _) => letter.payload.len(),
                (_, Completion::Acknowledgement(message)) => message.payload.len(),
                _ => 0,
            };
            taken.push(item);
        }
    }

    /// Applies a batch, whatever it takes: tries again while the infrastructure is to blame, splits while an input is.
    async fn process(&self, batch: Batch<S>, give_up: &CancellationToken, noise: &mut Repeated) {
        let mut pause = RETRY_MIN;
        let mut waiting = vec![batch];
        while let Some((mut steps, mut completions)) = waiting.pop() {
            let published = self.publisher.take_published();
            let started = Instant::now();
            let failure = match self.transactor.run(&steps, &published).await {
                Ok(done) => {
                    self.metrics
                        .batch(steps.len(), started.elapsed().as_secs_f64());
                    pause = RETRY_MIN;
                    self.saving.saved();
                    self.publisher.deleted(&published);
                    self.settle(steps, completions, done, started).await;
                    continue;
                }
                Err(failure) => failure,
            };
            self.publisher.put_back(published);
            match failure {
                Failure::Retry(reason) => {
                    self.metrics.batch_failure(Consequence::Retry);
                    self.saving.failed(&reason, Instant::now());
                    if let Some(times) = noise.say(started) {
                        tracing::warn!(
                            reason,
                            times,
                            inputs = steps.len(),
                            pause_ms = pause.as_millis(),
                            "a batch could not be saved and is tried again"
                        );
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())) => {}
                        () = give_up.cancelled() => return,
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                    waiting.push((steps, completions));
                }
                Failure::Poison(reason) => {
                    self.metrics.batch_failure(Consequence::Poison);
                    self.saving.saved();
                    if steps.len() > 1 {
                        let half = steps.len() / 2;
                        waiting.push((steps.split_off(half), completions.split_off(half)));
                        waiting.push((steps, completions));
                    } else if let (Some(step), Some(completion)) = (steps.pop(), completions.pop())
                        && let Some((step, completion)) = self.put_aside(step, completion, &reason)
                    {
                        waiting.push((vec![step], vec![completion]));
                    }
                }
            }
        }
    }

    /// What log lines about this are in.
    fn log_span(&self, about: Option<Entity>) -> tracing::Span {
        about.map_or_else(tracing::Span::none, |about| {
            self.transactor.service().log_span(&about.id)
        })
    }

    /// After the commit of a batch that began at `started`: publish, acknowledge, reply.
    async fn settle(
        &self,
        steps: Vec<Step<S>>,
        completions: Vec<Completion<S>>,
        done: Done<S>,
        started: Instant,
    ) {
        self.publisher.offer(done.said, started);
        if done.asked {
            self.calling.notify_one();
        }
        self.transactor.service().committed(&done.rows);
        for (anomaly, about) in done.anomalies {
            self.metrics.anomaly(anomaly);
            self.log_span(about).in_scope(|| {
                tracing::warn!(
                    anomaly,
                    "something that cannot happen did, and was met with silence"
                );
            });
        }
        let mut applied = Vec::new();
        let inputs = steps.into_iter().zip(completions).zip(done.replies);
        for (place, ((step, completion), reply)) in inputs.enumerate() {
            let too_late = done.too_late.contains(&place);
            match step {
                Step::Fact { kind, .. } => self.metrics.facts_in(&kind, 1),
                Step::DeadLetter(letter) => {
                    self.metrics.dead_letter(&letter.kind);
                    let service = self.transactor.service();
                    service.log_span(&letter.aggregateid).in_scope(|| {
                        tracing::error!(
                            letter = letter.id,
                            kind = letter.kind,
                            reason = letter.reason,
                            "a message became a dead letter"
                        );
                    });
                }
                Step::Letter(fate, fact) if !too_late => {
                    if let Some(Step::Fact { kind, .. }) = fact.as_deref() {
                        self.metrics.facts_in(kind, 1);
                    }
                    let Fate {
                        id,
                        outcome,
                        by,
                        why,
                    } = fate;
                    tracing::info!(letter = id, ?outcome, by, why, "a dead letter was put away");
                }
                Step::Due(_) => self.metrics.timers_fired(1),
                Step::Command { .. }
                | Step::Answer { .. }
                | Step::Announcement
                | Step::Letter(..) => {}
            }
            match completion {
                Completion::Acknowledgement(message) => applied.push(*message),
                // Nobody may be waiting any more; what was done stays done.
                Completion::Reply(to) => drop(to.send(reply.ok_or_else(Problem::internal))),
                Completion::Told(to) => drop(to.send(Ok(!too_late))),
                Completion::Timer(_) | Completion::Nothing => {}
            }
        }
        self.acknowledge(applied).await;
    }

    /// Plain acknowledgements: one that is lost brings the message again, and the inbox drops it. So they wait for nobody:
    /// while the broker is away the client takes nothing in, and callers and timers must not wait for it too.
    async fn acknowledge(&self, applied: Vec<async_nats::jetstream::Message>) {
        if let Some(Ok(last)) = applied.last().map(|message| message.info()) {
            let stored_us = last.published.unix_timestamp_nanos() / 1_000;
            self.broker.heard(i64::try_from(stored_us).unwrap_or(0));
        }
        let all = async {
            for message in &applied {
                if !self.broker.is_connected() {
                    break;
                }
                faults::reach(CrashPoint::BeforeAck);
                let sent = message.ack().await;
                faults::reach(CrashPoint::AfterAck);
                if let Err(error) = sent {
                    tracing::debug!(%error, "an acknowledgement was not sent; the message will come again");
                }
            }
        };
        if tokio::time::timeout(ACKNOWLEDGE_WITHIN, all).await.is_err() {
            tracing::debug!("acknowledgements were not sent; the messages will come again");
        }
    }

    /// What fails alone: a fact becomes a dead letter, a command is answered, a due record is left alone for a while.
    fn put_aside(&self, step: Step<S>, completion: Completion<S>, reason: &str) -> Option<Item<S>> {
        let service = self.transactor.service();
        // It may be what panicked.
        let about = catch_unwind(AssertUnwindSafe(|| service.about(step.input()?)));
        self.log_span(about.unwrap_or_default())
            .in_scope(|| tracing::error!(reason, "an input cannot be applied and is put aside"));
        match (step, completion) {
            (Step::Fact { .. }, Completion::Acknowledgement(message)) => {
                let letter = Box::new(DeadLetter::of(&message, reason));
                return Some((
                    Step::DeadLetter(letter),
                    Completion::Acknowledgement(message),
                ));
            }
            (_, Completion::Reply(to)) => drop(to.send(Err(Problem::internal()))),
            (_, Completion::Told(to)) => drop(to.send(Err(reason.to_owned()))),
            (_, Completion::Timer(key)) => {
                let until = Instant::now() + BACK_OFF;
                let mut backing_off = self
                    .backing_off
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                backing_off.insert(format!("{key:?}"), until);
            }
            (_, Completion::Acknowledgement(_) | Completion::Nothing) => {}
        }
        None
    }
}

/// Steps, and what is owed for each.
type Batch<S> = (Vec<Step<S>>, Vec<Completion<S>>);
