//! A leg's OpenAPI document, from its [`LegSpec`]: what [`crate::http`] serves, described. Nothing is served here.

use runtime::http::Page;
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;
use utoipa::{IntoParams as _, PartialSchema as _};

use crate::inventory::{Imported, PRICE_MAX, TOTAL_MAX};
use crate::service::LegSpec;

/// The path of one row, such as `/flights/{flight}/{date}`.
pub(crate) fn one(spec: &LegSpec) -> String {
    let columns = spec.stock.key.iter();
    columns.fold(format!("/{}", spec.path), |path, column| {
        format!("{path}/{{{}}}", column.name)
    })
}

/// The OpenAPI document of a leg's routes.
pub(crate) fn document(spec: &LegSpec) -> OpenApi {
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

/// A part of a row's key, as `check` and `date` of the inventory take it.
fn part(is_date: bool) -> Value {
    if is_date {
        json!({"type": "string", "format": "date"})
    } else {
        json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"})
    }
}

fn paths(spec: &LegSpec, names: &Names) -> Value {
    let content = |name: &str| json!({"application/json": {"schema": schema(name)}});
    let answer = |name: &str, description: &str| json!({"description": description, "content": content(name)});
    let header: Vec<&str> = spec.stock.key.iter().map(|column| column.name).collect();
    let date = header.last().copied().unwrap_or_default();
    let columns = spec.stock.key.iter().zip(spec.key);
    let key: Vec<Value> = columns
        .map(|(column, what)| {
            let schema = part(column.name == date);
            json!({"name": column.name, "in": "path", "required": true, "description": what, "schema": schema})
        })
        .collect();
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
            json!({"name": name, "in": "header", "required": false, "description": "An `ETag`, or `*`", "schema": {"type": "string", "minLength": 1}})
        });
        key.iter().cloned().chain(conditions).collect::<Value>()
    };
    let mut narrow: Vec<Value> = Page::into_params(|| None)
        .into_iter()
        .map(|param| json!(param))
        .collect();
    for column in spec.stock.key {
        let what = format!("Only rows with this {}", column.name);
        narrow.push(json!({"name": column.name, "in": "query", "required": false, "description": what, "schema": {"type": "string"}}));
    }
    narrow.push(json!({"name": "total", "in": "query", "required": false, "description": "Whether to count them, over all pages; 10000 stands for as many or more", "schema": {"type": "boolean"}}));
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
            "operationId": format!("list_{path}"), "tags": tags, "parameters": narrow,
            "summary": "All of it, or some of it, page by page.",
            "responses": {"200": page},
        }},
        format!("/{path}/import"): {"post": {
            "operationId": format!("import_{path}"), "tags": tags,
            "summary": format!("Takes a CSV with the header `{header},{unit},price_minor,currency`; `{date}` may be a range `2026-12-01..2026-12-31`. All of it or nothing."),
            "requestBody": {"content": {"text/csv": {"schema": {"type": "string", "minLength": 1}}}, "required": true},
            "responses": {"200": answer("Imported", "What was read and written"), "409": {"description": "Trips hold more than a new total"}, "422": {"description": "Lines that cannot be taken, by number"}},
        }},
    })
}

fn schemas(spec: &LegSpec, names: &Names) -> Value {
    let count = |what: &str| json!({"type": "integer", "format": "int64", "description": what});
    let to = |most: i64, what: &str| json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": most, "description": what});
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
                spec.unit: to(TOTAL_MAX, "How many in all; not fewer than trips hold."),
                "price_minor": to(PRICE_MAX, "What one costs, in minor units of the currency."),
                "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217, such as `EUR`."},
            },
        },
        names.list.as_str(): {
            "type": "object", "description": "One page of a list.", "required": ["items"],
            "properties": {
                "items": {"type": "array", "items": schema(&names.row), "description": "The items of this page."},
                "next_cursor": {"type": ["string", "null"], "description": "What to pass as `cursor` for the next page; null on the last."},
                "total": {"type": ["integer", "null"], "format": "int64", "description": "How many there are over all pages, where it was asked for."},
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
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use runtime::http::About;
    use sqlx::migrate::Migrator;

    use super::*;

    pub(crate) const SPEC: LegSpec = LegSpec {
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
}
