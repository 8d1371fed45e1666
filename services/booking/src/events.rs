//! What happens, without asking again and again: streams of server-sent events, of one trip and of every outcome.
//!
//! An event is the trip as it then is, so the last one says everything, and what came between may be left out. Each is told at least once,
//! and its `id` is where a stream goes on that was cut off: on any replica, for it comes of the database alone. How streams are bounded
//! and how they end is the runtime's.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use choreography::TripId;
use futures::stream;
use jiff::Timestamp;
use runtime::Problem;
use runtime::http::{LastEventId, Path};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::core::{Progress, State as TripState, Trip};
use crate::outcomes::{COMMITTED_WITHIN_US, Heard, Told, following};
use crate::store::TRIP;
use crate::view::TripView;
use crate::waiters::Wants;

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(trip_events))
        .routes(routes!(all_events))
}

/// What happens to one trip, as server-sent events.
///
/// First the trip as it is, then again whenever something of it has changed: `event: trip`, and `event: outcome` once it is final, after
/// which the stream ends. `data` is the trip as `GET /bookings/{trip}` answers it. A confirmed trip may still be cancelled: who cares asks
/// for `/bookings/events`, or anew.
#[utoipa::path(get, path = "/bookings/{trip}/events", operation_id = "follow_trip", tag = "bookings",
    params(("trip" = Uuid, Path, description = "The trip's id"),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that came: what it said is not said again. Browsers send it by themselves."),
        ("after" = Option<String>, Query, description = "The same, for whoever cannot set a header; the header counts")),
    responses((status = 200, content_type = "text/event-stream", body = String, description = "Events, until the trip is final or the service stops"),
        (status = 204, description = "The trip is final, and that was said: do not come back for more"),
        (status = 404, description = "There is no such trip"),
        (status = 503, description = "There are too many streams")))]
async fn trip_events(
    State(api): State<Api>,
    Path(trip): Path<TripId>,
    LastEventId(after): LastEventId,
) -> Result<Response, Problem> {
    let known = after.as_deref().map(progress).transpose()?;
    let trip = api.trip(trip).await?;
    if known == Some(trip.progress()) && trip.is_final() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let (id, progress) = (trip.trip, trip.progress());
    // What was said of it already is not said again.
    let next = Some(trip).filter(|_| known != Some(progress));
    let first = word(known.unwrap_or((TripState::None, 0)));
    let streams = api.handle.streams().clone();
    let events = stream::unfold(Some((next, progress)), move |state| {
        let api = api.clone();
        async move {
            let (next, past) = state?;
            let trip = match next {
                Some(trip) => trip,
                // An error: this process ends, and the stream with it.
                None => api.waiters().register(id, Wants::News(past)).await.ok()?,
            };
            let progress = trip.progress();
            let going_on = (!trip.is_final()).then_some((None, progress));
            Some((
                event(&trip, word(progress), &TripView::json(&trip)),
                going_on,
            ))
        }
    });
    streams.answer(&first, events)
}

/// The id of an event of one trip: a state, and how many positions are back.
fn word((state, back): Progress) -> String {
    format!("{}-{back}", state.as_str())
}

fn progress(id: &str) -> Result<Progress, Problem> {
    let states = [
        TripState::None,
        TripState::Pending,
        TripState::Confirmed,
        TripState::Undoing,
        TripState::Closed,
    ];
    let read = id.split_once('-').and_then(|(state, back)| {
        let state = states.into_iter().find(|known| known.as_str() == state)?;
        Some((state, back.parse().ok()?))
    });
    read.ok_or_else(LastEventId::unusable)
}

fn event(trip: &Trip, id: String, shown: &str) -> Event {
    let name = if trip.is_final() { "outcome" } else { "trip" };
    Event::default().event(name).id(id).data(shown)
}

/// The outcomes of all trips, as server-sent events.
///
/// An `event: outcome` for each trip that is final, once when it is confirmed and once when it is closed; `data` is the trip as
/// `GET /bookings/{trip}` answers it. Begins after the event whose id is given, else a few seconds ago. Some are told twice where a stream
/// goes on after it was cut off.
#[utoipa::path(get, path = "/bookings/events", operation_id = "follow_outcomes", tag = "bookings",
    params(("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that came: go on behind it. Browsers send it by themselves."),
        ("after" = Option<String>, Query, description = "The same, for whoever cannot set a header; the header counts. `0` begins with the oldest that is kept")),
    responses((status = 200, content_type = "text/event-stream", body = String, description = "Events, until the service stops"),
        (status = 503, description = "There are too many streams")))]
