//! A no: whoever issued the card says it, or the provider does, and it is told in our words.

use e2e_tests::Sandbox;
use payment::core::{Answer, Purpose};
use payment::provider::Stage;
use serde_json::json;

use super::{Payment, provider, settle, stage};

fn code(answer: &Answer) -> &str {
    match answer {
        Answer::Declined { reason } | Answer::Refused { reason } => &reason.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn declined_expired_and_insufficient_funds_are_refusals_in_our_words() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    for (card, expected) in [
        ("pm_card_chargeDeclined", "declined"),
        ("pm_card_visa_chargeDeclinedLostCard", "declined"),
        (
            "pm_card_chargeDeclinedInsufficientFunds",
            "insufficient-funds",
        ),
        ("pm_card_chargeDeclinedExpiredCard", "expired-card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect-code"),
        ("pm_card_chargeDeclinedProcessingError", "processing-error"),
        ("pm_card_authenticationRequired", "authentication-required"),
    ] {
        let payment = Payment::opened(card, &provider).await;
        let answer = payment.settle(&provider, Purpose::Authorise).await;
        assert!(
            matches!(answer, Answer::Declined { .. }),
            "{card}: {answer:?}"
        );
        assert_eq!(code(&answer), expected, "{card}");
        // The same, though the provider has forgotten that it was asked.
        sandbox.forget_keys().await;
        let again = payment.settle(&provider, Purpose::Authorise).await;
        assert_eq!(code(&again), expected, "{card}, again");
        payment
            .expect(&provider, Purpose::Void, Answer::Voided)
            .await;
    }
    // A no is no failure of the provider's.
    assert!(!provider.is_down());
}

#[tokio::test]
async fn what_cannot_be_charged_is_refused_before_anything_is_held() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let answer = settle(
        &provider,
        &Payment::of("pm_card_nobodys").request(Purpose::Open),
    )
    .await;
    assert_eq!(code(&answer), "unknown-payment-method");
    let mut small = Payment::of("pm_card_visa");
    small.amount_minor = 3;
    let answer = settle(&provider, &small.request(Purpose::Open)).await;
    assert_eq!(code(&answer), "amount-too-small");
    let mut uneven = Payment::of("pm_card_visa").request(Purpose::Open);
    uneven.currency = String::from("KWD");
    uneven.amount_minor = 5_124;
    assert_eq!(
        code(&settle(&provider, &uneven).await),
        "currency-not-taken"
    );
    assert!(sandbox.payments().await.is_empty());
}

/// Somebody would have to confirm it at their bank: nobody is there, and nobody can do so later behind our back.
#[tokio::test]
async fn a_payment_that_waits_for_its_holder_is_canceled() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::opened("pm_card_threeDSecure2Required", &provider).await;
    let http = client::http::local().unwrap().build().unwrap();
    let key = std::fs::read_to_string(sandbox.key_file()).unwrap();
    let intent = payment.intent.clone().unwrap();
    let url = format!("{}/v1/payment_intents/{intent}/confirm", sandbox.url());
    let confirmed = http.post(url).bearer_auth(key.trim()).send().await.unwrap();
    let shown: serde_json::Value = confirmed.json().await.unwrap();
    assert_eq!(shown["status"], "requires_action");
    // Nothing comes back, and it is read back.
    let cut = json!({"failure": "cut", "only": ["authorise"], "when": "before", "count": 1});
    sandbox.throw(cut).await;
    let answer = payment.settle(&provider, Purpose::Authorise).await;
    assert_eq!(code(&answer), "authentication-required");
    assert_eq!(stage(&sandbox, payment.trip).await, Stage::Voided);
}
