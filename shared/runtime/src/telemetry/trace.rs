//! W3C trace context as plain text, and spans that cost next to nothing while nobody receives them.
//!
//! The context is relayed whether or not we export: the next service may. `tracing` spans and these have nothing to do with each other.

use std::sync::OnceLock;

use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceFlags, Tracer};
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
    /// A trace that begins here: sampled if spans are exported, so that a collector sees what follows from it.
    #[must_use]
    pub fn fresh() -> Self {
        Self::random(TRACER.get().is_some())
    }

    fn random(sampled: bool) -> Self {
        let (trace, span) = (fastrand::u128(1..), fastrand::u64(1..));
        Self {
            traceparent: Some(format!(
                "00-{trace:032x}-{span:016x}-{:02x}",
                u8::from(sampled)
            )),
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
    span: Option<Span>,
    context: TraceContext,
}

/// Begins a span under `parent`, or a trace of its own if `parent` is empty. `attributes` is only asked while spans are exported.
pub fn span(
    kind: SpanKind,
    name: &str,
    parent: &TraceContext,
    attributes: impl FnOnce() -> Vec<KeyValue>,
) -> ActiveSpan {
    begin(TRACER.get(), kind, name, parent, attributes)
}

fn begin(
    tracer: Option<&SdkTracer>,
    kind: SpanKind,
    name: &str,
    parent: &TraceContext,
    attributes: impl FnOnce() -> Vec<KeyValue>,
) -> ActiveSpan {
    let Some(tracer) = tracer else {
        let context = if parent.traceparent.is_some() {
            parent.clone()
        } else {
            TraceContext::random(false)
        };
        return ActiveSpan {
            span: None,
            context,
        };
    };
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), parent);
    let builder = tracer
        .span_builder(name.to_owned())
        .with_kind(kind)
        .with_attributes(attributes());
    let span = tracer.build_with_context(builder, &parent);
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
        span: Some(span),
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

    /// The work failed, for this reason.
    pub fn error(&mut self, reason: &str) {
        if let Some(span) = &mut self.span {
            span.set_status(Status::error(reason.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::{SpanId, TracerProvider};
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

    use super::*;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// Keeps what is exported.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    fn exporting() -> (SdkTracer, Kept) {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(kept.clone())
            .build();
        (provider.tracer("test"), kept)
    }

    fn with_parent(traceparent: &str) -> TraceContext {
        TraceContext {
            traceparent: Some(traceparent.to_owned()),
            tracestate: None,
        }
    }

    #[test]
    fn a_context_is_read_or_as_if_absent() {
        let read = |traceparent| TraceContext::read(Some(traceparent), None).traceparent;
        assert_eq!(read(CALLER).unwrap(), CALLER);
        let later = format!("01{}-what-comes", &CALLER[2..]);
        assert_eq!(read(&later).unwrap(), later);
        assert_eq!(
            with_parent(CALLER).trace_id(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(TraceContext::default().trace_id(), "");
        for malformed in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
            "00-0af7651916cd43dd8448eb211c8031é-b7ad6b7169203331-01",
            "0é-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(read(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn a_tracestate_needs_its_parent_and_a_bound() {
        let state = |parent, state: &str| TraceContext::read(parent, Some(state)).tracestate;
        assert_eq!(
            state(Some(CALLER), "vendor=1,other=2").unwrap(),
            "vendor=1,other=2"
        );
        assert_eq!(state(None, "vendor=1"), None);
        assert_eq!(state(Some(CALLER), ""), None);
        assert_eq!(state(Some(CALLER), "a\nb"), None);
        assert_eq!(state(Some(CALLER), &"x".repeat(513)), None);
    }

    #[test]
    fn a_fresh_context_is_well_formed_and_says_whether_it_is_sampled() {
        for (sampled, flags) in [(false, "-00"), (true, "-01")] {
            let context = TraceContext::random(sampled);
            let traceparent = context.traceparent.clone().unwrap();
            assert!(traceparent.ends_with(flags));
            assert_eq!(TraceContext::read(Some(&traceparent), None), context);
        }
        assert_ne!(TraceContext::fresh(), TraceContext::fresh());
    }

    #[test]
    fn without_an_exporter_the_parent_is_relayed() {
        let parent = TraceContext::read(Some(CALLER), Some("vendor=1"));
        let span = begin(
            None,
            SpanKind::Consumer,
            "process",
            &parent,
            || unreachable!(),
        );
        assert_eq!(span.context(), parent);
        let fresh = begin(
            None,
            SpanKind::Server,
            "GET /",
            &TraceContext::default(),
            Vec::new,
        )
        .context();
        assert!(fresh.traceparent.unwrap().ends_with("-00"));
    }

    #[test]
    fn spans_hang_together() {
        let (tracer, kept) = exporting();
        let mut outer = begin(
            Some(&tracer),
            SpanKind::Server,
            "POST /things",
            &TraceContext::default(),
            Vec::new,
        );
        outer.error("broken");
        let about = || vec![KeyValue::new("messaging.system", "nats")];
        let inner = begin(
            Some(&tracer),
            SpanKind::Producer,
            "send things",
            &outer.context(),
            about,
        );
        let inner_context = inner.context();
        drop(inner);
        drop(outer);
        let spans = kept.0.lock().unwrap();
        let [inner, outer] = &spans[..] else {
            panic!("{spans:?}")
        };
        assert_eq!(
            inner.span_context.trace_id().to_string(),
            inner_context.trace_id()
        );
        assert_eq!(inner.span_context.trace_id(), outer.span_context.trace_id());
        assert_eq!(inner.parent_span_id, outer.span_context.span_id());
        assert_eq!(outer.parent_span_id, SpanId::INVALID);
        assert_eq!(inner.attributes, about());
        assert_eq!(
            (inner.span_kind.clone(), &*inner.name),
            (SpanKind::Producer, "send things")
        );
        assert_eq!(outer.status, Status::error("broken"));
        assert!(inner.start_time <= inner.end_time);
    }

    #[test]
    fn the_callers_trace_and_its_wish_not_to_be_sampled_are_kept() {
        let (tracer, kept) = exporting();
        let parent = TraceContext::read(Some(CALLER), Some("vendor=1"));
        let context = begin(
            Some(&tracer),
            SpanKind::Consumer,
            "process",
            &parent,
            Vec::new,
        )
        .context();
        assert_eq!(context.trace_id(), parent.trace_id());
        assert_ne!(context.traceparent, parent.traceparent);
        assert_eq!(context.tracestate, parent.tracestate);
        let unsampled = CALLER.replace("-01", "-00");
        let context = begin(
            Some(&tracer),
            SpanKind::Consumer,
            "process",
            &with_parent(&unsampled),
            Vec::new,
        )
        .context();
        assert!(context.traceparent.unwrap().ends_with("-00"));
        assert_eq!(kept.0.lock().unwrap().len(), 1);
    }
}
