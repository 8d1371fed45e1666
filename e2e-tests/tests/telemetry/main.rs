//! What an operator sees of a trip from outside: its spans from all services as one trace, received as a collector receives them, and
//! the numbers that Prometheus reads.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod collector;
mod spans;

use std::collections::{BTreeSet, HashSet};

use booking::core::State;
use booking::view::TripView;
use e2e_tests::trip::{flight, stay, trip};
use e2e_tests::{Engine, Setup, World, eventually, on_both_databases, play};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;

use crate::collector::{Collected, Span, collector};

/// By OpenTelemetry's conventions for messaging.
fn is_of_a_message(span: &Span, operation: &str) {
    let subject = span.name.strip_prefix(&format!("{operation} ")).unwrap();
    assert_eq!(span.has["messaging.system"], "nats");
    assert_eq!(span.has["messaging.operation.name"], operation);
    assert_eq!(span.has["messaging.operation.type"], operation);
    assert_eq!(span.has["messaging.destination.name"], subject);
    assert_eq!(span.has["messaging.message.id"].len(), 36);
}

/// The span of the sending of what was processed in this one.
async fn sending(processed: &Span, collected: &Collected) -> Span {
    let name = processed.name.replacen("process", "send", 1);
    let sent = spans::named(|| collected.with_id(&processed.parent), &name).await;
    is_of_a_message(&sent, "send");
    assert_eq!(sent.kind, SpanKind::Producer);
    let id = "messaging.message.id";
    assert_eq!(sent.has[id], processed.has[id]);
    assert!(sent.start_ns <= processed.start_ns);
    sent
}

