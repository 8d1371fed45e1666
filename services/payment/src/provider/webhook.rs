//! Webhooks: the provider tells of its own accord what became of a payment. Believed only with its signature (docs.stripe.com/webhooks/signature:
//! HMAC-SHA256 of the time and the body, compared in constant time, no older than five minutes). It is a second way to hear an outcome and never
//! the only one: what is lost is asked for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use choreography::{Position, TripId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

use super::judge::{Meaning, meaning};
use super::wire::{Charge, Intent, Progress, Refund};
use crate::core::call::{Answer, Purpose};

/// How far the sender's clock and ours may be apart, with all that lies between: later, it may be somebody who repeats what they overheard.
const TOLERANCE: Duration = Duration::from_secs(300);
/// The most signatures that one header may have: one for each secret while they are rotated.
const SIGNATURES_MAX: usize = 8;

/// What a webhook said of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The provider's id of the payment.
    pub intent: String,
    /// For which trip, as we told the provider when it was opened.
    pub trip: TripId,
    /// For which place on its itinerary.
    pub position: Position,
    /// What became of it.
    pub answer: Answer,
}

/// Why a webhook is not believed, for whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no secret to verify it with.
    #[error("webhooks are not taken here: set PROVIDER_WEBHOOK_SECRET_FILE")]
    NoSecret,
    /// It has no signature, or one that is none.
    #[error("the header Stripe-Signature is missing or cannot be read")]
    NoSignature,
    /// It was signed too long ago, or in the future.
    #[error("the signature is older than five minutes, or from the future; compare the clocks")]
    Stale,
    /// Somebody else signed it.
    #[error("the signature is not right; compare the secret with the provider's")]
    Wrong,
    /// It is signed, and no event.
    #[error("the body is no event")]
    Unreadable,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: serde_json::Value,
}

/// What a webhook says, believed only with its signature; none where it says nothing that matters here.
///
/// # Errors
/// When it is not to be believed, or not to be read.
pub fn verify(
    secret: &str,
    signature: Option<&str>,
    body: &[u8],
    now: SystemTime,
) -> Result<Option<Heard>, Refused> {
    let signed = signature
        .and_then(Signed::read)
        .ok_or(Refused::NoSignature)?;
    // First whether it is right: when it was signed is told to nobody who could not sign it.
    if !signed.is_right(secret, body) {
        return Err(Refused::Wrong);
    }
    let at = UNIX_EPOCH + Duration::from_secs(signed.at_s);
    let apart = now
        .duration_since(at)
        .unwrap_or_else(|ahead| ahead.duration());
    if apart > TOLERANCE {
        return Err(Refused::Stale);
    }
    let event: Event = serde_json::from_slice(body).map_err(|_| Refused::Unreadable)?;
    heard(event)
}

/// The header: a time and signatures, such as `t=1492774577,v1=5257a8…,v1=…,v0=…`.
struct Signed<'a> {
    time: &'a str,
    at_s: u64,
    signatures: Vec<Vec<u8>>,
}

impl<'a> Signed<'a> {
    fn read(header: &'a str) -> Option<Self> {
        let mut time = None;
        let mut signatures = Vec::new();
        for (name, value) in header.split(',').filter_map(|part| part.split_once('=')) {
            match name.trim() {
                "t" => time = Some(value.trim()),
                // Of another scheme there may be any number; only this one is safe.
                "v1" if signatures.len() < SIGNATURES_MAX => {
                    signatures.extend(hex::decode(value.trim()).ok());
                }
                _ => {}
            }
        }
        let time = time?;
        let at_s = time.parse().ok().filter(|at| *at < u64::from(u32::MAX))?;
        (!signatures.is_empty()).then_some(Self {
            time,
            at_s,
            signatures,
        })
    }

    fn is_right(&self, secret: &str, body: &[u8]) -> bool {
        self.signatures.iter().any(|signature| {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
                return false;
            };
            mac.update(self.time.as_bytes());
            mac.update(b".");
            mac.update(body);
            // In constant time.
            mac.verify_slice(signature).is_ok()
        })
    }
}

/// What an event says of a payment of ours. One that is about a payment and cannot be read is no silence: it was not taken, and comes again.
fn heard(event: Event) -> Result<Option<Heard>, Refused> {
    let object = event.data.object;
    let (intent, metadata, answer) = match event.kind.as_str() {
        "payment_intent.canceled"
        | "payment_intent.amount_capturable_updated"
        | "payment_intent.succeeded"
        | "payment_intent.payment_failed" => {
            let intent: Intent = read(object)?;
            // Whoever authorises hears of every state that a webhook tells of.
            let Meaning::Answered(answer) = meaning(Purpose::Authorise, &intent) else {
                return Ok(None);
            };
            (Some(intent.id), intent.metadata, answer)
        }
        "charge.refunded" => {
            let charge: Charge = read(object)?;
            // What was only held and let go is "refunded" as well; that is told by the payment itself.
            if !charge.captured || !charge.refunded {
                return Ok(None);
            }
            (charge.payment_intent, charge.metadata, Answer::Refunded)
        }
        // Its money is on the way, came there, or came back: then it is with us as if it had never been sent.
        "refund.updated" | "refund.failed" | "charge.refund.updated" => {
            let refund: Refund = read(object)?;
            let answer = match refund.progress() {
                Progress::Pending => return Ok(None),
                Progress::Done => Answer::Refunded,
                Progress::Failed => Answer::Captured,
            };
            (refund.payment_intent, refund.metadata, answer)
        }
        _ => return Ok(None),
    };
    // Without our marks it is somebody else's payment on the same account.
    let trip = metadata.get("trip").and_then(|it| it.parse().ok());
    let position = metadata.get("position").and_then(|it| it.parse().ok());
    let (Some(intent), Some(trip), Some(position)) = (intent, trip, position) else {
        return Ok(None);
    };
    Ok(Some(Heard {
        intent,
        trip,
        position,
        answer,
    }))
}

