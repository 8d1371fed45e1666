//! The payment leg and its provider.

use super::*;

#[test]
fn money_that_waits_and_a_provider_that_is_away_are_named() {
    let says = |payments: Payments| {
        move |s: &mut Seen| s.services[1].payments = Some(Ok(payments.clone()))
    };
    let key = Payments {
        problems: vec![(
            String::from("provider-key-refused"),
            String::from("the key is not taken (401): put a valid one into the file"),
        )],
        ..Payments::default()
    };
    becomes(says(key), "flight", "provider", Wrong);
    let slow = Payments {
        problems: vec![(
            String::from("provider-slowed-down"),
            String::from("asked too often (429): ask less"),
        )],
        ..Payments::default()
    };
    becomes(says(slow), "flight", "provider", Warning);
    let unpaid = Payments {
        attention: 2,
        first: Some(String::from("t")),
        ..Payments::default()
    };
    becomes(says(unpaid), "flight", "payments", Wrong);
    let waiting = |seconds| Payments {
        oldest_call: Some((seconds, String::from("void: down"))),
        ..Payments::default()
    };
    becomes(says(waiting(301)), "flight", "calls", Warning);
    let mut soon = healthy();
    says(waiting(300))(&mut soon);
    assert_eq!(ill(&soon), []);
    becomes(
        |s| s.services[1].payments = Some(Err("away".into())),
        "flight",
        "payments",
        Warning,
    );
}
