//! Spans are kept in memory as an exporter would send them.
#![expect(clippy::unwrap_used, reason = "tests")]
use std::sync::{Arc, Mutex};

use opentelemetry::trace::{SpanId, SpanKind, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};

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

fn named(name: &'static str) -> SpanBuilder {
    SpanBuilder::from_name(name)
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
fn a_trace_that_nobody_receives_is_well_formed_and_not_sampled() {
    let context = TraceContext::unsampled();
    let traceparent = context.traceparent.clone().unwrap();
    assert!(traceparent.ends_with("-00"));
    assert_eq!(TraceContext::read(Some(&traceparent), None), context);
    assert_ne!(TraceContext::unsampled(), TraceContext::unsampled());
}

#[test]
fn whether_a_trace_that_begins_here_is_sampled_is_the_samplers_to_say() {
    for (sampler, flags, received) in [
        (Sampler::AlwaysOn, "-01", 1),
        (Sampler::AlwaysOff, "-00", 0),
    ] {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_simple_exporter(kept.clone())
            .build();
        let tracer = provider.tracer("test");
        let nothing = TraceContext::default();
        let span = begin(Some(&tracer), &nothing, || named("command"));
        assert!(span.context().traceparent.unwrap().ends_with(flags));
        drop(span);
        assert_eq!(kept.0.lock().unwrap().len(), received);
    }
}

#[test]
fn without_an_exporter_the_parent_is_relayed() {
    let parent = TraceContext::read(Some(CALLER), Some("vendor=1"));
    let span = begin(None, &parent, || unreachable!());
    assert_eq!(span.context(), parent);
    let fresh = begin(None, &TraceContext::default(), || unreachable!()).context();
    assert!(fresh.traceparent.unwrap().ends_with("-00"));
}

#[test]
fn spans_hang_together() {
    let (tracer, kept) = exporting();
    let nothing = TraceContext::default();
    let mut outer = begin(Some(&tracer), &nothing, || named("POST /things"));
    outer.error("500", "broken");
    let about = || vec![KeyValue::new("messaging.system", "nats")];
    let inner = begin(Some(&tracer), &outer.context(), || {
        named("send things")
            .with_kind(SpanKind::Producer)
            .with_attributes(about())
    });
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
fn a_span_points_to_what_is_elsewhere() {
    let (tracer, kept) = exporting();
    let caller = with_parent(CALLER);
    let mut within = begin(Some(&tracer), &caller, || named("command"));
    within.link_elsewhere(&caller);
    drop(within);
    let mut apart = begin(Some(&tracer), &TraceContext::default(), || named("command"));
    apart.link_elsewhere(&caller);
    apart.link(&TraceContext::default());
    drop(apart);
    let spans = kept.0.lock().unwrap();
    let [within, apart] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert!(within.links.links.is_empty());
    let links: Vec<String> = apart
        .links
        .iter()
        .map(|link| link.span_context.trace_id().to_string())
        .collect();
    assert_eq!(links, [caller.trace_id()]);
}

#[test]
fn the_callers_trace_and_its_wish_not_to_be_sampled_are_kept() {
    let (tracer, kept) = exporting();
    let parent = TraceContext::read(Some(CALLER), Some("vendor=1"));
    let context = begin(Some(&tracer), &parent, || named("process")).context();
    assert_eq!(context.trace_id(), parent.trace_id());
    assert_ne!(context.traceparent, parent.traceparent);
    assert_eq!(context.tracestate, parent.tracestate);
    let unsampled = CALLER.replace("-01", "-00");
    let context = begin(Some(&tracer), &with_parent(&unsampled), || named("process")).context();
    assert!(context.traceparent.unwrap().ends_with("-00"));
    assert_eq!(kept.0.lock().unwrap().len(), 1);
}