async fn one_trip_is_one_trace(engine: Engine, test: &str) {
    let (collected, url) = collector().await;
    let setup = Setup::on(engine)
        .setting("OTEL_EXPORTER_OTLP_ENDPOINT", &url)
        .setting("OTEL_BSP_SCHEDULE_DELAY", "50");
    play(test, setup, async |world: &mut World| {
        world.seats("RT100", 10).await;
        world.rooms("LIS", 5).await;
        // The traveller's own program has begun the trace.
        let caller = CALLER;
        let asked = trip([flight("RT100", 1), stay("LIS", 1, 1)]);
        let request = world
            .asking(&asked)
            .header("traceparent", format!("00-{caller}-00f067aa0ba902b7-01"))
            .header("Prefer", "wait=45");
        let view: TripView = world.send(request).await.json();
        assert_eq!(view.state, State::Confirmed);
        let wanted = [
            ("booking", "POST /bookings"),
            ("flight", "process trips.booking.requested.flight"),
            ("hotel", "process trips.flight.reserved.hotel"),
            ("booking", "process trips.hotel.reserved.booking"),
            ("flight", "process trips.booking.confirmed"),
            ("hotel", "process trips.booking.confirmed"),
        ];
        let spans = eventually("spans from all three services", async || {
            let spans = collected.of(caller);
            let there = |(service, name): &(&str, &str)| {
                spans
                    .iter()
                    .any(|span| span.service == *service && span.name == *name)
            };
            wanted.iter().all(there).then_some(spans)
        })
        .await;
        let services: BTreeSet<&str> = spans.iter().map(|span| span.service.as_str()).collect();
        assert_eq!(services, BTreeSet::from(["booking", "flight", "hotel"]));
        // Each tells which program it is, and which process.
        let instance = |span: &Span| span.resource["service.instance.id"].clone();
        let instances: BTreeSet<String> = spans.iter().map(instance).collect();
        assert_eq!(instances.len(), 3);
        for span in &spans {
            assert_eq!(span.resource["service.version"], booking::ABOUT.version);
        }
        let processed = |span: &&Span| span.name.starts_with("process ");
        for span in spans.iter().filter(processed) {
            is_of_a_message(span, "process");
            assert_eq!(span.kind, SpanKind::Consumer);
            assert_eq!(span.has["messaging.consumer.group.name"], span.service);
            spans::is_committed_within(span, &collected.all(), engine);
            let sent = sending(span, &collected).await;
            assert_eq!(sent.has["trip"], view.trip.to_string());
        }
        // It hangs together. What is sent ends when the broker has acknowledged it, and so may come after what is heard.
        eventually("every span but the caller's as a parent", async || {
            let spans = collected.of(caller);
            let ids: HashSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
            let hangs =
                |span: &Span| span.name == "POST /bookings" || ids.contains(span.parent.as_str());
            spans.iter().all(hangs).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trip_is_one_trace_over_all_services_sqlite() {
    one_trip_is_one_trace(
        Engine::Sqlite,
        "one_trip_is_one_trace_over_all_services_sqlite",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trip_is_one_trace_over_all_services_postgres() {
    one_trip_is_one_trace(
        Engine::Postgres,
        "one_trip_is_one_trace_over_all_services_postgres",
    )
    .await;
}

const CALLER: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// What is sampled, and not by whom: so a span of the first tells that none of the second came before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_has_its_say_about_telemetry() {
    let (collected, url) = collector().await;
    let setup = Setup::on(Engine::Sqlite)
        .setting(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            &format!("{url}/v1/traces"),
        )
        .setting("OTEL_BSP_SCHEDULE_DELAY", "50")
        .setting("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        .setting("OTEL_SERVICE_NAME", "house")
        .setting(
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=shed,service.version=9.9,deployment.environment.name=test",
        );
    let test = "the_environment_has_its_say_about_telemetry";
    play(test, setup, async |world: &mut World| {
        world.seats("RT100", 10).await;
        let asked = trip([flight("RT100", 1)]);
        assert_eq!(world.book(&asked).await.state, State::Confirmed);
        let request = world
            .request(Method::GET, "booking", "/legs")
            .header("traceparent", format!("00-{CALLER}-00f067aa0ba902b7-01"));
        world.send(request).await;
        let span = eventually("the span that is sampled", async || {
            collected.of(CALLER).pop()
        })
        .await;
        assert_eq!(span.name, "GET /legs");
        assert_eq!(span.resource["service.name"], "house");
        assert_eq!(span.resource["service.version"], "9.9");
        assert_eq!(span.resource["deployment.environment.name"], "test");
        assert_eq!(collected.all().len(), 1, "{:?}", collected.all());
    })
    .await;
}

on_both_databases![metrics_count_what_was_done];

async fn metrics_count_what_was_done(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    let asked = trip([flight("RT100", 1), stay("LIS", 1, 1)]);
    for _ in 0..5 {
        assert_eq!(world.book(&asked).await.state, State::Confirmed);
    }
    for (service, heard, said) in [
        ("booking", "hotel.reserved.v1", "booking.confirmed.v1"),
        ("flight", "booking.requested.v1", "flight.reserved.v1"),
        ("hotel", "flight.reserved.v1", "hotel.reserved.v1"),
    ] {
        eventually(&format!("{service} has counted"), async || {
            let of = async |name: &str, kind: &str| world.metrics(service, name, kind).await[0];
            let counted = of("roundtrip_facts_in_total", heard).await >= 5.0
                && of("roundtrip_facts_out_total", said).await >= 5.0
                && of("roundtrip_batches_total", "").await >= 5.0
                && of("roundtrip_transaction_seconds_count", "").await >= 5.0;
            counted.then_some(())
        })
        .await;
        let series = [
            "roundtrip_batch_size_bucket",
            "roundtrip_http_request_seconds_bucket",
            "roundtrip_outbox_depth",
            "roundtrip_consumer_lag",
            "roundtrip_queue_depth",
            "roundtrip_redeclared_total",
            "roundtrip_republished_total",
            "roundtrip_window_lost_total",
        ];
        eventually(&format!("{service} has {series:?}"), async || {
            let request = world.request(Method::GET, service, "/metrics");
            let text = world.send(request).await.text;
            series.iter().all(|name| text.contains(name)).then_some(())
        })
        .await;
    }
}
