//! W3C trace context as plain text, and spans that cost next to nothing while nobody receives them.
//!
//! The context is relayed whether or not we export: the next service may. `tracing` spans and these have nothing to do with each other.

use std::sync::OnceLock;

use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    Span as _, SpanBuilder, Status, TraceContextExt as _, TraceFlags, Tracer,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, Span};

/// There while spans are exported.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Longer vendor lists than what the W3C asks everybody to carry are dropped.
const TRACESTATE_MAX: usize = 512;

pub(super) fn start(tracer: SdkTracer) {
    _ = TRACER.set(tracer);
}

/// Where in which trace something happened, as it travels in headers and is kept in rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// The header `traceparent`.
    pub traceparent: Option<String>,
    /// The header `tracestate`, what vendors add.
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// A trace that begins here, where nobody receives spans: not sampled. Where somebody does, the sampler says.
    fn unsampled() -> Self {
        let (trace, span) = (fastrand::u128(1..), fastrand::u64(1..));
        Self {
            traceparent: Some(format!("00-{trace:032x}-{span:016x}-00")),
            tracestate: None,
        }
    }

    /// The context that a message or request came with. What is malformed is as if it were absent.
    #[must_use]
    pub fn read(traceparent: Option<&str>, tracestate: Option<&str>) -> Self {
        let Some(traceparent) = traceparent.filter(|value| well_formed(value)) else {
            return Self::default();
        };
        let fits = |value: &&str| {
            (1..=TRACESTATE_MAX).contains(&value.len())
                && value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        Self {
            traceparent: Some(traceparent.to_owned()),
            tracestate: tracestate.filter(fits).map(str::to_owned),
        }
    }

    /// The context in the headers of an HTTP request.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self::read(header("traceparent"), header("tracestate"))
    }

    /// The id that all of one trace have in common, for log lines; empty if there is no trace.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.traceparent
            .as_deref()
            .and_then(|value| value.get(3..35))
            .unwrap_or_default()
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, neither id zero; a later version may be longer.
fn well_formed(traceparent: &str) -> bool {
    let hex = |range, zero_too: bool| {
        let digits: Option<&str> = traceparent.get(range);
        digits.is_some_and(|digits| {
            digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                && (zero_too || digits.bytes().any(|byte| byte != b'0'))
        })
    };
    let dash = |place: usize| traceparent.as_bytes().get(place) == Some(&b'-');
    let length = match traceparent.get(..2) {
        Some("ff") | None => false,
        Some("00") => traceparent.len() == 55,
        Some(_) => {
            traceparent.len() == 55
                || dash(55) && traceparent.len() <= 128 && traceparent.is_ascii()
        }
    };
    length
        && hex(0..2, true)
        && dash(2)
        && hex(3..35, false)
        && dash(35)
        && hex(36..52, false)
        && dash(52)
        && hex(53..55, true)
}

impl Extractor for TraceContext {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.traceparent.as_deref(),
            "tracestate" => self.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// A piece of work under way; it ends when this is dropped.
#[derive(Debug)]
pub struct ActiveSpan {
    /// Boxed, for most of the time there is none.
    span: Option<Box<Span>>,
    context: TraceContext,
}

/// Whether somebody receives spans.
pub(crate) fn exporting() -> bool {
    TRACER.get().is_some()
}

/// Begins a span under `parent`, or a trace of its own if `parent` is empty. What it is is only asked while spans are exported.
pub fn span(parent: &TraceContext, described: impl FnOnce() -> SpanBuilder) -> ActiveSpan {
    begin(TRACER.get(), parent, described)
}

fn begin(
    tracer: Option<&SdkTracer>,
    parent: &TraceContext,
    described: impl FnOnce() -> SpanBuilder,
) -> ActiveSpan {
    let Some(tracer) = tracer else {
        let context = if parent.traceparent.is_some() {
            parent.clone()
        } else {
            TraceContext::unsampled()
        };
        return ActiveSpan {
            span: None,
            context,
        };
    };
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), parent);
    let span = tracer.build_with_context(described(), &parent);
    let context = {
        let here = span.span_context();
        let flags = here.trace_flags() & TraceFlags::SAMPLED;
        let traceparent = format!(
            "00-{}-{}-{:02x}",
            here.trace_id(),
            here.span_id(),
            flags.to_u8()
        );
        TraceContext {
            traceparent: Some(traceparent),
            tracestate: Some(here.trace_state().header()).filter(|state| !state.is_empty()),
        }
    };
    ActiveSpan {
        span: Some(Box::new(span)),
        context,
    }
}

impl ActiveSpan {
    /// What anything that this work causes should carry.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        self.context.clone()
    }

    /// Adds what was not known at the beginning.
    pub fn set(&mut self, attribute: KeyValue) {
        if let Some(span) = &mut self.span {
            span.set_attribute(attribute);
        }
    }

    /// Points to what this has to do with and is not a part of, as a rule in another trace.
    pub fn link(&mut self, to: &TraceContext) {
        if let Some(span) = &mut self.span {
            let to = TraceContextPropagator::new().extract_with_context(&Context::new(), to);
            let to = to.span().span_context().clone();
            if to.is_valid() {
                span.add_link(to, Vec::new());
            }
        }
    }

    /// As [`link`](Self::link), if that is in another trace.
    pub fn link_elsewhere(&mut self, to: &TraceContext) {
        if self.context.trace_id() != to.trace_id() {
            self.link(to);
        }
    }

    /// Whether it will be received.
    pub(crate) fn is_sampled(&self) -> bool {
        self.span.as_ref().is_some_and(|span| span.is_recording())
    }

    /// The work failed: of which kind, of few, and the reason in words.
    pub fn error(&mut self, kind: &str, reason: &str) {
        if let Some(span) = &mut self.span {
            span.set_attribute(KeyValue::new("error.type", kind.to_owned()));
            span.set_status(Status::error(reason.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests;
