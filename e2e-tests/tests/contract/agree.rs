//! The schemas against the reader: what was said is allowed, and whatever a schema allows is read. A foreign leg may go by either.

use e2e_tests::contract::Schema;
use serde_json::{Value, json};

use crate::{golden, schemas};

/// A body with one thing wrong or missing in it, and where.
fn broken(body: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let strange = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!("x"),
        json!("BOOKING"),
        json!("booking"),
        json!([]),
        json!([1]),
        json!({}),
    ];
    for path in paths(body, String::new()) {
        for value in &strange {
            let mut other = body.clone();
            *other.pointer_mut(&path).unwrap() = value.clone();
            all.push((format!("{path} is {value}"), other));
        }
        let (above, name) = path.rsplit_once('/').unwrap();
        let mut other = body.clone();
        match other.pointer_mut(above).unwrap() {
            Value::Object(members) => drop(members.remove(name)),
            Value::Array(items) => drop(items.remove(name.parse().unwrap())),
            _ => panic!("{above} has members"),
        }
        all.push((format!("{path} is not there"), other));
    }
    all
}

fn paths(value: &Value, above: String) -> Vec<String> {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(k, v)| (k.to_string(), v))
            .collect(),
        _ => Vec::new(),
    };
    let below = members.into_iter().flat_map(|(name, value)| {
        let path = format!("{above}/{name}");
        std::iter::once(path.clone()).chain(paths(value, path))
    });
    below.collect()
}

#[test]
fn whatever_a_schema_allows_is_read() {
    let (mut allowed, mut refused) = (0, 0);
    for golden in golden::all() {
        let schema = Schema::of(&schemas::document(&golden));
        for (what, body) in broken(&golden.body()) {
            let valid = schema.allows(&body).is_ok();
            // Only its own owner speaks for a position, and a trip is what the envelope says it is: no schema can say either.
            let text = body.to_string();
            let read = choreography::read(&golden.kind, &golden.entity, text.as_bytes());
            if valid {
                allowed += 1;
                let owner = |error: &choreography::WireError| {
                    ["can speak for", "speaks for"]
                        .iter()
                        .any(|words| error.to_string().contains(words))
                };
                assert!(
                    read.as_ref().err().is_none_or(owner),
                    "{}: {what}: allowed, and {read:?}",
                    golden.file
                );
            } else {
                refused += 1;
            }
        }
    }
    // A details' field is whatever it likes, and most of the rest is not.
    assert!(
        allowed > 400 && refused > 400,
        "{allowed} allowed, {refused} refused"
    );
}

#[test]
fn what_was_written_is_allowed_and_so_is_what_nobody_knows_yet() {
    let headers = Schema::of(&schemas::headers_document());
    for golden in golden::all() {
        let schema = Schema::of(&schemas::document(&golden));
        let mut body = golden.body();
        assert!(schema.allows(&body).is_ok(), "{}", golden.file);
        body["loyalty"] = json!({"card": [1, 2]});
        assert!(schema.allows(&body).is_ok(), "{}", golden.file);
        for whole in [true, false] {
            let mut said = json!(golden.headers(whole));
            assert!(headers.allows(&said).is_ok(), "{}", golden.file);
            said["X-Tomorrow"] = "yes".into();
            assert!(headers.allows(&said).is_ok(), "{}", golden.file);
        }
    }
}
