//! What travellers and operators see: trips, and what became of them.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use choreography::{Position, Reason, TripId};
use jiff::Timestamp;
use runtime::database::Is;
use runtime::http::{IdempotencyKey, Json, List, Page, Path, Prefer, Query, TOTAL_MAX};
use runtime::{Problem, TraceContext};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::{Api, count_pending, trace_of};
use crate::core::State as TripState;
use crate::events;
use crate::legs;
use crate::outcomes::Outcomes;
use crate::schema;
use crate::service::{self, Command, Reply, Request};
use crate::view::{BookingRequest, TripView, a_position, acceptable_traveller, unacceptable};
use crate::waiters::{Waiters, Wants};

/// The longest that a caller may wait for an outcome.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The routes.
pub fn routes(handle: runtime::Handle<service::BookingService>) -> OpenApiRouter {
    let waiters = Arc::downgrade(&handle.service().waiters);
    tokio::spawn(Waiters::look(waiters, Arc::clone(handle.database())));
    let outcomes = Arc::downgrade(&handle.service().outcomes);
    tokio::spawn(Outcomes::look(outcomes, Arc::clone(handle.database())));
    let api = Api {
        handle,
        pending: Arc::default(),
    };
    tokio::spawn(count_pending(
        Arc::downgrade(&api.pending),
        api.handle.clone(),
    ));
    OpenApiRouter::new()
        .routes(routes!(book, list))
        .routes(routes!(show))
        .routes(routes!(cancel))
        .routes(routes!(settle))
        .routes(routes!(stuck))
        .merge(events::routes())
        .routes(routes!(asyncapi))
        .routes(routes!(legs::list))
        .routes(routes!(legs::retire))
        .routes(routes!(legs::restore))
        .with_state(api)
}

/// The conversation on the broker, as AsyncAPI 3.0.
#[utoipa::path(get, path = "/asyncapi.json", operation_id = "show_asyncapi", tag = "wire",
    responses((status = 200, body = std::collections::HashMap<String, serde_json::Value>, description = "What legs say and hear")))]
async fn asyncapi() -> impl axum::response::IntoResponse {
    let json = axum::http::HeaderValue::from_static("application/json");
    (
        [(axum::http::header::CONTENT_TYPE, json)],
        choreography::ASYNCAPI,
    )
}

/// Asks for a trip.
///
/// Answers 202 at once, or, with `Prefer: wait=N`, 200 when it is final: confirmed, or refused and all of it back.
#[utoipa::path(post, path = "/bookings", operation_id = "book_trip", tag = "bookings", request_body = BookingRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, description = "Your own name for this request, with quotes or without; kept for 24 hours. The same key and meaning: the same trip."),
        ("Prefer" = Option<String>, Header, description = "`wait=5`: answer when the trip is final, or after 5 seconds; at most 60."),
    ),
    responses(
        (status = 200, body = TripView, description = "The trip is final", headers(
            ("Location" = String, description = "The path of the trip"),
            ("Preference-Applied" = String, description = "How long was waited at most"))),
        (status = 202, body = TripView, description = "The trip is on its way", headers(
            ("Location" = String, description = "The path of the trip"),
            ("Preference-Applied" = String, description = "How long was waited, where it was asked for"))),
        (status = 422, description = "It can't be taken, or the key stands for another request"),
        (status = 503, description = "Too many trips are pending"),
    ))]
async fn book(
    State(api): State<Api>,
    Extension(trace): Extension<TraceContext>,
    key: Option<IdempotencyKey>,
    prefer: Prefer,
    Json(asked): Json<BookingRequest>,
) -> Result<Response, Problem> {
    let plan = asked.plan(Timestamp::now())?;
    api.refuse_when_full()?;
    let trip = TripId::from(Uuid::now_v7());
    let key = key.map(|IdempotencyKey(key)| (key, asked.fingerprint()));
    let wait = prefer.wait(WAIT_MAX);
    let wait_for = |trip| {
        let outcome = Wants::Outcome(TripState::None);
        api.waiters().register(trip, outcome)
    };
    // Before it can be decided: an outcome that comes at once is not missed.
    let outcome = wait.map(|_| wait_for(trip));
    let request = Request {
        trip,
        plan,
        traveller: asked.traveller,
        key,
    };
    let reply = api
        .handle
        .offer(Command::Request(Box::new(request)), trace)
        .await?;
    let Reply::Trip(made) = reply else {
        return Err(api.refusal(reply).await);
    };
    let outcome = if made == trip {
        outcome
    } else {
        wait.map(|_| wait_for(made))
    };
    api.answer(made, wait, outcome).await
}

