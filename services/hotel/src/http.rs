//! The inventory over HTTP: rooms per room type and night. The work is done in [`leg::inventory`].

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

use crate::core::Hotel;

type Handle = State<LegHandle<Hotel>>;

/// What there shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRooms {
    /// How many in all; not fewer than trips hold.
    pub rooms: i64,
    /// What one costs, in minor units of the currency.
    pub price_minor: i64,
    /// ISO 4217.
    pub currency: String,
}

/// What there is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rooms {
    /// The hotel, such as `LIS-PALACE`.
    pub hotel: String,
    /// The kind of room, such as `double`.
    pub room_type: String,
    /// The local calendar date on which the night begins, `YYYY-MM-DD`.
    pub night: String,
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

impl From<Stock> for Rooms {
    fn from(stock: Stock) -> Self {
        let price = stock.price();
        let mut key = stock.key.into_iter();
        let mut next = || key.next().unwrap_or_default();
        Self {
            hotel: next(),
            room_type: next(),
            night: next(),
            total: stock.total,
            held: stock.held,
            confirmed: stock.confirmed,
            free: stock.free,
            price,
        }
    }
}

/// The routes.
pub fn routes(handle: LegHandle<Hotel>) -> OpenApiRouter {
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
#[utoipa::path(put, path = "/hotels/{hotel}/{room_type}/{night}", request_body = SetRooms,
    params(("hotel" = String, Path, description = "The hotel, such as `LIS-PALACE`."),
        ("room_type" = String, Path, description = "The kind of room, such as `double`."),
        ("night" = String, Path, description = "The local calendar date on which the night begins, `YYYY-MM-DD`.")),
    responses((status = 200, body = Rooms), (status = 409, description = "Trips hold more than that")))]
async fn put(
    State(handle): Handle,
    Path((hotel, room_type, night)): Path<(String, String, String)>,
    Extension(trace): Extension<TraceContext>,
    Json(set): Json<SetRooms>,
) -> Result<axum::Json<Rooms>, Problem> {
    inventory::date(&night).map_err(|reason| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "inventory",
            "Inventory not accepted",
            format!("{reason}."),
        )
    })?;
    let line = Line {
        key: vec![hotel, room_type, night],
        total: set.rooms,
        price_minor: set.price_minor,
        currency: set.currency,
    };
    let stock = inventory::put(&handle, line, trace).await?;
    Ok(axum::Json(stock.into()))
}

/// How many there are, held, confirmed and free.
#[utoipa::path(get, path = "/hotels/{hotel}/{room_type}/{night}",
    params(("hotel" = String, Path, description = "The hotel, such as `LIS-PALACE`."),
        ("room_type" = String, Path, description = "The kind of room, such as `double`."),
        ("night" = String, Path, description = "The local calendar date on which the night begins, `YYYY-MM-DD`.")),
    responses((status = 200, body = Rooms)))]
async fn get(
    State(handle): Handle,
    Path((hotel, room_type, night)): Path<(String, String, String)>,
) -> Result<axum::Json<Rooms>, Problem> {
    Ok(axum::Json(
        inventory::get(&handle, &[hotel, room_type, night])
            .await?
            .into(),
    ))
}

/// All of it, page by page.
#[utoipa::path(get, path = "/hotels", params(Page), responses((status = 200, body = List<Rooms>)))]
async fn list(
    State(handle): Handle,
    Query(page): Query<Page>,
) -> Result<axum::Json<List<Rooms>>, Problem> {
    let List { items, next_cursor } = inventory::list::<_, 3>(&handle, &page).await?;
    Ok(axum::Json(List {
        items: items.into_iter().map(Rooms::from).collect(),
        next_cursor,
    }))
}

/// Takes a CSV with the header `hotel,room_type,night,rooms,price_minor,currency`; `night` may be a range
/// `2026-12-01..2026-12-31`. All of it or nothing.
#[utoipa::path(post, path = "/hotels/import", request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = Imported), (status = 422, description = "Lines that cannot be taken, by number")))]
async fn import(
    State(handle): Handle,
    Extension(trace): Extension<TraceContext>,
    csv: Bytes,
) -> Result<axum::Json<Imported>, Problem> {
    let columns = [
        "hotel",
        "room_type",
        "night",
        "rooms",
        "price_minor",
        "currency",
    ];
    inventory::import(&handle, &csv, columns, read_line, trace)
        .await
        .map(axum::Json)
}

fn read_line(
    [hotel, room_type, night, rooms, price_minor, currency]: [&str; 6],
) -> Result<Vec<Line>, String> {
    let number = |name: &str, text: &str| {
        text.parse::<i64>()
            .map_err(|_| format!("{name} {text:?} is not a whole number"))
    };
    let (total, price_minor) = (number("rooms", rooms)?, number("price_minor", price_minor)?);
    let line = |day: String| Line {
        key: vec![hotel.to_owned(), room_type.to_owned(), day],
        total,
        price_minor,
        currency: currency.to_owned(),
    };
    Ok(inventory::dates(night)?.into_iter().map(line).collect())
}
