//! A service's refusal: problem details (RFC 9457) as an error, in words that may be shown. What is no problem of ours is told as such.

use std::fmt;

use anyhow::{Result, anyhow};
use reqwest::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::http;
use crate::paint::visible;
use crate::redaction::shown;

/// A service said no, as problem details (RFC 9457).
#[derive(Debug, Clone, Deserialize)]
pub struct Refused {
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What kind of problem, `urn:roundtrip:problem:…`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// In a few words.
    #[serde(default)]
    pub title: String,
    /// What it is this time, and what to do.
    #[serde(default)]
    pub detail: String,
    /// What else the problem has in it.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", visible(&self.title), visible(&self.detail))
    }
}

impl std::error::Error for Refused {}

/// The answer, unless it is a refusal.
pub(crate) async fn accepted(answer: Response) -> Result<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let url = answer.url().clone();
    let body = answer.bytes().await.unwrap_or_default();
    match serde_json::from_slice::<Refused>(&body) {
        Ok(problem) if !problem.title.is_empty() => Err(problem.into()),
        _ => {
            let hint = match status.as_u16() {
                401 | 403 if http::has_token() => {
                    format!("it does not take what {} has", http::TOKEN)
                }
                401 | 403 => format!(
                    "it wants to know who asks: give {} a token for it",
                    http::TOKEN
                ),
                300..=399 => {
                    String::from("it sends us elsewhere: give the address of the service itself")
                }
                _ => String::from("which no service of Roundtrip does"),
            };
            Err(anyhow!("{} answered {status}, {hint}", shown(url.as_str())))
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_problem_is_read_with_what_is_special_to_it() {
        let json = r#"{"type":"urn:roundtrip:problem:import","title":"Nothing was imported","status":422,"detail":"2 lines.","lines":[]}"#;
        let refused: Refused = serde_json::from_str(json).unwrap();
        assert_eq!(refused.to_string(), "Nothing was imported: 2 lines.");
        assert!(refused.more.contains_key("lines"));
    }
}
