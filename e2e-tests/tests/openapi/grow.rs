//! What a caller of one version of an API would miss in a later one. Pure, so that every kind of loss can be planted.
//!
//! Written for OpenAPI 3.1 as far as our documents use it: no `allOf`, no discriminators, no callbacks.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// A document without its version and without words for people: what programs depend on.
pub(crate) fn bare(document: &Value) -> Value {
    let mut document = wordless(document);
    if let Some(members) = document.as_object_mut() {
        members.remove("info");
    }
    document
}

fn wordless(value: &Value) -> Value {
    const WORDS: [&str; 3] = ["description", "summary", "example"];
    match value {
        // A property may be called so: then it is a schema, and an object.
        Value::Object(members) => members
            .iter()
            .filter(|(name, value)| value.is_object() || !WORDS.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), wordless(value)))
            .collect(),
        Value::Array(items) => items.iter().map(wordless).collect(),
        other => other.clone(),
    }
}

/// Each thing that is lost, with the place where it was.
pub(crate) fn lost(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison {
        old,
        new,
        seen: BTreeSet::new(),
        lost: Vec::new(),
    };
    for (path, methods) in members(&old["paths"]) {
        for (method, operation) in members(methods) {
            let place = format!("{} {path}", method.to_uppercase());
            match new["paths"][path].get(method) {
                Some(now) => comparison.operation(&place, operation, now),
                None => comparison.lost.push(format!("{place} is gone")),
            }
        }
    }
    comparison.lost
}

/// Who writes a value: what may be added to it without breaking anybody depends on that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    /// Callers: everything that was taken is still taken.
    Caller,
    /// The service: everything that was said is still said, and nothing of another kind.
    Service,
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    /// Pairs of named schemas that are compared already.
    seen: BTreeSet<(By, String, String)>,
    lost: Vec<String>,
}

impl<'a> Comparison<'a> {
    fn operation(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        if old["operationId"] != new["operationId"] {
            self.lost.push(format!("{place} is called otherwise"));
        }
        let (before, now) = (items(&old["parameters"]), items(&new["parameters"]));
        let is = |a: &Value, b: &Value| a["name"] == b["name"] && a["in"] == b["in"];
        for parameter in before {
            let place = format!("{place}: parameter {}", parameter["name"]);
            match now.iter().find(|other| is(parameter, other)) {
                Some(other) => {
                    if other["required"] == true && parameter["required"] != true {
                        self.lost.push(format!("{place} is required now"));
                    }
                    self.schema(&place, By::Caller, &parameter["schema"], &other["schema"]);
                }
                None => self.lost.push(format!("{place} is gone")),
            }
        }
        for parameter in now.iter().filter(|parameter| parameter["required"] == true) {
            if !before.iter().any(|other| is(parameter, other)) {
                self.lost.push(format!(
                    "{place}: parameter {} is required now",
                    parameter["name"]
                ));
            }
        }
        if new["requestBody"]["required"] == true && old["requestBody"]["required"] != true {
            self.lost.push(format!("{place}: a body is required now"));
        }
        self.content(
            &format!("{place}: body"),
            By::Caller,
            &old["requestBody"],
            &new["requestBody"],
        );
        for (status, answer) in members(&old["responses"]) {
            let place = format!("{place}: {status}");
            let Some(now) = new["responses"].get(status) else {
                self.lost.push(format!("{place} is gone"));
                continue;
            };
            for (header, _) in members(&answer["headers"]) {
                if now["headers"].get(header).is_none() {
                    self.lost.push(format!("{place}: header {header} is gone"));
                }
            }
            self.content(&place, By::Service, answer, now);
        }
    }

    fn content(&mut self, place: &str, by: By, old: &'a Value, new: &'a Value) {
        for (media_type, old) in members(&old["content"]) {
            match new["content"].get(media_type) {
                Some(new) => self.schema(place, by, &old["schema"], &new["schema"]),
                None => self.lost.push(format!("{place}: {media_type} is gone")),
            }
        }
    }

    fn schema(&mut self, place: &str, by: By, old: &'a Value, new: &'a Value) {
        let (old_name, old) = resolved(self.old, old);
        let (new_name, new) = resolved(self.new, new);
        if let (Some(old), Some(new)) = (old_name, new_name)
            && !self.seen.insert((by, old.to_owned(), new.to_owned()))
        {
            return;
        }
        // What is smaller for whom: a caller's range may grow, a service's may shrink.
        let (narrow, wide) = match by {
            By::Caller => (old, new),
            By::Service => (new, old),
        };
        self.range(place, narrow, wide);
        for (name, property) in members(&old["properties"]) {
            let place = format!("{place}.{name}");
            match new["properties"].get(name) {
                Some(now) => self.schema(&place, by, property, now),
                None => self.lost.push(format!("{place} is gone")),
            }
        }
        let (more, fewer, word) = match by {
            By::Caller => (new, old, "is required now"),
            By::Service => (old, new, "may be missing now"),
        };
        for name in words(&more["required"]).difference(&words(&fewer["required"])) {
            self.lost.push(format!("{place}.{name} {word}"));
        }
        if let Some(items) = old.get("items") {
            self.schema(&format!("{place}[]"), by, items, &new["items"]);
        }
        for kind in items(&old["oneOf"]) {
            let (name, before) = resolved(self.old, kind);
            let now = items(&new["oneOf"]).iter().find(|now| {
                let (other, now) = resolved(self.new, now);
                name == other && (name.is_some() || before == now)
            });
            match now {
                Some(now) => self.schema(place, by, kind, now),
                None => self
                    .lost
                    .push(format!("{place}: {} is gone", name.unwrap_or("a kind"))),
            }
        }
    }

