//! What operators see of payments, and where the provider tells its own news. There is no way to move money here: what becomes of a payment
//! is decided by its trip.

use std::time::SystemTime;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use choreography::TripId;
use jiff::Timestamp;
use runtime::database::Is;
use runtime::http::{List, Page, Path, Query, TOTAL_MAX};
use runtime::{Handle, Problem, TraceContext};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::core::{Record, State as PaymentState};
use crate::schema;
use crate::service::{Heard, PaymentService};
use crate::store::{OPEN, PAYMENT};
use crate::view::PaymentView;
use crate::watch;

/// The header with which the provider signs its news.
const SIGNATURE: &str = "stripe-signature";

/// The routes.
pub(crate) fn routes(handle: Handle<PaymentService>) -> OpenApiRouter {
    tokio::spawn(watch::tell(handle.clone()));
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(hear))
        .routes(routes!(provider))
        .with_state(handle)
}

/// The payments of one trip, in the order of its itinerary: one, unless somebody put several there.
#[utoipa::path(get, path = "/payments/{trip}", operation_id = "show_payment", tag = "payments",
    params(("trip" = Uuid, Path, description = "The trip's id")),
    responses((status = 200, body = Vec<PaymentView>, description = "Its payments"), (status = 404, description = "Nothing is known of a payment for it")))]
async fn show(
    State(handle): State<Handle<PaymentService>>,
    Path(trip): Path<TripId>,
) -> Result<axum::Json<Vec<PaymentView>>, Problem> {
    let payments = handle.database().select(PAYMENT);
    let payments: Vec<Record> = payments
        .only("trip", Is::Equal, trip.to_string())
        .only("state", Is::NotEqual, PaymentState::None.as_str())
        .order(&["trip", "position"])
        .most(choreography::LEGS_MAX)
        .rows()
        .await?;
    if payments.is_empty() {
        let detail = "No payment of this trip is known here: its turn has not come, the trip has none, or it was forgotten long after its end. Booking knows the trip: GET /bookings/{trip} there.";
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-payment",
            "Unknown payment",
            detail,
        ));
    }
    let now = Timestamp::now();
    let views = payments.iter().map(|payment| PaymentView::of(payment, now));
    Ok(axum::Json(views.collect()))
}

/// Which payments to list.
#[derive(Debug, Deserialize)]
struct Filter {
    /// Only those in this state.
    state: Option<PaymentState>,
    /// Only those that a person should look at.
    #[serde(default)]
    needs_attention: bool,
    /// Whether to count them, over all pages.
    #[serde(default)]
    total: bool,
}

/// Payments, those of the newest trips first.
#[utoipa::path(get, path = "/payments", operation_id = "list_payments", tag = "payments",
    params(Page,
        ("state" = Option<schema::PaymentState>, Query, description = "Only those in this state"),
        ("needs_attention" = Option<bool>, Query, description = "Only those that a person should look at: a confirmed trip that is unpaid, or one that has been on its way to its end for over an hour"),
        ("total" = Option<bool>, Query, description = "Whether to count them, over all pages; 10000 stands for as many or more")),
    responses((status = 200, body = List<PaymentView>, description = "One page of them", headers(("Link" = String, description = "The next page, as `rel=\"next\"`")))))]
async fn list(
    State(handle): State<Handle<PaymentService>>,
    Query(page): Query<Page>,
    Query(filter): Query<Filter>,
) -> Result<List<PaymentView>, Problem> {
    let limit = page.limit()?;
    let now = Timestamp::now();
    let all = || {
        let mut payments = handle.database().select(PAYMENT);
        if filter.needs_attention {
            payments = payments.only("attention_us", Is::AtMost, now.as_microsecond());
        }
        match filter.state {
            // Of all payments few are open, and an index has them alone.
            Some(state) if OPEN.contains(&state) && !filter.needs_attention => payments
                .among("payment_open", "state", OPEN.map(PaymentState::as_str))
                .only("state", Is::Equal, state.as_str()),
            Some(state) => payments.only("state", Is::Equal, state.as_str()),
            None => payments.only("state", Is::NotEqual, PaymentState::None.as_str()),
        }
    };
    let mut payments = all().descending(&["trip", "position"]);
    if let Some(last) = page.after(2)? {
        let strange = || {
            let detail = "`cursor` is not from this list; pass on the `next_cursor` of the page before, or leave it out to begin anew.";
            Problem::new(StatusCode::BAD_REQUEST, "cursor", "Unusable cursor", detail)
        };
        let [trip, position] = <[String; 2]>::try_from(last).map_err(|_| strange())?;
        let position: i64 = position.parse().map_err(|_| strange())?;
        if trip.contains('\0') {
            return Err(strange());
        }
        payments = payments.before(vec![("trip", trip.into()), ("position", position.into())]);
    }
    let total = match filter.total {
        true => Some(all().most(TOTAL_MAX).count().await?),
        false => None,
    };
    let rows: Vec<Record> = payments.most(limit + 1).rows().await?;
    let keys = |payment: &Record| vec![payment.trip.to_string(), payment.position.to_string()];
    let page = List::of(rows, limit, keys);
    Ok(List {
        items: page
            .items
            .iter()
            .map(|payment| PaymentView::of(payment, now))
            .collect(),
        next_cursor: page.next_cursor,
        total,
    })
}

/// Where the payment provider tells its own news, signed: an authorisation that lapsed, money that somebody gave back by hand. What is no news
/// of ours is taken and left alone.
#[utoipa::path(post, path = "/webhooks/stripe", operation_id = "hear_provider", tag = "provider",
    request_body = HashMap<String, serde_json::Value>,
    params(("Stripe-Signature" = Option<String>, Header, description = "`t=…,v1=…`: HMAC-SHA256 of time and body with the webhook's secret")),
    responses((status = 200, description = "Taken"), (status = 400, description = "It is not signed with the secret of this webhook, is too old, or can't be read; nothing was done")))]
async fn hear(
    State(handle): State<Handle<PaymentService>>,
    Extension(trace): Extension<TraceContext>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let signature = headers.get(SIGNATURE).and_then(|value| value.to_str().ok());
    let provider = handle.service().provider();
    let heard = provider
        .heard(signature, &body, SystemTime::now())
        .map_err(|refused| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "webhook",
                "Not taken",
                refused.to_string(),
            )
        })?;
    if let Some(heard) = heard {
        let heard = Heard {
            trip: heard.trip,
            position: heard.position,
            intent: heard.intent,
            answer: heard.answer,
        };
        handle.command(heard, trace).await?;
    }
    Ok(StatusCode::OK)
}

/// What is wrong with the payment provider, or with how this service stands with it.
#[derive(Debug, Serialize, ToSchema)]
struct ProviderView {
    /// Whether new trips are refused for it, with the reason `payment-unavailable`.
    down: bool,
    /// What is wrong, and what to do.
    #[schema(value_type = Vec<schema::ProviderProblem>)]
    problems: Vec<crate::provider::Problem>,
}

/// How the payment provider does, as this replica sees it.
#[utoipa::path(get, path = "/provider", operation_id = "show_provider", tag = "provider",
    responses((status = 200, body = ProviderView, description = "What is wrong, if anything is")))]
async fn provider(State(handle): State<Handle<PaymentService>>) -> axum::Json<ProviderView> {
    let provider = handle.service().provider();
    axum::Json(ProviderView {
        down: provider.is_down(),
        problems: provider.problems(),
    })
}
