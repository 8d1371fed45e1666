//! Whether what was published is what the contract says: every message of every world against the JSON Schemas of the repository, and its
//! subject against the table of facts. Not what a fact means, nor whether it was its time: that is for the cores and the models.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use choreography::{Line, Role, TABLE};
use serde_json::{Map, Value};

use crate::timeline::Published;

/// A JSON Schema, ready to be asked.
pub struct Schema {
    all: Schemas,
    index: SchemaIndex,
}

impl Schema {
    /// Reads one, with formats as something to hold to.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn of(schema: &Value) -> Self {
        const HERE: &str = "urn:schema";
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource(HERE, schema.clone()).unwrap();
        let mut all = Schemas::new();
        let index = compiler.compile(HERE, &mut all);
        let index = index.unwrap_or_else(|error| panic!("{error:#}: {schema}"));
        Self { all, index }
    }

    /// What of a value it does not allow, in words.
    ///
    /// # Errors
    /// With those words.
    pub fn allows(&self, value: &Value) -> Result<(), String> {
        let validated = self.all.validate(value, self.index);
        validated.map_err(|error| format!("{error:#}"))
    }
}

struct Contract {
    headers: Schema,
    bodies: BTreeMap<&'static str, Schema>,
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/choreography/schemas/v1");
    let schema = |name: &str| {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        Schema::of(&serde_json::from_str(&text).unwrap())
    };
    let body = |line: &Line| {
        let speaker = speaker(line).unwrap_or("leg");
        (line.fact, schema(&format!("{speaker}.{}", line.fact)))
    };
    Contract {
        headers: schema("headers"),
        bodies: TABLE.iter().map(body).collect(),
    }
});

/// Booking, if it is one of its facts.
fn speaker(line: &Line) -> Option<&'static str> {
    (line.said_by == Role::Booking).then_some("booking")
}

/// The line of the table that a type names, in the version spoken today.
fn line(kind: &str) -> Option<&'static Line> {
    let mut parts = kind.split('.');
    let (who, fact) = (parts.next()?, parts.next()?);
    let line = TABLE.iter().find(|line| line.fact == fact)?;
    let version = parts.next() == Some("v1") && parts.next().is_none();
    let may = (who == "booking") == (line.said_by == Role::Booking);
    (version && may).then_some(line)
}

/// What is wrong with a message. One that a test made up is not to be asked about.
#[must_use]
pub fn faults(word: &Published) -> Vec<String> {
    let kind = word.header("ce-type");
    let Some(line) = line(kind) else {
        return vec![format!("{kind:?} is no fact of the table")];
    };
    let headers: Map<String, Value> = word
        .headers
        .iter()
        .map(|(name, values)| (name.to_string(), values[0].to_string().into()))
        .collect();
    let mut faults = Vec::new();
    let mut hold = |what: &str, schema: &Schema, value: &Value| {
        let error = schema.allows(value).err();
        faults.extend(error.map(|error| format!("{what}: {error}")));
    };
    hold("headers", &CONTRACT.headers, &headers.into());
    match serde_json::from_slice(&word.payload) {
        Ok(body) => {
            hold("body", &CONTRACT.bodies[line.fact], &body);
            let subject = subject(line, kind, &body);
            if subject != word.subject {
                faults.push(format!("it is said on {} and not {subject}", word.subject));
            }
            let member = if line.fact == "joined" { "leg" } else { "trip" };
            let about = word.header("ce-subject");
            if body[member] != about {
                faults.push(format!("it is about {} and not {about:?}", body[member]));
            }
        }
        Err(error) => faults.push(format!("the body is no JSON: {error}")),
    }
    faults
}

/// Where the table has it said.
fn subject(line: &Line, kind: &str, body: &Value) -> String {
    let speaker = kind.split('.').next().unwrap_or_default();
    let next = match (line.fact, body["position"].as_u64()) {
        ("requested", _) => 0,
        (_, Some(position)) => (position as usize).saturating_add(1),
        (_, None) => usize::MAX,
    };
    let next = body["itinerary"][next]["leg"].as_str().unwrap_or("booking");
    line.subject
        .replace("<leg>", speaker)
        .replace("<next>", next)
}

/// What is wrong with any of them, each thing once and no more than 20 of them. What is in `made_up` was a test's own.
pub(crate) fn judge(words: &[Published], made_up: &BTreeSet<Vec<u8>>) -> BTreeSet<String> {
    let ours = words.iter().filter(|word| !made_up.contains(&word.key()));
    let found = ours.flat_map(|word| {
        let about = format!("{} on {}", word.header("ce-type"), word.subject);
        let said = String::from_utf8_lossy(&word.payload).into_owned();
        let faults = faults(word).into_iter();
        faults.map(move |fault| format!("{about}: {fault}\n  {said}"))
    });
    let found: BTreeSet<String> = found.collect();
    found.into_iter().take(20).collect()
}
