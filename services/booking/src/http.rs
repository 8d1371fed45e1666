//! What travellers and operators see: trips, and what became of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use choreography::{Position, Reason, TripId};
use jiff::Timestamp;
use runtime::http::{IdempotencyKey, Json, List, Page, Path, Prefer, Query};
use runtime::{Param, Problem, TraceContext};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::core::Trip;
use crate::service::{self, Command, Reply, Request};
use crate::store::TRIP;
use crate::view::{Booking, BookingRequest, unacceptable};
use crate::waiters::Waiters;

/// The longest that a caller may wait for an outcome.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a caller still waits once the service is told to stop: long enough for a trip that is going well.
const WAIT_STOPPING: Duration = Duration::from_secs(1);
/// How often trips that are not decided are counted.
const COUNT_EVERY: Duration = Duration::from_millis(500);

/// What a handler needs.
#[derive(Clone)]
pub struct Desk {
    handle: runtime::Handle<service::Booking>,
    /// Trips that are not decided, as last counted.
    pending: Arc<AtomicI64>,
}

/// The routes.
pub fn routes(handle: runtime::Handle<service::Booking>) -> OpenApiRouter {
    let waiters = Arc::downgrade(&handle.service().waiters);
    tokio::spawn(Waiters::look(waiters, Arc::clone(handle.database())));
    let desk = Desk {
        handle,
        pending: Arc::default(),
    };
    tokio::spawn(count_pending(
        Arc::downgrade(&desk.pending),
        desk.handle.clone(),
    ));
    OpenApiRouter::new()
        .routes(routes!(book, list))
        .routes(routes!(show))
        .routes(routes!(cancel))
        .routes(routes!(settle))
        .routes(routes!(stuck))
        .routes(routes!(legs))
        .with_state(desk)
}

async fn count_pending(
    pending: std::sync::Weak<AtomicI64>,
    handle: runtime::Handle<service::Booking>,
) {
    while let Some(pending) = pending.upgrade() {
        let sql =
            "select count(*) from (select 1 from trip where state = 'pending' limit $1) as counted";
        let most = pending_max(&handle).saturating_add(1);
        if let Ok(count) = handle.database().number(sql, vec![most.into()]).await {
            pending.store(count, Ordering::Relaxed);
        }
        drop(pending);
        tokio::time::sleep(COUNT_EVERY).await;
    }
}

fn pending_max(handle: &runtime::Handle<service::Booking>) -> i64 {
    i64::try_from(handle.settings().pending_max).unwrap_or(i64::MAX)
}

/// Asks for a trip.
///
/// Answers 202 at once, or, with `Prefer: wait=N`, 200 when it is final: confirmed, or refused and all of it back.
#[utoipa::path(post, path = "/bookings", request_body = BookingRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Your own name for this request, quoted; kept for 24 hours. The same key and meaning: the same trip."),
        ("Prefer" = Option<String>, Header, description = "`wait=5`: answer when the trip is final, or after 5 seconds; at most 60."),
    ),
    responses(
        (status = 200, body = Booking, description = "The trip is final"),
        (status = 202, body = Booking, description = "The trip is on its way; Location says where to look"),
        (status = 422, description = "It can't be taken, or the key stands for another request"),
        (status = 503, description = "Too many trips are pending"),
    ))]
async fn book(
    State(desk): State<Desk>,
    Extension(trace): Extension<TraceContext>,
    key: Option<IdempotencyKey>,
    prefer: Prefer,
    Json(asked): Json<BookingRequest>,
) -> Result<Response, Problem> {
    let plan = asked.plan(Timestamp::now())?;
    desk.refuse_when_full()?;
    let trip = TripId::from(uuid::Uuid::now_v7());
    let key = key.map(|IdempotencyKey(key)| (key, asked.fingerprint()));
    let wait = prefer.wait(WAIT_MAX);
    // Before it can be decided: an outcome that comes at once is not missed.
    let outcome = wait.map(|_| desk.waiters().register(trip));
    let request = Request {
        trip,
        plan,
        traveller: asked.traveller,
        key,
    };
    let reply = desk
        .handle
        .offer(Command::Request(Box::new(request)), trace)
        .await?;
    let Reply::Trip(made) = reply else {
        return Err(desk.refusal(reply).await);
    };
    let outcome = if made == trip {
        outcome
    } else {
        wait.map(|_| desk.waiters().register(made))
    };
    desk.answer(made, wait, outcome).await
}

