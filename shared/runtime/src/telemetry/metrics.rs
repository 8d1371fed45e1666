//! The instruments of a service, and the text that Prometheus reads.
//!
//! One registry per service, none global: several services can live in one process. What is counted is the runtime's own work; nothing
//! here knows what the facts mean.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::kinds::Kinds;

const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const SIZES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// What follows from a batch that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// The whole batch is tried again.
    Retry,
    /// The batch is taken apart to find the one message that it fails for.
    Poison,
}

/// What had to be declared anew at the broker because it was gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redeclared {
    /// The stream.
    Stream,
    /// This service's consumer.
    Consumer,
}

/// Everything a service counts and measures.
#[derive(Debug)]
pub struct Metrics {
    registry: prometheus::Registry,
    namespace: String,
    // The instruments work only while their provider lives.
    provider: SdkMeterProvider,
    kinds: Kinds,
    purposes: Kinds,
    facts_in: Counter<u64>,
    facts_out: Counter<u64>,
    batches: Counter<u64>,
    batch_failures: Counter<u64>,
    dead_letters: Counter<u64>,
    anomalies: Counter<u64>,
    timers_fired: Counter<u64>,
    republished: Counter<u64>,
    publish_failures: Counter<u64>,
    redeclared: Counter<u64>,
    window_lost: Counter<u64>,
    batch_size: Histogram<u64>,
    transaction: Histogram<f64>,
    http_request: Histogram<f64>,
    outbox_depth: Gauge<u64>,
    dead_letters_kept: Gauge<u64>,
    publisher_stalled: Gauge<u64>,
    queue_depth: Gauge<u64>,
    consumer_lag: Gauge<u64>,
    calls_waiting: Gauge<u64>,
    calls_oldest: Gauge<u64>,
    call_attempts: Counter<u64>,
    call: Histogram<f64>,
}

