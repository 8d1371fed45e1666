//! The past of dead letters: what an operator did with each, who and why, as far as it was said. Kept for thirty days.

use serde::{Deserialize, Serialize};

use super::DeadLetter;
use crate::table::{Column, Lock, Table, int, text};

/// The table `dead_letter_past`.
pub const DEAD_LETTER_PAST: &Table = &Table {
    name: "dead_letter_past",
    key: &[text("id")],
    columns: COLUMNS,
    lock: Lock::None,
};

const COLUMNS: &[Column] = &[
    text("aggregateid"),
    text("type"),
    text("reason"),
    text("subject"),
    text("headers"),
    text("payload"),
    text("last_id"),
    int("count"),
    int("first_us"),
    int("last_us"),
    text("outcome"),
    text("why"),
    text("who"),
    int("at_us"),
];

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
// Services have outcomes of their own.
#[schema(as = DeadLetterOutcome)]
pub enum Outcome {
    /// The message that it kept was heard again.
    Replayed,
    /// Nobody wants it.
    Discarded,
}

impl Outcome {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }
}

/// What is to become of a dead letter. Its field names are the table's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// The letter's own id.
    pub id: String,
    /// What is done with it.
    pub outcome: Outcome,
    /// Who wants it, in their own words; empty where nobody said.
    #[serde(rename = "who")]
    pub by: String,
    /// Why, in their own words; empty where nobody said.
    pub why: String,
}

/// A dead letter that was put away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PastLetter {
    /// The letter as it was.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// What became of it.
    pub outcome: Outcome,
    /// Who wanted it, in their own words; empty where nobody said.
    #[serde(alias = "who")]
    pub by: String,
    /// Why, in their own words; empty where nobody said.
    pub why: String,
    /// When, in microseconds since 1970.
    pub at_us: i64,
}
