//! A key that the provider no longer knows: nothing is sent, somebody is told, and another key in the file is taken up without a restart.

use e2e_tests::{Sandbox, eventually};
use payment::core::{Answer, Purpose};
use serde_json::json;

use super::{Payment, again, kinds, measure, provider, settle};

#[tokio::test]
async fn a_refused_key_stops_everything_until_its_file_changes() {
    let sandbox = Sandbox::start().await;
    let mut settings = sandbox.settings();
    settings.provider_key_probe_ms = 3_600_000;
    let provider = provider(&settings);
    let payment = Payment::opened("pm_card_visa", &provider).await;
    sandbox.rotate(3_600_000).await;
    let refused = Payment::of("pm_card_visa").request(Purpose::Open);
    for _ in 0..5 {
        let (why, _) = again(provider.perform(&refused).await);
        assert!(why.starts_with("key-refused: "), "{why}");
    }
    let seen = measure(&provider, "provider_exchanges_total", Some("key-refused"));
    assert_eq!(seen, 1, "it was sent again");
    assert!(provider.is_down());
    assert_eq!(
        (provider.calls_now(), kinds(&provider)),
        (0, vec!["provider-key-refused"])
    );
    assert_eq!(measure(&provider, "provider_key_refused", None), 1);
    // The provider is not down: it is the key.
    assert_eq!(measure(&provider, "provider_down", None), 0);
    sandbox.rotate(0).await;
    assert!(provider.calls_now() > 0, "the file has another key");
    payment
        .expect(&provider, Purpose::Authorise, Answer::Authorised)
        .await;
    assert!(!provider.is_down() && kinds(&provider).is_empty());
}

/// A restricted key that lacks one right: what needs it waits and is named, and everything else goes on.
#[tokio::test]
async fn a_key_that_may_not_do_one_thing_does_all_others() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::held(&provider).await;
    let forbid = json!({"failure": "forbid-key", "only": ["capture"]});
    sandbox.throw(forbid).await;
    for _ in 0..6 {
        let (why, _) = again(payment.once(&provider, Purpose::Capture).await);
        assert!(why.starts_with("not-allowed: "), "{why}");
        Payment::held(&provider).await;
        assert!(!provider.is_down());
        assert_eq!(kinds(&provider), ["provider-not-allowed"]);
        let detail = &provider.problems()[0].detail;
        assert!(detail.contains("may not capture"), "{detail}");
    }
    assert_eq!(measure(&provider, "provider_not_allowed", None), 1);
    sandbox.mend().await;
    payment
        .expect(&provider, Purpose::Capture, Answer::Captured)
        .await;
    assert!(kinds(&provider).is_empty());
}

#[tokio::test]
async fn a_key_that_is_not_there_yet_is_a_problem_and_no_end() {
    let sandbox = Sandbox::start().await;
    let mut settings = sandbox.settings();
    settings.provider_key_file = sandbox.folder().join("later");
    let provider = provider(&settings);
    let request = Payment::of("pm_card_visa").request(Purpose::Open);
    let (why, _) = again(provider.perform(&request).await);
    assert!(
        why.starts_with("key-refused: ") && why.contains("later"),
        "{why}"
    );
    std::fs::write(&settings.provider_key_file, "  \n").unwrap();
    again(provider.perform(&request).await);
    assert_eq!(kinds(&provider), ["provider-key-refused"]);
    std::fs::copy(sandbox.key_file(), &settings.provider_key_file).unwrap();
    assert!(matches!(
        settle(&provider, &request).await,
        Answer::Opened { .. }
    ));
}

/// The key is rotated while payments are made, and its file only later: nothing is lost, done twice or restarted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_rotated_under_load() {
    const PAYMENTS: usize = 200;
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let driven = (0..PAYMENTS).map(|_| {
        let provider = provider.clone();
        tokio::spawn(async move {
            let payment = Payment::held(&provider).await;
            payment
                .expect(&provider, Purpose::Capture, Answer::Captured)
                .await;
        })
    });
    let driven: Vec<_> = driven.collect();
    let some = async |least: u64| {
        eventually("payments are made", async || {
            let read = measure(&provider, "provider_exchanges_total", Some("read"));
            (read >= least).then_some(())
        })
        .await;
    };
    some(60).await;
    sandbox.rotate(300).await;
    some(250).await;
    sandbox.rotate(0).await;
    for payment in driven {
        payment.await.unwrap();
    }
    let seen = measure(&provider, "provider_exchanges_total", Some("key-refused"));
    assert!(seen > 0, "no key was refused");
    let all = sandbox.payments().await;
    let captured: i64 = all.iter().map(|it| it.captured_minor).sum();
    assert_eq!((all.len(), captured), (PAYMENTS, 12_300 * PAYMENTS as i64));
    assert!(!provider.is_down());
}
