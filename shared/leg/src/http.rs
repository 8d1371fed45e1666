//! A leg's inventory over HTTP, the same for every leg: its paths, its fields and its OpenAPI document come from its [`LegSpec`].
//!
//! `PUT` and `GET /{path}/{key…}` set and show one row, `GET /{path}` lists them, `POST /{path}/import` takes a CSV. What is done with
//! them is [`crate::inventory`]'s.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use headers::{ETag, HeaderMapExt as _, IfNoneMatch};
use runtime::http::{Json, List, Page, Path, Query};
use runtime::{Problem, TraceContext};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;
use utoipa::{IntoParams as _, PartialSchema as _};
use utoipa_axum::router::OpenApiRouter;

use crate::core::Stock;
use crate::inventory::{self, IMPORT_MAX, Imported, LegHandle, not_accepted};
use crate::service::{Leg, LegSpec, Only, StockLevel, etag};

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

/// The path of one row, such as `/flights/{flight}/{date}`.
fn one(spec: &LegSpec) -> String {
    let columns = spec.stock.key.iter();
    columns.fold(format!("/{}", spec.path), |path, column| {
        format!("{path}/{{{}}}", column.name)
    })
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
    let stock = inventory::get(&handle, &values(key)).await?;
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

/// `If-Match` or `If-None-Match`.
fn condition<H: headers::Header>(headers: &HeaderMap) -> Result<Option<H>, Problem> {
    headers.typed_try_get().map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "condition",
            "Unusable condition",
            format!(
                "The header `{}` is neither `*` nor a list of quoted tags, as an `ETag` has them.",
                H::name()
            ),
        )
    })
}

