//! The AsyncAPI document: the bus as a leg sees it. Channels are the lines of the table, operations what of them a leg says and hears.

use async_nats::jetstream::consumer::IntoConsumerConfig as _;
use choreography::{Role, filters_for_leg};
use clap::{Args as _, FromArgMatches as _};
use runtime::{Settings, System};
use serde_json::{Map, Value, json};

use crate::golden::{self, Golden};
use crate::schemas;

/// As `participant` has it.
pub(crate) const SYSTEM: System = System {
    namespace: "roundtrip",
    stream: choreography::STREAM,
    subjects: choreography::STREAM_SUBJECTS,
};

/// The settings when nobody sets any.
pub(crate) fn settings() -> Settings {
    let command = Settings::augment_args(clap::Command::new("leg"));
    let given = ["leg", "--database-url", "sqlite://leg.db"];
    Settings::from_arg_matches(&command.get_matches_from(given)).unwrap()
}

/// What a leg's consumer is declared as, as the broker's API has it.
pub(crate) fn consumer(leg: &str) -> Value {
    let filters = filters_for_leg(&leg.parse().unwrap());
    let config = runtime::broker::consumer_config(SYSTEM, leg, &filters, &settings());
    bare(json!(config.into_consumer_config()))
}

/// What the stream is declared as, as the broker's API has it.
pub(crate) fn stream() -> Value {
    bare(json!(runtime::broker::stream_config(SYSTEM, &settings())))
}

/// Without what says nothing.
fn bare(config: Value) -> Value {
    let Value::Object(mut config) = config else {
        panic!("{config} is a configuration")
    };
    config.retain(|_, value| {
        !matches!(value, Value::Null)
            && *value != json!(false)
            && *value != json!(0)
            && *value != json!("")
            && *value != json!({})
            && *value != json!([])
    });
    config.into()
}

fn address(golden: &Golden) -> String {
    golden.line.subject.replace('<', "{").replace('>', "}")
}

fn hears(role: &Role, fact: &str) -> &'static str {
    match role {
        Role::Booking => "booking",
        Role::Next if fact == "requested" => "the first leg",
        Role::Next => "the leg behind the speaker, which is booking behind the last leg",
        Role::EveryLeg => "every leg",
        Role::LegsBefore => {
            "the legs before the speaker, who may be holding; every leg receives it and looks"
        }
        Role::Leg => "a leg",
    }
}

/// Who hears it, in words.
pub(crate) fn heard_by(golden: &Golden) -> String {
    let fact = golden.line.fact;
    let roles = golden.line.heard_by.iter();
    let roles: Vec<_> = roles.map(|role| hears(role, fact)).collect();
    if roles.is_empty() {
        return String::from("nobody: it is for the record");
    }
    roles.join("; ")
}

fn channel(golden: &Golden) -> Value {
    let address = address(golden);
    let fact = golden.line.fact;
    let next = if fact == "requested" {
        "The name of the first leg."
    } else {
        "The name of the leg behind the speaker, or `booking` behind the last."
    };
    let words = [("leg", "The name of the leg that speaks."), ("next", next)];
    let named = words
        .into_iter()
        .filter(|(name, _)| address.contains(&format!("{{{name}}}")));
    let parameters: Map<String, Value> = named
        .map(|(name, words)| (name.to_owned(), json!({"description": words})))
        .collect();
    let mut channel = json!({
        "address": address,
        "title": fact,
        "summary": schemas::meaning(fact),
        "description": format!("Heard by {}.", heard_by(golden)),
        "messages": {fact: {"$ref": format!("#/components/messages/{fact}")}},
    });
    if !parameters.is_empty() {
        channel["parameters"] = parameters.into();
    }
    channel
}

fn message(golden: &Golden) -> Value {
    let fact = golden.line.fact;
    let speaker = if golden.line.said_by == Role::Booking {
        "booking"
    } else {
        "<leg>"
    };
    json!({
        "name": fact,
        "title": format!("{speaker}.{fact}.v1"),
        "summary": schemas::meaning(fact),
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {"$ref": format!("#/components/schemas/{fact}")},
        "correlationId": {"location": "$message.header#/ce-correlationid"},
        "examples": [{"name": golden.file, "headers": golden.headers(true), "payload": placeholder(golden)}],
    })
}

/// Where the example's body goes: as it was written, with a number in it that no float can hold.
fn placeholder(golden: &Golden) -> String {
    format!("@golden:{}", golden.file)
}

fn operations(facts: &[Golden]) -> Map<String, Value> {
    let mut operations = Map::new();
    for golden in facts {
        let fact = golden.line.fact;
        let operation = |action: &str, words: String| {
            json!({
                "action": action,
                "channel": {"$ref": format!("#/channels/{fact}")},
                "summary": words,
                "messages": [{"$ref": format!("#/channels/{fact}/messages/{fact}")}],
            })
        };
        if golden.line.said_by == Role::Leg {
            let words = format!("Says {fact}.");
            operations.insert(format!("say-{fact}"), operation("send", words));
        }
        let legs = [Role::Next, Role::EveryLeg, Role::LegsBefore];
        if golden.line.heard_by.iter().any(|role| legs.contains(role)) {
            let words = format!("Hears {fact}.");
            operations.insert(format!("hear-{fact}"), operation("receive", words));
        }
    }
    operations
}

/// The whole document, as text.
pub(crate) fn made() -> String {
    let facts = golden::all();
    let by_fact = |of: fn(&Golden) -> Value| -> Map<String, Value> {
        let facts = facts.iter();
        facts
            .map(|golden| (golden.line.fact.to_owned(), of(golden)))
            .collect()
    };
    let document = json!({
        "asyncapi": "3.0.0",
        "id": "urn:roundtrip:trips",
        "info": {
            "title": "Roundtrip: the conversation about trips",
            "version": "1",
            "description": "The bus as a leg sees it: what it hears and what it says. When, and what must hold, is in docs/wire.md. Readers ignore fields and headers that they do not know.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"local": {
            "host": "127.0.0.1:4222", "protocol": "nats",
            "description": "A nats-server 2.11 or newer, with JetStream.",
            "x-jetstream-stream": stream(),
            "x-jetstream-consumer": consumer("train"),
        }},
        "channels": by_fact(channel),
        "operations": operations(&facts),
        "components": {"messages": by_fact(message), "schemas": schemas::components()},
    });
    let mut text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    for golden in &facts {
        let quoted = format!("\"{}\"", placeholder(golden));
        assert!(text.contains(&quoted), "{} is an example", golden.file);
        text = text.replace(&quoted, golden.data.get());
    }
    text
}
