//! What spans say beyond that a trip is one trace.

use async_nats::HeaderMap;
use booking::core::State;
use booking::view::TripView;
use choreography::TripId;
use e2e_tests::trip::{flight, trip};
use e2e_tests::{Engine, Setup, World, eventually, play};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::CALLER;
use crate::collector::{Collected, Span, collector};

/// A fact of another stack, about a trip that is not this one's.
fn strange(kind: &str, trip: TripId) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let (id, trip) = (Uuid::now_v7().to_string(), trip.to_string());
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", &id),
        ("ce-type", kind),
        ("ce-source", "/somebody"),
        ("ce-subject", &trip),
    ] {
        headers.insert(name, value);
    }
    headers
}

fn released(trip: TripId) -> String {
    json!({
        "trip": trip,
        "itinerary": [flight("RT100", 1)],
        "deadline": "2039-06-03T00:00:00Z",
        "position": 0,
        "reason": {"code": "cancelled-by-traveller", "message": ""},
    })
    .to_string()
}

/// A world whose spans are received.
async fn received(engine: Engine, test: &str, scenario: impl AsyncFnOnce(&mut World, Collected)) {
    let (collected, url) = collector().await;
    let setup = Setup::on(engine)
        .setting("OTEL_EXPORTER_OTLP_ENDPOINT", &url)
        .setting("OTEL_BSP_SCHEDULE_DELAY", "50");
    play(test, setup, async |world: &mut World| {
        scenario(world, collected).await;
    })
    .await;
}

/// The first span of that name, once it is there.
pub(crate) async fn named(spans: impl Fn() -> Vec<Span>, name: &str) -> Span {
    eventually(name, async || {
        spans().into_iter().find(|span| span.name == name)
    })
    .await
}

/// The database's transaction lies within the span of what is processed in it, and points to the other spans that share it.
pub(crate) fn is_committed_within(span: &Span, all: &[Span], engine: Engine) {
    let this = (span.trace.clone(), span.id.clone());
    let shared: Vec<&Span> = all
        .iter()
        .filter(|other| other.name == "transaction")
        .filter(|other| other.parent == span.id || other.links.contains(&this))
        .collect();
    let [transaction] = shared[..] else {
        panic!("{span:?} has the transactions {shared:?}")
    };
    assert_eq!(transaction.kind, SpanKind::Client);
    let system = match engine {
        Engine::Sqlite => "sqlite",
        _ => "postgresql",
    };
    assert_eq!(transaction.has["db.system.name"], system);
    assert!(
        span.start_ns <= transaction.start_ns && transaction.end_ns <= span.end_ns,
        "{span:?} does not last until {transaction:?} is committed"
    );
    let that = (transaction.trace.clone(), transaction.id.clone());
    assert!(transaction.parent == span.id || span.links.contains(&that));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_one_batch_share_the_span_of_their_transaction() {
    let test = "messages_of_one_batch_share_the_span_of_their_transaction";
    received(Engine::Sqlite, test, async |world, collected| {
        world.seats("RT100", 100).await;
        let lock = world.lock("flight").await;
        let trips = world.ask_many(&trip([flight("RT100", 1)]), 20).await;
        drop(lock);
        for trip in &trips {
            world.until_state(*trip, State::Confirmed).await;
        }
        let processed = || {
            let spans = collected.all().into_iter();
            spans.filter(|span| {
                span.name == "process trips.booking.requested.flight" && !span.failed
            })
        };
        eventually("all are processed", async || {
            (processed().count() >= trips.len()).then_some(())
        })
        .await;
        let all = collected.all();
        let name = "process trips.booking.requested.flight";
        for span in all.iter().filter(|span| span.name == name && !span.failed) {
            is_committed_within(span, &all, Engine::Sqlite);
        }
        let shared = all
            .iter()
            .filter(|span| span.name == "transaction" && !span.links.is_empty());
        assert!(shared.count() > 0, "no batch had two messages");
    })
    .await;
}

/// The broker is silent for longer than an acknowledgement may take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_does_not_acknowledge_is_an_error_on_its_span() {
    let test = "what_the_broker_does_not_acknowledge_is_an_error_on_its_span";
    received(Engine::Sqlite, test, async |world, collected| {
        world.seats("RT100", 10).await;
        world.pause_broker();
        let trip = world.ask(&trip([flight("RT100", 1)])).await.trip;
        let sending = "send trips.booking.requested.flight";
        let lost = named(|| collected.all(), sending).await;
        assert!(lost.failed);
        assert_eq!(lost.has["error.type"], "TimedOut");
        world.resume_broker();
        world.until_state(trip, State::Confirmed).await;
    })
    .await;
}

