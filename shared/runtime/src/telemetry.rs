//! What a service says about itself while it works: log lines, traces and metrics.
//!
//! Logs go through `tracing`. Spans do not: they are made straight with the OpenTelemetry API ([`span`]) and only while somebody
//! receives them, because a span per fact is the largest cost of a busy service that nobody watches.

mod metrics;
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
