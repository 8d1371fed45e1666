//! The inventory over HTTP: seats per flight and date. The work is done in [`leg::inventory`].

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use choreography::Money;
use leg::inventory::{self, IMPORT_MAX, Imported, LegHandle};
use leg::{Line, Stock};
use runtime::http::{Json, List, Page, Path, Query};
use runtime::{Problem, TraceContext};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::core::Flight;

type Handle = State<LegHandle<Flight>>;

/// What there shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSeats {
    /// How many in all; not fewer than trips hold.
    pub seats: i64,
    /// What one costs, in minor units of the currency.
    pub price_minor: i64,
    /// ISO 4217.
    pub currency: String,
}

/// What there is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Seats {
    /// The flight, such as `RT100`.
    pub flight: String,
    /// The local calendar date of departure, `YYYY-MM-DD`.
    pub date: String,
    /// held + confirmed + free.
    pub total: i64,
    /// For trips that are not decided yet.
    pub held: i64,
    /// Firm.
    pub confirmed: i64,
    /// Left.
    pub free: i64,
    /// What one costs today.
    #[schema(value_type = Object)]
    pub price: Option<Money>,
}

impl From<Stock> for Seats {
    fn from(stock: Stock) -> Self {
        let price = stock.price();
        let mut key = stock.key.into_iter();
        let mut next = || key.next().unwrap_or_default();
        Self {
            flight: next(),
            date: next(),
            total: stock.total,
            held: stock.held,
            confirmed: stock.confirmed,
            free: stock.free,
            price,
        }
    }
}

/// The routes.
pub fn routes(handle: LegHandle<Flight>) -> OpenApiRouter {
    let import = OpenApiRouter::new()
        .routes(routes!(import))
        .layer(DefaultBodyLimit::max(IMPORT_MAX));
    OpenApiRouter::new()
        .routes(routes!(get, put))
        .routes(routes!(list))
        .merge(import)
        .with_state(handle)
}

/// Sets how many there are and what one costs. Trips keep the price they were held at.
#[utoipa::path(put, path = "/flights/{flight}/{date}", request_body = SetSeats,
    params(("flight" = String, Path, description = "The flight, such as `RT100`."),
        ("date" = String, Path, description = "The local calendar date of departure, `YYYY-MM-DD`.")),
    responses((status = 200, body = Seats), (status = 409, description = "Trips hold more than that")))]
async fn put(
    State(handle): Handle,
    Path((flight, date)): Path<(String, String)>,
    Extension(trace): Extension<TraceContext>,
    Json(set): Json<SetSeats>,
) -> Result<axum::Json<Seats>, Problem> {
    inventory::date(&date).map_err(|reason| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "inventory",
            "Inventory not accepted",
            format!("{reason}."),
        )
    })?;
    let line = Line {
        key: vec![flight, date],
        total: set.seats,
        price_minor: set.price_minor,
        currency: set.currency,
    };
    let stock = inventory::put(&handle, line, trace).await?;
    Ok(axum::Json(stock.into()))
}

/// How many there are, held, confirmed and free.
#[utoipa::path(get, path = "/flights/{flight}/{date}",
    params(("flight" = String, Path, description = "The flight, such as `RT100`."),
        ("date" = String, Path, description = "The local calendar date of departure, `YYYY-MM-DD`.")),
    responses((status = 200, body = Seats)))]
async fn get(
    State(handle): Handle,
    Path((flight, date)): Path<(String, String)>,
) -> Result<axum::Json<Seats>, Problem> {
    Ok(axum::Json(
        inventory::get(&handle, &[flight, date]).await?.into(),
    ))
}

/// All of it, page by page.
#[utoipa::path(get, path = "/flights", params(Page), responses((status = 200, body = List<Seats>)))]
async fn list(
    State(handle): Handle,
    Query(page): Query<Page>,
) -> Result<axum::Json<List<Seats>>, Problem> {
    let List { items, next_cursor } = inventory::list::<_, 2>(&handle, &page).await?;
    Ok(axum::Json(List {
        items: items.into_iter().map(Seats::from).collect(),
        next_cursor,
    }))
}

/// Takes a CSV with the header `flight,date,seats,price_minor,currency`; `date` may be a range
/// `2026-12-01..2026-12-31`. All of it or nothing.
#[utoipa::path(post, path = "/flights/import", request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = Imported), (status = 422, description = "Lines that cannot be taken, by number")))]
async fn import(
    State(handle): Handle,
    Extension(trace): Extension<TraceContext>,
    csv: Bytes,
) -> Result<axum::Json<Imported>, Problem> {
    let columns = ["flight", "date", "seats", "price_minor", "currency"];
    inventory::import(&handle, &csv, columns, read_line, trace)
        .await
        .map(axum::Json)
}

fn read_line([flight, date, seats, price_minor, currency]: [&str; 5]) -> Result<Vec<Line>, String> {
    let number = |name: &str, text: &str| {
        text.parse::<i64>()
            .map_err(|_| format!("{name} {text:?} is not a whole number"))
    };
    let (total, price_minor) = (number("seats", seats)?, number("price_minor", price_minor)?);
    let line = |day: String| Line {
        key: vec![flight.to_owned(), day],
        total,
        price_minor,
        currency: currency.to_owned(),
    };
    Ok(inventory::dates(date)?.into_iter().map(line).collect())
}
