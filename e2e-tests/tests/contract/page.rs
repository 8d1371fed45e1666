//! The parts of `docs/wire.md` that are made, each between `<!-- made: NAME -->` and `<!-- end -->`. What stands between those parts is
//! written by hand.

use std::fmt::Write as _;

use choreography::{Backoff, LEGS_MAX, Role, STEADY_TRIES};
use serde_json::Value;

use crate::golden::{self, Golden};
use crate::{asyncapi, schemas, states};

/// The page with its made parts made anew.
pub(crate) fn made(page: &str) -> String {
    let parts = [
        ("facts", facts()),
        ("headers", headers()),
        ("examples", examples()),
        ("leg", states::of_a_leg()),
        ("booking", states::of_booking()),
        ("consumer", config(&asyncapi::consumer("train"))),
        ("stream", config(&asyncapi::stream())),
        ("times", times()),
    ];
    let mut page = page.to_owned();
    for (name, part) in parts {
        let begins = format!("<!-- made: {name} -->\n");
        let found = page.find(&begins);
        let from = found.unwrap_or_else(|| panic!("the page has no part {name}")) + begins.len();
        let length = page[from..].find("<!-- end -->").expect("the part ends");
        page.replace_range(from..from + length, &part);
    }
    page
}

/// When it is said, in a line. That who says it may, the table knows.
fn when(fact: &str) -> &'static str {
    match fact {
        "requested" => "when a trip is asked for, and again while it is pending",
        "reserved" => {
            "when your turn has come and you hold; again to each new question, and while you wait for an answer"
        }
        "rejected" => "when your turn has come and you never held; again to each new question",
        "confirmed" => "when the last leg holds; again to each new `reserved` of the last leg",
        "cancelled" => {
            "when the traveller or the deadline ends it, and again until everything is back"
        }
        "released" => "when you gave back, or leave a tombstone; again to each new question",
        "settled" => "when an operator says that a leg that nobody answers for holds nothing",
        "joined" => "at each start, once your consumer is there, and every few minutes",
        other => panic!("when {other} is said is not told"),
    }
}

fn speaker(golden: &Golden) -> &'static str {
    if golden.line.said_by == Role::Booking {
        "booking"
    } else {
        "a leg"
    }
}

fn facts() -> String {
    let mut table =
        String::from("| fact | said by | when | heard by | subject |\n|---|---|---|---|---|\n");
    for golden in golden::all() {
        let fact = golden.line.fact;
        let _ = writeln!(
            table,
            "| `{fact}` | {} | {} | {} | `{}` |",
            speaker(&golden),
            when(fact),
            asyncapi::heard_by(&golden),
            golden.line.subject
        );
    }
    table
}

fn headers() -> String {
    let golden = &golden::all()[1];
    let always = golden.headers(false);
    let mut table = String::from("| header | in the example | what it is |\n|---|---|---|\n");
    for (name, value) in golden.headers(true) {
        let absent = if always.contains_key(&name) {
            ""
        } else {
            " (may be absent)"
        };
        let _ = writeln!(
            table,
            "| `{name}` | `{value}` | {}{absent} |",
            schemas::header(&name)
        );
    }
    table
}

fn examples() -> String {
    let mut text = String::new();
    for golden in golden::all() {
        let fact = golden.line.fact;
        let schema = schemas::path(&golden);
        let _ = write!(
            text,
            "### `{fact}`\n{} [Schema](../{schema}).\n\n```text\n{}\n",
            schemas::meaning(fact),
            golden.subject
        );
        let headers = golden.headers(false);
        for name in ["ce-type", "ce-source", "ce-subject"] {
            let _ = writeln!(text, "{name}: {}", headers[name]);
        }
        let _ = write!(text, "\n{}\n```\n\n", golden.data);
    }
    text
}

fn config(config: &Value) -> String {
    let text = serde_json::to_string_pretty(config).unwrap();
    format!("```json\n{text}\n```\n")
}

fn times() -> String {
    let Backoff { first_ms, max_ms } = Backoff::default();
    let settings = asyncapi::settings();
    let hours = |us: i64| us / 3_600_000_000;
    let rows = [
        (
            "the pauses before who waits asks again, each give or take a quarter",
            format!(
                "{} s {STEADY_TRIES} times, then twice as long each time, up to {} s",
                first_ms / 1_000,
                max_ms / 1_000
            ),
        ),
        (
            "how long after the trip's deadline a leg still takes a hold",
            format!("{} h", hours(leg::core::LATE_US)),
        ),
        (
            "how long `released` and `rejected` records are kept, from the later of the deadline and their last change",
            format!("{} days", hours(leg::core::KEPT_US) / 24),
        ),
        (
            "how long ids of what was heard are kept",
            format!("{} h", settings.inbox_keep_s / 3_600),
        ),
        (
            "how often a leg says `joined`",
            format!("every {} s", settings.join_interval_ms / 1_000),
        ),
        (
            "how long a fact of a newer version is put back",
            format!("{} s", settings.unknown_version_wait_ms / 1_000),
        ),
        ("how many legs an itinerary has", format!("1 to {LEGS_MAX}")),
    ];
    let mut table = String::from("| what | as a service of ours has it |\n|---|---|\n");
    for (what, value) in rows {
        let _ = writeln!(table, "| {what} | {value} |");
    }
    table
}
