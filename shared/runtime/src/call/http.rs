//! Calls over HTTP, the same for every service that makes some: what was asked for and has no answer yet. What they are about is shown by the
//! service's own routes; none of them is given up here.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::batch::now_us;
use crate::call::CALL;
use crate::database::{Database, Is};
use crate::http::{List, Page, Query};
use crate::problem::Problem;
use crate::table::{Cell, Lock, Table, int, text};

/// What is told of calls: their requests may be long.
const LISTED: &Table = &Table {
    name: CALL.name,
    key: CALL.key,
    columns: &[
        text("purpose"),
        text("about"),
        int("goes_first"),
        int("asked_us"),
        int("due_us"),
        int("attempts"),
        text("problem"),
    ],
    lock: Lock::None,
};

/// A call that has no answer yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingCall {
    /// Its id, the idempotency key at the other side.
    pub id: String,
    /// What it is for, in one word.
    pub purpose: String,
    /// Which record it is about.
    pub about: String,
    /// Whether it goes before others.
    pub first: bool,
    /// How often it was tried; an attempt that is under way counts.
    pub attempts: i64,
    /// When it was asked for, in microseconds since 1970.
    pub asked_us: i64,
    /// When it is tried next, in microseconds since 1970; while an attempt is under way, when that counts as lost.
    pub next_us: i64,
    /// What the last attempt came to that told nothing, in words; null before there was one.
    pub problem: Option<String>,
}

#[derive(Deserialize)]
struct Found {
    id: String,
    purpose: String,
    about: String,
    goes_first: i64,
    asked_us: i64,
    due_us: i64,
    attempts: i64,
    problem: Option<String>,
}

impl From<Found> for WaitingCall {
    fn from(found: Found) -> Self {
        Self {
            id: found.id,
            purpose: found.purpose,
            about: found.about,
            first: found.goes_first == 1,
            attempts: found.attempts,
            asked_us: found.asked_us,
            next_us: found.due_us,
            problem: found.problem,
        }
    }
}

/// `/calls`.
pub(crate) fn routes(database: Arc<Database>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .with_state(database)
}

/// Which of them.
#[derive(Debug, Deserialize)]
struct Which {
    purpose: Option<String>,
    older_than_s: Option<u64>,
}

/// Calls that have no answer yet, the oldest first.
#[utoipa::path(get, path = "/calls", operation_id = "list_calls", tag = "operators",
    params(Page,
        ("purpose" = Option<String>, Query, description = "Only those for this purpose"),
        ("older_than_s" = Option<u64>, Query, description = "Only those that have waited so many seconds")),
    responses((status = 200, body = List<WaitingCall>, description = "One page of them", headers(("Link" = String, description = "The next page, as `rel=\"next\"`")))))]
async fn list(
    State(database): State<Arc<Database>>,
    Query(page): Query<Page>,
    Query(which): Query<Which>,
) -> Result<List<WaitingCall>, Problem> {
    let limit = page.limit()?;
    let mut calls = database.select(LISTED).order(&["asked_us", "id"]);
    if let Some(last) = page.after(2)? {
        let [asked_us, id] = last.as_slice() else {
            return Err(Problem::internal());
        };
        // A cursor that somebody made up begins at the beginning.
        let asked_us: i64 = asked_us.parse().unwrap_or(i64::MIN);
        let id = Cell::from(id.as_str());
        calls = calls.after(vec![("asked_us", asked_us.into()), ("id", id)]);
    }
    if let Some(purpose) = which.purpose {
        if purpose.contains('\0') {
            let detail = "No `purpose` has a NUL in it; leave it out.";
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "purpose",
                "No such purpose",
                detail,
            ));
        }
        calls = calls.only("purpose", Is::Equal, purpose);
    }
    if let Some(seconds) = which.older_than_s {
        let micros = i64::try_from(seconds).unwrap_or(i64::MAX);
        let before = now_us().saturating_sub(micros.saturating_mul(1_000_000));
        calls = calls.only("asked_us", Is::AtMost, before);
    }
    let found: Vec<Found> = calls.most(limit + 1).rows().await?;
    let found = found.into_iter().map(WaitingCall::from).collect();
    Ok(List::of(found, limit, |call: &WaitingCall| {
        vec![call.asked_us.to_string(), call.id.clone()]
    }))
}