async fn all_events(
    State(api): State<Api>,
    LastEventId(after): LastEventId,
) -> Result<Response, Problem> {
    let just_now = || Timestamp::now().as_microsecond() - COMMITTED_WITHIN_US;
    let position = match after {
        Some(id) => Position::read(&id)?,
        None => Position(just_now(), None),
    };
    let streams = api.handle.streams().clone();
    let first = position.to_string();
    let events = stream::unfold(Listener::new(api, position), Listener::next);
    streams.answer(&first, events)
}

/// Where a stream of outcomes stands: everything up to then was told, and of that very moment everything up to that trip. It is the id
/// of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position(i64, Option<TripId>);

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self(us, Some(trip)) => write!(f, "{us}-{trip}"),
            Self(us, None) => write!(f, "{us}"),
        }
    }
}

impl Position {
    fn read(id: &str) -> Result<Self, Problem> {
        let (us, trip) = match id.split_once('-') {
            Some((us, trip)) => (us, Some(trip.parse().ok())),
            None => (id, None),
        };
        let us = us.parse().ok().filter(|us| *us >= 0);
        match (us, trip) {
            (Some(us), None) => Ok(Self(us, None)),
            (Some(us), Some(Some(trip))) => Ok(Self(us, Some(trip))),
            _ => Err(LastEventId::unusable()),
        }
    }
}

/// How many trips a stream that catches up has in hand at most.
const PAGE: usize = 32;
/// How many outcomes it remembers that it told while it caught up, and may hear once more.
const REMEMBERED: usize = 8_192;

/// One stream of outcomes: catches up in the database, page by page, and then hears of what comes.
struct Listener {
    api: Api,
    heard: Receiver<Arc<Heard>>,
    position: Position,
    catching_up: Option<CatchingUp>,
    /// What was told while catching up, and may be heard once more.
    told: Told,
}

/// How far somebody has read who was behind.
struct CatchingUp {
    after: (i64, String),
    /// What is younger may still get older neighbours: a stream that is cut off goes on from here.
    settled_us: i64,
    page: VecDeque<Trip>,
    is_last: bool,
}

impl CatchingUp {
    fn from(Position(us, trip): Position) -> Self {
        Self {
            after: (us, trip.map(|trip| trip.to_string()).unwrap_or_default()),
            settled_us: Timestamp::now().as_microsecond() - COMMITTED_WITHIN_US,
            page: VecDeque::new(),
            is_last: false,
        }
    }
}

impl Listener {
    fn new(api: Api, position: Position) -> Self {
        Self {
            // Before it catches up, so that nothing falls in between.
            heard: api.handle.service().outcomes.listen(),
            catching_up: Some(CatchingUp::from(position)),
            told: Told::none(REMEMBERED),
            api,
            position,
        }
    }

    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            if let Some(catching_up) = &mut self.catching_up {
                if let Some(trip) = catching_up.page.pop_front() {
                    let key = (trip.changed_us, trip.trip);
                    let settled_us = catching_up.settled_us;
                    let here = if key.0 <= settled_us {
                        Position(key.0, Some(key.1))
                    } else if self.told.add(key) {
                        Position(settled_us, None)
                    } else {
                        // Whoever is behind again reads again what may have been committed late.
                        continue;
                    };
                    return Some(self.at(here, &TripView::json(&trip)));
                }
                if catching_up.is_last {
                    self.catching_up = None;
                    continue;
                }
                let trips = self.api.handle.database().select(TRIP);
                let page = following(trips, catching_up.after.clone()).most(PAGE);
                let reading = &self.api.handle.service().outcomes.reading;
                let turn = reading.acquire().await.ok()?;
                let page = page.rows().await;
                drop(turn);
                // Whoever is cut off here goes on from its last event.
                let page: Vec<Trip> = page
                    .inspect_err(|error| tracing::warn!(%error, "outcomes cannot be read; a stream of them ends"))
                    .ok()?;
                catching_up.is_last = page.len() < PAGE;
                if let Some(last) = page.last() {
                    catching_up.after = (last.changed_us, last.trip.to_string());
                }
                catching_up.page = page.into();
                continue;
            }
            match self.heard.recv().await {
                Ok(heard) => {
                    self.told.forget_until(heard.floor_us);
                    if !self.told.has(&heard.key) {
                        return Some(self.at(Position(heard.floor_us, None), heard.shown()));
                    }
                }
                Err(RecvError::Lagged(_)) => {
                    self.heard = self.heard.resubscribe();
                    self.catching_up = Some(CatchingUp::from(self.position));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// An outcome after which the stream stands here; it never goes back.
    fn at(mut self, here: Position, shown: &str) -> (Event, Self) {
        self.position = self.position.max(here);
        let event = Event::default()
            .event("outcome")
            .id(self.position.to_string());
        (event.data(shown), self)
    }
}
