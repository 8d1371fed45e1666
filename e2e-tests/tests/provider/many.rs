//! Two hundred payments while the provider is killed, hangs, is slow or answers garbage; afterwards its list says what we say, to the cent.

use std::collections::BTreeMap;

use e2e_tests::{Sandbox, eventually};
use payment::core::{Answer, Purpose};
use payment::provider::{Listed, Stage};
use serde_json::json;

use super::{Payment, measure, provider};

const PAYMENTS: usize = 200;

/// What a trip does, by its number.
const WAYS: [(&[Purpose], Stage); 3] = [
    (&[Purpose::Authorise, Purpose::Capture], Stage::Captured),
    (&[Purpose::Authorise, Purpose::Void], Stage::Voided),
    (
        &[Purpose::Authorise, Purpose::Capture, Purpose::Refund],
        Stage::Refunded,
    ),
];

/// All of them at once, while something is done to the provider.
async fn while_it_is(broken: impl AsyncFnOnce(&mut Sandbox, &dyn Fn() -> u64)) {
    let mut sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let driven = (0..PAYMENTS).map(|number| {
        let provider = provider.clone();
        tokio::spawn(async move {
            let mut payment = Payment::of("pm_card_visa");
            payment.amount_minor += number as i64;
            payment.open(&provider).await;
            let (way, _) = WAYS[number % WAYS.len()];
            for purpose in way {
                let answer = match purpose {
                    Purpose::Capture => Answer::Captured,
                    Purpose::Void => Answer::Voided,
                    Purpose::Refund => Answer::Refunded,
                    _ => Answer::Authorised,
                };
                payment.expect(&provider, *purpose, answer).await;
            }
            payment
        })
    });
    let driven: Vec<_> = driven.collect();
    let done = || measure(&provider, "provider_exchanges_total", Some("read"));
    broken(&mut sandbox, &done).await;
    let mut ours = BTreeMap::new();
    for (number, payment) in driven.into_iter().enumerate() {
        let payment = payment.await.unwrap();
        let stage = WAYS[number % WAYS.len()].1;
        ours.insert(payment.trip.to_string(), (payment, stage));
    }
    reconcile(&ours, &sandbox.payments().await);
}

/// Ours against the provider's list. One that was opened twice holds nothing the second time.
fn reconcile(ours: &BTreeMap<String, (Payment, Stage)>, theirs: &[Listed]) {
    let mut seen = 0;
    for listed in theirs {
        let (payment, stage) = &ours[listed.trip.as_ref().unwrap()];
        assert_eq!(listed.amount_minor, payment.amount_minor);
        if Some(&listed.intent) != payment.intent.as_ref() {
            assert_eq!(listed.stage, Stage::Open, "{listed:?}");
            continue;
        }
        seen += 1;
        let taken = if *stage == Stage::Voided {
            0
        } else {
            payment.amount_minor
        };
        let back = if *stage == Stage::Refunded {
            payment.amount_minor
        } else {
            0
        };
        let expected = (*stage, taken, back);
        assert_eq!(
            (listed.stage, listed.captured_minor, listed.refunded_minor),
            expected
        );
    }
    assert_eq!(seen, PAYMENTS);
}

async fn until(done: &dyn Fn() -> u64, least: u64) {
    eventually("payments are made", async || {
        (done() >= least).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_payments_while_the_provider_is_killed() {
    while_it_is(async |sandbox, done| {
        for least in [40, 150, 300, 420] {
            until(done, least).await;
            sandbox.kill().await;
            sandbox.restart().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_payments_while_the_provider_hangs() {
    while_it_is(async |sandbox, done| {
        for (least, when) in [(40, "after"), (150, "before"), (300, "after")] {
            until(done, least).await;
            sandbox
                .throw(json!({"failure": "hang", "when": when, "count": 20}))
                .await;
        }
        until(done, 350).await;
        sandbox.pause();
        tokio::time::sleep(std::time::Duration::from_millis(4_000)).await;
        sandbox.resume();
        sandbox.mend().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_payments_while_the_provider_is_slow() {
    while_it_is(async |sandbox, done| {
        until(done, 40).await;
        sandbox
            .throw(json!({"failure": "slow", "ms": 700, "count": 150}))
            .await;
        until(done, 400).await;
        sandbox.mend().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_payments_while_the_provider_answers_garbage() {
    while_it_is(async |sandbox, done| {
        let spoilt = [
            "garbage",
            "html",
            "other-shape",
            "truncated",
            "cut",
            "broken",
        ];
        for (failure, least) in spoilt.iter().zip((40..).step_by(60)) {
            until(done, least).await;
            sandbox
                .throw(json!({"failure": failure, "count": 15}))
                .await;
        }
    })
    .await;
}
