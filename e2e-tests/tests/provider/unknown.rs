//! It was sent, and nothing or half an answer came back: what became of it is not known, so it is read back, or asked again under the same key. In no
//! case is anything held, taken or given back twice.

use e2e_tests::Sandbox;
use payment::core::{Answer, Purpose};
use payment::provider::{Listed, Stage};
use serde_json::{Value, json};

use super::{Payment, again, provider, stage};

const STEPS: [(Purpose, Answer, Stage); 3] = [
    (Purpose::Authorise, Answer::Authorised, Stage::Authorised),
    (Purpose::Capture, Answer::Captured, Stage::Captured),
    (Purpose::Refund, Answer::Refunded, Stage::Refunded),
];

/// One payment through all of its steps, each of which meets this first.
async fn through(switch: impl Fn(Purpose) -> Value, forgets: bool) {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::opened("pm_card_visa", &provider).await;
    for (purpose, answer, kept) in STEPS {
        sandbox.throw(switch(purpose)).await;
        let first = payment.once(&provider, purpose).await;
        assert!(
            sandbox.met().await > 0,
            "{purpose:?} did not meet it: {first:?}"
        );
        sandbox.mend().await;
        if forgets {
            sandbox.forget_keys().await;
        }
        payment.expect(&provider, purpose, answer).await;
        assert_eq!(stage(&sandbox, payment.trip).await, kept);
    }
    let all = sandbox.payments().await;
    let money = |of: fn(&Listed) -> i64| all.iter().map(of).sum::<i64>();
    assert_eq!(
        (money(|it| it.captured_minor), money(|it| it.refunded_minor)),
        (12_300, 12_300)
    );
    let declined = Payment::opened("pm_card_chargeDeclined", &provider).await;
    sandbox.throw(switch(Purpose::Authorise)).await;
    declined.once(&provider, Purpose::Authorise).await;
    sandbox.mend().await;
    let answer = declined.settle(&provider, Purpose::Authorise).await;
    assert!(
        matches!(answer, Answer::Declined { .. }),
        "a no is a no: {answer:?}"
    );
}

#[tokio::test]
async fn an_answer_that_never_comes_is_read_back() {
    through(
        |purpose| json!({"failure": "hang", "when": "after", "only": [purpose]}),
        false,
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_never_comes_is_known_before_anybody_asks_again() {
    let sandbox = Sandbox::start().await;
    let mut settings = sandbox.settings();
    settings.provider_timeout_ms = 8_000;
    let provider = provider(&settings);
    let payment = Payment::opened("pm_card_visa", &provider).await;
    sandbox
        .throw(json!({"failure": "hang", "when": "after", "only": ["authorise"]}))
        .await;
    let told = payment.once(&provider, Purpose::Authorise).await;
    assert_eq!(told, runtime::Attempt::Answered(Answer::Authorised));
}

/// The provider forgets the key meanwhile (Stripe does after a day): the payment's own state keeps the effect to one.
#[tokio::test]
async fn an_answer_that_never_comes_is_asked_for_under_a_key_that_was_forgotten() {
    through(|_| json!({"failure": "hang", "when": "after"}), true).await;
}

/// What hangs is done long after it was given up, while it is asked for again.
#[tokio::test]
async fn what_is_done_after_it_was_given_up_is_done_once() {
    through(|_| json!({"failure": "hang", "when": "before"}), false).await;
}

#[tokio::test]
async fn a_connection_that_ends_in_the_answer_tells_nothing() {
    through(|_| json!({"failure": "cut", "count": 2}), false).await;
}

#[tokio::test]
async fn a_500_is_read_back_whether_it_was_done_or_not() {
    for when in ["before", "after"] {
        through(
            |purpose| json!({"failure": "broken", "when": when, "only": [purpose]}),
            false,
        )
        .await;
    }
}

/// The 500 is kept under the key, and is all that comes for it: the call goes out under another one once it is known that nothing was done.
#[tokio::test]
async fn a_500_that_is_all_that_comes_for_a_key_stops_nothing() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let mut payment = Payment::of("pm_card_visa");
    let broken = |purpose: &str| json!({"failure": "broken", "when": "before", "only": [purpose], "count": 1});
    sandbox.throw(broken("open")).await;
    again(payment.once(&provider, Purpose::Open).await);
    payment.open(&provider).await;
    for (purpose, answer, kept) in STEPS {
        sandbox.throw(broken(purpose.as_str())).await;
        again(payment.once(&provider, purpose).await);
        payment.expect(&provider, purpose, answer).await;
        assert_eq!(stage(&sandbox, payment.trip).await, kept);
    }
    assert_eq!(sandbox.payments().await.len(), 1);
}

/// However often: each time the provider keeps it, and a call that has used up its keys would be stuck for as long as that.
#[tokio::test]
async fn a_500_that_comes_many_times_stops_nothing_once_it_is_over() {
    let sandbox = Sandbox::start().await;
    let mut settings = sandbox.settings();
    settings.provider_break_after = 1_000;
    let provider = provider(&settings);
    let mut payment = Payment::of("pm_card_visa");
    let purposes = [
        Purpose::Open,
        Purpose::Authorise,
        Purpose::Capture,
        Purpose::Refund,
    ];
    for purpose in purposes {
        let broken = json!({"failure": "broken", "when": "before", "only": [purpose]});
        sandbox.throw(broken).await;
        for _ in 0..8 {
            again(payment.once(&provider, purpose).await);
        }
        sandbox.mend().await;
        match payment.settle(&provider, purpose).await {
            Answer::Opened { intent } => payment.intent = Some(intent),
            Answer::Authorised | Answer::Captured | Answer::Refunded => {}
            other => panic!("{purpose:?}: {other:?}"),
        }
    }
    assert_eq!(sandbox.payments().await.len(), 1);
    assert_eq!(stage(&sandbox, payment.trip).await, Stage::Refunded);
}

#[tokio::test]
async fn a_key_that_is_in_use_is_asked_for_again_soon() {
    through(|_| json!({"failure": "in-use", "count": 2}), false).await;
}

#[tokio::test]
async fn a_slow_answer_is_an_answer() {
    through(|_| json!({"failure": "slow", "ms": 400}), false).await;
}