/// One trip.
#[utoipa::path(get, path = "/bookings/{trip}", params(("trip" = String, Path, description = "The trip's id")),
    responses((status = 200, body = Booking), (status = 404, description = "There is no such trip")))]
async fn show(
    State(desk): State<Desk>,
    Path(trip): Path<TripId>,
) -> Result<axum::Json<Booking>, Problem> {
    Ok(axum::Json(Booking::of(
        &desk.trip(trip).await?,
        Timestamp::now(),
    )))
}

/// Which trips to list.
#[derive(Debug, Deserialize)]
struct Filter {
    /// Only those in this state: `pending`, `confirmed`, `undoing` or `closed`.
    state: Option<crate::core::State>,
    /// Only those with this outcome: `confirmed`, `rejected`, `cancelled` or `expired`.
    outcome: Option<crate::core::Outcome>,
}

/// Trips, the newest first.
#[utoipa::path(get, path = "/bookings", params(Page, ("state" = Option<String>, Query, description = "Only those in this state"), ("outcome" = Option<String>, Query, description = "Only those with this outcome")),
    responses((status = 200, body = List<Booking>)))]
async fn list(
    State(desk): State<Desk>,
    Query(page): Query<Page>,
    Query(filter): Query<Filter>,
) -> Result<axum::Json<List<Booking>>, Problem> {
    let limit = page.limit()?;
    let mut params: Vec<Param> = Vec::new();
    let mut conditions = vec![String::from("t.state <> 'none'")];
    let mut wanted = |column: &str, operator: &str, value: String| {
        params.push(value.into());
        conditions.push(format!("t.{column} {operator} ${}", params.len()));
    };
    if let Some(state) = filter.state {
        wanted("state", "=", state.as_str().to_owned());
    }
    if let Some(outcome) = filter.outcome {
        wanted("outcome", "=", outcome.as_str().to_owned());
    }
    if let Some([before]) = page.after::<1>()? {
        wanted("trip", "<", before);
    }
    params.push(i64::try_from(limit + 1).unwrap_or(i64::MAX).into());
    let tail = format!(
        "where {} order by t.trip desc limit ${}",
        conditions.join(" and "),
        params.len()
    );
    desk.list(&tail, params, limit, |trip| [trip.trip.to_string()])
        .await
}

/// Since when.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Age {
    /// Only trips whose state has not changed for this many seconds; 0 when absent.
    older_than_s: Option<u32>,
}

/// Trips that are not final, the longest unchanged first, with what each waits for.
#[utoipa::path(get, path = "/bookings/stuck", params(Page, Age), responses((status = 200, body = List<Booking>)))]
async fn stuck(
    State(desk): State<Desk>,
    Query(page): Query<Page>,
    Query(age): Query<Age>,
) -> Result<axum::Json<List<Booking>>, Problem> {
    let limit = page.limit()?;
    let before =
        Timestamp::now().as_microsecond() - i64::from(age.older_than_s.unwrap_or(0)) * 1_000_000;
    let [changed, trip] = page
        .after::<2>()?
        .unwrap_or_else(|| [String::from("-1"), String::new()]);
    let changed: i64 = changed
        .parse()
        .map_err(|_| unacceptable("cursor", String::from("The cursor is not from this list.")))?;
    let tail = "where t.state in ('pending', 'undoing') and t.changed_us <= $1 and (t.changed_us > $2 or (t.changed_us = $2 and t.trip > $3)) \
                order by t.changed_us, t.trip limit $4";
    let params = vec![
        before.into(),
        changed.into(),
        trip.into(),
        i64::try_from(limit + 1).unwrap_or(i64::MAX).into(),
    ];
    desk.list(tail, params, limit, |trip| {
        [trip.changed_us.to_string(), trip.trip.to_string()]
    })
    .await
}

