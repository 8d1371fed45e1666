//! Which legs can be booked: those that have said that they are there, without those that an operator has retired. Their HTTP too.
//!
//! Retiring is about new trips and nothing else: trips under way are heard, timed, confirmed and brought back as ever. No leg says it of
//! itself: a process that ends may be one of several, or about to be replaced.

use std::collections::HashMap;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use choreography::{LegName, Reason};
use jiff::Timestamp;
use runtime::http::{Json, Path, Query};
use runtime::{Database, Problem, TraceContext};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Api;
use crate::service::{Command, Reply};
use crate::store::{JOINED_LEG, JoinedLeg, RETIRED_LEG, RetiredLeg, Work};
use crate::view::unacceptable;

/// A leg that has joined.
#[derive(Debug, Serialize, ToSchema)]
pub struct Leg {
    /// Its name.
    pub leg: String,
    /// When it last said that it is there.
    #[schema(value_type = String, format = DateTime)]
    pub seen: Timestamp,
    /// That it is retired; absent where it can be booked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired: Option<Retired>,
}

/// That an operator has retired a leg.
#[derive(Debug, Serialize, ToSchema)]
pub struct Retired {
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// The operator's word.
    pub reason: String,
}

impl Leg {
    fn of(joined: &JoinedLeg, retired: Option<&RetiredLeg>) -> Self {
        let retired = retired.and_then(|row| {
            let since = choreography::instant(row.retired_us?);
            let reason = row.reason.clone();
            Some(Retired { since, reason })
        });
        Self {
            leg: joined.leg.to_string(),
            seen: choreography::instant(joined.seen_us),
            retired,
        }
    }
}

/// Which legs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Those that were retired too.
    #[serde(default)]
    all: bool,
}

/// The legs that can be booked.
#[utoipa::path(get, path = "/legs", operation_id = "list_legs", tag = "bookings", params(Which),
    responses((status = 200, body = Vec<Leg>, description = "All of them")))]
pub(crate) async fn list(
    State(api): State<Api>,
    Query(which): Query<Which>,
) -> Result<axum::Json<Vec<Leg>>, Problem> {
    let rows = rows(api.handle.database()).await?;
    let legs = rows.iter().map(|(leg, why)| Leg::of(leg, why.as_ref()));
    Ok(axum::Json(
        legs.filter(|leg| which.all || leg.retired.is_none())
            .collect(),
    ))
}

/// Why a leg is retired.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetireRequest {
    /// In your own words: callers whose trips are refused read it.
    #[schema(pattern = r"\S")]
    pub reason: String,
}

/// Takes no new trips with a leg from now on, whatever it says of itself. Trips under way go on. Of one that is retired already: the
/// reason is replaced.
#[utoipa::path(post, path = "/legs/{leg}/retire", operation_id = "retire_leg", tag = "operators", request_body = RetireRequest,
    params(("leg" = String, Path, pattern = "^[a-z0-9-]{1,32}$", description = "The leg's name")),
    responses((status = 200, body = Leg, description = "The leg, retired"), (status = 404, description = "No such leg has joined")))]
pub(crate) async fn retire(
    State(api): State<Api>,
    Extension(trace): Extension<TraceContext>,
    Path(leg): Path<LegName>,
    Json(asked): Json<RetireRequest>,
) -> Result<axum::Json<Leg>, Problem> {
    if asked.reason.trim().is_empty() {
        return Err(unacceptable(
            "reason",
            String::from("Say why: callers whose trips are refused read it."),
        ));
    }
    let reason = Reason::new("leg-retired", asked.reason).message;
    ask(&api, Command::Retire { leg, reason }, trace).await
}

/// Takes trips with a retired leg again. Of one that is not retired it is no news and no error.
#[utoipa::path(post, path = "/legs/{leg}/restore", operation_id = "restore_leg", tag = "operators",
    params(("leg" = String, Path, pattern = "^[a-z0-9-]{1,32}$", description = "The leg's name")),
    responses((status = 200, body = Leg, description = "The leg, which can be booked"), (status = 404, description = "No such leg has joined")))]
pub(crate) async fn restore(
    State(api): State<Api>,
    Extension(trace): Extension<TraceContext>,
    Path(leg): Path<LegName>,
) -> Result<axum::Json<Leg>, Problem> {
    ask(&api, Command::Restore { leg }, trace).await
}

