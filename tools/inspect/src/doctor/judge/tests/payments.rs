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

/// Only a trip that is still confirmed can be cancelled: of what is over or on its way back, that would be no help.
#[test]
fn what_to_do_about_a_payment_is_said_by_where_it_stands() {
    for (state, is_cancelled) in [
        ("unpaid", true),
        ("capturing", false),
        ("voiding", false),
        ("refunding", false),
        ("released", false),
        ("rejected", false),
    ] {
        let waiting = Payments {
            attention: 2,
            first: Some(Waiting {
                trip: String::from("t"),
                state: state.to_owned(),
                trouble: Some(String::from("it said no")),
            }),
            ..Payments::default()
        };
        let says = |s: &mut Seen| s.services[1].payments = Some(Ok(waiting.clone()));
        becomes(says, "flight", "payments", Wrong);
        let (what, todo) = crate::doctor::judge::payments::attention(&waiting);
        assert!(what.contains("it said no") && what.contains(state), "{what}");
        assert_eq!(todo.contains("cancel t"), is_cancelled, "{todo}");
    }
}
