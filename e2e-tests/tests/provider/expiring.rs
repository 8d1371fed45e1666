//! What was held is held no longer, or cannot be taken, let go of or given back: never half of it, and never nothing said.

use e2e_tests::Sandbox;
use payment::core::{Answer, Purpose};
use payment::provider::Stage;
use runtime::Attempt;
use serde_json::json;

use super::{Payment, again, kinds, provider, stage};

#[tokio::test]
async fn an_authorisation_that_expired_before_capture_is_told_as_voided() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::held(&provider).await;
    sandbox.expire().await;
    payment
        .expect(&provider, Purpose::Capture, Answer::Voided)
        .await;
    payment
        .expect(&provider, Purpose::Void, Answer::Voided)
        .await;
    let kept = &sandbox.payments().await[0];
    assert_eq!(
        (kept.stage, kept.captured_minor, kept.refunded_minor),
        (Stage::Voided, 0, 0)
    );
}

#[tokio::test]
async fn an_authorisation_is_held_as_long_as_the_sandbox_is_told() {
    let sandbox = Sandbox::start_with(&["--authorisation-s", "5"]).await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::held(&provider).await;
    e2e_tests::eventually("it is held no longer", async || {
        (stage(&sandbox, payment.trip).await == Stage::Voided).then_some(())
    })
    .await;
    payment
        .expect(&provider, Purpose::Capture, Answer::Voided)
        .await;
}

#[tokio::test]
async fn a_capture_that_is_refused_is_a_refusal_and_what_is_held_can_be_let_go() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::held(&provider).await;
    sandbox.throw(json!({"failure": "refuse-capture"})).await;
    let answer = payment.settle(&provider, Purpose::Capture).await;
    assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    assert_eq!(stage(&sandbox, payment.trip).await, Stage::Authorised);
    payment
        .expect(&provider, Purpose::Void, Answer::Voided)
        .await;
}

#[tokio::test]
async fn a_void_that_fails_is_tried_until_it_does_not() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::held(&provider).await;
    sandbox.throw(json!({"failure": "refuse-void"})).await;
    // Whatever the key keeps: it is no answer that letting go is refused.
    for _ in 0..8 {
        let told = payment.once(&provider, Purpose::Void).await;
        assert!(matches!(told, Attempt::Again { .. }), "{told:?}");
    }
    sandbox.mend().await;
    payment
        .expect(&provider, Purpose::Void, Answer::Voided)
        .await;
    assert_eq!(stage(&sandbox, payment.trip).await, Stage::Voided);
}

#[tokio::test]
async fn a_refund_that_fails_is_a_refusal_and_goes_through_under_another_key() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::held(&provider).await;
    payment
        .expect(&provider, Purpose::Capture, Answer::Captured)
        .await;
    sandbox.throw(json!({"failure": "refuse-refund"})).await;
    let answer = payment.settle(&provider, Purpose::Refund).await;
    assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    sandbox.mend().await;
    let mut anew = payment.request(Purpose::Refund);
    anew.key.push_str("-2");
    assert_eq!(super::settle(&provider, &anew).await, Answer::Refunded);
    assert_eq!(sandbox.payments().await[0].refunded_minor, 12_300);
}

/// Whether it is given back is known when it came there, and not when it was asked for: the provider said yes to both.
#[tokio::test]
async fn a_refund_that_is_pending_is_given_back_when_it_came_there() {
    for end in ["succeeded", "failed"] {
        let sandbox = Sandbox::start().await;
        let provider = provider(&sandbox.settings());
        let payment = Payment::held(&provider).await;
        payment
            .expect(&provider, Purpose::Capture, Answer::Captured)
            .await;
        sandbox.throw(json!({"failure": "pending-refund"})).await;
        // Asked for anew under the key that keeps "pending", and under one that was forgotten.
        for forgets in [false, false, true, false] {
            let (why, _) = again(payment.once(&provider, Purpose::Refund).await);
            assert!(why.starts_with("under-way: "), "{why}");
            if forgets {
                sandbox.forget_keys().await;
            }
        }
        sandbox.mend().await;
        sandbox.settle_refunds(end).await;
        let mut asked = payment.request(Purpose::Refund);
        if end == "failed" {
            sandbox.throw(json!({"failure": "refuse-refund"})).await;
            let answer = super::settle(&provider, &asked).await;
            assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
            assert_eq!(sandbox.payments().await[0].refunded_minor, 0);
            sandbox.mend().await;
            asked.key.push_str("-2");
        }
        assert_eq!(super::settle(&provider, &asked).await, Answer::Refunded);
        assert_eq!(sandbox.payments().await[0].refunded_minor, 12_300);
        assert!(kinds(&provider).is_empty());
    }
}

/// The key keeps that it was given back; it came back to us since.
#[tokio::test]
async fn a_refund_that_failed_later_is_not_believed_because_it_is_repeated() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::held(&provider).await;
    payment
        .expect(&provider, Purpose::Capture, Answer::Captured)
        .await;
    payment
        .expect(&provider, Purpose::Refund, Answer::Refunded)
        .await;
    sandbox.settle_refunds("failed").await;
    let answer = payment.settle(&provider, Purpose::Refund).await;
    assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
}
