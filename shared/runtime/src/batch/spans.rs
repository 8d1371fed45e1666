//! The spans of a batch's inputs, by OpenTelemetry's conventions for messaging. It judges nothing.

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanKind};

use crate::batch::Step;
use crate::service::Service;
use crate::telemetry::{self, ActiveSpan};

/// The span of a message or a command; what nobody sent has none. A message's is called after the subject it came on: subjects hold no ids,
/// so there are few of them.
pub(super) fn of<S: Service>(service: &S, step: &Step<S>) -> Option<ActiveSpan> {
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
        Step::Due(_) | Step::DeadLetter(_) | Step::Announcement => None,
    }
}
