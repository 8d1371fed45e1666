//! What the services really have: their settings, their paths, their metrics; read off the code and off a service that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::{Args as _, Command, FromArgMatches as _};
use runtime::Settings;
use runtime::telemetry::{Consequence, Metrics, Redeclared};

/// The services that images are made of.
pub(crate) const NAMES: [&str; 3] = [booking::NAME, flight::SPEC.name, hotel::SPEC.name];
/// And those that are deployed where they are asked for: by a profile of Compose, a component on Kubernetes.
pub(crate) const ALL: [&str; 4] = [NAMES[0], NAMES[1], NAMES[2], payment::NAME];
/// Read by the telemetry straight from the environment, as OpenTelemetry's own conventions have it.
pub(crate) const OTLP: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Time that a last transaction gets beyond DRAIN_TIMEOUT_MS.
pub(crate) const DRAIN_REST_MS: u64 = 5_000;

/// Asserts that every variable exists, every required one is set, and that the values are accepted; and hands out the settings. `who` begins
/// with the service's name.
pub(crate) fn settings(who: &str, environment: &BTreeMap<String, String>) -> Settings {
    let mut command = Settings::augment_args(Command::new("service"));
    if who.starts_with(payment::NAME) {
        command = payment::provider::ProviderSettings::augment_args(command);
    }
    let mut flags = vec![String::from("service")];
    let mut unknown: BTreeSet<&str> = environment.keys().map(String::as_str).collect();
    unknown.remove(OTLP);
    for argument in command.get_arguments() {
        let name = argument.get_env().unwrap().to_str().unwrap();
        unknown.remove(name);
        match environment.get(name) {
            Some(value) => flags.push(format!("--{}={value}", argument.get_long().unwrap())),
            None => assert!(!argument.is_required_set(), "{who} does not set {name}"),
        }
    }
    assert!(
        unknown.is_empty(),
        "{who} sets what does not exist: {unknown:?}"
    );
    let matches = command
        .try_get_matches_from(flags)
        .unwrap_or_else(|error| panic!("{who}: {error}"));
    let settings = Settings::from_arg_matches(&matches).unwrap();
    assert!(
        settings.listen.ip().is_unspecified(),
        "{who} would be heard by itself only: LISTEN is {}",
        settings.listen
    );
    settings
}

/// How long a service may take from its SIGTERM to its end, in milliseconds.
pub(crate) fn drain_ms(settings: &Settings) -> u64 {
    settings.drain_notice_ms + settings.drain_timeout_ms + DRAIN_REST_MS
}

/// The status of each path of a service that runs, with neither broker nor traffic.
pub(crate) fn status_of(paths: &[&str]) -> Vec<u16> {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("flight.db").display());
    let command = Settings::augment_args(Command::new("service"));
    // A port at which nobody listens.
    let nats = format!("nats://127.0.0.1:{}", stack::port::free().unwrap());
    let matches = command
        .try_get_matches_from(["service", "--database-url", &database, "--nats-url", &nats])
        .unwrap();
    let settings = Settings::from_arg_matches(&matches).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let running = flight::start(settings).await.unwrap();
        let mut found = Vec::new();
        for path in paths {
            let url = format!("http://{}{path}", running.address);
            found.push(
                ::client::http::local()
                    .unwrap()
                    .build()
                    .unwrap()
                    .get(url)
                    .send()
                    .await
                    .unwrap()
                    .status()
                    .as_u16(),
            );
        }
        running.drain().await;
        found
    })
}

/// The names of all series that a service has once everything has happened.
pub(crate) fn metrics() -> &'static BTreeSet<String> {
    static NAMES: OnceLock<BTreeSet<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let metrics = Metrics::new("roundtrip", "service", "1.0").unwrap();
        metrics.facts_in("a", 1);
        metrics.facts_out("a", 1);
        metrics.batch(1, 0.1);
        metrics.batch_failure(Consequence::Retry);
        metrics.dead_letter("a");
        metrics.anomaly("a");
        metrics.timers_fired(1);
        metrics.republished(1);
        metrics.redeclared(Redeclared::Stream);
        metrics.window_lost();
        metrics.http_request("/", "GET", 200, 0.1);
        metrics.outbox_depth(1);
        metrics.dead_letters_kept(1);
        metrics.publish_failed();
        metrics.publisher_stalled(1);
        metrics.queue_depth(1);
        metrics.consumer_lag(1);
        metrics.calls_waiting("a", 1);
        metrics.calls_oldest(1);
        metrics.call_attempt("a", "answered", 0.1);
        let text = metrics.render() + &of_payment();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| line.split(['{', ' ']).next().unwrap().to_owned())
            .filter(|name| name.starts_with("roundtrip_"))
            .collect()
    })
}

/// What the payment leg has besides, a provider or none: of one that runs.
fn of_payment() -> String {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("payment.db").display());
    let nobody = |scheme| format!("{scheme}://127.0.0.1:{}", stack::port::free().unwrap());
    let command = Settings::augment_args(Command::new("service"));
    let flags = ["service", "--database-url", &database, "--nats-url", &nobody("nats")];
    let matches = command.try_get_matches_from(flags).unwrap();
    let settings = Settings::from_arg_matches(&matches).unwrap();
    let key = folder.path().join("no.key");
    let provider = payment::provider::ProviderSettings::at(&nobody("http"), &key);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let running = payment::start(settings, provider).await.unwrap();
        let url = format!("http://{}/metrics", running.address);
        let client = ::client::http::local().unwrap().build().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let text = client.get(&url).send().await.unwrap().text().await.unwrap();
            // The last of them that it tells.
            if text.contains("roundtrip_provider_webhooks_total") {
                running.drain().await;
                return text;
            }
            assert!(Instant::now() < until, "it tells nothing of its provider");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

#[test]
fn every_probe_is_a_path_that_a_service_has() {
    // Without a broker it is alive and not ready.
    assert_eq!(
        status_of(&["/livez", "/readyz", "/metrics", "/nothing"]),
        [200, 503, 200, 404]
    );
}
