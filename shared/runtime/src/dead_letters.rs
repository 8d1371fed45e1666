//! Dead letters: what could not be read or applied, kept whole, one row for each (what it is about, type, reason).

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::database::{Database, Is};
use crate::http::{List, Page, Query};
use crate::problem::Problem;
use crate::table::{Column, Lock, Table, int, text};

/// The longest piece of data that is kept, in bytes: the broker's own limit for a message.
const PAYLOAD_MAX: usize = 1 << 20;

/// The most bytes kept of each of the three texts that letters are grouped by. Together they are one key of a PostgreSQL index, which
/// refuses more than 2,704 bytes. Subject and type are whole in the headers; a longer reason is cut.
const GROUPED_BY_MAX: usize = 800;

/// The table `dead_letter`.
pub const DEAD_LETTER: &Table = &Table {
    name: "dead_letter",
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
];

/// One dead letter, as the database keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeadLetter {
    /// The letter's own id.
    pub id: String,
    /// What it is about: its `ce-subject`.
    pub aggregateid: String,
    /// Its `ce-type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Why it could not be read or applied.
    pub reason: String,
    /// The NATS subject it came on.
    pub subject: String,
    /// Its headers, a JSON object.
    pub headers: String,
    /// Its data, as text where it is text.
    pub payload: String,
    /// The `ce-id` of the last one that came, empty where it had none.
    pub last_id: String,
    /// How many came, at most one a batch.
    #[serde(default = "one")]
    pub count: i64,
    /// When the first came, microseconds since 1970.
    #[serde(default)]
    pub first_us: i64,
    /// When the last came, microseconds since 1970.
    #[serde(default)]
    pub last_us: i64,
}

fn one() -> i64 {
    1
}

impl DeadLetter {
    /// Keeps a message whole, with the reason why it could not be read or applied.
    #[must_use]
    pub fn of(message: &async_nats::Message, reason: &str) -> Self {
        let headers: serde_json::Map<String, serde_json::Value> = message
            .headers
            .iter()
            .flat_map(|headers| headers.iter())
            .map(|(name, values)| {
                (
                    name.to_string(),
                    values
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join(", ")
                        .into(),
                )
            })
            .collect();
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let payload = &message.payload[..message.payload.len().min(PAYLOAD_MAX)];
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            aggregateid: short(&header("ce-subject")),
            kind: short(&header("ce-type")),
            reason: short(reason),
            subject: storable(&message.subject),
            headers: storable(&serde_json::json!(headers).to_string()),
            payload: std::str::from_utf8(payload)
                .map_or_else(|_| format!("hex:{}", hex(payload)), storable),
            last_id: short(&header("ce-id")),
            count: 1,
            first_us: 0,
            last_us: 0,
        }
    }
}

/// PostgreSQL's text holds every character but NUL.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn short(text: &str) -> String {
    let mut text = storable(text);
    text.truncate(text.floor_char_boundary(GROUPED_BY_MAX));
    text
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `GET /letters`.
pub(crate) fn routes(database: Arc<Database>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .with_state(database)
}

/// Dead letters, the oldest first.
#[utoipa::path(get, path = "/letters", operation_id = "list_dead_letters", tag = "operators", params(Page),
    responses((status = 200, body = List<DeadLetter>, description = "One page of them", headers(("Link" = String, description = "The next page, as `rel=\"next\"`")))))]
async fn list(
    State(database): State<Arc<Database>>,
    Query(page): Query<Page>,
) -> Result<List<DeadLetter>, Problem> {
    let limit = page.limit()?;
    let after = page.after(1)?.unwrap_or_default().concat();
    let rows: Vec<DeadLetter> = database
        .select(DEAD_LETTER)
        .only("id", Is::Greater, after)
        .order(&["id"])
        .most(limit + 1)
        .rows()
        .await?;
    Ok(List::of(rows, limit, |letter| vec![letter.id.clone()]))
}
