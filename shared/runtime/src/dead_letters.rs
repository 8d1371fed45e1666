//! Dead letters: what could not be read or applied, kept whole, one row for each (what it is about, type, reason).
//!
//! A row stands for all messages that came alike: it counts them, and keeps one of the first, whole. An operator has it **discarded**, or
//! **replayed**: the one that is kept is heard again, read and judged as if the broker had just brought it, in the transaction that puts
//! the letter away. So nothing is half done, and a second replay finds nothing to do. What still cannot be read stays where it is.
//!
//! It is heard inside the service and is not published again. On the stream it would reach everybody who hears its subject, also those
//! who could read it the first time; it would be a fact of another service in our mouth, which the broker rightly refuses us; and the
//! letter could not go in one transaction with its effect. The inbox knows it by its own id, as ever: what was heard is an echo.

mod clearing;
mod http;
mod past;
mod whole;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::table::{Column, Lock, Table, int, text};

pub use clearing::{ClearedLetters, KeptLetter, REPLAY_RETRY_AFTER_S, TOO_MANY_REPLAYS};
pub(crate) use http::routes;
pub use past::{DEAD_LETTER_PAST, Fate, Outcome, PastLetter};

/// Why a message was put aside that the broker's client cannot hand over. What is kept of its headers is what could be saved of them.
pub(crate) const HEADERS_UNREADABLE: &str = "its subject or headers cannot be read";

/// What the subject of a letter begins with that keeps the answer to a call. No subject of the broker's has a space in it.
const OF_A_CALL: &str = "call ";

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
    /// Its data, as text where it is text without NUL, else `hex:` and its bytes.
    pub payload: String,
    /// The `ce-id` of the last one that came, empty where it had none.
    pub last_id: String,
    /// How many came, at most one a batch. What is kept is one of the first; the others were only counted.
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
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            aggregateid: short(&header("ce-subject")),
            kind: short(&header("ce-type")),
            reason: short(reason),
            subject: storable(&message.subject),
            headers: storable(&serde_json::json!(headers).to_string()),
            payload: kept(&message.payload),
            last_id: short(&header("ce-id")),
            count: 1,
            first_us: 0,
            last_us: 0,
        }
    }

    /// Keeps what a call was answered with and nobody can read, with the reason. Of what is longer than a message may be the beginning is kept,
    /// and its headers say of how many bytes: `cut_of_bytes`.
    #[must_use]
    pub fn of_call(call: &Call, body: &[u8], reason: &str) -> Self {
        let mut headers = serde_json::json!({"call": call.id, "purpose": call.purpose});
        if body.len() > PAYLOAD_MAX {
            headers["cut_of_bytes"] = body.len().into();
        }
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            aggregateid: short(&call.about),
            kind: short(&format!("call.{}", call.purpose)),
            reason: short(reason),
            subject: storable(&format!("{OF_A_CALL}{}", call.purpose)),
            headers: storable(&headers.to_string()),
            payload: kept(body),
            // Every attempt counts: it is another answer.
            last_id: uuid::Uuid::now_v7().to_string(),
            count: 1,
            first_us: 0,
            last_us: 0,
        }
    }

    /// The message that it kept, as it came.
    ///
    /// # Errors
    /// When what is kept is not what came, with what is missing.
    pub fn message(&self) -> Result<async_nats::Message, String> {
        let [subject, headers] = [&self.subject, &self.headers];
        if subject.starts_with(OF_A_CALL) {
            return Err(String::from(
                "it is what a call was answered with; the call is tried again by itself, so discard this once it is understood",
            ));
        }
        if self.reason == HEADERS_UNREADABLE || [subject, headers].iter().any(|t| is_mended(t)) {
            return Err(String::from(
                "its subject or headers are not kept as they came, for they were not readable",
            ));
        }
        let unreadable = |error: &dyn std::fmt::Display| format!("its kept headers: {error}");
        let kept: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(headers).map_err(|error| unreadable(&error))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &kept {
            let name: HeaderName = name.parse().map_err(|error| unreadable(&error))?;
            let value: HeaderValue = value
                .as_str()
                .unwrap_or_default()
                .parse()
                .map_err(|error| unreadable(&error))?;
            headers.insert(name, value);
        }
        Ok(async_nats::Message {
            subject: subject.as_str().into(),
            reply: None,
            payload: self.data()?.into(),
            headers: Some(headers),
            status: None,
            description: None,
            length: 0,
        })
    }

    fn data(&self) -> Result<Vec<u8>, String> {
        let hex = self.payload.strip_prefix("hex:").and_then(unhex);
        let data = match hex.filter(|data| as_text(data).is_none()) {
            Some(data) => data,
            // Only an earlier version kept such a text.
            None if is_mended(&self.payload) => {
                return Err(String::from(
                    "its data may not be kept as it came: an earlier version wrote a sign in the place of NUL",
                ));
            }
            None => self.payload.clone().into_bytes(),
        };
        if data.len() >= PAYLOAD_MAX {
            return Err(format!("only its first {PAYLOAD_MAX} bytes are kept"));
        }
        Ok(data)
    }
}