/// One trip.
#[utoipa::path(get, path = "/bookings/{trip}", operation_id = "show_trip", tag = "bookings",
    params(("trip" = Uuid, Path, description = "The trip's id")),
    responses((status = 200, body = TripView, description = "The trip"), (status = 404, description = "There is no such trip")))]
async fn show(
    State(api): State<Api>,
    Path(trip): Path<TripId>,
) -> Result<axum::Json<TripView>, Problem> {
    Ok(axum::Json(TripView::of(
        &api.trip(trip).await?,
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
    /// Only those for this traveller, word for word as it was given.
    traveller: Option<String>,
    /// Only those whose ids begin so.
    prefix: Option<String>,
    /// Whether to count them, over all pages.
    #[serde(default)]
    total: bool,
}

/// Trips, the newest first.
#[utoipa::path(get, path = "/bookings", operation_id = "list_trips", tag = "bookings",
    params(Page,
        ("state" = Option<schema::State>, Query, description = "Only those in this state"),
        ("outcome" = Option<schema::Outcome>, Query, description = "Only those with this outcome"),
        ("traveller" = Option<String>, Query, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$", description = "Only those for this traveller, word for word as it was given"),
        ("prefix" = Option<String>, Query, pattern = "^[0-9a-fA-F-]{0,36}$", description = "Only those whose ids begin so, hyphens and all; ids begin with the time"),
        ("total" = Option<bool>, Query, description = "Whether to count them, over all pages; 10000 stands for as many or more")),
    responses((status = 200, body = List<TripView>, description = "One page of them", headers(("Link" = String, description = "The next page, as `rel=\"next\"`")))))]
async fn list(
    State(api): State<Api>,
    Query(page): Query<Page>,
    Query(filter): Query<Filter>,
) -> Result<List<TripView>, Problem> {
    let limit = page.limit()?;
    if let Some(traveller) = &filter.traveller {
        acceptable_traveller(traveller)?;
    }
    let range = filter.prefix.as_deref().map(between).transpose()?;
    let all = || {
        let mut trips = api.trips();
        if let Some(state) = filter.state {
            // Of all trips few are open, and an index has them alone; of one traveller, or one moment, there are few in any state.
            if TripState::OPEN.contains(&state) && filter.traveller.is_none() && range.is_none() {
                trips = trips.among("trip_open", "state", TripState::OPEN.map(TripState::as_str));
            }
            trips = trips.only("state", Is::Equal, state.as_str());
        }
        if let Some(traveller) = &filter.traveller {
            trips = trips.only("traveller", Is::Equal, traveller.as_str());
        }
        if let Some(outcome) = filter.outcome {
            trips = trips.only("outcome", Is::Equal, outcome.as_str());
        }
        if let Some((first, last)) = &range {
            trips = trips.only("trip", Is::AtLeast, first.as_str());
            trips = trips.only("trip", Is::AtMost, last.as_str());
        }
        trips
    };
    let mut trips = all().descending(&["trip"]);
    if let Some(before) = page.after(1)? {
        trips = trips.only("trip", Is::Less, before.concat());
    }
    let total = match filter.total {
        true => Some(all().most(TOTAL_MAX).count().await?),
        false => None,
    };
    let keys = |trip: &crate::core::Trip| vec![trip.trip.to_string()];
    let page = api.list(trips, limit, keys).await?;
    Ok(List { total, ..page })
}

/// The first and the last id that begin so. Both are whole ids, so that no order of text, whatever it thinks of hyphens, puts another
/// between them; and they are a range of the table's key, which costs the same however many trips there are.
fn between(prefix: &str) -> Result<(String, String), Problem> {
    let prefix = prefix.to_ascii_lowercase();
    let (first, last) = (Uuid::nil().to_string(), Uuid::max().to_string());
    let fits = |(c, zero): (char, char)| {
        (c == '-') == (zero == '-') && matches!(c, '0'..='9' | 'a'..='f' | '-')
    };
    if prefix.chars().count() > first.len() || !prefix.chars().zip(first.chars()).all(fits) {
        return Err(unacceptable(
            "prefix",
            String::from(
                "No id of a trip begins so; give its first characters as they are shown, such as 019a4c5e-81.",
            ),
        ));
    }
    let whole = |id: &str| {
        prefix
            .chars()
            .chain(id.chars().skip(prefix.len()))
            .collect()
    };
    Ok((whole(&first), whole(&last)))
}

/// How long a trip has to be unchanged to be listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Age {
    /// Only trips whose state has not changed for this many seconds; 0 when absent.
    #[param(value_type = Option<u64>, maximum = 4_294_967_295_u64)]
    older_than_s: Option<u32>,
}

/// Trips that are not final, the longest unchanged first, with what each waits for.
#[utoipa::path(get, path = "/bookings/stuck", operation_id = "list_stuck_trips", tag = "operators", params(Page, Age),
    responses((status = 200, body = List<TripView>, description = "One page of them", headers(("Link" = String, description = "The next page, as `rel=\"next\"`")))))]