/// Why a trip is cancelled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// In your own words.
    pub reason: Option<String>,
}

/// Cancels a trip, pending or confirmed. Of one that is on its way back already it is no news and no error.
#[utoipa::path(post, path = "/bookings/{trip}/cancel", request_body = Option<CancelRequest>,
    params(("trip" = String, Path, description = "The trip's id"), ("Prefer" = Option<String>, Header, description = "`wait=5`: answer when everything is back")),
    responses((status = 200, body = Booking, description = "Everything is back"), (status = 202, body = Booking), (status = 404, description = "There is no such trip")))]
async fn cancel(
    State(desk): State<Desk>,
    Extension(trace): Extension<TraceContext>,
    Path(trip): Path<TripId>,
    prefer: Prefer,
    asked: Option<Json<CancelRequest>>,
) -> Result<Response, Problem> {
    let asked = asked.map(|Json(asked)| asked).unwrap_or_default();
    let why = asked
        .reason
        .unwrap_or_else(|| String::from("cancelled by the traveller"));
    let wait = prefer.wait(WAIT_MAX);
    let reason = Reason::new("cancelled-by-traveller", why);
    let reply = desk
        .handle
        .command(Command::Cancel { trip, reason }, trace)
        .await?;
    let Reply::Changed(_) = reply else {
        return Err(desk.refusal(reply).await);
    };
    let outcome = wait.map(|_| desk.waiters().register(trip));
    desk.answer(trip, wait, outcome).await
}

/// What an operator settles by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleRequest {
    /// Which place on the itinerary, from 0.
    #[schema(value_type = u16)]
    pub position: Position,
    /// Why it is known that nothing is held there; recorded as a fact.
    pub reason: String,
}

/// Takes a position as settled, for a leg that nobody answers for. Of a trip that is closed already: says `cancelled` once more, for
/// a leg that came back after all.
#[utoipa::path(post, path = "/bookings/{trip}/settle", request_body = SettleRequest, params(("trip" = String, Path, description = "The trip's id")),
    responses((status = 200, body = Booking), (status = 404, description = "There is no such trip"), (status = 409, description = "It does not fit the trip as it stands")))]
async fn settle(
    State(desk): State<Desk>,
    Extension(trace): Extension<TraceContext>,
    Path(trip): Path<TripId>,
    Json(asked): Json<SettleRequest>,
) -> Result<axum::Json<Booking>, Problem> {
    if asked.reason.trim().is_empty() {
        return Err(unacceptable(
            "reason",
            String::from("Say how you know that nothing is held there."),
        ));
    }
    let reason = Reason::new("settled-by-hand", asked.reason);
    let reply = desk
        .handle
        .command(
            Command::Settle {
                trip,
                position: asked.position,
                reason,
            },
            trace,
        )
        .await?;
    match reply {
        Reply::Changed(trip) => Ok(axum::Json(Booking::of(&trip, Timestamp::now()))),
        other => Err(desk.refusal(other).await),
    }
}

/// A leg that can be booked.
#[derive(Debug, Serialize, ToSchema)]
pub struct Leg {
    /// Its name.
    pub leg: String,
    /// When it last said that it is there.
    #[schema(value_type = String, format = DateTime)]
    pub seen: Timestamp,
}

/// The legs that can be booked.
#[utoipa::path(get, path = "/legs", responses((status = 200, body = Vec<Leg>)))]
async fn legs(State(desk): State<Desk>) -> Result<axum::Json<Vec<Leg>>, Problem> {
    let legs = service::joined_legs(desk.handle.database()).await?;
    let leg = |row: crate::store::JoinedLeg| Leg {
        leg: row.leg.to_string(),
        seen: choreography::instant(row.seen_us),
    };
    Ok(axum::Json(legs.into_iter().map(leg).collect()))
}

impl Desk {
    fn waiters(&self) -> &Waiters {
        &self.handle.service().waiters
    }

