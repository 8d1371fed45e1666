//! What a service says about itself while it works: log lines, traces and metrics.
//!
//! Logs go through `tracing`. Spans do not: they are made straight with the OpenTelemetry API ([`span`]) and only while somebody
//! receives them, because a span per fact is the largest cost of a busy service that nobody watches.

mod kinds;
mod metrics;
mod repeated;
mod trace;

use std::io::IsTerminal;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

pub use metrics::{Consequence, Metrics, Redeclared};
pub use opentelemetry::KeyValue;
pub use opentelemetry::trace::SpanKind;
pub(crate) use repeated::Repeated;
pub use trace::{ActiveSpan, TraceContext, span};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For humans on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One readable line per event.
    Human,
    /// One JSON object per line.
    Json,
}

/// Keeps the telemetry going; what is not yet exported goes out when this is dropped.
#[derive(Debug)]
#[must_use = "telemetry ends when this is dropped"]
pub struct Telemetry {
    exporter: Option<SdkTracerProvider>,
}

/// Starts logging to stderr and, when `OTEL_EXPORTER_OTLP_ENDPOINT` is set, exporting spans over OTLP/HTTP.
///
/// A process has one log and one exporter: a second call changes nothing about the first's.
///
/// # Errors
/// When `filter` or the endpoint cannot be used; the text names the setting, its value and what would be right.
pub fn init(service: &str, filter: &str, format: LogFormat) -> anyhow::Result<Telemetry> {
    log(filter, format)?;
    let endpoint = std::env::var(ENDPOINT)
        .ok()
        .filter(|endpoint| !endpoint.is_empty());
    let exporter = endpoint
        .map(|endpoint| export(service, &endpoint))
        .transpose()?;
    if let Some(exporter) = &exporter {
        trace::start(exporter.tracer(env!("CARGO_PKG_NAME")));
    }
    Ok(Telemetry { exporter })
}

fn log(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("LOG is {filter:?}; give a level or a list like `info,runtime=debug`")
    })?;
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Auto if !terminal => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Auto | LogFormat::Human => lines
            .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none())
            .boxed(),
    };
    // It fails when there is a subscriber already, as when two services live in one test process: the first one's log serves both.
    _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
    Ok(())
}

fn export(service: &str, endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()
        .with_context(|| {
            format!("{ENDPOINT} is {endpoint:?}; give a URL like http://127.0.0.1:4318")
        })?;
    let resource = Resource::builder()
        .with_service_name(service.to_owned())
        .build();
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build())
}

impl Telemetry {
    /// Exports what is left, and ends. It blocks, for some seconds at most.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(exporter) = self.exporter.take()
            && let Err(error) = exporter.shutdown()
        {
            tracing::warn!(%error, "the last spans could not be exported: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use opentelemetry::trace::Tracer;

    use super::*;

    /// Takes one request, answers it with 200, and gives the whole of it.
    fn receive(collector: &TcpListener) -> Vec<u8> {
        let (mut connection, _) = collector.accept().unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let read = connection.read(&mut chunk).unwrap();
            request.extend_from_slice(&chunk[..read]);
            let text = String::from_utf8_lossy(&request).to_lowercase();
            let head = text.find("\r\n\r\n");
            let length = text
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
            if let (Some(head), Some(length)) = (head, length)
                && request.len() >= head + 4 + length
            {
                break;
            }
        }
        connection
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        request
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn spans_reach_a_collector_when_the_guard_goes() {
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/", collector.local_addr().unwrap());
        let received = tokio::task::spawn_blocking(move || receive(&collector));
        let exporter = export("things", &endpoint).unwrap();
        drop(exporter.tracer("test").start("a span of ours"));
        Telemetry {
            exporter: Some(exporter),
        }
        .shutdown();
        let request = received.await.unwrap();
        let request = String::from_utf8_lossy(&request);
        assert!(request.starts_with("POST /v1/traces HTTP/1.1"), "{request}");
        assert!(request.contains("application/x-protobuf"), "{request}");
        assert!(
            request.contains("things") && request.contains("a span of ours"),
            "{request}"
        );
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let error = log("info,=[", LogFormat::Human).unwrap_err().to_string();
        assert!(
            error.contains("LOG") && error.contains("info,=["),
            "{error}"
        );
        let error = export("things", "not a url").unwrap_err().to_string();
        assert!(
            error.contains(ENDPOINT) && error.contains("not a url"),
            "{error}"
        );
    }
}
