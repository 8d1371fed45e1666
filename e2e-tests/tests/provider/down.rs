//! Down for maintenance: 503, Retry-After, the breaker and its probes.

use std::time::{Duration, Instant};

use e2e_tests::{Sandbox, eventually};
use payment::core::{Answer, Purpose};
use runtime::Attempt;
use serde_json::json;

use super::{Payment, again, kinds, measure, provider};

#[tokio::test]
async fn down_with_retry_after_is_left_alone_for_so_long() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::opened("pm_card_visa", &provider).await;
    sandbox
        .throw(json!({"failure": "down", "retry_after_s": 2}))
        .await;
    let asked = Instant::now();
    let (why, after) = again(payment.once(&provider, Purpose::Authorise).await);
    assert!(why.starts_with("down: "), "{why}");
    assert!(after.unwrap() > Duration::from_millis(1_900), "{after:?}");
    assert!(provider.is_down());
    assert_eq!(
        (provider.calls_now(), kinds(&provider)),
        (0, vec!["provider-down"])
    );
    // Whoever asks all the same is told so without a word to the provider.
    let (why, after) = again(payment.once(&provider, Purpose::Authorise).await);
    assert!(why.starts_with("waiting: ") && after.is_some(), "{why}");
    assert_eq!(sandbox.met().await, 1);
    sandbox.mend().await;
    payment
        .expect(&provider, Purpose::Authorise, Answer::Authorised)
        .await;
    assert!(
        asked.elapsed() >= Duration::from_secs(2),
        "it was asked too early"
    );
    assert!(!provider.is_down() && kinds(&provider).is_empty());
}

#[tokio::test]
async fn down_without_retry_after_opens_the_breaker_after_so_many_and_one_tries() {
    let sandbox = Sandbox::start().await;
    let mut settings = sandbox.settings();
    settings.provider_break_after = 3;
    settings.provider_probe_first_ms = 2_000;
    settings.provider_probe_max_ms = 2_000;
    let provider = provider(&settings);
    let payment = Payment::opened("pm_card_visa", &provider).await;
    sandbox.throw(json!({"failure": "down"})).await;
    for _ in 0..3 {
        assert!(!provider.is_down());
        let (why, _) = again(payment.once(&provider, Purpose::Authorise).await);
        assert!(why.starts_with("down: "), "{why}");
    }
    assert!(provider.is_down());
    assert_eq!(provider.calls_now(), 0);
    eventually("a probe is due", async || {
        (provider.calls_now() > 0).then_some(())
    })
    .await;
    assert_eq!(provider.calls_now(), 1);
    // Of ten that try at once one is sent, and the others wait for what becomes of it.
    let request = payment.request(Purpose::Authorise);
    let tries = (0..10).map(|_| provider.perform(&request));
    let told = futures::future::join_all(tries).await;
    let sent = told
        .into_iter()
        .filter(|it| matches!(it, Attempt::Again { why, .. } if why.starts_with("down: ")));
    assert_eq!((sent.count(), sandbox.met().await), (1, 4));
    assert_eq!(measure(&provider, "provider_down", None), 1);
    sandbox.mend().await;
    payment
        .expect(&provider, Purpose::Authorise, Answer::Authorised)
        .await;
    assert_eq!(measure(&provider, "provider_down", None), 0);
}

/// With every new payment refused early and nothing else waiting, somebody has to find out all the same that it is back.
#[tokio::test]
async fn that_it_is_back_is_found_out_without_a_payment_that_waits() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    sandbox
        .throw(json!({"failure": "down", "retry_after_s": 1}))
        .await;
    let request = Payment::of("pm_card_visa").request(Purpose::Open);
    again(provider.perform(&request).await);
    assert!(provider.is_down());
    provider.probe().await;
    assert_eq!(sandbox.met().await, 1, "it is left alone");
    eventually("a new payment may try it", async || {
        (!provider.is_down()).then_some(())
    })
    .await;
    provider.probe().await;
    assert!(provider.is_down(), "it is not back");
    assert_eq!(sandbox.met().await, 2);
    sandbox.mend().await;
    eventually("it is back", async || {
        provider.probe().await;
        kinds(&provider).is_empty().then_some(())
    })
    .await;
}

/// What it is asked it answers, and what it is to do it does not: that is down, and stays so, however often it is asked.
#[tokio::test]
async fn one_that_answers_and_does_nothing_is_down() {
    let sandbox = Sandbox::start().await;
    let mut settings = sandbox.settings();
    settings.provider_break_after = 3;
    settings.provider_quiet_ms = 3_600_000;
    let provider = provider(&settings);
    let payment = Payment::opened("pm_card_visa", &provider).await;
    let writes = ["open", "authorise", "capture", "void", "refund"];
    let hang = json!({"failure": "broken", "when": "before", "only": writes});
    sandbox.throw(hang).await;
    for _ in 0..3 {
        sandbox.forget_keys().await;
        again(payment.once(&provider, Purpose::Authorise).await);
    }
    let since = provider.problems()[0].since;
    let opened = || measure(&provider, "provider_breaker_opened_total", None);
    for more in 2..5 {
        eventually("it is tried", async || {
            provider.probe().await;
            assert_eq!(kinds(&provider), ["provider-down"], "a read took it back");
            assert_eq!(provider.problems()[0].since, since, "it flaps");
            if provider.calls_now() > 0 {
                payment.once(&provider, Purpose::Authorise).await;
            }
            (opened() >= more).then_some(())
        })
        .await;
    }
    sandbox.mend().await;
    payment
        .expect(&provider, Purpose::Authorise, Answer::Authorised)
        .await;
    assert!(kinds(&provider).is_empty());
}
