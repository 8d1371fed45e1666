//! A JSON Schema (2020-12) of every body and of the headers. Which fields a body has is what its golden file has; which of them must be there
//! is what the reader misses; what each field is, stands here in words, and `agree.rs` holds it against the reader.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::golden::{self, Golden};

/// Where they lie.
pub(crate) const FOLDER: &str = "shared/choreography/schemas/v1";
/// The headers'.
pub(crate) const HEADERS: &str = "shared/choreography/schemas/v1/headers.json";
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

pub(crate) fn path(golden: &Golden) -> String {
    format!("{FOLDER}/{}.json", golden.file)
}

/// What a fact says, in a line.
pub(crate) fn meaning(fact: &str) -> &'static str {
    match fact {
        "requested" => "Booking: somebody wants this trip.",
        "reserved" => "A leg: I hold it, at this price.",
        "rejected" => "A leg that never held: I will not.",
        "confirmed" => "Booking: every leg holds, so it is firm. The pivot.",
        "cancelled" => "Booking: it is off; give back what you hold.",
        "released" => "A leg: I hold nothing for it any more. The compensating fact.",
        "settled" => "Booking: an operator settled this position by hand.",
        "joined" => "A leg service is there, and can be booked.",
        other => panic!("{other} is not explained"),
    }
}

/// What fields are, by name. A body with a field that is not here is red.
fn field(name: &str) -> Value {
    let money = json!({"$ref": "#/$defs/Money"});
    match name {
        "trip" => json!({
            "description": "The trip's id, in the form that UUIDs have; the header `ce-subject` has the same.",
            "type": "string", "format": "uuid",
            "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        }),
        "itinerary" => json!({
            "description": "The legs, in order. Relayed byte for byte by everybody, with what they do not know in it.",
            "type": "array", "minItems": 1, "maxItems": choreography::LEGS_MAX,
            "items": {"$ref": "#/$defs/Leg"},
        }),
        "deadline" => json!({
            "description": "When booking gives up waiting: RFC 3339, in UTC.",
            "type": "string", "format": "date-time", "pattern": "Z$",
        }),
        "budget" => described(
            money,
            "What all legs together may cost; the leg that would exceed it refuses. Absent where there is none.",
        ),
        "position" => json!({
            "description": "Which place on the itinerary, from 0; the speaker's own, unless booking settles it.",
            "type": "integer", "minimum": 0, "maximum": choreography::LEGS_MAX - 1,
        }),
        "price" => described(
            money,
            "What this leg costs, recorded at the hold and said again verbatim.",
        ),
        "total" => json!({
            "description": "What all legs up to and with this one cost: one sum for each currency, sorted by its code.",
            "type": "array", "minItems": 1, "items": money,
        }),
        "reason" => json!({"$ref": "#/$defs/Reason"}),
        "leg" => json!({"$ref": "#/$defs/LegName"}),
        "counts" => json!({
            "description": "Fields of its details that are whole numbers of at least 1: booking refuses others at the door.",
            "type": "array", "items": {"type": "string"},
        }),
        "dates" => json!({
            "description": "Fields of its details that are local calendar dates: booking refuses those in the past at the door.",
            "type": "array", "items": {"type": "string"},
        }),
        other => panic!("the field {other} has no schema"),
    }
}

fn described(mut schema: Value, words: &str) -> Value {
    schema["description"] = words.into();
    schema
}

/// What several fields are made of.
fn definitions() -> BTreeMap<&'static str, Value> {
    let whole = json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX});
    BTreeMap::from([
        (
            "Money",
            json!({
                "type": "object", "required": ["amount_minor", "currency"],
                "properties": {
                    "amount_minor": described(whole, "How many of the currency's smallest unit (cents of EUR, yen of JPY); written without a point."),
                    "currency": {"description": "ISO 4217.", "type": "string", "pattern": "^[A-Z]{3}$"},
                },
            }),
        ),
        (
            "Reason",
            json!({
                "description": "Why it happened.",
                "type": "object", "required": ["code"],
                "properties": {
                    "code": {"description": "For programs, in kebab-case, such as `sold-out`.", "type": "string", "maxLength": 64},
                    "message": {"description": "For people.", "type": "string", "maxLength": 500},
                },
            }),
        ),
        (
            "LegName",
            json!({
                "description": "A leg's name, its durable consumer's too.",
                "type": "string", "pattern": "^[a-z0-9-]{1,32}$", "not": {"const": "booking"},
            }),
        ),
        (
            "Leg",
            json!({
                "description": "One leg: its name, and details that only that leg understands.",
                "type": "object", "required": ["leg"], "properties": {"leg": {"$ref": "#/$defs/LegName"}},
            }),
        ),
    ])
}

