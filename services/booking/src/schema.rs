//! What booking's OpenAPI document says of values whose types know nothing of OpenAPI, and of the legs that have joined.
//!
//! Only descriptions: nothing here is read or written. Which legs there are is not known here; it comes from the table `joined_leg`.

use choreography::Joined;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// An amount in the smallest unit of its currency: 12300 EUR are 123.00 euros, 12300 JPY are 12,300 yen.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of choreography's type")]
pub(crate) struct Money {
    /// How many of the smallest unit.
    amount_minor: i64,
    /// ISO 4217, such as `EUR`.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
}

/// Why something did not go through.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of choreography's type")]
pub(crate) struct Reason {
    /// For programs, in kebab-case, such as `sold-out`; legs have codes of their own.
    #[schema(example = "sold-out")]
    code: String,
    /// For people.
    message: String,
}

/// Where a trip stands: `undoing` is off with not everything back yet, `closed` is off with everything back.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "a description of the core's type")]
pub(crate) enum State {
    /// Asked for; the legs are at work.
    Pending,
    /// It goes through.
    Confirmed,
    /// Off, and not everything is back yet.
    Undoing,
    /// Off, and everything is back.
    Closed,
}

/// How a trip ended.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "a description of the core's type")]
pub(crate) enum Outcome {
    /// It goes through.
    Confirmed,
    /// A leg refused it.
    Rejected,
    /// The traveller cancelled it.
    Cancelled,
    /// Its deadline passed.
    Expired,
}

/// How it is known that a position holds nothing.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "a description of the core's type")]
pub(crate) enum Settled {
    /// It refused.
    Rejected,
    /// It gave back.
    Released,
    /// It comes after one that refused, so its turn never came.
    Behind,
    /// An operator said so.
    ByHand,
}

/// One leg of an itinerary: `leg` says whose it is, and the rest is that leg's own.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of a part of an itinerary")]
pub(crate) struct ItineraryLeg {
    /// The leg's name, one of those that `/legs` lists.
    #[schema(example = "flight")]
    leg: String,
}

/// The schema of one leg in a document.
const LEG: &str = "ItineraryLeg";
/// The schema of a leg that nobody knows yet.
const OTHER: &str = "OtherLeg";

/// Says of each leg that has joined what it said of its details, and leaves room for legs that nobody knows yet.
pub(crate) fn describe_legs(document: &mut Value, joined: &[Joined]) {
    let Some(schemas) = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let Some(Value::Object(mut other)) = schemas.remove(LEG) else {
        return;
    };
    let names: Vec<&str> = joined.iter().map(|leg| leg.leg.as_str()).collect();
    let leg = other
        .get_mut("properties")
        .and_then(|properties| properties.get_mut("leg"))
        .and_then(Value::as_object_mut);
    if let Some(leg) = leg
        && !names.is_empty()
    {
        leg.insert(String::from("not"), json!({"enum": names}));
    }
    other.insert(String::from("additionalProperties"), Value::Bool(true));
    let mut kinds = Vec::new();
    for leg in joined {
        let mut name = format!("{}Leg", capitalised(leg.leg.as_str()));
        while name == LEG || name == OTHER || schemas.contains_key(&name) {
            name.push('_');
        }
        kinds.push(json!({"$ref": format!("#/components/schemas/{name}")}));
        schemas.insert(name, of(leg));
    }
    kinds.push(json!({"$ref": format!("#/components/schemas/{OTHER}")}));
    schemas.insert(OTHER.to_owned(), Value::Object(other));
    let description =
        "One leg of an itinerary: `leg` says whose it is, and the rest is that leg's own.";
    schemas.insert(
        LEG.to_owned(),
        json!({"description": description, "oneOf": kinds}),
    );
}

fn of(leg: &Joined) -> Value {
    let mut fields = Map::new();
    let name = leg.leg.as_str();
    for count in &leg.counts {
        let field = json!({"type": "integer", "format": "int64", "minimum": 1, "description": "How many; written without a fraction."});
        fields.insert(count.clone(), field);
    }
    for date in &leg.dates {
        let field = json!({"type": "string", "format": "date", "description": "A local calendar date, not in the past."});
        fields.insert(date.clone(), field);
    }
    // Last: whatever a leg says of its details, this is its name.
    fields.insert(
        String::from("leg"),
        json!({"type": "string", "const": name}),
    );
    let required: Vec<&String> = fields.keys().collect();
    json!({
        "type": "object",
        "description": format!("A leg of the service `{name}`; its own document describes the rest of it."),
        "required": required,
        "properties": fields,
        "additionalProperties": true,
    })
}

/// `car-hire` as `CarHire`.
fn capitalised(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .flat_map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters)
        })
        .collect()
}
