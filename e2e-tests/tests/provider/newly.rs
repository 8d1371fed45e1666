//! Where nothing is wrong: a payment's way, its list, and a sandbox that keeps what it has.

use e2e_tests::Sandbox;
use payment::core::{Answer, Purpose};
use payment::provider::Stage;
use runtime::Attempt;

use super::{Payment, provider, stage};

#[tokio::test]
async fn a_payment_is_opened_held_taken_and_given_back() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::held(&provider).await;
    assert_eq!(stage(&sandbox, payment.trip).await, Stage::Authorised);
    payment
        .expect(&provider, Purpose::Capture, Answer::Captured)
        .await;
    assert_eq!(stage(&sandbox, payment.trip).await, Stage::Captured);
    payment
        .expect(&provider, Purpose::Refund, Answer::Refunded)
        .await;
    assert_eq!(stage(&sandbox, payment.trip).await, Stage::Refunded);
    let listed = &sandbox.payments().await[0];
    let amounts = (
        listed.amount_minor,
        listed.captured_minor,
        listed.refunded_minor,
    );
    assert_eq!(amounts, (12_300, 12_300, 12_300));
    assert_eq!(
        (listed.currency.as_str(), listed.position.as_deref()),
        ("EUR", Some("2"))
    );
    let other = Payment::held(&provider).await;
    other.expect(&provider, Purpose::Void, Answer::Voided).await;
    assert_eq!(stage(&sandbox, other.trip).await, Stage::Voided);
    assert!(!provider.is_down() && provider.problems().is_empty());
}

/// Whatever is asked, the answer is what became of the payment, and nothing is done to it twice.
#[tokio::test]
async fn what_is_asked_too_late_is_answered_with_what_became_of_it() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let captured = Payment::held(&provider).await;
    captured
        .expect(&provider, Purpose::Capture, Answer::Captured)
        .await;
    captured
        .expect(&provider, Purpose::Void, Answer::Captured)
        .await;
    captured
        .expect(&provider, Purpose::Refund, Answer::Refunded)
        .await;
    captured
        .expect(&provider, Purpose::Void, Answer::Refunded)
        .await;
    let voided = Payment::held(&provider).await;
    voided
        .expect(&provider, Purpose::Void, Answer::Voided)
        .await;
    voided
        .expect(&provider, Purpose::Capture, Answer::Voided)
        .await;
    voided
        .expect(&provider, Purpose::Refund, Answer::Voided)
        .await;
    let held = Payment::held(&provider).await;
    held.expect(&provider, Purpose::Refund, Answer::Authorised)
        .await;
    let opened = Payment::opened("pm_card_visa", &provider).await;
    opened
        .expect(&provider, Purpose::Void, Answer::Voided)
        .await;
    opened
        .expect(&provider, Purpose::Authorise, Answer::Voided)
        .await;
}

#[tokio::test]
async fn the_same_key_is_answered_the_same_and_a_forgotten_one_does_nothing_twice() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::held(&provider).await;
    let mut again = payment.clone();
    again.intent = None;
    again.open(&provider).await;
    assert_eq!(again.intent, payment.intent);
    payment
        .expect(&provider, Purpose::Authorise, Answer::Authorised)
        .await;
    sandbox.forget_keys().await;
    payment
        .expect(&provider, Purpose::Authorise, Answer::Authorised)
        .await;
    payment
        .expect(&provider, Purpose::Capture, Answer::Captured)
        .await;
    sandbox.forget_keys().await;
    payment
        .expect(&provider, Purpose::Capture, Answer::Captured)
        .await;
    payment
        .expect(&provider, Purpose::Refund, Answer::Refunded)
        .await;
    sandbox.forget_keys().await;
    payment
        .expect(&provider, Purpose::Refund, Answer::Refunded)
        .await;
    let listed = &sandbox.payments().await[0];
    assert_eq!(
        (listed.captured_minor, listed.refunded_minor),
        (12_300, 12_300)
    );
}

/// A key that was used for something else is a fault of ours, and no outcome.
#[tokio::test]
async fn a_key_that_was_used_for_another_call_is_no_answer() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let mut payment = Payment::opened("pm_card_visa", &provider).await;
    payment.amount_minor += 1;
    let told = payment.once(&provider, Purpose::Open).await;
    assert!(matches!(told, Attempt::Unreadable { .. }), "{told:?}");
}

#[tokio::test]
async fn the_list_is_read_to_its_end() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    for _ in 0..123 {
        Payment::opened("pm_card_visa", &provider).await;
    }
    let all = sandbox.payments().await;
    let mut intents: Vec<&str> = all.iter().map(|it| it.intent.as_str()).collect();
    intents.sort_unstable();
    intents.dedup();
    assert_eq!(intents.len(), 123);
    let page = provider.page(Some(&all[9].intent), 5).await.unwrap();
    assert_eq!(page.payments, all[10..15]);
    assert_eq!(page.more_after.as_deref(), Some(all[14].intent.as_str()));
}

/// A provider that is killed has done all that it said, and knows the keys under which it did it.
#[tokio::test]
async fn a_killed_sandbox_keeps_what_it_answered() {
    let mut sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::held(&provider).await;
    sandbox.kill().await;
    sandbox.restart().await;
    payment
        .expect(&provider, Purpose::Authorise, Answer::Authorised)
        .await;
    payment
        .expect(&provider, Purpose::Capture, Answer::Captured)
        .await;
    assert_eq!(stage(&sandbox, payment.trip).await, Stage::Captured);
    sandbox.stop().await;
}
