//! From the outbox to the stream: pipelined, many acknowledgements in flight, beside the next transaction.
//!
//! A thin shell around [`Outgoing`], which says what goes when. It deletes nothing: a later batch's transaction deletes what the
//! broker acknowledged. What could not be published stays in the outbox until its lease ends and a sweeper, in any replica,
//! takes it up. It never waits for itself, and each wait for the broker but `wait_declared` has a bound.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanKind};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::broker::{Broker, LATE};
use crate::event::Event;
use crate::faults::{self, CrashPoint, Guard};
use crate::outgoing::{Limits, Outgoing, Stall};
use crate::telemetry::{self, ActiveSpan, Metrics, Redeclared, Repeated, TraceContext};
use crate::vital::vital;

/// Nothing stored for so long while something waits: this replica is not ready, and new work is refused. As long as
/// readiness bears anything else that is missing: a broker cluster may need nine seconds to elect a leader.
const STALLED_AFTER: Duration = Duration::from_secs(15);

/// A handle on the publishing task.
#[derive(Clone)]
pub(crate) struct Publisher {
    broker: Arc<Broker>,
    outgoing: Arc<Mutex<Outgoing>>,
    /// Wakes the task; it ends when the last handle is gone.
    wake: mpsc::Sender<()>,
    /// How long a row may wait here.
    lease: Duration,
}

impl Publisher {
    /// Starts the task. Outbox rows belong to this process for `lease`, so a fact is handed over as long as its acknowledgement can still
    /// come before that ends: another process may publish it then.
    pub(crate) fn start(
        broker: Arc<Broker>,
        source: String,
        lease: Duration,
        metrics: Arc<Metrics>,
        lost: &CancellationToken,
    ) -> Self {
        let limits = Limits {
            bounded: !faults::is_off(Guard::SweepBound),
            ..Limits::default()
        };
        let (wake, woken) = mpsc::channel(1);
        let publisher = Self {
            broker: Arc::clone(&broker),
            outgoing: Arc::new(Mutex::new(Outgoing::new(limits))),
            wake,
            lease: lease.saturating_sub(broker.ack_within()),
        };
        let task = Task {
            broker,
            source,
            metrics,
            outgoing: Arc::clone(&publisher.outgoing),
            declared: None,
            noise: Repeated::default(),
        };
        vital(lost, task.run(woken));
        publisher
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        lock(&self.outgoing)
    }

    /// Hands facts over without waiting. Their rows were leased by a statement that began at `leased`; what there is no room for is
    /// the sweeper's.
    pub(crate) fn offer(&self, said: Vec<Event>, leased: Instant) {
        if said.is_empty() {
            return;
        }
        let left = self
            .outgoing()
            .take(said, leased + self.lease, Instant::now());
        if left > 0 {
            tracing::debug!(rows = left, "facts are left to the sweeper");
        }
        // A full channel has a wake-up in it already.
        let _ = self.wake.try_send(());
    }

    /// How many rows the sweeper may bring.
    pub(crate) fn room(&self) -> usize {
        self.outgoing().room()
    }

    /// What may be deleted now.
    pub(crate) fn take_published(&self) -> Vec<Uuid> {
        self.outgoing().take_published()
    }

    /// A transaction that deleted these rows was committed.
    pub(crate) fn deleted(&self, ids: &[Uuid]) {
        self.outgoing().deleted(ids);
    }

    /// Gives back what a failed transaction did not delete.
    pub(crate) fn put_back(&self, ids: Vec<Uuid>) {
        self.outgoing().put_back(ids);
    }

    /// Whether something may be deleted.
    pub(crate) fn has_published(&self) -> bool {
        self.outgoing().has_published()
    }

    /// Whether nothing is under way, or nothing can be: what is left stays in the outbox.
    pub(crate) fn is_done(&self) -> bool {
        self.outgoing().is_empty() || self.broker.ready().is_err()
    }

    /// The outbox was counted, and is empty.
    pub(crate) fn nothing_lies_there(&self) {
        self.outgoing().nothing_lies_there();
    }

    /// For how long nothing was stored although something waits.
    pub(crate) fn stalled_for(&self) -> Duration {
        let now = Instant::now();
        self.outgoing()
            .stall(now, Duration::from_secs(1))
            .map_or(Duration::ZERO, |stall| now - stall.since)
    }

    /// Whether facts get out.
    ///
    /// # Errors
    /// When none did for some time, with the broker's own words.
    pub(crate) fn ready(&self) -> Result<(), String> {
        let now = Instant::now();
        let told = |stall: &Stall| stall.tell(now);
        match self.outgoing().stall(now, STALLED_AFTER).map(told) {
            Some(told) => Err(told),
            None => Ok(()),
        }
    }
}

fn lock(outgoing: &Mutex<Outgoing>) -> MutexGuard<'_, Outgoing> {
    outgoing.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Task {
    broker: Arc<Broker>,
    source: String,
    metrics: Arc<Metrics>,
    outgoing: Arc<Mutex<Outgoing>>,
    /// When the stream was last declared from here.
    declared: Option<Instant>,
    noise: Repeated,
}

/// A fact on its way to the broker.
struct Sent {
    id: Uuid,
    kind: String,
    /// Until the broker's word, or the end of the time for it; none where nobody receives spans.
    span: Option<ActiveSpan>,
}

/// A fact that was handed over, and the acknowledgement that is waited for.
struct Handed {
    sent: Sent,
    /// The time for its acknowledgement is over. One that still comes saves publishing the fact again.
    late: bool,
    acknowledgement: Acknowledgement,
}