impl Metrics {
    /// The instruments of one service, in a registry of their own. Their names begin with the namespace.
    ///
    /// # Errors
    /// When the registry refuses the exporter.
    pub fn new(namespace: &str, service: &str, version: &str) -> anyhow::Result<Self> {
        let registry = prometheus::Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()?;
        let provider = SdkMeterProvider::builder()
            .with_reader(reader)
            .with_resource(super::resource(service, version))
            .build();
        let meter = Named {
            meter: provider.meter(env!("CARGO_PKG_NAME")),
            namespace,
        };
        let metrics = Self {
            registry,
            kinds: Kinds::default(),
            purposes: Kinds::default(),
            facts_in: meter.counter("facts_in",
                "Facts heard and committed, by type; the types beyond a hundred are `other`",
            ),
            facts_out: meter.counter("facts_out",
                "Facts published and acknowledged by the broker, by type",
            ),
            batches: meter.counter("batches", "Batches committed"),
            batch_failures: meter.counter("batch_failures",
                "Batches rolled back, by what follows: retry or poison",
            ),
            dead_letters: meter.counter("dead_letters",
                "Messages put aside as dead letters, by type; one that was never read is `other`",
            ),
            anomalies: meter.counter("anomalies",
                "Things heard that cannot happen, by kind; the record was kept as it was",
            ),
            timers_fired: meter.counter("timers_fired",
                "Records woken because they were due",
            ),
            republished: meter.counter("republished",
                "Outbox rows published again by the sweeper",
            ),
            publish_failures: meter.counter("publish_failures",
                "Publishes that the broker refused or did not acknowledge in time; the row stays in the outbox",
            ),
            redeclared: meter.counter("redeclared",
                "Streams and consumers that were gone and were declared again",
            ),
            window_lost: meter.counter("window_lost",
                "Times the stream discarded messages before this service had heard them",
            ),
            batch_size: meter.sizes("batch_size", "Inputs in one batch: facts, commands and timers"),
            transaction: meter.seconds("transaction",
                "Time from the begin of a batch's transaction to its commit",
            ),
            http_request: meter.seconds("http_request",
                "Time to answer an HTTP request, by route, method and status",
            ),
            dead_letters_kept: meter.gauge("dead_letters_kept",
                "Dead letters that nobody has replayed or discarded, counted up to 10000",
            ),
            outbox_depth: meter.gauge("outbox_depth",
                "Facts committed and not yet published",
            ),
            publisher_stalled: meter.gauge("publisher_stalled_seconds",
                "For how long the broker has stored no fact although one waits; 0 while all goes well",
            ),
            queue_depth: meter.gauge("queue_depth",
                "Commands waiting for a batch",
            ),
            consumer_lag: meter.gauge("consumer_lag",
                "Messages that wait in the stream for this service",
            ),
            calls_waiting: meter.gauge("calls_waiting",
                "Calls that have no answer yet, by purpose; of all together 10000 are counted",
            ),
            calls_oldest: meter.gauge("calls_oldest_seconds",
                "For how long the oldest call has had no answer; 0 where none waits",
            ),
            call_attempts: meter.counter("call_attempts",
                "Attempts at calls, by purpose and by what came of them",
            ),
            call: meter.seconds("call",
                "How long one attempt at a call took, by purpose",
            ),
            namespace: namespace.to_owned(),
            provider,
        };
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// A counter that is absent until something fails makes an alert that never fires.
    fn begin_at_zero(&self) {
        for counter in [
            &self.batches,
            &self.timers_fired,
            &self.republished,
            &self.publish_failures,
            &self.window_lost,
        ] {
            counter.add(0, &[]);
        }
        self.batch_failures.add(0, &[Consequence::Retry.label()]);
        self.batch_failures.add(0, &[Consequence::Poison.label()]);
        self.redeclared.add(0, &[Redeclared::Stream.label()]);
        self.redeclared.add(0, &[Redeclared::Consumer.label()]);
    }

    /// These types are counted by their names, also before one was heard.
    pub fn known(&self, kinds: &[String]) {
        for kind in kinds {
            self.kinds.learn(kind);
        }
    }

    /// So many facts of this type were heard.
    pub fn facts_in(&self, kind: &str, count: u64) {
        let kind = self.kinds.learn(kind).to_owned();
        self.facts_in.add(count, &[KeyValue::new("type", kind)]);
    }

    /// So many facts of this type were published.
    pub fn facts_out(&self, kind: &str, count: u64) {
        self.facts_out
            .add(count, &[KeyValue::new("type", kind.to_owned())]);
    }

    /// A batch of this many inputs was committed, and its transaction took so many seconds.
    pub fn batch(&self, size: usize, seconds: f64) {
        self.batches.add(1, &[]);
        self.batch_size.record(size as u64, &[]);
        self.transaction.record(seconds, &[]);
    }

    /// A batch was rolled back.
    pub fn batch_failure(&self, consequence: Consequence) {
        self.batch_failures.add(1, &[consequence.label()]);
    }

    /// A message of this type became a dead letter.
    pub fn dead_letter(&self, kind: &str) {
        let kind = self.kinds.find(kind).to_owned();
        self.dead_letters.add(1, &[KeyValue::new("type", kind)]);
    }

    /// Something was heard that cannot happen.
    pub fn anomaly(&self, kind: &'static str) {
        self.anomalies.add(1, &[KeyValue::new("kind", kind)]);
    }

    /// So many records were woken.
    pub fn timers_fired(&self, count: u64) {
        self.timers_fired.add(count, &[]);
    }

    /// The sweeper published so many rows that had been left behind.
    pub fn republished(&self, count: u64) {
        self.republished.add(count, &[]);
    }

    /// The broker refused a fact, or did not acknowledge it in time.
    pub fn publish_failed(&self) {
        self.publish_failures.add(1, &[]);
    }

    /// Something was gone at the broker and is there again.
    pub fn redeclared(&self, what: Redeclared) {
        self.redeclared.add(1, &[what.label()]);
    }

    /// The consumer's next message fell out of the stream's window.
    pub fn window_lost(&self) {
        self.window_lost.add(1, &[]);
    }

    /// A request was answered.
    pub fn http_request(&self, route: &str, method: &'static str, status: u16, seconds: f64) {
        let labels = [
            KeyValue::new("route", route.to_owned()),
            KeyValue::new("method", method),
            KeyValue::new("status", i64::from(status)),
        ];
        self.http_request.record(seconds, &labels);
    }

    /// How many facts wait to be published.
    pub fn outbox_depth(&self, rows: u64) {
        self.outbox_depth.record(rows, &[]);
    }

    /// So many dead letters lie there.
    pub fn dead_letters_kept(&self, letters: u64) {
        self.dead_letters_kept.record(letters, &[]);
    }

    /// For how many seconds nothing was stored although something waits.
    pub fn publisher_stalled(&self, seconds: u64) {
        self.publisher_stalled.record(seconds, &[]);
    }

    /// How many commands wait for a batch.
    pub fn queue_depth(&self, commands: u64) {
        self.queue_depth.record(commands, &[]);
    }

    /// How many messages wait in the stream.
    pub fn consumer_lag(&self, messages: u64) {
        self.consumer_lag.record(messages, &[]);
    }

    /// A gauge that a service adds to these.
    pub(crate) fn own_gauge(&self, name: &str, description: &'static str) -> Gauge<u64> {
        let meter = Named {
            meter: self.provider.meter(env!("CARGO_PKG_NAME")),
            namespace: &self.namespace,
        };
        meter.gauge(name, description)
    }

    /// What calls for a purpose are counted as: by its name, while there is room.
    pub fn purpose<'a>(&self, purpose: &'a str) -> &'a str {
        self.purposes.learn(purpose)
    }

    /// So many calls have no answer yet that are counted as this ([`purpose`](Self::purpose)).
    pub fn calls_waiting(&self, purpose: &str, calls: u64) {
        let purpose = KeyValue::new("purpose", purpose.to_owned());
        self.calls_waiting.record(calls, &[purpose]);
    }

    /// For how many seconds the oldest call has had no answer.
    pub fn calls_oldest(&self, seconds: u64) {
        self.calls_oldest.record(seconds, &[]);
    }

    /// An attempt at a call for this purpose took so many seconds, and came to this.
    pub fn call_attempt(&self, purpose: &str, outcome: &'static str, seconds: f64) {
        let purpose = KeyValue::new("purpose", self.purpose(purpose).to_owned());
        self.call.record(seconds, std::slice::from_ref(&purpose));
        let outcome = KeyValue::new("outcome", outcome);
        self.call_attempts.add(1, &[purpose, outcome]);
    }

    /// Everything in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        prometheus::TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_else(|error| {
                tracing::error!(%error, "the metrics cannot be written: {error}");
                String::new()
            })
    }
}

