//! What booking's handlers share: the loop, the database, who waits for an outcome, and how each reply is put.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use choreography::TripId;
use jiff::Timestamp;
use runtime::database::{Is, Select};
use runtime::http::{List, Prefer};
use runtime::{Problem, TraceContext};
use tokio::sync::oneshot;

use crate::core::{State, Trip};
use crate::legs;
use crate::service::{self, Reply};
use crate::store::TRIP;
use crate::view::{TripView, unacceptable};
use crate::waiters::Waiters;

/// How often trips that are not decided are counted.
const COUNT_EVERY: Duration = Duration::from_millis(500);

/// How long a caller still waits once the service is told to stop: long enough for a trip that is going well.
const WAIT_STOPPING: Duration = Duration::from_secs(1);

/// What a handler needs.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) handle: runtime::Handle<service::BookingService>,
    /// Trips that are not decided, as last counted.
    pub(crate) pending: Arc<AtomicI64>,
}

/// Keeps the count of trips that are not decided up to date, for as long as somebody asks for it.
pub(crate) async fn count_pending(
    pending: std::sync::Weak<AtomicI64>,
    handle: runtime::Handle<service::BookingService>,
) {
    while let Some(pending) = pending.upgrade() {
        let most = usize::try_from(pending_max(&handle)).unwrap_or(usize::MAX);
        // By the index of open trips: there are few of them, and millions of others.
        let pending_trips = handle
            .database()
            .select(TRIP)
            .among("trip_open", "state", State::OPEN.map(State::as_str))
            .only("state", Is::Equal, State::Pending.as_str())
            .most(most.saturating_add(1));
        if let Ok(count) = pending_trips.count().await {
            pending.store(count, Ordering::Relaxed);
        }
        drop(pending);
        tokio::time::sleep(COUNT_EVERY).await;
    }
}

fn pending_max(handle: &runtime::Handle<service::BookingService>) -> i64 {
    i64::try_from(handle.settings().pending_max).unwrap_or(i64::MAX)
}

impl Api {
    pub(crate) fn waiters(&self) -> &Waiters {
        &self.handle.service().waiters
    }

    /// Overload is met where trips begin, and nowhere else.
    pub(crate) fn refuse_when_full(&self) -> Result<(), Problem> {
        if let Err(why) = self.handle.publishes() {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "nothing-is-published",
                "New trips would wait",
                format!("Nothing was booked, for no leg would hear of it: {why}. Try again in a few seconds."),
            )
            .retry_after(5));
        }
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

    pub(crate) async fn trip(&self, trip: TripId) -> Result<Trip, Problem> {
        let trip = self.handle.database().find(&(trip,)).await?;
        trip.ok_or_else(no_such_trip)
    }

    /// A query for trips, without rows in the state `none`.
    pub(crate) fn trips(&self) -> Select<'_> {
        let trips = self.handle.database().select(TRIP);
        trips.only("state", Is::NotEqual, State::None.as_str())
    }

    /// A page of them, so many, each told apart by its keys.
    pub(crate) async fn list(
        &self,
        trips: Select<'_>,
        limit: usize,
        keys: impl Fn(&Trip) -> Vec<String>,
    ) -> Result<List<TripView>, Problem> {
        let rows: Vec<Trip> = trips.most(limit + 1).rows().await?;
        let page = List::of(rows, limit, keys);
        let now = Timestamp::now();
        Ok(List {
            items: page
                .items
                .iter()
                .map(|trip| TripView::of(trip, now))
                .collect(),
            next_cursor: page.next_cursor,
            total: None,
        })
    }

    /// 202 with where to look; or, for a caller who waits, 200 once it is final.
    pub(crate) async fn answer(
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
        let shown = axum::Json(TripView::of(&trip, Timestamp::now()));
        let mut response = (status, headers, shown).into_response();
        response.extensions_mut().insert(trace_of(&trip));
        response
            .extensions_mut()
            .insert(participant::about(trip.trip));
        Ok(response)
    }

    /// A reply that is no trip, as a problem that says what to do.
    pub(crate) async fn refusal(&self, reply: Reply) -> Problem {
        match reply {
            Reply::KeyReused => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "Idempotency key reused",
                "This Idempotency-Key stands for another request. Use a new key for a new request.",
            ),
            Reply::UnknownLegs(unknown) => {
                let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
                let joined = legs::bookable(self.handle.database())
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
            Reply::RetiredLegs(retired) => legs::are_retired(&retired),
            Reply::NoSuchLeg => legs::no_such_leg(),
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
            Reply::Trip(_) | Reply::Changed(_) | Reply::Leg(..) => Problem::internal(),
        }
    }
}

/// The trace that a trip belongs to: the one of the request that made it.
pub(crate) fn trace_of(trip: &Trip) -> TraceContext {
    TraceContext {
        traceparent: trip.traceparent.clone(),
        tracestate: trip.tracestate.clone(),
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