type Acknowledgement = BoxFuture<'static, Result<PublishAck, PublishError>>;

impl Handed {
    /// The broker's word; none when it did not come in time.
    async fn listen(mut self, within: Duration) -> (Self, Option<Result<(), PublishError>>) {
        let word = tokio::time::timeout(within, &mut self.acknowledgement).await;
        (self, word.ok().map(|word| word.map(drop)))
    }
}

/// Begins the span of a fact's sending, which the message then carries on; nothing where nobody receives spans.
fn sending(fact: &mut Event) -> Option<ActiveSpan> {
    if !telemetry::exporting() {
        return None;
    }
    let caused = TraceContext {
        traceparent: fact.traceparent.take(),
        tracestate: fact.tracestate.take(),
    };
    let span = telemetry::span(&caused, || {
        SpanBuilder::from_name(format!("send {}", fact.subject))
            .with_kind(SpanKind::Producer)
            .with_attributes([
                KeyValue::new("messaging.system", "nats"),
                KeyValue::new("messaging.operation.name", "send"),
                KeyValue::new("messaging.operation.type", "send"),
                KeyValue::new("messaging.destination.name", fact.subject.clone()),
                KeyValue::new("messaging.message.id", fact.id.to_string()),
                KeyValue::new(fact.aggregatetype.clone(), fact.aggregateid.clone()),
            ])
    });
    TraceContext {
        traceparent: fact.traceparent,
        tracestate: fact.tracestate,
    } = span.context();
    Some(span)
}

impl Task {
    async fn run(mut self, mut woken: mpsc::Receiver<()>) {
        let mut in_flight = FuturesUnordered::new();
        let within = self.broker.ack_within();
        loop {
            tokio::select! {
                biased;
                Some(outcome) = in_flight.next() => {
                    let (mut handed, word): (Handed, _) = outcome;
                    let late = handed.late;
                    match word {
                        Some(word) => self.land(&mut handed.sent, late, word).await,
                        None if late => {}
                        None => {
                            let timed_out = Err(PublishErrorKind::TimedOut.into());
                            self.land(&mut handed.sent, late, timed_out).await;
                            in_flight.push(Handed { late: true, ..handed }.listen(LATE));
                        }
                    }
                }
                // Only where it is known that somebody listens: what is published before reaches nobody.
                Some(mut fact) = self.next() => {
                    let span = sending(&mut fact);
                    let mut sent = Sent { id: fact.id, kind: fact.kind.clone(), span };
                    match self.hand_over(fact).await {
                        Ok(acknowledgement) => {
                            let acknowledgement = acknowledgement.into_future();
                            let handed = Handed { sent, late: false, acknowledgement };
                            in_flight.push(handed.listen(within));
                        }
                        Err(error) => self.land(&mut sent, false, Err(error)).await,
                    }
                }
                more = woken.recv() => if more.is_none() { break },
            }
        }
    }

    /// The next fact, once the broker is there; none when nothing may go.
    async fn next(&self) -> Option<Event> {
        self.broker.wait_declared().await;
        lock(&self.outgoing).next(Instant::now())
    }

    /// To the client, which may be full while it is not connected.
    async fn hand_over(&self, fact: Event) -> Result<PublishAckFuture, PublishError> {
        faults::reach(CrashPoint::BeforePublish);
        let headers = fact.headers(&self.source);
        let context = &self.broker.publishing;
        let handing = context.publish_with_headers(fact.subject, headers, fact.payload.into());
        match tokio::time::timeout(self.broker.ack_within(), handing).await {
            Ok(handed) => handed,
            Err(_) => Err(PublishErrorKind::TimedOut.into()),
        }
    }

    async fn land(&mut self, sent: &mut Sent, late: bool, word: Result<(), PublishError>) {
        let (id, span) = (sent.id, sent.span.take());
        let error = match word {
            Ok(()) => {
                faults::reach(CrashPoint::AfterPublish);
                self.metrics.facts_out(&sent.kind, 1);
                let mut outgoing = lock(&self.outgoing);
                if late {
                    outgoing.stored_late(id);
                } else {
                    outgoing.stored(id, Instant::now());
                }
                return;
            }
            Err(_) if late => return,
            Err(error) => error,
        };
        let word = error.to_string();
        if let Some(mut span) = span {
            span.error(&format!("{:?}", error.kind()), &word);
        }
        let in_time = !matches!(
            error.kind(),
            PublishErrorKind::TimedOut
                | PublishErrorKind::BrokenPipe
                | PublishErrorKind::MaxAckPending
        );
        lock(&self.outgoing).failed(id, in_time, &word, Instant::now());
        self.metrics.publish_failed();
        if let Some(times) = self.noise.say(Instant::now()) {
            tracing::warn!(
                error = word,
                times,
                "facts were not published and stay in the outbox"
            );
        }
        if error.kind() == PublishErrorKind::StreamNotFound {
            self.declare().await;
        }
    }

    /// A stream that is gone is declared again at once.
    async fn declare(&mut self) {
        let just_now = |then: Instant| then.elapsed() < Duration::from_millis(500);
        if self.declared.is_some_and(just_now) {
            return;
        }
        self.declared = Some(Instant::now());
        if let Err(error) = self.broker.declare_stream().await {
            tracing::warn!(%error, "the stream is gone and cannot be declared yet");
        } else {
            tracing::warn!("the stream was gone and is declared again");
            self.metrics.redeclared(Redeclared::Stream);
        }
    }
}
