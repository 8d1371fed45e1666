//! What of an answer that nobody can read is kept for a person to look at: its shape, and the fields that say what became of a payment. No secret
//! of ours, which a proxy's error page may echo, and nothing of a card or of who pays, which an answer that is about a payment may have.
//!
//! It works on half an answer as well, so it reads no JSON, but the strings and numbers of something that looks like it.

use super::secret::Secret;

/// The members whose values are kept: none of them is about a person.
const KEPT: [&str; 29] = [
    "amount",
    "amount_capturable",
    "amount_captured",
    "amount_received",
    "amount_refunded",
    "canceled_at",
    "cancellation_reason",
    "capture_method",
    "captured",
    "charge",
    "code",
    "created",
    "currency",
    "decline_code",
    "has_more",
    "id",
    "latest_charge",
    "livemode",
    "object",
    "param",
    "payment_intent",
    "position",
    "refunded",
    "state",
    "status",
    "trip",
    "type",
    "url",
    "version",
];
/// What stands for a value that is not kept.
const LEFT_OUT: &[u8] = br#""(left out)""#;
/// What stands for a secret.
const SECRET: &[u8] = b"(a secret)";

/// The body as it may be kept.
pub(super) fn fit(body: Vec<u8>, secrets: &[Secret]) -> Vec<u8> {
    let mut body = body;
    for secret in secrets {
        body = without(&body, secret.reveal().as_bytes());
    }
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_like_json = matches!(first, Some(b'{' | b'[')) && std::str::from_utf8(&body).is_ok();
    if is_like_json { masked(&body) } else { body }
}

fn without(body: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut left = body;
    let mut kept = Vec::with_capacity(body.len());
    while let Some(first) = left.first() {
        match left.strip_prefix(secret) {
            Some(rest) if !secret.is_empty() => {
                kept.extend_from_slice(SECRET);
                left = rest;
            }
            _ => {
                kept.push(*first);
                left = &left[1..];
            }
        }
    }
    kept
}

/// Each string and number is left out, unless it is a member's name or the value of one that is kept.
fn masked(body: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(body.len());
    let mut is_kept = false;
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        let end = match byte {
            b'"' => string_end(body, at),
            b'-' | b'0'..=b'9' => number_end(body, at),
            _ => {
                // What follows in a list is of no member that has a name.
                is_kept &= !matches!(byte, b'}' | b']');
                kept.push(*byte);
                at += 1;
                continue;
            }
        };
        let token = &body[at..end];
        let mut after = body[end..].iter().filter(|it| !it.is_ascii_whitespace());
        if *byte == b'"' && after.next() == Some(&b':') {
            let name = std::str::from_utf8(token).unwrap_or_default();
            is_kept = KEPT.contains(&name.trim_matches('"'));
            kept.extend_from_slice(token);
        } else if is_kept {
            kept.extend_from_slice(token);
        } else {
            kept.extend_from_slice(LEFT_OUT);
        }
        at = end;
    }
    kept
}

/// Behind the string that begins there; one that has no end ends with the body.
fn string_end(body: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(byte) = body.get(end) {
        match byte {
            b'"' => return end + 1,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    body.len()
}

fn number_end(body: &[u8], at: usize) -> usize {
    let is_of_it = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let length = body[at..].iter().take_while(|byte| is_of_it(byte)).count();
    at + length
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const WHOLE: &str = r#"{"id":"pi_1","amount":12300,"status":"succeeded","client_secret":"pi_1_secret_x","metadata":{"trip":"t","position":"2","note":"for \"Ada\""},
        "latest_charge":{"id":"ch_1","captured":true,"billing_details":{"name":"Ada","address":{"city":null}},"payment_method_details":{"card":{"last4":"4242","exp_year":2031,"checks":["pass","fail"]}}}}"#;

    fn kept(body: &str) -> String {
        let secrets = [Secret::of("sk_test_1"), Secret::of("whsec_1")];
        String::from_utf8(fit(body.as_bytes().to_vec(), &secrets)).unwrap()
    }

    #[test]
    fn what_became_of_it_is_kept_and_nothing_of_a_card() {
        let kept = kept(WHOLE);
        let told: serde_json::Value = serde_json::from_str(&kept).unwrap();
        assert_eq!(
            (&told["id"], &told["amount"], &told["status"]),
            (&"pi_1".into(), &12_300.into(), &"succeeded".into())
        );
        assert_eq!(told["metadata"]["trip"], "t");
        assert_eq!(told["latest_charge"]["captured"], true);
        for gone in ["4242", "2031", "Ada", "_secret_", "pass"] {
            assert!(!kept.contains(gone), "{gone} is in {kept}");
        }
    }

    /// Wherever it ends.
    #[test]
    fn of_half_an_answer_no_more_is_kept() {
        for end in 0..WHOLE.len() {
            let kept = kept(&WHOLE[..end]);
            for gone in ["424", "203", "Ad", "_secret_"] {
                assert!(!kept.contains(gone), "{gone} is in {kept}");
            }
        }
    }

    #[test]
    fn no_secret_of_ours_is_kept_wherever_it_stands() {
        for body in [
            "<pre>authorization: Bearer sk_test_1\nx: whsec_1sk_test_1</pre>",
            r#"{"type":"sk_test_1","status":"whsec_1"}"#,
        ] {
            let kept = kept(body);
            assert!(
                !kept.contains("sk_test_1") && !kept.contains("whsec_1"),
                "{kept}"
            );
        }
        let page = "<h1>We are improving things for you: 42.</h1>";
        assert_eq!(kept(page), page, "a page is kept as it is");
        let garbage = vec![b'{', 0xff, b'7', b'"'];
        assert_eq!(fit(garbage.clone(), &[]), garbage);
    }
}