async fn ask(api: &Api, command: Command, trace: TraceContext) -> Result<axum::Json<Leg>, Problem> {
    match api.handle.command(command, trace).await? {
        Reply::Leg(joined, retired) => Ok(axum::Json(Leg::of(&joined, retired.as_ref()))),
        other => Err(api.refusal(other).await),
    }
}

/// Retires a leg (`Some(reason)`) or restores it; or shows how it stands, to a command that was applied before.
pub(crate) fn change(leg: &LegName, reason: Option<&str>, rows: &mut Work, now_us: i64) -> Reply {
    let key = (leg.clone(),);
    let since_us = rows.retired.get(&key).and_then(|row| row.retired_us);
    if rows.legs.get(&key).is_some() && (reason.is_some() || since_us.is_some()) {
        rows.retired.put(RetiredLeg {
            leg: leg.clone(),
            retired_us: reason.map(|_| since_us.unwrap_or(now_us)),
            reason: reason.unwrap_or_default().to_owned(),
        });
    }
    stands(leg, rows)
}

/// How a leg stands.
pub(crate) fn stands(leg: &LegName, rows: &Work) -> Reply {
    let key = (leg.clone(),);
    match rows.legs.get(&key) {
        Some(joined) => Reply::Leg(joined.clone(), rows.retired.get(&key).cloned()),
        None => Reply::NoSuchLeg,
    }
}

/// Why these legs can't be booked, if they can't: in the transaction that would take the trip.
pub(crate) fn refusal(legs: &[LegName], rows: &Work) -> Option<Reply> {
    let mut legs: Vec<LegName> = legs.to_vec();
    legs.sort();
    legs.dedup();
    let (joined, unknown): (Vec<_>, Vec<_>) = legs
        .into_iter()
        .partition(|leg| rows.legs.get(&(leg.clone(),)).is_some());
    if !unknown.is_empty() {
        return Some(Reply::UnknownLegs(unknown));
    }
    let retired = joined.into_iter().filter_map(|leg| {
        let row = rows.retired.get(&(leg,));
        row.filter(|row| row.retired_us.is_some()).cloned()
    });
    let retired: Vec<RetiredLeg> = retired.collect();
    (!retired.is_empty()).then_some(Reply::RetiredLegs(retired))
}

/// Every leg that has joined, and what an operator has said of it.
async fn rows(database: &Database) -> Result<Vec<(JoinedLeg, Option<RetiredLeg>)>, Problem> {
    let joined: Vec<JoinedLeg> = database.select(JOINED_LEG).order(&["leg"]).rows().await?;
    let retired: Vec<RetiredLeg> = database.select(RETIRED_LEG).rows().await?;
    let mut retired: HashMap<LegName, RetiredLeg> = retired
        .into_iter()
        .filter(|row| row.retired_us.is_some())
        .map(|row| (row.leg.clone(), row))
        .collect();
    let legs = joined.into_iter().map(|leg| {
        let why = retired.remove(&leg.leg);
        (leg, why)
    });
    Ok(legs.collect())
}

/// The legs that can be booked.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn bookable(database: &Database) -> Result<Vec<JoinedLeg>, Problem> {
    let rows = rows(database).await?.into_iter();
    Ok(rows
        .filter_map(|(leg, retired)| retired.is_none().then_some(leg))
        .collect())
}

/// What a caller is told whose trip has retired legs in it.
pub(crate) fn are_retired(retired: &[RetiredLeg]) -> Problem {
    let told: Vec<String> = retired
        .iter()
        .map(|row| format!("{} ({})", row.leg, row.reason))
        .collect();
    let names: Vec<String> = retired.iter().map(|row| row.leg.to_string()).collect();
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "leg-retired",
        "A leg is retired",
        format!(
            "No new trip is taken with {}: it was retired by an operator. Trips under way go on. GET /legs says what can be booked.",
            told.join(", ")
        ),
    )
    .with("retired", names)
}

/// No leg of that name has joined.
pub(crate) fn no_such_leg() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-leg",
        "No such leg",
        "No leg of this name has joined. GET /legs?all=true lists those that did.",
    )
}