impl Consequence {
    fn label(self) -> KeyValue {
        KeyValue::new(
            "consequence",
            if self == Self::Retry {
                "retry"
            } else {
                "poison"
            },
        )
    }
}

impl Redeclared {
    fn label(self) -> KeyValue {
        KeyValue::new(
            "what",
            if self == Self::Stream {
                "stream"
            } else {
                "consumer"
            },
        )
    }
}

/// Makes instruments whose names begin with a namespace.
struct Named<'a> {
    meter: Meter,
    namespace: &'a str,
}

impl Named<'_> {
    fn name(&self, name: &str) -> String {
        format!("{}_{name}", self.namespace)
    }

    fn counter(&self, name: &str, description: &'static str) -> Counter<u64> {
        let counter = self.meter.u64_counter(self.name(name));
        counter.with_description(description).build()
    }

    fn gauge(&self, name: &str, description: &'static str) -> Gauge<u64> {
        let gauge = self.meter.u64_gauge(self.name(name));
        gauge.with_description(description).build()
    }

    fn seconds(&self, name: &str, description: &'static str) -> Histogram<f64> {
        self.meter
            .f64_histogram(self.name(name))
            .with_unit("s")
            .with_description(description)
            .with_boundaries(SECONDS.to_vec())
            .build()
    }

    fn sizes(&self, name: &str, description: &'static str) -> Histogram<u64> {
        self.meter
            .u64_histogram(self.name(name))
            .with_description(description)
            .with_boundaries(SIZES.to_vec())
            .build()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// Everything that there is, each with a value of its own.
    fn everything() -> Metrics {
        let metrics = Metrics::new("shop", "things", "4.2").unwrap();
        metrics.facts_in("thing.made.v1", 2);
        metrics.facts_out("thing.sold.v1", 3);
        metrics.batch(20, 0.003);
        metrics.batch_failure(Consequence::Retry);
        metrics.known(&[String::from("thing.lost.v1")]);
        metrics.dead_letter("thing.lost.v1");
        metrics.dead_letter("thing.made.v1");
        metrics.dead_letter("thing.sent.v9");
        metrics.dead_letter("\u{1b}[31mjunk");
        metrics.anomaly("sold-twice");
        metrics.timers_fired(4);
        metrics.republished(5);
        metrics.publish_failed();
        metrics.redeclared(Redeclared::Consumer);
        metrics.window_lost();
        metrics.http_request("/things", "GET", 200, 0.02);
        metrics.outbox_depth(6);
        metrics.dead_letters_kept(2);
        metrics.publisher_stalled(12);
        metrics.queue_depth(7);
        metrics.consumer_lag(8);
        metrics.consumer_lag(9);
        metrics.calls_waiting("ship", 3);
        metrics.calls_oldest(40);
        metrics.call_attempt("ship", "answered", 0.2);
        metrics
    }

    #[test]
    fn everything_is_rendered_under_its_name_with_a_description() {
        let text = everything().render();
        for line in [
            r#"shop_facts_in_total{type="thing.made.v1"} 2"#,
            r#"shop_facts_out_total{type="thing.sold.v1"} 3"#,
            "shop_batches_total 1",
            r#"shop_batch_failures_total{consequence="retry"} 1"#,
            r#"shop_batch_failures_total{consequence="poison"} 0"#,
            r#"shop_dead_letters_total{type="thing.lost.v1"} 1"#,
            r#"shop_dead_letters_total{type="thing.made.v1"} 1"#,
            r#"shop_dead_letters_total{type="other"} 2"#,
            r#"shop_anomalies_total{kind="sold-twice"} 1"#,
            "shop_timers_fired_total 4",
            "shop_republished_total 5",
            "shop_publish_failures_total 1",
            "shop_publisher_stalled_seconds 12",
            r#"shop_redeclared_total{what="consumer"} 1"#,
            r#"shop_redeclared_total{what="stream"} 0"#,
            "shop_window_lost_total 1",
            r#"shop_batch_size_bucket{le="16"} 0"#,
            r#"shop_batch_size_bucket{le="32"} 1"#,
            r#"shop_transaction_seconds_bucket{le="0.005"} 1"#,
            r#"shop_http_request_seconds_sum{method="GET",route="/things",status="200"} 0.02"#,
            "shop_outbox_depth 6",
            "shop_dead_letters_kept 2",
            "shop_queue_depth 7",
            "shop_consumer_lag 9",
            r#"shop_calls_waiting{purpose="ship"} 3"#,
            "shop_calls_oldest_seconds 40",
            r#"shop_call_attempts_total{outcome="answered",purpose="ship"} 1"#,
            r#"shop_call_seconds_sum{purpose="ship"} 0.2"#,
        ] {
            assert!(
                text.lines().any(|there| there == line),
                "{line} is not in\n{text}"
            );
        }
        let names: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .collect();
        for name in names {
            let help = text
                .lines()
                .find_map(|line| line.strip_prefix("# HELP ")?.strip_prefix(name))
                .unwrap();
            assert!(help.len() > 10, "{name} has no description");
        }
    }

    #[test]
    fn services_in_one_process_are_counted_apart() {
        let (one, other) = (
            Metrics::new("shop", "one", "4.2").unwrap(),
            Metrics::new("shop", "other", "4.2").unwrap(),
        );
        one.timers_fired(1);
        assert!(one.render().contains("shop_timers_fired_total 1"));
        assert!(other.render().contains("shop_timers_fired_total 0"));
        assert!(other.render().contains(r#"service_name="other""#));
    }
}
