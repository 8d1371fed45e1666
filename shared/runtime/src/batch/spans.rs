//! The spans of one batch: one for each message and command, by OpenTelemetry's conventions for messaging, and one for the transaction that
//! they share. They last from its begin to its commit. It judges nothing.

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanKind};

use crate::batch::Step;
use crate::database::Failure;
use crate::service::{Context, Input, Service};
use crate::telemetry::{self, ActiveSpan, TraceContext};

/// The spans of one attempt at a batch.
pub(super) struct Spans {
    transaction: Option<ActiveSpan>,
    inputs: Vec<Option<ActiveSpan>>,
}

impl Spans {
    /// The transaction begins, on a database of this kind.
    pub(super) fn begin<S: Service>(service: &S, system: &'static str, steps: &[Step<S>]) -> Self {
        let mut inputs: Vec<_> = steps.iter().map(|step| of(service, step)).collect();
        Self {
            transaction: transaction(system, &mut inputs),
            inputs,
        }
    }

    /// Where in the trace the input at this place is.
    pub(super) fn context(&self, place: usize) -> TraceContext {
        let span = self.inputs.get(place).and_then(Option::as_ref);
        span.map(ActiveSpan::context).unwrap_or_default()
    }

    /// The input at this place is judged: it may belong to another trace, and have turned out to be about something.
    pub(super) fn judged(&mut self, place: usize, context: &Context) {
        if let Some(Some(span)) = self.inputs.get_mut(place) {
            span.link_elsewhere(&context.trace);
            if let Some(about) = &context.about {
                span.set(about.clone().into());
            }
        }
    }

    /// It is committed. The transaction ends first: what is processed in it lasts at least as long.
    pub(super) fn end(self) {
        drop(self.transaction);
        drop(self.inputs);
    }

    /// Nothing came of it.
    pub(super) fn fail(mut self, failure: &Failure) {
        let kind = match failure {
            Failure::Retry(_) => "retry",
            Failure::Poison(_) => "poison",
        };
        // Of several, one is it: they are judged again in halves until it is alone.
        let inputs = match failure {
            Failure::Poison(_) if self.inputs.len() > 1 => &mut [],
            _ => self.inputs.as_mut_slice(),
        };
        let inputs = inputs.iter_mut().flatten();
        for span in self.transaction.iter_mut().chain(inputs) {
            span.error(kind, &failure.to_string());
        }
        self.end();
    }
}

/// The transaction's span is within that of the first input that is sampled. Every other input and the transaction link to each other; the
/// SDK keeps the first 128 links of the transaction. Where no input is sampled there is no transaction span.
fn transaction(system: &'static str, inputs: &mut [Option<ActiveSpan>]) -> Option<ActiveSpan> {
    let mut sampled = inputs.iter_mut().flatten().filter(|span| span.is_sampled());
    let first = sampled.next()?;
    let mut transaction = telemetry::span(&first.context(), || {
        SpanBuilder::from_name("transaction")
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new("db.system.name", system),
                KeyValue::new("db.operation.name", "transaction"),
            ])
    });
    for span in sampled {
        transaction.link(&span.context());
        span.link(&transaction.context());
    }
    Some(transaction)
}

/// The span of a message or a command; what nobody sent has none. A message's is called after the subject it came on: subjects hold no ids,
/// so there are few of them.
fn of<S: Service>(service: &S, step: &Step<S>) -> Option<ActiveSpan> {
    let about = || {
        step.input()
            .and_then(|input| service.about(input))
            .map(KeyValue::from)
    };
    match step {
        Step::Fact {
            id, subject, trace, ..
        } => Some(telemetry::span(trace, || {
            SpanBuilder::from_name(format!("process {subject}"))
                .with_kind(SpanKind::Consumer)
                .with_attributes(
                    [
                        KeyValue::new("messaging.system", "nats"),
                        KeyValue::new("messaging.operation.name", "process"),
                        KeyValue::new("messaging.operation.type", "process"),
                        KeyValue::new("messaging.destination.name", subject.clone()),
                        KeyValue::new("messaging.consumer.group.name", service.name().to_owned()),
                        KeyValue::new("messaging.message.id", id.to_string()),
                    ]
                    .into_iter()
                    .chain(about()),
                )
        })),
        Step::Command { trace, .. } => Some(telemetry::span(trace, || {
            SpanBuilder::from_name("command").with_attributes(about())
        })),
        Step::Answer {
            trace,
            input: Input::Answer { call, .. },
            ..
        } => Some(telemetry::span(trace, || {
            SpanBuilder::from_name(format!("answer {}", call.purpose)).with_attributes(about())
        })),
        Step::Letter(_, fact) => of(service, fact.as_ref()?),
        Step::Due(_) | Step::Answer { .. } | Step::DeadLetter(_) | Step::Announcement => None,
    }
}
