//! What a service says about itself while it works: log lines, traces and metrics.
//!
//! Logs go through `tracing`. Spans do not: they are made straight with the OpenTelemetry API ([`span`]) and only while somebody
//! receives them, because a span per fact is the largest cost of a busy service that nobody watches.

mod kinds;
mod metrics;
mod repeated;
mod trace;

use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

pub use metrics::{Consequence, Metrics, Redeclared};
pub use opentelemetry::KeyValue;
pub use opentelemetry::trace::{SpanBuilder, SpanKind};
pub(crate) use repeated::Repeated;
pub(crate) use trace::exporting;
pub use trace::{ActiveSpan, TraceContext, span};

/// Where spans go, with `/v1/traces` behind it.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Where spans go, as it is; before the other.
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
/// How long one export may take, in milliseconds.
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
/// The same; before the other.
const TRACES_TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT";
/// What the service is to be called, whatever it calls itself.
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

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

/// Starts logging to stderr and, when `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set, exporting spans over
/// OTLP/HTTP. The SDK itself reads the sampler, limits, the batches' pace and headers; the protocol is always HTTP with protobuf.
///
/// A process has one log and one exporter: a second call changes nothing about the first's.
///
/// # Errors
/// When `filter` or the endpoint cannot be used; the text names the setting, its value and what would be right.
pub fn init(
    service: &str,
    version: &str,
    filter: &str,
    format: LogFormat,
) -> anyhow::Result<Telemetry> {
    log(filter, format)?;
    let exporter = endpoint(set)
        .map(|endpoint| export(resource(service, version), &endpoint))
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

/// A variable of the environment. One that is empty is as if it were not set, as OpenTelemetry has it.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where spans go.
struct Endpoint {
    /// The setting that says so.
    setting: &'static str,
    /// What it is set to.
    value: String,
    /// The URL that this means.
    url: String,
}

/// Where spans go, if anywhere.
fn endpoint(set: impl Fn(&str) -> Option<String>) -> Option<Endpoint> {
    if let Some(value) = set(TRACES_ENDPOINT) {
        return Some(Endpoint {
            setting: TRACES_ENDPOINT,
            url: value.clone(),
            value,
        });
    }
    set(ENDPOINT).map(|value| Endpoint {
        setting: ENDPOINT,
        url: format!("{}/v1/traces", value.trim_end_matches('/')),
        value,
    })
}

/// Who tells: which service, its version, and which process of it. The environment has the last word. Not by the SDK's own detector
/// of a service's name, which says `unknown_service` where the environment names none.
pub(crate) fn resource(service: &str, version: &str) -> Resource {
    static INSTANCE: OnceLock<String> = OnceLock::new();
    let instance = INSTANCE.get_or_init(|| uuid::Uuid::now_v7().to_string());
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", service.to_owned()),
            KeyValue::new("service.version", version.to_owned()),
            KeyValue::new("service.instance.id", instance.as_str()),
        ])
        .with_detectors(&[
            Box::new(TelemetryResourceDetector),
            Box::new(EnvResourceDetector::new()),
        ])
        .with_attributes(set(SERVICE_NAME).map(|name| KeyValue::new("service.name", name)))
        .build()
}

fn export(resource: Resource, endpoint: &Endpoint) -> anyhow::Result<SdkTracerProvider> {
    let scheme = endpoint.value.split_once("://").map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")) {
        anyhow::bail!(
            "{} begins with https://, and spans go by plain HTTP to a collector beside the service; give a URL like \
             http://127.0.0.1:4318, and let that collector speak TLS to whatever is behind it",
            endpoint.setting
        );
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&endpoint.url)
        .with_http_client(http()?)
        .build()
        .with_context(|| {
            let Endpoint { setting, value, .. } = endpoint;
            let shown = if value.contains('@') { "…" } else { value };
            format!("{setting} is {shown:?}; give a URL like http://127.0.0.1:4318")
        })?;
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build())
}

/// Plain HTTP, whatever TLS the rest of this program has in it: a collector stands beside its service, and no machine needs certificates
/// to reach it. It gives up when the SDK's own client would.
fn http() -> anyhow::Result<reqwest::blocking::Client> {
    let timeout = set(TRACES_TIMEOUT).or_else(|| set(TIMEOUT));
    let timeout_ms = timeout.and_then(|ms| ms.parse().ok()).unwrap_or(10_000);
    let begin = move || -> anyhow::Result<_> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        Ok(reqwest::blocking::Client::builder()
            .timeout(Duration::from_millis(timeout_ms))
            .tls_backend_preconfigured(tls)
            .build()?)
    };
    // It has a loop of its own, which none of tokio's threads may begin.
    let begun = std::thread::spawn(begin).join();
    begun.map_err(|_| anyhow::anyhow!("the client that exports spans could not be begun"))?
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

    /// An environment in which only this is set.
    fn only(setting: &str, value: &str) -> impl Fn(&str) -> Option<String> {
        move |name| (name == setting).then(|| value.to_owned())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn spans_reach_a_collector_when_the_guard_goes() {
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", collector.local_addr().unwrap());
        let received = tokio::task::spawn_blocking(move || receive(&collector));
        let endpoint = endpoint(only(ENDPOINT, &url)).unwrap();
        let exporter = export(resource("things", "4.2"), &endpoint).unwrap();
        drop(exporter.tracer("test").start("a span of ours"));
        Telemetry {
            exporter: Some(exporter),
        }
        .shutdown();
        let request = received.await.unwrap();
        let request = String::from_utf8_lossy(&request);
        assert!(request.starts_with("POST /v1/traces HTTP/1.1"), "{request}");
        assert!(request.contains("application/x-protobuf"), "{request}");
        for told in ["things", "4.2", "service.instance.id", "a span of ours"] {
            assert!(request.contains(told), "{told} is not in {request}");
        }
    }

    #[test]
    fn where_spans_go_is_said_for_all_telemetry_or_for_spans_alone() {
        let go = |of_traces: &str, of_all: &str| {
            let set = |name: &str| {
                let value = if name == ENDPOINT { of_all } else { of_traces };
                Some(value.to_owned()).filter(|value| !value.is_empty())
            };
            endpoint(set).map(|endpoint| (endpoint.setting, endpoint.url))
        };
        let own = |url: &str| Some((TRACES_ENDPOINT, url.to_owned()));
        let all = |url: &str| Some((ENDPOINT, url.to_owned()));
        assert_eq!(go("", ""), None);
        assert_eq!(go("", "http://c:4318/"), all("http://c:4318/v1/traces"));
        assert_eq!(go("http://c/spans", ""), own("http://c/spans"));
        assert_eq!(go("http://c/spans", "http://d"), own("http://c/spans"));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let error = log("info,=[", LogFormat::Human).unwrap_err().to_string();
        assert!(
            error.contains("LOG") && error.contains("info,=["),
            "{error}"
        );
        for setting in [ENDPOINT, TRACES_ENDPOINT] {
            let secret = endpoint(only(setting, "HTTPS://me:secret@collector:4318")).unwrap();
            let error = export(resource("things", "4.2"), &secret).unwrap_err();
            let error = error.to_string();
            assert!(
                error.starts_with(setting)
                    && error.contains("plain HTTP")
                    && !error.contains("secret"),
                "{error}"
            );
            let endpoint = endpoint(only(setting, "not a url")).unwrap();
            let error = export(resource("things", "4.2"), &endpoint).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains(setting) && error.contains("not a url"),
                "{error}"
            );
        }
    }
}