/// A lock that another has: on SQLite nothing can be loaded, on PostgreSQL nothing saved.
async fn what_is_rolled_back_is_an_error_on_its_spans(engine: Engine, test: &str) {
    received(engine, test, async |world, collected| {
        world.seats("RT100", 10).await;
        let lock = world.lock("flight").await;
        let trip = world.ask(&trip([flight("RT100", 1)])).await.trip;
        let failed = || {
            let spans = collected.all().into_iter();
            spans.filter(|span| span.failed).collect::<Vec<_>>()
        };
        let process = named(failed, "process trips.booking.requested.flight").await;
        assert_eq!(process.has["error.type"], "retry");
        is_committed_within(&process, &failed(), engine);
        drop(lock);
        world.until_state(trip, State::Confirmed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rolled_back_is_an_error_on_its_spans_sqlite() {
    let test = "what_is_rolled_back_is_an_error_on_its_spans_sqlite";
    what_is_rolled_back_is_an_error_on_its_spans(Engine::Sqlite, test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rolled_back_is_an_error_on_its_spans_postgres() {
    let test = "what_is_rolled_back_is_an_error_on_its_spans_postgres";
    what_is_rolled_back_is_an_error_on_its_spans(Engine::Postgres, test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cancellation_brings_about_is_in_the_trips_trace() {
    let test = "what_a_cancellation_brings_about_is_in_the_trips_trace";
    received(Engine::Sqlite, test, async |world, collected| {
        world.seats("RT100", 10).await;
        let asked = trip([flight("RT100", 1)]);
        let request = world
            .asking(&asked)
            .header("traceparent", format!("00-{CALLER}-00f067aa0ba902b7-01"))
            .header("Prefer", "wait=45");
        let view: TripView = world.send(request).await.json();
        assert_eq!(view.state, State::Confirmed);
        assert_eq!(world.cancel(view.trip).await.state, State::Closed);

        // Every leg hears of a cancellation, whether it is on the itinerary or not.
        for (service, name) in [
            ("flight", "process trips.booking.cancelled"),
            ("booking", "process trips.flight.released"),
        ] {
            let of_the_trip = || {
                let spans = collected.of(CALLER).into_iter();
                spans.filter(|span| span.service == service).collect()
            };
            named(of_the_trip, name).await;
        }
        // The traveller's request has a trace of its own, whose spans point to the trip's.
        let all = || collected.all();
        let request = named(all, "POST /bookings/{trip}/cancel").await;
        assert_ne!(request.trace, CALLER);
        let command = named(|| collected.of(&request.trace), "command").await;
        for span in [request, command] {
            let links: Vec<&str> = span.links.iter().map(|(trace, _)| trace.as_str()).collect();
            assert_eq!(links, [CALLER], "{span:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_span_of_a_trip_names_it() {
    let test = "every_span_of_a_trip_names_it";
    received(Engine::Sqlite, test, async |world, collected| {
        world.seats("RT100", 10).await;
        let key = "\"my trip\"";
        let asked = trip([flight("RT100", 1)]);
        let asking = || world.asking(&asked).header("Idempotency-Key", key);
        let view: TripView = world
            .send(asking().header("Prefer", "wait=45"))
            .await
            .json();
        assert_eq!(view.state, State::Confirmed);
        // The key stands for the trip that there is, whatever id the second request was given.
        world.send(asking()).await;
        assert_eq!(world.cancel(view.trip).await.state, State::Closed);
        world.show(view.trip).await;

        let all = || collected.all();
        named(all, "GET /bookings/{trip}").await;
        named(all, "process trips.flight.released").await;
        let about = |span: &Span| {
            let path = &span.name;
            path.starts_with("process trips.") && !path.ends_with(".joined")
                || path.contains(" /bookings")
                || path == "command" && span.service == "booking"
        };
        let spans: Vec<Span> = all().into_iter().filter(about).collect();
        let asked = |name: &str| spans.iter().filter(|span| span.name == name).count();
        assert_eq!(
            (asked("POST /bookings"), asked("command")),
            (2, 3),
            "{spans:?}"
        );
        for span in spans {
            assert_eq!(
                span.has.get("trip"),
                Some(&view.trip.to_string()),
                "{span:?}"
            );
        }
        let stock = named(all, "PUT /flights/{flight}/{date}").await;
        assert_eq!(stock.has["flight"], "RT100");
    })
    .await;
}

/// What the runtime itself has to say about a trip names it in the log, though it does not know what a trip is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_about_a_trip_name_it() {
    let setup = Setup::on(Engine::Sqlite)
        .setting("LOG_FORMAT", "json")
        .setting("LOG", "info,participant=debug");
    play(
        "log_lines_about_a_trip_name_it",
        setup,
        async |world: &mut World| {
            let (unread, unknown) = (TripId::from(Uuid::now_v7()), TripId::from(Uuid::now_v7()));
            let headers = strange("booking.requested.v1", unread);
            world
                .publish("trips.booking.requested.flight", headers, "{")
                .await;
            let headers = strange("flight.released.v1", unknown);
            world
                .publish("trips.flight.released", headers, released(unknown))
                .await;
            world.seats("RT100", 10).await;
            let booked = world.book(&trip([flight("RT100", 1)])).await.trip;
            let said = format!("{booked}: reserved");
            for (service, message, trip) in [
                ("flight", &*said, booked),
                ("flight", "a message became a dead letter", unread),
                (
                    "booking",
                    "something that cannot happen did, and was met with silence",
                    unknown,
                ),
            ] {
                let line = eventually(message, async || {
                    let log = world.log(service, 0);
                    let lines = log
                        .lines()
                        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
                    lines.into_iter().find(|line| line["message"] == message)
                })
                .await;
                assert_eq!(line["span"]["trip"], trip.to_string(), "{line}");
            }
        },
    )
    .await;
}
