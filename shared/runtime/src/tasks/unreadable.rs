//! Messages that async-nats cannot even hand over: their headers are no headers, or their subject is no text.
//!
//! One byte that is no UTF-8 ends the connection, a bare carriage return the whole client (0.51), each time the broker
//! delivers the message again. So after every connection what was delivered and never acknowledged is looked at from the
//! side, as JSON, and what the client would stumble over is buried as any other message that can't be read.

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::{HeaderMap, HeaderName};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;

use crate::broker::Broker;

/// How far back from the last delivered message is looked: more than what a few replicas have in their hands.
const LOOK_BACK: u64 = 4_096;
/// Messages asked for at a time.
const ASKED_AT_ONCE: usize = 32;

#[derive(Deserialize)]
struct Got {
    message: Option<Stored>,
}

/// A message as the broker's API has it; headers and data are base64.
#[derive(Deserialize)]
struct Stored {
    subject: String,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

/// Finds them among what was delivered and not acknowledged; each can be acknowledged as if it had been delivered here.
///
/// # Errors
/// When the broker does not answer, or does not let this service look.
pub(crate) async fn find(
    broker: &Broker,
    mut consumer: PullConsumer,
) -> Result<Vec<async_nats::jetstream::Message>, anyhow::Error> {
    let info = consumer.info().await?.clone();
    if info.num_ack_pending == 0 {
        return Ok(Vec::new());
    }
    let last = info.delivered.stream_sequence;
    let first = (info.ack_floor.stream_sequence + 1).max(last.saturating_sub(LOOK_BACK));
    let (stream, name) = (&info.stream_name, &info.name);
    let ask = async |sequence: u64| {
        let got: Got = broker
            .context
            .request(
                format!("STREAM.MSG.GET.{stream}"),
                &serde_json::json!({ "seq": sequence }),
            )
            .await?;
        // One that fell out of the window meanwhile is nobody's trouble any more.
        let stored = got.message.filter(|stored| broker.hears(&stored.subject));
        let Some(stored) = stored else {
            return Ok(None);
        };
        let headers = decode(&stored.hdrs);
        if is_text(&stored.subject) && is_readable(&headers) {
            return Ok(None);
        }
        let message = async_nats::Message {
            subject: stored.subject.into(),
            reply: Some(format!("$JS.ACK.{stream}.{name}.1.{sequence}.{sequence}.0.0").into()),
            payload: decode(&stored.data).into(),
            headers: Some(salvage(&headers)),
            status: None,
            description: None,
            length: 0,
        };
        let context = broker.context.clone();
        Ok(Some(async_nats::jetstream::Message { message, context }))
    };
    futures::stream::iter(first..=last)
        .map(ask)
        .buffered(ASKED_AT_ONCE)
        .try_filter_map(async |found| Ok(found))
        .try_collect()
        .await
}

/// Whether the subject is UTF-8, which the broker does not ask for: its JSON has a sign in place of whatever is not.
fn is_text(subject: &str) -> bool {
    !subject.contains(char::REPLACEMENT_CHARACTER)
}

/// Whether async-nats can read these headers, by exactly its own rules: what it cannot hand over must be found, and what it
/// can hand over must not become a dead letter.
fn is_readable(headers: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(headers) else {
        return false;
    };
    let mut lines = text.lines().peekable();
    if lines.next().unwrap_or("NATS/1.0").trim_end() != "NATS/1.0" {
        return false;
    }
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        // Only behind a header is a line that begins with a space its continuation.
        let Some((name, value)) = line.split_once(':') else {
            return false;
        };
        let mut value = value.trim_start().to_owned();
        while let Some(folded) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            value.push_str(folded);
        }
        if name.parse::<HeaderName>().is_err() || value.trim_end().contains('\r') {
            return false;
        }
    }
    true
}

/// What can be kept of them, for the dead letter.
fn salvage(headers: &[u8]) -> HeaderMap {
    let text = String::from_utf8_lossy(headers);
    let mut kept = HeaderMap::new();
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((" ", line));
        let name: HeaderName = name
            .parse()
            .unwrap_or_else(|_| HeaderName::from_static("unreadable"));
        kept.append(name, value.trim().replace('\r', "\u{fffd}"));
    }
    kept
}

/// Base64 as the broker writes it; what is none ends it.
fn decode(text: &str) -> Vec<u8> {
    let digit = |byte: u8| {
        Some(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        })
    };
    let digits: Vec<u8> = text.bytes().map_while(digit).collect();
    digits
        .chunks(4)
        .flat_map(|four| {
            let bits = four
                .iter()
                .zip([18, 12, 6, 0])
                .fold(0, |bits, (digit, shift)| bits | u32::from(*digit) << shift);
            let [_, bytes @ ..] = bits.to_be_bytes();
            bytes.into_iter().take(four.len() * 3 / 4)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_stumbles_over_is_told_apart() {
        let readable = |headers: &str| is_readable(headers.as_bytes());
        assert!(readable(""));
        assert!(readable("NATS/1.0\r\nce-id: a\r\n folded\r\nx:\r\n\r\n"));
        assert!(readable("NATS/1.0\r\nce-id: a\r\r\n\r\n"));
        for stumbled in [
            "NATS/1.0\r\nce-id: a\rb\r\n\r\n",
            "NATS/1.0\r\nce-id: a\r\n folded \r here\r\n\r\n",
            "NATS/1.0\r\n folded: too soon\r\n\r\n",
            "NATS/1.0\r\nce-id: a\r\n\r\n folded: too late\r\n\r\n",
            "NATS/1.0\r\nno colon\r\n\r\n",
            "NATS/1.0\r\na name: x\r\n\r\n",
            "NATS/2.0\r\n\r\n",
            "NATS/1.0 hello\r\n\r\n",
        ] {
            assert!(!readable(stumbled), "{stumbled:?}");
        }
        assert!(!is_readable(b"NATS/1.0\r\na: \xff\r\n\r\n"));
    }

    #[test]
    fn what_can_be_kept_of_them_is() {
        let kept = salvage(b"NATS/1.0\r\nce-id: a\rb\r\na name: \xff\r\nnothing\r\n\r\n");
        assert_eq!(kept.get("ce-id").map(|v| v.as_str()), Some("a\u{fffd}b"));
        let rest: Vec<_> = kept.get_all("unreadable").map(|v| v.as_str()).collect();
        assert_eq!(rest, ["\u{fffd}", "nothing"]);
    }

    #[test]
    fn base64_is_read_with_and_without_its_end() {
        for (text, bytes) in [
            ("", ""),
            ("YQ==", "a"),
            ("YWI=", "ab"),
            ("YWJj", "abc"),
            ("YWJjZA", "abcd"),
        ] {
            assert_eq!(decode(text), bytes.as_bytes());
        }
        assert_eq!(decode("//79"), [0xff, 0xfe, 0xfd]);
    }
}