async fn stuck(
    State(api): State<Api>,
    Query(page): Query<Page>,
    Query(age): Query<Age>,
) -> Result<List<TripView>, Problem> {
    let limit = page.limit()?;
    let before =
        Timestamp::now().as_microsecond() - i64::from(age.older_than_s.unwrap_or(0)) * 1_000_000;
    let mut trips = api
        .trips()
        .among("trip_open", "state", TripState::OPEN.map(TripState::as_str))
        .only("changed_us", Is::AtMost, before)
        .order(&["changed_us", "trip"]);
    if let Some(last) = page.after(2)? {
        let strange = || unacceptable("cursor", String::from("The cursor is not from this list."));
        let [changed_us, trip] = <[String; 2]>::try_from(last).map_err(|_| strange())?;
        let changed_us: i64 = changed_us.parse().map_err(|_| strange())?;
        trips = trips.after(vec![
            ("changed_us", changed_us.into()),
            ("trip", trip.into()),
        ]);
    }
    api.list(trips, limit, |trip| {
        vec![trip.changed_us.to_string(), trip.trip.to_string()]
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
#[utoipa::path(post, path = "/bookings/{trip}/cancel", operation_id = "cancel_trip", tag = "bookings", request_body = Option<CancelRequest>,
    params(("trip" = Uuid, Path, description = "The trip's id"), ("Prefer" = Option<String>, Header, description = "`wait=5`: answer when everything is back")),
    responses((status = 200, body = TripView, description = "Everything is back"), (status = 202, body = TripView, description = "It is on its way back"), (status = 404, description = "There is no such trip")))]
async fn cancel(
    State(api): State<Api>,
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
    let reply = api
        .handle
        .command(Command::Cancel { trip, reason }, trace)
        .await?;
    let Reply::Changed(_) = reply else {
        return Err(api.refusal(reply).await);
    };
    let outcome = Wants::Outcome(TripState::Confirmed);
    let outcome = wait.map(|_| api.waiters().register(trip, outcome));
    api.answer(trip, wait, outcome).await
}

/// What an operator settles by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleRequest {
    /// Which place on the itinerary, from 0.
    #[serde(deserialize_with = "a_position")]
    #[schema(value_type = u16)]
    pub position: Position,
    /// Why it is known that nothing is held there; recorded as a fact.
    #[schema(pattern = r"\S")]
    pub reason: String,
}

/// Takes a position as settled, for a leg that nobody answers for. Of a trip that is closed already: says `cancelled` once more, for
/// a leg that came back after all.
#[utoipa::path(post, path = "/bookings/{trip}/settle", operation_id = "settle_position", tag = "operators", request_body = SettleRequest,
    params(("trip" = Uuid, Path, description = "The trip's id")),
    responses((status = 200, body = TripView, description = "The trip, that position settled"), (status = 404, description = "There is no such trip"), (status = 409, description = "It does not fit the trip as it stands")))]
async fn settle(
    State(api): State<Api>,
    Extension(trace): Extension<TraceContext>,
    Path(trip): Path<TripId>,
    Json(asked): Json<SettleRequest>,
) -> Result<(Extension<TraceContext>, axum::Json<TripView>), Problem> {
    if asked.reason.trim().is_empty() {
        return Err(unacceptable(
            "reason",
            String::from("Say how you know that nothing is held there."),
        ));
    }
    let reason = Reason::new("settled-by-hand", asked.reason);
    let reply = api
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
        Reply::Changed(trip) => Ok((
            Extension(trace_of(&trip)),
            axum::Json(TripView::of(&trip, Timestamp::now())),
        )),
        other => Err(api.refusal(other).await),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::between;

    #[test]
    fn what_an_id_begins_with_is_a_range_of_ids() {
        let (first, last) = between("019A4c5e-81").unwrap();
        assert_eq!(first, "019a4c5e-8100-0000-0000-000000000000");
        assert_eq!(last, "019a4c5e-81ff-ffff-ffff-ffffffffffff");
        assert_eq!(between(&first).unwrap(), (first.clone(), first.clone()));
        for wrong in [
            "019a4c5e8",
            "019a-",
            "x",
            "%",
            "é",
            "0 ",
            &format!("{first}0"),
        ] {
            assert!(between(wrong).is_err(), "{wrong}");
        }
    }
}