async fn page<L: Leg>(
    State(handle): State<LegHandle<L>>,
    Query(page): Query<Page>,
) -> Result<List<ShownStock>, Problem> {
    let page = inventory::list(&handle, &page).await?;
    Ok(List {
        items: page.items.into_iter().map(ShownStock::of::<L>).collect(),
        next_cursor: page.next_cursor,
        total: None,
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
        let given = set.get(name).and_then(Value::as_i64);
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

/// The OpenAPI document of these routes.
fn document(spec: &LegSpec) -> OpenApi {
    let names = Names::of(spec);
    let document = json!({
        "openapi": "3.1.0",
        "info": {"title": spec.about.title, "version": spec.about.version},
        "paths": paths(spec, &names),
        "components": {"schemas": schemas(spec, &names)},
    });
    serde_json::from_value(document).unwrap_or_default()
}

/// What its schemas are called: of one row, of what a `PUT` says, of a page.
struct Names {
    row: String,
    set: String,
    list: String,
}

impl Names {
    fn of(spec: &LegSpec) -> Self {
        let row = capitalised(spec.unit);
        Self {
            set: format!("Set{row}"),
            list: format!("List_{row}"),
            row,
        }
    }
}

fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn paths(spec: &LegSpec, names: &Names) -> Value {
    let content = |name: &str| json!({"application/json": {"schema": schema(name)}});
    let answer = |name: &str, description: &str| json!({"description": description, "content": content(name)});
    let columns = spec.stock.key.iter().zip(spec.key);
    let key: Vec<Value> = columns
        .map(|(column, what)| {
            json!({"name": column.name, "in": "path", "required": true, "description": what, "schema": {"type": "string"}})
        })
        .collect();
    let header: Vec<&str> = spec.stock.key.iter().map(|column| column.name).collect();
    let date = header.last().copied().unwrap_or_default();
    let (header, unit, path) = (header.join(","), spec.unit, spec.path);
    let link = json!({"Link": {"description": "The next page, as `rel=\"next\"`", "schema": {"type": "string"}}});
    let mut page = answer(&names.list, "One page of it");
    page["headers"] = link;
    let tags = json!(["inventory"]);
    let tagged = |description: &str| {
        let mut answer = answer(&names.row, description);
        answer["headers"] = json!({"ETag": {"description": "Which state of it this is", "schema": {"type": "string"}}});
        answer
    };
    let with = |conditions: &[&str]| {
        let conditions = conditions.iter().map(|name| {
            json!({"name": name, "in": "header", "required": false, "description": "An `ETag`, or `*`", "schema": {"type": "string"}})
        });
        key.iter().cloned().chain(conditions).collect::<Value>()
    };
    json!({
        one(spec): {
            "get": {
                "operationId": format!("show_{path}"), "tags": tags, "parameters": with(&["If-None-Match"]),
                "summary": "How many there are, held, confirmed and free.",
                "responses": {"200": tagged("What there is"), "304": {"description": "It is as `If-None-Match` has it"}, "404": {"description": "There is no such row"}},
            },
            "put": {
                "operationId": format!("set_{path}"), "tags": tags, "parameters": with(&["If-Match", "If-None-Match"]),
                "summary": "Sets how many there are and what one costs. Trips keep the price they were held at.",
                "requestBody": {"content": content(&names.set), "required": true},
                "responses": {
                    "200": tagged("What there is now"), "201": tagged("It was not there before"),
                    "409": {"description": "Trips hold more than that"}, "412": {"description": "It is not as the request wants it"},
                },
            },
        },
        format!("/{path}"): {"get": {
            "operationId": format!("list_{path}"), "tags": tags, "parameters": Page::into_params(|| None),
            "summary": "All of it, page by page.",
            "responses": {"200": page},
        }},
        format!("/{path}/import"): {"post": {
            "operationId": format!("import_{path}"), "tags": tags,
            "summary": format!("Takes a CSV with the header `{header},{unit},price_minor,currency`; `{date}` may be a range `2026-12-01..2026-12-31`. All of it or nothing."),
            "requestBody": {"content": {"text/csv": {"schema": {"type": "string"}}}, "required": true},
            "responses": {"200": answer("Imported", "What was read and written"), "409": {"description": "Trips hold more than a new total"}, "422": {"description": "Lines that cannot be taken, by number"}},
        }},
    })
}

fn schemas(spec: &LegSpec, names: &Names) -> Value {
    let count = |what: &str| json!({"type": "integer", "format": "int64", "description": what});
    let text = |what: &str| json!({"type": "string", "description": what});
    let mut fields: Vec<(&str, Value)> = Vec::new();
    for (column, what) in spec.stock.key.iter().zip(spec.key) {
        fields.push((column.name, text(what)));
    }
    fields.push(("total", count("held + confirmed + free.")));
    fields.push(("held", count("For trips that are not decided yet.")));
    fields.push(("confirmed", count("Firm.")));
    fields.push(("free", count("Left.")));
    fields.push(("price", schema("Money")));
    let required: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    json!({
        "Imported": Imported::schema(),
        "Money": {
            "type": "object", "required": ["amount_minor", "currency"],
            "description": "What one costs today, in the smallest unit of its currency.",
            "properties": {
                "amount_minor": count("How many of the smallest unit."),
                "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217, such as `EUR`."},
            },
        },
        names.row.as_str(): {
            "type": "object", "description": "What there is.", "required": required,
            "properties": Value::from_iter(fields),
        },
        names.set.as_str(): {
            "type": "object", "description": "What there shall be.", "additionalProperties": false,
            "required": [spec.unit, "price_minor", "currency"],
            "properties": {
                spec.unit: count("How many in all; not fewer than trips hold."),
                "price_minor": count("What one costs, in minor units of the currency."),
                "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217, such as `EUR`."},
            },
        },
        names.list.as_str(): {
            "type": "object", "description": "One page of a list.", "required": ["items"],
            "properties": {
                "items": {"type": "array", "items": schema(&names.row), "description": "The items of this page."},
                "next_cursor": {"type": ["string", "null"], "description": "What to pass as `cursor` for the next page; null on the last."},
            },
        },
    })
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use runtime::http::About;
    use sqlx::migrate::Migrator;

    use super::*;

    const SPEC: LegSpec = LegSpec {
        name: "car",
        about: About {
            title: "Cars",
            description: "",
            version: "1",
        },
        path: "garage",
        unit: "cars",
        dates: &[],
        stock: &crate::stock_table("car", &[crate::text("model"), crate::text("day")]),
        key: &["The model.", "The day."],
        migrations: || Migrator::with_migrations(Vec::new()),
    };

    #[test]
    fn every_path_and_every_type_is_described() {
        let document = serde_json::to_value(document(&SPEC)).unwrap();
        let names = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            names(&document["paths"]),
            ["/garage", "/garage/import", "/garage/{model}/{day}"]
        );
        let schemas = &document["components"]["schemas"];
        assert_eq!(
            names(schemas),
            ["Cars", "Imported", "List_Cars", "Money", "SetCars"]
        );
        let fields = [
            "confirmed",
            "day",
            "free",
            "held",
            "model",
            "price",
            "total",
        ];
        assert_eq!(names(&schemas["Cars"]["properties"]), fields);
        assert_eq!(
            schemas["SetCars"]["required"],
            json!(["cars", "price_minor", "currency"])
        );
    }

    #[test]
    fn a_body_has_exactly_its_three_fields() {
        let read = |body: Value| level(&SPEC, vec![], body.as_object().unwrap());
        let whole = json!({"cars": 2, "price_minor": 100, "currency": "EUR"});
        let level = read(whole.clone()).unwrap();
        assert_eq!((level.total, level.price_minor), (2, 100));
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