/// The body's schema alone, with references into `#/$defs`.
pub(crate) fn body(golden: &Golden) -> Value {
    let said = golden.body();
    let said = said.as_object().unwrap();
    let properties: Map<String, Value> = said
        .keys()
        .map(|name| (name.clone(), field(name)))
        .collect();
    let missed = |name: &&String| {
        let mut without = said.clone();
        without.remove(*name);
        let without = Value::Object(without).to_string();
        choreography::read(&golden.kind, &golden.entity, without.as_bytes()).is_err()
    };
    let required: Vec<&String> = said.keys().filter(missed).collect();
    json!({
        "title": golden.line.fact,
        "description": meaning(golden.line.fact),
        "type": "object",
        "required": required,
        "properties": properties,
    })
}

/// The same as a document of its own.
pub(crate) fn document(golden: &Golden) -> Value {
    let mut schema = body(golden);
    schema["$schema"] = DIALECT.into();
    schema["$id"] = format!("urn:roundtrip:v1:{}", golden.file).into();
    let mut used = BTreeMap::new();
    let all = definitions();
    let mut text = schema.to_string();
    for _ in 0..2 {
        let named = all.iter();
        let named = named.filter(|(name, _)| text.contains(&format!("#/$defs/{name}\"")));
        used = named
            .map(|(name, it)| ((*name).to_owned(), it.clone()))
            .collect();
        text += &json!(used).to_string();
    }
    schema["$defs"] = json!(used);
    schema
}

/// All schemas by name, with references as an AsyncAPI document has them.
pub(crate) fn components() -> Value {
    let mut all: Map<String, Value> = golden::all()
        .iter()
        .map(|golden| (golden.line.fact.to_owned(), body(golden)))
        .collect();
    all.extend(
        definitions()
            .into_iter()
            .map(|(name, it)| (name.to_owned(), it)),
    );
    all.insert(String::from("headers"), headers());
    let text = json!(all).to_string();
    serde_json::from_str(&text.replace("#/$defs/", "#/components/schemas/")).unwrap()
}

/// What each header is. One that the runtime writes and that is not here is red.
pub(crate) fn header(name: &str) -> &'static str {
    match name {
        "Nats-Msg-Id" => {
            "What the broker drops repeats by. A repeat after a failure or a start has a new one, and the same `ce-id`"
        }
        "ce-specversion" => "CloudEvents, binary mode",
        "ce-id" => "This saying, a UUID: a new one is a question, the same one an echo",
        "ce-source" => "`/` and the speaker's name",
        "ce-type" => "`<speaker>.<fact>.v<major version>`",
        "ce-subject" => "What it is about: the trip's id; of `joined` the leg's name",
        "ce-time" => "When it was decided: RFC 3339, in UTC",
        "ce-datacontenttype" => "What the body is",
        "ce-correlationid" => "As `ce-subject`: what belongs together",
        "ce-causationid" => {
            "The `ce-id` that it answers, or the id of a request over HTTP; absent where a timer spoke"
        }
        "traceparent" => "W3C trace context, where there is one",
        "tracestate" => "W3C trace context, where there is one",
        other => panic!("the header {other} is not explained"),
    }
}

fn headers() -> Value {
    let golden = &golden::all()[1];
    let always = golden.headers(false);
    let properties: Map<String, Value> = golden
        .headers(true)
        .into_keys()
        .map(|name| {
            let mut schema = json!({"type": "string", "description": header(&name)});
            match name.as_str() {
                "ce-specversion" => schema["const"] = "1.0".into(),
                "ce-datacontenttype" => schema["const"] = "application/json".into(),
                "ce-id" => schema["format"] = "uuid".into(),
                "ce-time" => schema["format"] = "date-time".into(),
                "ce-type" => schema["pattern"] = r"^[a-z0-9-]{1,32}\.[a-z]+\.v1$".into(),
                "ce-source" => schema["pattern"] = "^/[a-z0-9-]{1,32}$".into(),
                _ => {}
            }
            (name, schema)
        })
        .collect();
    json!({
        "title": "headers",
        "description": "The headers of every message: CloudEvents 1.0 in binary mode. Who reads needs ce-specversion, ce-id, ce-type and ce-subject, and minds no others.",
        "type": "object",
        "required": always.keys().collect::<Vec<_>>(),
        "properties": properties,
    })
}

pub(crate) fn headers_document() -> Value {
    let mut schema = headers();
    schema["$schema"] = DIALECT.into();
    schema["$id"] = "urn:roundtrip:v1:headers".into();
    schema
}
