//! A leg's inventory over HTTP, the same for every leg: its paths, its fields and its OpenAPI document come from its [`LegSpec`].
//!
//! `PUT` and `GET /{path}/{key…}` set and show one row, `GET /{path}` lists them, `POST /{path}/import` takes a CSV. What is done with
//! them is [`crate::inventory`]'s.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use headers::{ETag, HeaderMapExt as _, IfNoneMatch};
use runtime::http::{Json, List, Page, Path, Query, whole_number};
use runtime::{Problem, TraceContext};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;

use crate::core::Stock;
use crate::document::{document, one};
use crate::inventory::{self, IMPORT_MAX, Imported, LegHandle, not_accepted};
use crate::service::{Leg, LegSpec, Only, StockLevel, etag};
use crate::shelf;

/// The key of a row, as the path has it.
type Key = Path<Vec<(String, String)>>;

/// The routes.
pub(crate) fn routes<L: Leg>(handle: LegHandle<L>) -> OpenApiRouter {
    let list = format!("/{}", L::SPEC.path);
    let import = Router::new()
        .route(&format!("{list}/import"), post(import::<L>))
        .layer(DefaultBodyLimit::max(IMPORT_MAX));
    let routes = Router::new()
        .route(&list, get(page::<L>))
        .route(&one(L::SPEC), get(show::<L>).put(put::<L>))
        .merge(import);
    let mut routes = OpenApiRouter::from(routes.with_state(handle));
    *routes.get_openapi_mut() = document(L::SPEC);
    routes
}

fn values(Path(key): Key) -> Vec<String> {
    key.into_iter().map(|(_, value)| value).collect()
}

/// Sets how many there are and what one costs. Trips keep the price they were held at.
async fn put<L: Leg>(
    State(handle): State<LegHandle<L>>,
    key: Key,
    Extension(trace): Extension<TraceContext>,
    headers: HeaderMap,
    Json(set): Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    let level = level(L::SPEC, values(key), &set).map_err(not_accepted)?;
    let only = Only {
        as_seen: condition(&headers)?,
        not_as_seen: condition(&headers)?,
    };
    let place = format!("/{}/{}", L::SPEC.path, level.key.join("/"));
    let (stock, created) = inventory::put(&handle, level, only, trace).await?;
    let tag = [(header::ETAG, etag(&stock))];
    let shown = Json(ShownStock::of::<L>(stock));
    Ok(if created {
        let place = [(header::LOCATION, place)];
        (StatusCode::CREATED, place, tag, shown).into_response()
    } else {
        (tag, shown).into_response()
    })
}

async fn show<L: Leg>(
    State(handle): State<LegHandle<L>>,
    key: Key,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let stock = shelf::get(&handle, &values(key)).await?;
    let seen: Option<IfNoneMatch> = condition(&headers)?;
    let tag = etag(&stock);
    let is_news = seen
        .zip(tag.parse::<ETag>().ok())
        .is_none_or(|(seen, tag)| seen.precondition_passes(&tag));
    let tag = [(header::ETAG, tag)];
    Ok(if is_news {
        (tag, Json(ShownStock::of::<L>(stock))).into_response()
    } else {
        (StatusCode::NOT_MODIFIED, tag).into_response()
    })
}