    /// Overload is met where trips begin, and nowhere else.
    fn refuse_when_full(&self) -> Result<(), Problem> {
        let max = pending_max(&self.handle);
        if self.pending.load(Ordering::Relaxed) <= max && self.handle.outbox_depth() <= max {
            return Ok(());
        }
        let detail = format!(
            "More than {max} trips are pending, or as many facts wait for the broker. Nothing was booked; try again in a few seconds."
        );
        Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too-many-pending",
            "Too many trips are pending",
            detail,
        )
        .retry_after(5))
    }

    async fn trip(&self, trip: TripId) -> Result<Trip, Problem> {
        let rows: Vec<Trip> = self
            .handle
            .database()
            .select(TRIP, "where t.trip = $1", vec![trip.to_string().into()])
            .await?;
        rows.into_iter().next().ok_or_else(no_such_trip)
    }

    async fn list<const N: usize>(
        &self,
        tail: &str,
        params: Vec<Param>,
        limit: usize,
        keys: impl Fn(&Trip) -> [String; N],
    ) -> Result<axum::Json<List<Booking>>, Problem> {
        let rows: Vec<Trip> = self.handle.database().select(TRIP, tail, params).await?;
        let List { items, next_cursor } = List::of(rows, limit, keys);
        let now = Timestamp::now();
        Ok(axum::Json(List {
            items: items.iter().map(|trip| Booking::of(trip, now)).collect(),
            next_cursor,
        }))
    }

    /// 202 with where to look; or, for a caller who waits, 200 once it is final.
    async fn answer(
        &self,
        trip: TripId,
        wait: Option<Duration>,
        outcome: Option<oneshot::Receiver<Trip>>,
    ) -> Result<Response, Problem> {
        let mut applied = None;
        let mut known = None;
        if let (Some(wait), Some(outcome)) = (wait, outcome) {
            applied = Some(Prefer::applied(wait));
            let stopping = async {
                self.handle.stopping().await;
                tokio::time::sleep(WAIT_STOPPING).await;
            };
            known = tokio::select! {
                outcome = tokio::time::timeout(wait, outcome) => outcome.ok().and_then(Result::ok),
                () = stopping => None,
            };
        }
        let trip = match known {
            Some(trip) => trip,
            None => self.trip(trip).await?,
        };
        let status = if wait.is_some() && trip.is_final() {
            StatusCode::OK
        } else {
            StatusCode::ACCEPTED
        };
        let mut headers: Vec<(HeaderName, axum::http::HeaderValue)> = applied.into_iter().collect();
        if let Ok(location) = format!("/bookings/{}", trip.trip).parse() {
            headers.push((header::LOCATION, location));
        }
        let headers: HeaderMap = headers.into_iter().collect();
        Ok((
            status,
            headers,
            axum::Json(Booking::of(&trip, Timestamp::now())),
        )
            .into_response())
    }

    /// A reply that is no trip, as a problem that says what to do.
    async fn refusal(&self, reply: Reply) -> Problem {
        match reply {
            Reply::KeyReused => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "Idempotency key reused",
                "This Idempotency-Key stands for another request. Use a new key for a new request.",
            ),
            Reply::UnknownLegs(unknown) => {
                let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
                let joined = service::joined_legs(self.handle.database())
                    .await
                    .unwrap_or_default();
                let joined: Vec<String> = joined.iter().map(|row| row.leg.to_string()).collect();
                let detail = format!(
                    "Nobody here sells {}. These legs can be booked: {}.",
                    unknown.join(", "),
                    joined.join(", ")
                );
                Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "unknown-leg",
                    "Unknown leg",
                    detail,
                )
                .with("unknown", unknown)
                .with("joined", joined)
            }
            Reply::Unacceptable(reason) => {
                unacceptable("itinerary", format!("{}.", reason.message)).with("code", reason.code)
            }
            Reply::NoSuchTrip => no_such_trip(),
            Reply::Refused(why) => Problem::new(
                StatusCode::CONFLICT,
                "does-not-fit",
                "Not as the trip stands",
                format!("Nothing was changed: {why}."),
            ),
            Reply::Trip(_) | Reply::Changed(_) => Problem::internal(),
        }
    }
}

fn no_such_trip() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-trip",
        "No such trip",
        "There is no trip with this id. Closed trips are dropped after seven days.",
    )
}