fn read<T: serde::de::DeserializeOwned>(object: serde_json::Value) -> Result<T, Refused> {
    serde_json::from_value(object).map_err(|_| Refused::Unreadable)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const SECRET: &str = "whsec_of_a_test";
    const AT_S: u64 = 1_800_000_000;

    fn sign(secret: &str, time: u64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{time}.{body}").as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    fn event(kind: &str, status: &str) -> String {
        format!(
            r#"{{"id":"evt_1","type":"{kind}","data":{{"object":{{"id":"pi_1","object":"payment_intent","amount":100,"currency":"eur","status":"{status}","metadata":{{"trip":"0196e0f0-0000-7000-8000-000000000000","position":"2"}}}}}}}}"#
        )
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_signed_is_heard() {
        for (kind, status, answer) in [
            ("payment_intent.canceled", "canceled", Answer::Voided),
            (
                "payment_intent.amount_capturable_updated",
                "requires_capture",
                Answer::Authorised,
            ),
            ("payment_intent.succeeded", "succeeded", Answer::Captured),
        ] {
            let body = event(kind, status);
            let right = sign(SECRET, AT_S, &body);
            let older = sign("the secret before", AT_S, &body);
            let header = format!("t={AT_S},v1={older},v1={right},v0=00");
            let heard = verify(SECRET, Some(&header), body.as_bytes(), at(AT_S + 299));
            let heard = heard.unwrap().unwrap();
            assert_eq!((heard.answer, heard.position), (answer, 2));
        }
        let body = event("invoice.paid", "another thing");
        let header = format!("t={AT_S},v1={}", sign(SECRET, AT_S, &body));
        assert_eq!(
            verify(SECRET, Some(&header), body.as_bytes(), at(AT_S)),
            Ok(None)
        );
    }

    fn told(body: &str) -> Result<Option<Heard>, Refused> {
        let header = format!("t={AT_S},v1={}", sign(SECRET, AT_S, body));
        verify(SECRET, Some(&header), body.as_bytes(), at(AT_S))
    }

    /// It would be lost, and nobody told.
    #[test]
    fn what_is_signed_and_cannot_be_read_is_not_taken() {
        for kind in [
            "payment_intent.canceled",
            "payment_intent.amount_capturable_updated",
            "payment_intent.succeeded",
            "payment_intent.payment_failed",
            "charge.refunded",
            "refund.failed",
        ] {
            let body =
                format!(r#"{{"id":"evt_1","type":"{kind}","data":{{"object":{{"id":7}}}}}}"#);
            let charge = kind == "charge.refunded";
            let body = if charge {
                body.replace("\"id\":7", "\"captured\":7")
            } else {
                body
            };
            assert_eq!(told(&body), Err(Refused::Unreadable), "{kind}");
        }
        let body = event("payment_intent.succeeded", "a_state_of_tomorrow");
        assert_eq!(told(&body), Err(Refused::Unreadable));
    }

    /// Money that comes back to us was not given back, whatever was said before.
    #[test]
    fn a_refund_that_fails_later_is_heard() {
        let refund = |kind: &str, status: &str, trip: &str| {
            format!(
                r#"{{"id":"evt_1","type":"{kind}","data":{{"object":{{"id":"re_1","object":"refund","status":"{status}","payment_intent":"pi_1","metadata":{{"trip":"{trip}","position":"2"}}}}}}}}"#
            )
        };
        let ours = "0196e0f0-0000-7000-8000-000000000000";
        for (kind, status, answer) in [
            ("refund.failed", "failed", Some(Answer::Captured)),
            ("charge.refund.updated", "canceled", Some(Answer::Captured)),
            ("refund.updated", "succeeded", Some(Answer::Refunded)),
            ("refund.updated", "pending", None),
        ] {
            let heard = told(&refund(kind, status, ours)).unwrap();
            assert_eq!(heard.map(|it| it.answer), answer, "{kind} {status}");
        }
        let theirs = refund("refund.failed", "failed", "somebody's");
        assert_eq!(told(&theirs), Ok(None));
    }

    #[test]
    fn what_is_not_signed_is_not_believed() {
        let body = event("payment_intent.succeeded", "succeeded");
        let right = sign(SECRET, AT_S, &body);
        let header = format!("t={AT_S},v1={right}");
        let told = |header: Option<&str>, body: &str, now| {
            verify(SECRET, header, body.as_bytes(), at(now)).unwrap_err()
        };
        assert_eq!(told(None, &body, AT_S), Refused::NoSignature);
        assert_eq!(told(Some("v1=00"), &body, AT_S), Refused::NoSignature);
        let unsigned = format!("t={AT_S},v0={right}");
        assert_eq!(told(Some(&unsigned), &body, AT_S), Refused::NoSignature);
        let changed = body.replace("100", "999");
        assert_eq!(told(Some(&header), &changed, AT_S), Refused::Wrong);
        let later = format!("t={},v1={right}", AT_S + 200);
        assert_eq!(told(Some(&later), &body, AT_S), Refused::Wrong);
        assert_eq!(told(Some(&header), &body, AT_S + 301), Refused::Stale);
        assert_eq!(told(Some(&header), &body, AT_S - 301), Refused::Stale);
        let short = format!("t={AT_S},v1={}", &right[..62]);
        assert_eq!(told(Some(&short), &body, AT_S), Refused::Wrong);
    }
}
