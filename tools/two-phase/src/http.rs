//! The coordinator's HTTP: what booking's callers ask, answered as booking answers it when it is asked to wait, so that both are driven by
//! the same load. A trip is answered when its outcome is certain: confirmed once the decision is on disk, refused once everything is back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::coordinator::{Coordinator, End};
use crate::database::Failure;
use crate::trip::Trip;

type Shared = State<Arc<Coordinator>>;

pub(crate) fn router(coordinator: Arc<Coordinator>) -> Router {
    Router::new()
        .route("/bookings", post(book))
        .route("/bookings/{trip}", get(show))
        .route("/readyz", get(|| async { "ready\n" }))
        .route("/metrics", get(metrics))
        .with_state(coordinator)
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, body.to_string()).into_response()
}

fn said(trip: Uuid, state: &str, outcome: &str) -> Value {
    json!({"trip": trip, "state": state, "outcome": outcome})
}

async fn book(State(coordinator): Shared, body: Bytes) -> Response {
    let trip = match Trip::read(&body) {
        Ok(trip) => trip,
        Err(error) => return answer(StatusCode::BAD_REQUEST, &json!({"detail": error})),
    };
    let id = trip.id;
    match coordinator.book(trip).await {
        End::Confirmed { price_minor } => {
            let mut body = said(id, "confirmed", "confirmed");
            body["price_minor"] = price_minor.into();
            answer(StatusCode::OK, &body)
        }
        End::Refused { reason } => {
            let mut body = said(id, "closed", "rejected");
            body["reason"] = reason.into();
            answer(StatusCode::OK, &body)
        }
        End::Failed(failure) => {
            let (status, detail) = match failure {
                Failure::Full => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    String::from("too many trips are under way: ask again later"),
                ),
                Failure::Locked => (
                    StatusCode::GATEWAY_TIMEOUT,
                    String::from("another trip holds what this one wants; nothing is booked"),
                ),
                Failure::Away(why) => (
                    StatusCode::BAD_GATEWAY,
                    format!("a database is away, nothing is booked: {why}"),
                ),
                Failure::Unknown(why) => (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("whether it is booked will be known later, at /bookings/{id}: {why}"),
                ),
            };
            answer(status, &json!({"trip": id, "detail": detail}))
        }
    }
}

/// What was decided; a trip that was refused has no row.
async fn show(State(coordinator): Shared, Path(trip): Path<Uuid>) -> Response {
    match coordinator.booking.confirmed(trip).await {
        Ok(Some(true)) => answer(StatusCode::OK, &said(trip, "confirmed", "confirmed")),
        Ok(Some(false)) => answer(StatusCode::OK, &said(trip, "closed", "rejected")),
        Ok(None) => answer(
            StatusCode::NOT_FOUND,
            &json!({"detail": "nothing is booked under that id"}),
        ),
        Err(fault) => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({"detail": fault.to_string()}),
        ),
    }
}

/// What was counted, as Prometheus reads it.
async fn metrics(State(coordinator): Shared) -> String {
    let counters = &coordinator.counters;
    let under_way = coordinator.under_way();
    let mut text = format!("two_phase_under_way {under_way}\n");
    for (name, counter) in [
        ("trips_total{outcome=\"confirmed\"}", &counters.confirmed),
        ("trips_total{outcome=\"refused\"}", &counters.refused),
        ("trips_total{outcome=\"failed\"}", &counters.failed),
        ("recovered_total", &counters.recovered),
        ("round_trips_total", &*counters.round_trips),
    ] {
        let value = counter.load(Ordering::Relaxed);
        text += &format!("two_phase_{name} {value}\n");
    }
    text
}
