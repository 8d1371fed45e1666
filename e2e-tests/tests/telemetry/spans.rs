//! What spans say beyond that a trip is one trace.

use booking::core::State;
use e2e_tests::trip::{flight, trip};
use e2e_tests::{Engine, Setup, World, eventually, play};

use crate::CALLER;
use crate::collector::{Collected, Span, collector};

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
async fn named(spans: impl Fn() -> Vec<Span>, name: &str) -> Span {
    eventually(name, async || {
        spans().into_iter().find(|span| span.name == name)
    })
    .await
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
        let view: booking::view::TripView = world.send(request).await.json();
        assert_eq!(view.state, State::Confirmed);
        assert_eq!(world.cancel(view.trip).await.state, State::Closed);

        let of_the_trip = || collected.of(CALLER);
        for (service, name) in [
            ("flight", "process trips.booking.cancelled"),
            ("booking", "process trips.flight.released"),
        ] {
            assert_eq!(named(of_the_trip, name).await.service, service);
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
