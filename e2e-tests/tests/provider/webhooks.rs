//! The second way to hear an outcome: what the provider tells of its own accord, signed.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use e2e_tests::{Sandbox, eventually};
use payment::core::{Answer, Purpose};
use payment::provider::webhook::Refused;
use payment::provider::{Heard, Provider};

use super::{Payment, provider};

type Told = Arc<Mutex<Vec<(String, Bytes)>>>;

/// Takes every second event, so that each has to be told twice at least now and then.
async fn take(State(told): State<Told>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers["stripe-signature"].to_str().unwrap().to_owned();
    let mut told = told.lock().unwrap();
    told.push((signature, body));
    match told.len() % 2 {
        0 => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn listen() -> (String, Told) {
    let told = Told::default();
    let router = Router::new()
        .route("/hook", post(take))
        .with_state(told.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, told)
}

fn heard(provider: &Provider, told: &Told) -> Vec<Heard> {
    let told = told.lock().unwrap();
    let hear = |(signature, body): &(String, Bytes)| {
        provider
            .heard(Some(signature), body, SystemTime::now())
            .unwrap()
    };
    told.iter().filter_map(hear).collect()
}

#[tokio::test]
async fn what_became_of_a_payment_is_told_signed_until_it_is_taken() {
    let (url, told) = listen().await;
    let sandbox = Sandbox::start_with(&["--webhook-url", &url]).await;
    let mut settings = sandbox.settings();
    settings.provider_webhook_secret_file = Some(sandbox.webhook_file());
    let provider = provider(&settings);
    let payment = Payment::held(&provider).await;
    payment
        .expect(&provider, Purpose::Capture, Answer::Captured)
        .await;
    payment
        .expect(&provider, Purpose::Refund, Answer::Refunded)
        .await;
    let expired = Payment::held(&provider).await;
    sandbox.expire().await;
    let declined = Payment::opened("pm_card_chargeDeclined", &provider).await;
    declined.settle(&provider, Purpose::Authorise).await;
    let all = eventually("all of it is told", async || {
        let all = heard(&provider, &told);
        let is_told = |payment: &Payment, fits: fn(&Answer) -> bool| {
            all.iter().any(|it| {
                it.trip == payment.trip
                    && it.position == 2
                    && Some(&it.intent) == payment.intent.as_ref()
                    && fits(&it.answer)
            })
        };
        (is_told(&payment, |it| *it == Answer::Authorised)
            && is_told(&payment, |it| *it == Answer::Captured)
            && is_told(&payment, |it| *it == Answer::Refunded)
            && is_told(&expired, |it| *it == Answer::Voided)
            && is_told(&declined, |it| matches!(it, Answer::Declined { .. })))
        .then_some(all.clone())
    })
    .await;
    assert!(
        all.iter()
            .all(|it| !matches!(it.answer, Answer::Refused { .. }))
    );
}

/// Long after it was given back the money comes back to us, which nobody asks about any more: it is told.
#[tokio::test]
async fn a_refund_that_fails_later_is_told() {
    let (url, told) = listen().await;
    let sandbox = Sandbox::start_with(&["--webhook-url", &url]).await;
    let mut settings = sandbox.settings();
    settings.provider_webhook_secret_file = Some(sandbox.webhook_file());
    let provider = provider(&settings);
    let payment = Payment::held(&provider).await;
    for (purpose, answer) in [
        (Purpose::Capture, Answer::Captured),
        (Purpose::Refund, Answer::Refunded),
    ] {
        payment.expect(&provider, purpose, answer).await;
    }
    eventually("it was given back", async || {
        let all = heard(&provider, &told);
        all.iter()
            .any(|it| it.answer == Answer::Refunded)
            .then_some(())
    })
    .await;
    sandbox.settle_refunds("failed").await;
    // What is told before is told again at times, so what is told of a refund is looked for.
    eventually("it is told that it came back", async || {
        let failed = |(_, body): &&(String, Bytes)| {
            String::from_utf8_lossy(body).contains(r#""type":"refund.failed""#)
        };
        let failed = told.lock().unwrap().iter().find(failed).cloned()?;
        let failed = Arc::new(Mutex::new(vec![failed]));
        let heard = heard(&provider, &failed).pop().unwrap();
        assert_eq!((heard.trip, heard.answer), (payment.trip, Answer::Captured));
        Some(())
    })
    .await;
}

/// Only who has the secret is believed, only now, and only where a secret was given.
#[tokio::test]
async fn what_is_not_signed_by_the_provider_is_not_believed() {
    let (url, told) = listen().await;
    let sandbox = Sandbox::start_with(&["--webhook-url", &url]).await;
    let unable = provider(&sandbox.settings());
    let mut settings = sandbox.settings();
    settings.provider_webhook_secret_file = Some(sandbox.folder().join("other"));
    std::fs::write(sandbox.folder().join("other"), "whsec_of_somebody_else").unwrap();
    let wrong = provider(&settings);
    Payment::held(&unable).await;
    let (signature, body) =
        eventually("it is told", async || told.lock().unwrap().first().cloned()).await;
    let hear = |provider: &Provider, signature: Option<&str>| {
        provider
            .heard(signature, &body, SystemTime::now())
            .unwrap_err()
    };
    assert_eq!(hear(&unable, Some(&signature)), Refused::NoSecret);
    assert_eq!(hear(&wrong, Some(&signature)), Refused::Wrong);
    assert_eq!(hear(&wrong, None), Refused::NoSignature);
    // The secret is rotated as the key is: in its file.
    std::fs::copy(sandbox.webhook_file(), sandbox.folder().join("other")).unwrap();
    assert!(
        wrong
            .heard(Some(&signature), &body, SystemTime::now())
            .is_ok()
    );
    let later = SystemTime::now() + std::time::Duration::from_secs(600);
    assert_eq!(
        wrong.heard(Some(&signature), &body, later),
        Err(Refused::Stale)
    );
}
