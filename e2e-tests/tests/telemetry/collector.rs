//! A collector of spans: what it receives over OTLP/HTTP, it keeps. It asserts nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;

/// Attributes by name, as text.
pub(crate) type Attributes = BTreeMap<String, String>;

fn attributes(all: Vec<KeyValue>) -> Attributes {
    let text = |value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("an attribute is {other:?}"),
    };
    all.into_iter()
        .filter_map(|attribute| Some((attribute.key, text(attribute.value?.value?))))
        .collect()
}

/// A span as it was received; ids are hexadecimal.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) resource: Attributes,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) kind: SpanKind,
    pub(crate) has: Attributes,
    /// The trace and the span that each link points to.
    pub(crate) links: Vec<(String, String)>,
    pub(crate) failed: bool,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
}

/// What a collector has received so far.
#[derive(Clone, Default)]
pub(crate) struct Collected(Arc<Mutex<Vec<Span>>>);

impl Collected {
    fn take(&self, body: &[u8]) {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        for resource in request.resource_spans {
            let of = attributes(resource.resource.unwrap().attributes);
            let spans = resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans);
            self.0.lock().unwrap().extend(spans.map(|span| {
                Span {
                    service: of["service.name"].clone(),
                    resource: of.clone(),
                    name: span.name,
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    kind: span.kind.try_into().unwrap(),
                    has: attributes(span.attributes),
                    links: span
                        .links
                        .iter()
                        .map(|link| (hex(&link.trace_id), hex(&link.span_id)))
                        .collect(),
                    failed: span
                        .status
                        .is_some_and(|status| status.code() == StatusCode::Error),
                    start_ns: span.start_time_unix_nano,
                    end_ns: span.end_time_unix_nano,
                }
            }));
        }
    }

    pub(crate) fn all(&self) -> Vec<Span> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn with_id(&self, id: &str) -> Vec<Span> {
        let mut spans = self.all();
        spans.retain(|span| span.id == id);
        spans
    }

    pub(crate) fn of(&self, trace: &str) -> Vec<Span> {
        let mut spans = self.all();
        spans.retain(|span| span.trace == trace);
        spans
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A collector on a port of its own, and its address.
pub(crate) async fn collector() -> (Collected, String) {
    let collected = Collected::default();
    let taken = collected.clone();
    let take = async move |body: Bytes| taken.take(&body);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (collected, url)
}
