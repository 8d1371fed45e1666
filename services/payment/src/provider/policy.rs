//! What is done about each thing that can happen when a third party is asked, by name. This table is all of it; `docs/payment.md` has it with
//! the test of each row. It judges one exchange, purely; what follows is done in `perform`.
//!
//! | what came of it | policy | what is done |
//! |---|---|---|
//! | 2xx | [`Policy::Read`] | it is read, and held against what was asked; what cannot be read is kept, reduced to what is safe (see `keep`) |
//! | 400, 402, 404, 409 and the like with an error object | [`Policy::No`] | an answer, in our words; where the payment may be elsewhere by now, it is read back |
//! | no connection: refused, black hole, no such name, TLS | [`Policy::NotSent`] | again after a pause; unknown is not no; counts for the breaker |
//! | nothing, or half an answer, after it was sent | [`Policy::Unknown`] | read back; else the same key again; counts for the breaker |
//! | 500, 408 | [`Policy::Unknown`] | the same; an answer that is only repeated (`Idempotent-Replayed`, `Stripe-Should-Retry: false`) goes out under a key derived from it, once it is read back as not done |
//! | 502, 503, 504 | [`Policy::Down`] | the breaker opens: at once for as long as Retry-After says, else after so many in a row |
//! | 429 | [`Policy::TooFast`] | half the pace, nothing for as long as Retry-After says |
//! | 409, 425, `lock_timeout`, `Stripe-Should-Retry: true` | [`Policy::InProgress`] | the same key again, soon |
//! | 401 | [`Policy::Key`] | nothing is sent until the key's file changes, or seldom; an alarm |
//! | 403 with an error object | [`Policy::NotAllowed`] | the key may not do this one thing: this call alone backs off; an alarm that names it |
//! | anything else: another format, a page of HTML, a redirect | [`Policy::Unreadable`] | kept as a dead letter (see `keep`), the outcome is unknown, an alarm; never a guess |

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::wire::{Failure, Wrapped};

/// The longest that a provider is left alone because it said so; the runtime asks for no longer pause either.
const ASKED_MAX: Duration = Duration::from_secs(3_600);
/// How soon something that is in progress is asked for again.
const SOON: Duration = Duration::from_millis(500);

/// What came back.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Why nothing came back, in plain words.
pub(super) enum Silence {
    /// Nobody was reached, so nothing was done.
    NotSent(String),
    /// It was sent, and what became of it is not known.
    Unknown(String),
}

/// What is done about it: see the table above.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// It is read.
    Read,
    /// It is a no, of which this is the reason.
    No {
        /// Why not.
        failure: Failure,
        /// The same key would only bring this answer again.
        is_final: bool,
    },
    /// Nothing was done: again.
    NotSent(String),
    /// What was done is not known.
    Unknown {
        /// What happened.
        why: String,
        /// The same key would only bring this answer again.
        is_final: bool,
    },
    /// The provider is down; it may say for how long.
    Down(Option<Duration>),
    /// It was asked too often; it may say for how long to wait.
    TooFast(Option<Duration>),
    /// It is at it, or at something that has to end first.
    InProgress(Duration),
    /// It does not know the key.
    Key(String),
    /// It knows the key, which may not do this.
    NotAllowed,
    /// Nobody can read it.
    Unreadable(String),
}

impl Policy {
    /// What is done about an exchange.
    pub(super) fn of(told: &Result<Reply, Silence>) -> Self {
        match told {
            Ok(reply) => of_reply(reply),
            Err(Silence::NotSent(why)) => Self::NotSent(why.clone()),
            Err(Silence::Unknown(why)) => Self::Unknown {
                why: why.clone(),
                is_final: false,
            },
        }
    }
}

