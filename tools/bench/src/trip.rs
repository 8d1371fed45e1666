//! One trip over HTTP: asked for, perhaps cancelled, until it is final. It counts nothing.

use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};

/// How long a request may wait for an outcome; the service's own bound is longer.
const WAIT: &str = "wait=30";
/// After that a request is given up.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(45);

/// What is to become of a trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It goes through.
    Confirmed,
    /// The hotel refuses it, and the flight comes back.
    Refused,
    /// It goes through, and is cancelled then.
    CancelledLate,
    /// It is cancelled as soon as it was taken.
    CancelledEarly,
}

/// Of a hundred trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// So many are refused by the hotel.
    pub refused: u8,
    /// So many are cancelled, half of them while they are pending and half once they are confirmed.
    pub cancelled: u8,
}

impl Shares {
    /// What becomes of the one that drew this number of a hundred.
    pub(crate) fn wish(self, drawn: u8) -> Wish {
        let Self { refused, cancelled } = self;
        match drawn {
            drawn if drawn < refused => Wish::Refused,
            drawn if drawn < refused.saturating_add(cancelled) => match fastrand::bool() {
                true => Wish::CancelledLate,
                false => Wish::CancelledEarly,
            },
            _ => Wish::Confirmed,
        }
    }
}

/// How a trip ended that ended as it was to.
#[derive(Debug)]
pub(crate) struct Ended {
    /// When a cancellation was asked for.
    pub(crate) cancelled: Option<Instant>,
    /// Its id.
    pub(crate) trip: String,
    /// How many requests it took.
    pub(crate) requests: u64,
    /// How long the last answer's body was.
    pub(crate) answer_bytes: usize,
}

/// Why there is no such end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failed {
    /// 503: there is too much to do.
    Overloaded,
    /// In words.
    Otherwise(String),
}

impl From<reqwest::Error> for Failed {
    fn from(error: reqwest::Error) -> Self {
        // Without the address: it would be another error for each trip.
        let error = error.without_url();
        Self::Otherwise(format!("{:#}", anyhow::Error::from(error)))
    }
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Pending,
    Confirmed,
    Refused,
    Cancelled,
}

/// One trip, to its end.
pub(crate) async fn travel(
    http: &Client,
    bookings: &str,
    body: String,
    wish: Wish,
) -> Result<Ended, Failed> {
    let early = wish == Wish::CancelledEarly;
    let asked = http
        .post(bookings)
        .header("content-type", "application/json")
        .body(body);
    let asked = if early {
        asked
    } else {
        asked.header("prefer", WAIT)
    };
    let (said, trip, answer_bytes) = answer(asked).await?;
    let mut ended = Ended {
        cancelled: None,
        trip,
        requests: 1,
        answer_bytes,
    };
    match (wish, said) {
        (Wish::Confirmed, Said::Confirmed) | (Wish::Refused, Said::Refused) => Ok(ended),
        (Wish::CancelledLate, Said::Confirmed)
        | (Wish::CancelledEarly, Said::Pending | Said::Confirmed) => {
            ended.cancelled = Some(Instant::now());
            let cancel = format!("{bookings}/{}/cancel", ended.trip);
            let asked = http.post(cancel).header("prefer", WAIT);
            let (said, _, answer_bytes) = answer(asked).await?;
            ended.requests += 1;
            ended.answer_bytes = answer_bytes;
            match said {
                Said::Cancelled => Ok(ended),
                other => Err(another(&other)),
            }
        }
        (wish, other) => {
            // It is whoever's stack it is: what nobody wished for shall not stay booked there.
            if wish == Wish::Refused && matches!(other, Said::Confirmed | Said::Pending) {
                let cancel = format!("{bookings}/{}/cancel", ended.trip);
                let asked = http.post(cancel).header("prefer", WAIT);
                if !matches!(answer(asked).await, Ok((Said::Cancelled, ..))) {
                    return Err(Failed::Otherwise(String::from(
                        "not refused as it was to be, and perhaps still booked: its cancellation failed",
                    )));
                }
            }
            Err(another(&other))
        }
    }
}

fn another(said: &Said) -> Failed {
    Failed::Otherwise(match said {
        Said::Pending => String::from("no outcome within 30 s"),
        Said::Confirmed => String::from("confirmed, against what was asked for"),
        Said::Refused => String::from("refused, against what was asked for"),
        Said::Cancelled => String::from("cancelled, against what was asked for"),
    })
}

async fn answer(asked: reqwest::RequestBuilder) -> Result<(Said, String, usize), Failed> {
    let answer = asked.send().await?;
    let status = answer.status();
    let body = answer.bytes().await?;
    let said = said(status, &body)?;
    Ok((said, trip(&body), body.len()))
}

/// Without reading all of the answer: its first fields decide.
fn said(status: StatusCode, body: &[u8]) -> Result<Said, Failed> {
    let says = |word: &[u8]| body.windows(word.len()).any(|window| window == word);
    let otherwise = |text: String| Err(Failed::Otherwise(text));
    match status.as_u16() {
        200 if says(br#""state":"confirmed""#) => Ok(Said::Confirmed),
        200 if says(br#""outcome":"rejected""#) => Ok(Said::Refused),
        200 if says(br#""outcome":"cancelled""#) => Ok(Said::Cancelled),
        200 => otherwise(String::from("final, but neither confirmed nor refused")),
        202 => Ok(Said::Pending),
        503 => Err(Failed::Overloaded),
        status => otherwise(format!("answered {status}")),
    }
}

/// The trip's id, which the answer begins with.
fn trip(body: &[u8]) -> String {
    const BEFORE: &[u8] = br#""trip":""#;
    let at = body.windows(BEFORE.len()).position(|part| part == BEFORE);
    let id = at.and_then(|at| body.get(at + BEFORE.len()..));
    let id = id.and_then(|rest| rest.split(|byte| *byte == b'"').next());
    String::from_utf8_lossy(id.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_answer_is_known_by_its_state() {
        let said = |status: u16, body: &str| said(status.try_into().unwrap(), body.as_bytes());
        let confirmed = r#"{"trip":"x","state":"confirmed","outcome":"confirmed"}"#;
        let refused = r#"{"trip":"x","state":"closed","outcome":"rejected"}"#;
        let cancelled = r#"{"trip":"x","state":"closed","outcome":"cancelled"}"#;
        assert_eq!(said(200, confirmed), Ok(Said::Confirmed));
        assert_eq!(said(200, refused), Ok(Said::Refused));
        assert_eq!(said(200, cancelled), Ok(Said::Cancelled));
        assert!(said(200, r#"{"outcome":"expired"}"#).is_err());
        assert_eq!(said(202, confirmed), Ok(Said::Pending));
        assert_eq!(said(503, ""), Err(Failed::Overloaded));
        let other = Err(Failed::Otherwise("answered 500".into()));
        assert_eq!(said(500, ""), other);
        assert_eq!(trip(confirmed.as_bytes()), "x");
        assert_eq!(trip(b"{}"), "");
    }

    #[test]
    fn shares_are_of_a_hundred() {
        let shares = Shares {
            refused: 20,
            cancelled: 30,
        };
        let count = |wishes: &[Wish]| {
            let drawn = (0..100).map(|drawn| shares.wish(drawn));
            drawn.filter(|wish| wishes.contains(wish)).count()
        };
        assert_eq!(count(&[Wish::Refused]), 20);
        assert_eq!(count(&[Wish::CancelledEarly, Wish::CancelledLate]), 30);
        assert_eq!(count(&[Wish::Confirmed]), 50);
    }
}