/// Data as it is kept, up to [`PAYLOAD_MAX`].
fn kept(data: &[u8]) -> String {
    let data = &data[..data.len().min(PAYLOAD_MAX)];
    as_text(data).map_or_else(|| format!("hex:{}", hex(data)), str::to_owned)
}

/// Data that is kept as the text it is. One with the sign in it that stands for what is no text is not: it would look like mended. Nor is one
/// that looks like hex.
fn as_text(data: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(data).ok()?;
    let plain = !text.contains('\0') && !is_mended(text) && !text.starts_with("hex:");
    plain.then_some(text)
}

fn is_mended(text: &str) -> bool {
    text.contains(char::REPLACEMENT_CHARACTER)
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

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| u8::try_from(char::from(digit).to_digit(16)?).ok();
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    bytes.collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn message(payload: &[u8]) -> async_nats::Message {
        let mut headers = HeaderMap::new();
        headers.insert("ce-id", "a");
        headers.insert("x", "ü, \"quoted\"");
        async_nats::Message {
            subject: "orders.made".into(),
            reply: None,
            payload: payload.to_vec().into(),
            headers: Some(headers),
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn what_is_kept_is_what_came() {
        for payload in [
            b"".as_slice(),
            b"{\"a\": 1}",
            "Zoë".as_bytes(),
            b"hex:7b7d",
            b"hex:",
            b"hex:00ff",
            b"hex:xyz",
            b"a\0b",
            "a\u{fffd}b".as_bytes(),
            &[0, 159, 146, 150],
        ] {
            let came = message(payload);
            let letter = DeadLetter::of(&came, "because");
            assert!(!letter.payload.contains('\0'), "PostgreSQL takes it");
            let again = letter.message().unwrap();
            assert_eq!(again.payload, came.payload, "{:?}", letter.payload);
            assert_eq!(again.subject, came.subject);
            assert_eq!(again.headers, came.headers);
        }
    }

    #[test]
    fn an_answer_that_nobody_can_read_is_kept_whole_and_is_no_message() {
        let call = Call {
            id: String::from("o-17-ship"),
            purpose: String::from("ship"),
            about: String::from("o-17"),
            request: String::from("{}"),
            first: false,
        };
        let letter = DeadLetter::of_call(&call, b"<html>\0", "it is no JSON");
        assert_eq!(letter.data().unwrap(), b"<html>\0");
        let told = (letter.aggregateid.as_str(), letter.kind.as_str());
        assert_eq!(told, ("o-17", "call.ship"));
        assert!(letter.headers.contains("o-17-ship"), "{}", letter.headers);
        let why = letter.message().unwrap_err();
        assert!(why.contains("tried again by itself"), "{why}");
        assert!(!letter.headers.contains("cut"), "{}", letter.headers);
        let cut = DeadLetter::of_call(&call, &[b'a'; PAYLOAD_MAX + 1], "it is no JSON");
        assert_eq!(cut.payload.len(), PAYLOAD_MAX);
        let headers: serde_json::Value = serde_json::from_str(&cut.headers).unwrap();
        assert_eq!(headers["cut_of_bytes"], PAYLOAD_MAX + 1);
    }

    #[test]
    fn what_is_not_kept_as_it_came_is_said() {
        let kept = DeadLetter::of(&message(b"{}"), "because");
        let refused = |change: fn(&mut DeadLetter), word: &str| {
            let mut letter = kept.clone();
            change(&mut letter);
            let why = letter.message().unwrap_err();
            assert!(why.contains(word), "{why}");
        };
        refused(
            |letter| letter.reason = HEADERS_UNREADABLE.into(),
            "headers",
        );
        refused(
            |letter| letter.headers = r#"{"x":"a\u{fffd}b"}"#.replace("\\u{fffd}", "\u{fffd}"),
            "headers",
        );
        refused(
            |letter| letter.subject = "orders.\u{fffd}".into(),
            "subject",
        );
        refused(|letter| letter.headers = "17".into(), "kept headers");
        refused(
            |letter| letter.payload = "{\"a\": \"\u{fffd}\"}".into(),
            "NUL",
        );
        let long = DeadLetter::of(&message(&[b'a'; PAYLOAD_MAX + 1]), "because");
        assert!(long.message().unwrap_err().contains("only its first"));
        let long = DeadLetter::of(&message(&[0xff; PAYLOAD_MAX + 1]), "because");
        assert!(long.message().unwrap_err().contains("only its first"));
    }
}