fn of_reply(reply: &Reply) -> Policy {
    let status = reply.status.as_u16();
    let says = |name: &str| reply.headers.get(name).and_then(|it| it.to_str().ok());
    let should_retry = says("stripe-should-retry");
    let is_final = says("idempotent-replayed") == Some("true") || should_retry == Some("false");
    let asked = retry_after(&reply.headers);
    if reply.status.is_success() {
        return Policy::Read;
    }
    let wrapped = serde_json::from_slice::<Wrapped>(&reply.body).ok();
    let failure = wrapped.map(|it| it.error).filter(|it| !it.kind.is_empty());
    match status {
        401 => return Policy::Key(String::from("the provider answers 401 to it")),
        403 if failure.is_some() => return Policy::NotAllowed,
        502..=504 => return Policy::Down(asked),
        408 | 500 | 501 | 505..=599 => {
            let why = format!("the provider answered {status}");
            return Policy::Unknown { why, is_final };
        }
        _ => {}
    }
    let code = failure.as_ref().map(Failure::code);
    match (status, failure.clone()) {
        (429, _) if code != Some("lock_timeout") => Policy::TooFast(asked),
        (425 | 429, _) => Policy::InProgress(asked.unwrap_or(SOON)),
        (400..=499, _) if should_retry == Some("true") => Policy::InProgress(asked.unwrap_or(SOON)),
        (409, Some(failure)) if !is_final || failure.code() == "idempotency_key_in_use" => {
            Policy::InProgress(asked.unwrap_or(SOON))
        }
        // Our key was used for something else: what became of what we asked for is not known, and must not be guessed.
        (400..=499, Some(failure)) if failure.kind == "idempotency_error" => Policy::Unreadable(
            String::from("the key of this call was used for another one"),
        ),
        (400..=499, Some(failure)) => Policy::No { failure, is_final },
        _ => Policy::Unreadable(format!(
            "an answer with the status {status} that is no error object"
        )),
    }
}

/// `Retry-After`, in seconds or as a date, within reason.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(SystemTime::now())
            .unwrap_or_default(),
    };
    Some(asked.min(ASKED_MAX))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn told(status: u16, headers: &[(&'static str, &str)], body: &str) -> Policy {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Policy::of(&Ok(Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            body: body.as_bytes().to_vec(),
        }))
    }

    const CARD: &str = r#"{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","message":"…"}}"#;
    const REQUEST: &str = r#"{"error":{"type":"invalid_request_error","message":"…"}}"#;
    const LOCKED: &str = r#"{"error":{"type":"invalid_request_error","code":"lock_timeout"}}"#;
    const IN_USE: &str =
        r#"{"error":{"type":"invalid_request_error","code":"idempotency_key_in_use"}}"#;
    const OTHER_BODY: &str = r#"{"error":{"type":"idempotency_error"}}"#;

    #[test]
    fn every_status_has_its_policy() {
        let s = Duration::from_secs;
        assert_eq!(told(200, &[], "{}"), Policy::Read);
        assert!(
            matches!(told(402, &[], CARD), Policy::No { failure, is_final: false } if failure.decline_code.as_deref() == Some("insufficient_funds"))
        );
        assert!(matches!(told(400, &[], REQUEST), Policy::No { .. }));
        assert!(matches!(told(404, &[], REQUEST), Policy::No { .. }));
        assert_eq!(
            told(503, &[("retry-after", "7")], ""),
            Policy::Down(Some(s(7)))
        );
        assert_eq!(told(503, &[], "<html>"), Policy::Down(None));
        assert_eq!(
            told(502, &[("retry-after", "999999")], ""),
            Policy::Down(Some(s(3_600)))
        );
        assert_eq!(
            told(429, &[("retry-after", "2")], REQUEST),
            Policy::TooFast(Some(s(2)))
        );
        assert_eq!(told(429, &[], LOCKED), Policy::InProgress(SOON));
        assert_eq!(told(409, &[], IN_USE), Policy::InProgress(SOON));
        assert_eq!(
            told(400, &[("stripe-should-retry", "true")], REQUEST),
            Policy::InProgress(SOON)
        );
        assert!(matches!(told(401, &[], "anything"), Policy::Key(_)));
        assert_eq!(told(403, &[], REQUEST), Policy::NotAllowed);
        assert!(matches!(
            told(500, &[], REQUEST),
            Policy::Unknown {
                is_final: false,
                ..
            }
        ));
        for once in [
            ("idempotent-replayed", "true"),
            ("stripe-should-retry", "false"),
        ] {
            assert!(matches!(
                told(500, &[once], REQUEST),
                Policy::Unknown { is_final: true, .. }
            ));
        }
    }

    #[test]
    fn what_nobody_can_read_is_never_a_no() {
        for (status, body) in [
            (400, "<html>bad gateway</html>"),
            (402, "{}"),
            (403, "<html>blocked</html>"),
            (404, ""),
            (400, OTHER_BODY),
            (302, ""),
            (418, "teapot"),
        ] {
            let policy = told(status, &[], body);
            assert!(
                matches!(policy, Policy::Unreadable(_)),
                "{status}: {policy:?}"
            );
        }
    }
}