    /// The values that one of two schemas takes, without what is in them.
    fn range(&mut self, place: &str, narrow: &Value, wide: &Value) {
        for keyword in ["type", "enum", "const", "format", "pattern"] {
            let (narrow, wide) = (words(&narrow[keyword]), words(&wide[keyword]));
            // Without the keyword anything goes.
            if !wide.is_empty() && (narrow.is_empty() || !narrow.is_subset(&wide)) {
                self.lost.push(format!("{place}: another {keyword}"));
            }
        }
        for keyword in [
            "maximum",
            "maxLength",
            "maxItems",
            "minimum",
            "minLength",
            "minItems",
        ] {
            let fits = |narrow: f64, wide: f64| match keyword.starts_with("max") {
                true => narrow <= wide,
                false => narrow >= wide,
            };
            if let Some(wide) = wide[keyword].as_f64()
                && !narrow[keyword]
                    .as_f64()
                    .is_some_and(|narrow| fits(narrow, wide))
            {
                self.lost.push(format!("{place}: another {keyword}"));
            }
        }
        if wide["additionalProperties"] == false && narrow["additionalProperties"] != false {
            self.lost.push(format!("{place} takes no other fields now"));
        }
    }
}

/// A schema, and its name where it has one.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> (Option<&'a str>, &'a Value) {
    let name = schema["$ref"]
        .as_str()
        .and_then(|place| place.strip_prefix("#/components/schemas/"));
    match name {
        Some(name) => (Some(name), &document["components"]["schemas"][name]),
        None => (None, schema),
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// One word, or a list of them.
fn words(value: &Value) -> BTreeSet<&str> {
    let listed = items(value).iter().filter_map(Value::as_str);
    value.as_str().into_iter().chain(listed).collect()
}

/// Where a member of booking's document is taken away (`-`) or becomes another value, and what is then lost. A `/` in a path is `~1`.
const PLANTED: &str = r#"
/paths | /bookings/stuck | - | GET /bookings/stuck is gone
/paths/~1bookings | post | - | POST /bookings is gone
/paths/~1bookings/post | operationId | "book" | POST /bookings is called otherwise
/paths/~1bookings/get | parameters | [] | GET /bookings: parameter "state" is gone
/paths/~1bookings~1{trip}~1cancel/post/requestBody | required | true | a body is required now
/paths/~1bookings/post/responses | 202 | - | POST /bookings: 202 is gone
/paths/~1bookings/post/responses/202/headers | Location | - | header Location is gone
/paths/~1bookings/post/responses/200/content | application/json | - | application/json is gone
/components/schemas/Booking/properties | total | - | .total is gone
/components/schemas/Booking/properties/created | format | - | .created: another format
/components/schemas/Booking/properties/needs_attention | type | "string" | .needs_attention: another type
/components/schemas/Booking | required | [] | .trip may be missing now
/components/schemas/BookingRequest | required | ["itinerary", "traveller"] | body.traveller is required now
/components/schemas/BookingRequest/properties | deadline_s | - | body.deadline_s is gone
/components/schemas/State | enum | ["pending", "confirmed", "undoing", "closed", "lost"] | state: another enum
/components/schemas/Money/properties | amount_minor | - | amount_minor is gone
/components/schemas/BookingRequest/properties/deadline_s | maximum | 60 | .deadline_s: another maximum
/components/schemas/BookingRequest/properties/itinerary | minItems | 2 | .itinerary: another minItems
/components/schemas/FlightLeg | additionalProperties | false | takes no other fields now
/components/schemas/FlightLeg/properties/seats | type | "string" | .seats: another type
"#;

#[test]
fn each_kind_of_loss_is_named() {
    let frozen = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/openapi/booking.json");
    let frozen: Value = serde_json::from_str(&std::fs::read_to_string(frozen).unwrap()).unwrap();
    assert!(lost(&frozen, &frozen).is_empty());
    for planted in PLANTED.trim().lines() {
        let [place, member, value, word] = planted.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("{planted}");
        };
        let mut later = frozen.clone();
        let members = later.pointer_mut(place).and_then(Value::as_object_mut);
        let members = members.expect(place);
        let before = match value {
            "-" => members.remove(member),
            value => members.insert(member.to_owned(), serde_json::from_str(value).unwrap()),
        };
        assert!(before.is_some() || member == "required", "{planted}");
        let lost = lost(&frozen, &later);
        let told = lost.iter().any(|lost| lost.contains(word));
        assert!(told, "{word:?} is not among {lost:?}");
    }
    let mut grown = frozen.clone();
    grown["paths"]["/bookings/later"] = json!({"get": {}});
    for schema in ["Booking", "BookingRequest"] {
        grown["components"]["schemas"][schema]["properties"]["later"] = json!({"type": "string"});
    }
    assert!(lost(&frozen, &grown).is_empty(), "what is added is no loss");
}
