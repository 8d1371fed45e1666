//! 429 and heavy load: half the pace, as long a rest as was asked for, and all the same everything is done.

use std::time::{Duration, Instant};

use e2e_tests::Sandbox;
use payment::core::{Answer, Purpose};
use serde_json::json;

use super::{Payment, again, kinds, measure, provider};

#[tokio::test]
async fn a_429_is_rested_from_as_long_as_it_asks() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::opened("pm_card_visa", &provider).await;
    sandbox
        .throw(json!({"failure": "too-many", "retry_after_s": 2, "count": 1}))
        .await;
    let asked = Instant::now();
    let (why, after) = again(payment.once(&provider, Purpose::Authorise).await);
    assert!(
        why.starts_with("slowed-down: ") && after == Some(Duration::from_secs(2)),
        "{why}"
    );
    assert_eq!(
        (provider.calls_now(), kinds(&provider)),
        (0, vec!["provider-slowed-down"])
    );
    // That is no outage: a new trip is not refused for it.
    assert!(!provider.is_down());
    payment
        .expect(&provider, Purpose::Authorise, Answer::Authorised)
        .await;
    assert!(asked.elapsed() >= Duration::from_secs(2));
    assert_eq!(
        measure(&provider, "provider_calls_per_second_max", None),
        5_000
    );
}

/// The provider takes far fewer than are sent: the pace comes down to what it takes, and nothing is lost or done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_rate_limit_everything_is_done_at_its_pace() {
    const PAYMENTS: usize = 60;
    let sandbox = Sandbox::start().await;
    let mut settings = sandbox.settings();
    settings.provider_calls_per_s = 400;
    let provider = provider(&settings);
    sandbox
        .throw(json!({"failure": "too-many", "per_s": 20, "retry_after_s": 1}))
        .await;
    let driven = (0..PAYMENTS).map(|_| {
        let provider = provider.clone();
        tokio::spawn(async move {
            Payment::held(&provider)
                .await
                .expect(&provider, Purpose::Capture, Answer::Captured)
                .await;
        })
    });
    for payment in driven.collect::<Vec<_>>() {
        payment.await.unwrap();
    }
    assert!(measure(&provider, "provider_slowed_down_total", None) > 0);
    let refused = sandbox.met().await;
    assert!(refused < 400, "{refused} were sent in vain");
    sandbox.mend().await;
    let captured: i64 = sandbox
        .payments()
        .await
        .iter()
        .map(|it| it.captured_minor)
        .sum();
    assert_eq!(captured, 12_300 * PAYMENTS as i64);
}

/// Nobody has to be told 429 to hold a pace.
#[tokio::test]
async fn so_many_calls_begin_in_a_second_and_no_more() {
    let sandbox = Sandbox::start().await;
    let mut settings = sandbox.settings();
    settings.provider_calls_per_s = 20;
    let provider = provider(&settings);
    let begun = Instant::now();
    for _ in 0..24 {
        Payment::opened("pm_card_visa", &provider).await;
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(900),
        "{:?}",
        begun.elapsed()
    );
}
