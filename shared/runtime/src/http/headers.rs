//! The two request headers with a grammar of their own: `Prefer: wait=N` (RFC 7240) and `Idempotency-Key` (draft 07).
//!
//! Only as much of each grammar as the services use. What a key *means* (which request it stands for, how long) is not known here.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::problem::Problem;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const KEY_MAX: usize = 255;

/// What the caller would like, if it suits: `Prefer: wait=5`. A preference that cannot be read is ignored, as RFC 7240 wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefer {
    wait: Option<u64>,
}

impl Prefer {
    /// Reads every `Prefer` header; of a preference given twice the first counts.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let values = headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok());
        let wait = values
            .flat_map(|value| value.split(','))
            .find_map(|preference| {
                // `wait = "5"; any=parameter` is allowed too
                let preference = preference.split(';').next().unwrap_or_default();
                let (name, value) = preference.split_once('=')?;
                name.trim()
                    .eq_ignore_ascii_case("wait")
                    .then(|| value.trim().trim_matches('"').to_owned())
            });
        Self {
            wait: wait
                .filter(|wait| wait.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|wait| wait.parse().ok()),
        }
    }

    /// How long the caller is ready to wait for the outcome, at most `max`.
    #[must_use]
    pub fn wait(self, max: Duration) -> Option<Duration> {
        self.wait
            .map(|seconds| Duration::from_secs(seconds).min(max))
    }

    /// The header that tells the caller that we did wait: `Preference-Applied: wait=5`.
    #[must_use]
    pub fn applied(waited: Duration) -> (HeaderName, HeaderValue) {
        let value = HeaderValue::try_from(format!("wait={}", waited.as_secs()))
            .unwrap_or(HeaderValue::from_static("wait"));
        (HeaderName::from_static("preference-applied"), value)
    }
}

impl<S: Sync> FromRequestParts<S> for Prefer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::read(&parts.headers))
    }
}

/// The caller's name for this request, so that repeating it does not do it twice. Take it as `Option<IdempotencyKey>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub String);

impl IdempotencyKey {
    /// Reads the header `Idempotency-Key`.
    ///
    /// # Errors
    /// 400 when it is there but is neither a quoted string of 1 to 255 printable ASCII characters, as the draft has it, nor a plain
    /// word, as everybody sends it. `"a"` and `a` are the same key.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let key = value
            .to_str()
            .ok()
            .and_then(|text| plain(text).or_else(|| quoted(text)))
            .filter(|key| (1..=KEY_MAX).contains(&key.len()));
        match key {
            Some(key) if values.next().is_none() => Ok(Some(Self(key))),
            _ => Err(malformed(
                "The header `Idempotency-Key` is not one string of 1 to 255 printable ASCII characters, quoted where it has spaces, commas, semicolons, quotes or backslashes in it",
            )),
        }
    }
}

fn malformed(what: &str) -> Problem {
    let detail = format!(
        r#"{what}; send for example `Idempotency-Key: "8e03978e-40d5-43dd-bc93-6894a57f9324"`."#
    );
    Problem::new(
        StatusCode::BAD_REQUEST,
        "idempotency-key",
        "Unusable idempotency key",
        detail,
    )
}

/// A word in which nothing would have to be quoted.
fn plain(text: &str) -> Option<String> {
    let text = text.trim_matches(' ');
    let plain = |byte| matches!(byte, b'!'..=b'~') && !b"\"\\,;".contains(&byte);
    text.bytes().all(plain).then(|| text.to_owned())
}

/// The string of RFC 9651 (`sf-string`) and nothing after it.
fn quoted(text: &str) -> Option<String> {
    let inside = text
        .trim_matches(' ')
        .strip_prefix('"')?
        .strip_suffix('"')?;
    let mut chars = inside.chars();
    let mut string = String::with_capacity(inside.len());
    while let Some(char) = chars.next() {
        string.push(match char {
            '\\' => chars
                .next()
                .filter(|escaped| matches!(escaped, '"' | '\\'))?,
            '"' => return None,
            ' '..='~' => char,
            _ => return None,
        });
    }
    Some(string)
}

impl<S: Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Self::read(&parts.headers)
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(&parts.headers)?
            .ok_or_else(|| malformed("The header `Idempotency-Key` is missing"))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let value = |value: &&str| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        };
        let mut headers = HeaderMap::new();
        values
            .iter()
            .map(value)
            .for_each(|(name, value)| _ = headers.append(name, value));
        headers
    }

    #[test]
    fn wait_is_read_capped_or_ignored() {
        let wait = |values: &[&str]| {
            Prefer::read(&headers("prefer", values))
                .wait(Duration::from_secs(30))
                .map(|wait| wait.as_secs())
        };
        assert_eq!(wait(&["wait=5"]), Some(5));
        assert_eq!(wait(&["respond-async, Wait = \"7\"; foo=bar"]), Some(7));
        assert_eq!(wait(&["return=minimal", "wait=3"]), Some(3));
        assert_eq!(wait(&["wait=0"]), Some(0));
        assert_eq!(wait(&["wait=2, wait=9"]), Some(2));
        assert_eq!(wait(&["wait=86400"]), Some(30));
        for ignored in [
            "",
            "wait",
            "wait=",
            "wait=-1",
            "wait=+1",
            "wait=soon",
            "wait=1.5",
            "await=5",
            "wait=99999999999999999999999",
            "é",
        ] {
            assert_eq!(wait(&[ignored]), None, "{ignored}");
        }
        assert_eq!(wait(&[]), None);
        assert_eq!(Prefer::applied(Duration::from_secs(5)).1, "wait=5");
    }

    #[test]
    fn a_key_is_one_string_with_quotes_or_without() {
        let key = |values: &[&str]| {
            IdempotencyKey::read(&headers(IDEMPOTENCY_KEY, values)).map(|key| key.map(|key| key.0))
        };
        assert_eq!(key(&[]).unwrap(), None);
        for spelled in [r#""8e03978e""#, "8e03978e", "  8e03978e "] {
            assert_eq!(key(&[spelled]).unwrap().unwrap(), "8e03978e");
        }
        assert_eq!(
            key(&[r#"  "a \"b\" \\ c ~"  "#]).unwrap().unwrap(),
            r#"a "b" \ c ~"#
        );
        let longest = "x".repeat(255);
        assert_eq!(key(&[&format!("\"{longest}\"")]).unwrap().unwrap(), longest);
        let longer = format!("\"{longest}x\"");
        let malformed = [
            "",
            "two words",
            "a,b",
            "a;p=1",
            "a\\b",
            "\"",
            "\"\"",
            r#""a"#,
            r#"a""#,
            r#""a"b""#,
            r#""a\b""#,
            r#""a\""#,
            r#""a";p=1"#,
            r#""a", "b""#,
            "\"é\"",
            "\"\t\"",
            &longer,
        ];
        for malformed in malformed {
            assert_eq!(
                key(&[malformed]).unwrap_err().status(),
                StatusCode::BAD_REQUEST,
                "{malformed}"
            );
        }
        assert_eq!(key(&[&longest]).unwrap().unwrap(), longest);
        assert!(key(&[&format!("{longest}x")]).is_err());
        assert!(key(&["\"a\"", "\"b\""]).is_err());
        assert!(key(&["a", "a"]).is_err());
    }
}
