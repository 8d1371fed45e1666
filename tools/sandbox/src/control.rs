//! The switches over HTTP, below `/sandbox`, and what else is done to a provider from outside. Nothing of it is Stripe's, and nothing of it needs
//! the key: whoever reaches a sandbox may break it. Each change takes JSON, which no web page elsewhere can send.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::failures::Switch;
use super::refund::Progress;
use super::refunds;
use super::server::App;

/// What it says of itself.
const WHAT: &str = "This is Roundtrip's sandbox of a payment provider: no money moves here.";

type Told = Result<Json<Value>, (StatusCode, Json<Value>)>;

/// Everything below `/sandbox`.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/sandbox", get(about))
        .route(
            "/sandbox/failures",
            get(all).post(throw).delete(take_all_back),
        )
        .route("/sandbox/failures/{id}", delete(take_back))
        .route("/sandbox/key/rotate", post(rotate))
        .route("/sandbox/idempotency-keys/forget", post(forget))
        .route("/sandbox/authorisations/expire", post(expire))
        .route("/sandbox/refunds/settle", post(settle))
}

async fn about(State(app): State<App>) -> Told {
    let payments = app.store.count().await.map_err(|error| trouble(&error))?;
    Ok(Json(json!({
        "sandbox": true,
        "what": WHAT,
        "payments": payments,
        "failures": app.failures.all(),
    })))
}

async fn all(State(app): State<App>) -> Json<Value> {
    Json(json!({"failures": app.failures.all()}))
}

async fn throw(State(app): State<App>, Json(switch): Json<Switch>) -> Told {
    let thrown = app.failures.throw(switch).ok_or_else(|| {
        let why = "there are too many switches; take some back with DELETE /sandbox/failures";
        (StatusCode::CONFLICT, Json(json!({"error": why})))
    })?;
    Ok(Json(json!(thrown)))
}

async fn take_all_back(State(app): State<App>) -> Json<Value> {
    Json(json!({"taken_back": app.failures.take_back(None)}))
}

async fn take_back(State(app): State<App>, Path(id): Path<u64>) -> Json<Value> {
    Json(json!({"taken_back": app.failures.take_back(Some(id))}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    /// After how long the new key is in the file: meanwhile whoever uses the old one is refused.
    #[serde(default)]
    file_after_ms: u64,
}

async fn rotate(State(app): State<App>, Json(rotate): Json<Rotate>) -> Told {
    let write = app.keys.rotate().map_err(|error| trouble(&error))?;
    if rotate.file_after_ms == 0 {
        write().map_err(|error| trouble(&error))?;
    } else {
        let pause = Duration::from_millis(rotate.file_after_ms);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if let Err(error) = write() {
                app.complain(&error);
            }
        });
    }
    Ok(Json(json!({"rotated": true})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn forget(State(app): State<App>, Json(Nothing {}): Json<Nothing>) -> Told {
    let forgotten = app.store.forget_keys().await;
    let forgotten = forgotten.map_err(|error| trouble(&error))?;
    Ok(Json(json!({"forgotten": forgotten})))
}

async fn expire(State(app): State<App>, Json(Nothing {}): Json<Nothing>) -> Told {
    let expired = app.store.hold_no_longer().await;
    let expired = expired.map_err(|error| trouble(&error))?;
    Ok(Json(json!({"expired": expired})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settle {
    /// What becomes of every refund that is pending; to fail, of every refund.
    status: Progress,
}

async fn settle(State(app): State<App>, Json(Settle { status }): Json<Settle>) -> Told {
    let tells = app.webhooks.is_some();
    let settled = refunds::settle(&app.store, status, tells).await;
    let settled = settled.map_err(|error| trouble(&error))?;
    if let Some(webhooks) = &app.webhooks {
        webhooks.notify_one();
    }
    Ok(Json(json!({"settled": settled})))
}

fn trouble(error: &anyhow::Error) -> (StatusCode, Json<Value>) {
    let error = json!({"error": format!("{error:#}")});
    (StatusCode::INTERNAL_SERVER_ERROR, Json(error))
}
