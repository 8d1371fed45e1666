//! Another format than expected: what came is kept whole, and nothing is guessed from it. The outcome is asked for again.

use e2e_tests::Sandbox;
use payment::core::{Answer, Purpose};
use payment::provider::Stage;
use runtime::Attempt;
use serde_json::{Value, json};

use super::{Payment, kinds, provider, stage};

/// For each call: what is answered cannot be read, whether it was done or not; then all is well again.
async fn nothing_is_guessed(failure: &str, is_kept: fn(&[u8]) -> bool) {
    let sandbox = Sandbox::start().await;
    let mut settings = sandbox.settings();
    settings.provider_quiet_ms = 10_000;
    let provider = provider(&settings);
    for when in ["before", "after"] {
        let payment = Payment::opened("pm_card_visa", &provider).await;
        for (purpose, answer, kept) in [
            (Purpose::Authorise, Answer::Authorised, Stage::Authorised),
            (Purpose::Capture, Answer::Captured, Stage::Captured),
            (Purpose::Refund, Answer::Refunded, Stage::Refunded),
        ] {
            sandbox
                .throw(json!({"failure": failure, "when": when}))
                .await;
            let Attempt::Unreadable { body, why } = payment.once(&provider, purpose).await else {
                panic!("{failure} {when} {purpose:?}");
            };
            assert!(
                is_kept(&body),
                "{failure}: {:?}",
                String::from_utf8_lossy(&body)
            );
            assert!(!why.is_empty());
            assert_eq!(kinds(&provider), ["provider-unreadable"]);
            sandbox.mend().await;
            payment.expect(&provider, purpose, answer).await;
            // Others may still be answered so: it is over once that has not happened for a while.
            assert_eq!(kinds(&provider), ["provider-unreadable"]);
            assert_eq!(stage(&sandbox, payment.trip).await, kept);
        }
    }
    e2e_tests::eventually("the alarm is over", async || {
        kinds(&provider).is_empty().then_some(())
    })
    .await;
    let all = sandbox.payments().await;
    let money = |of: fn(&payment::provider::Listed) -> i64| all.iter().map(of).sum::<i64>();
    assert_eq!(money(|it| it.captured_minor), 2 * 12_300);
    assert_eq!(money(|it| it.refunded_minor), 2 * 12_300);
}

#[tokio::test]
async fn garbage_is_kept_whole_and_never_guessed_at() {
    nothing_is_guessed("garbage", |body| body.len() == 200).await;
}

#[tokio::test]
async fn a_page_for_people_is_kept_whole_and_never_guessed_at() {
    nothing_is_guessed("html", |body| body.ends_with(b"</h1>")).await;
}

#[tokio::test]
async fn json_of_another_shape_is_kept_whole_and_never_guessed_at() {
    nothing_is_guessed("other-shape", |body| {
        serde_json::from_slice::<Value>(body).is_ok_and(|it| it["data"]["type"] == "payments")
    })
    .await;
}

#[tokio::test]
async fn half_an_answer_is_kept_and_never_guessed_at() {
    nothing_is_guessed("truncated", |body| body.starts_with(b"{")).await;
}

/// An answer that is about another payment, or another amount, is none.
#[tokio::test]
async fn what_is_not_what_was_asked_about_is_not_believed() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let mut payment = Payment::held(&provider).await;
    payment.amount_minor += 1;
    let told = payment.once(&provider, Purpose::Capture).await;
    assert!(matches!(told, Attempt::Unreadable { .. }), "{told:?}");
    payment.amount_minor -= 1;
    for other in ["trip", "position"] {
        let mut asked = payment.request(Purpose::Capture);
        match other {
            "trip" => asked.trip = uuid::Uuid::now_v7().into(),
            _ => asked.position = 3,
        }
        let told = provider.perform(&asked).await;
        assert!(
            matches!(told, Attempt::Unreadable { .. }),
            "another {other}: {told:?}"
        );
    }
    payment.intent = Some(String::from("pi_ofsomebodyelse"));
    let told = payment.once(&provider, Purpose::Void).await;
    assert!(matches!(told, Attempt::Unreadable { .. }), "{told:?}");
}