/// `If-Match` or `If-None-Match`. The reader of these headers takes any text for a tag, and one without its quotes would match nothing:
/// a condition that somebody meant would be none.
fn condition<H: headers::Header>(headers: &HeaderMap) -> Result<Option<H>, Problem> {
    let is_tag = |tag: &str| {
        let tag = tag.trim();
        let quoted = tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"');
        let inside = quoted.and_then(|rest| rest.strip_suffix('"'));
        inside.is_some_and(|inside| inside.bytes().all(|b| matches!(b, b'!' | b'#'..=b'~')))
    };
    let well_written = headers.get_all(H::name()).iter().all(|value| {
        let text = value.to_str().unwrap_or_default();
        let mut quoted = false;
        // A comma within quotes belongs to the tag.
        let mut tags = text.split(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        text.trim() == "*" || tags.all(is_tag)
    });
    let found = well_written.then(|| headers.typed_try_get().ok()).flatten();
    found.ok_or_else(|| {
        let header = H::name();
        let detail = format!(
            "The header `{header}` is neither `*` nor a list of quoted tags, as an `ETag` has them."
        );
        Problem::new(
            StatusCode::BAD_REQUEST,
            "condition",
            "Unusable condition",
            detail,
        )
    })
}

async fn page<L: Leg>(
    State(handle): State<LegHandle<L>>,
    Query(page): Query<Page>,
    Query(filter): Query<BTreeMap<String, String>>,
) -> Result<List<ShownStock>, Problem> {
    let page = shelf::list(&handle, &page, &filter).await?;
    Ok(List {
        items: page.items.into_iter().map(ShownStock::of::<L>).collect(),
        next_cursor: page.next_cursor,
        total: page.total,
    })
}

async fn import<L: Leg>(
    State(handle): State<LegHandle<L>>,
    Extension(trace): Extension<TraceContext>,
    headers: HeaderMap,
    csv: Bytes,
) -> Result<Json<Imported>, Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case("text/csv") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-type",
            "Not a CSV",
            "The body has to be a CSV and to say so; send `Content-Type: text/csv`.",
        ));
    }
    inventory::import(&handle, &csv, trace).await.map(Json)
}

/// What a body says that there shall be: exactly these three fields.
fn level(spec: &LegSpec, key: Vec<String>, set: &Map<String, Value>) -> Result<StockLevel, String> {
    let fields = [spec.unit, "price_minor", "currency"];
    if let Some(other) = set.keys().find(|name| !fields.contains(&name.as_str())) {
        return Err(format!(
            "unknown field {other:?}; there are {}",
            fields.join(", ")
        ));
    }
    let number = |name: &str| {
        let given = set.get(name).and_then(Value::as_number);
        let given = given.and_then(whole_number);
        given.ok_or_else(|| format!("{name} has to be there, as a whole number"))
    };
    let currency = set.get("currency").and_then(Value::as_str);
    Ok(StockLevel {
        key,
        total: number(spec.unit)?,
        price_minor: number("price_minor")?,
        currency: currency
            .ok_or("currency has to be there, as an ISO 4217 code such as EUR")?
            .to_owned(),
    })
}

/// What there is of one row: the columns of its key, then the numbers.
struct ShownStock {
    spec: &'static LegSpec,
    stock: Stock,
}

impl ShownStock {
    fn of<L: Leg>(stock: Stock) -> Self {
        Self {
            spec: L::SPEC,
            stock,
        }
    }
}

impl Serialize for ShownStock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (column, value) in self.spec.stock.key.iter().zip(&self.stock.key) {
            map.serialize_entry(column.name, value)?;
        }
        map.serialize_entry("total", &self.stock.total)?;
        map.serialize_entry("held", &self.stock.held)?;
        map.serialize_entry("confirmed", &self.stock.confirmed)?;
        map.serialize_entry("free", &self.stock.free)?;
        map.serialize_entry("price", &self.stock.price())?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;
    use crate::document::tests::SPEC;

    #[test]
    fn a_body_has_exactly_its_three_fields() {
        let read = |body: Value| level(&SPEC, vec![], body.as_object().unwrap());
        let whole = json!({"cars": 2, "price_minor": 100, "currency": "EUR"});
        let level = read(whole.clone()).unwrap();
        assert_eq!((level.total, level.price_minor), (2, 100));
        let with_point = json!({"cars": 2.0, "price_minor": 254_435_539_158.0, "currency": "EUR"});
        let level = read(with_point).unwrap();
        assert_eq!((level.total, level.price_minor), (2, 254_435_539_158));
        for (field, value, word) in [
            ("cars", json!("2"), "cars"),
            ("cars", json!(1.5), "cars"),
            ("price_minor", Value::Null, "price_minor"),
            ("currency", json!(1), "currency"),
            ("seats", json!(1), "seats"),
        ] {
            let mut body = whole.clone();
            body[field] = value;
            assert!(read(body).unwrap_err().contains(word), "{field}");
        }
    }
}
