//! Nobody is reached: refused, a black hole, no such name, no TLS. Each attempt is bounded, nothing was sent, and unknown is not no.

use std::time::{Duration, Instant};

use e2e_tests::Sandbox;
use payment::core::{Answer, Purpose};
use payment::provider::ProviderSettings;
use tokio::net::{TcpSocket, TcpStream};

use super::{Payment, again, kinds, provider, settle, stage};
use payment::provider::Stage;

/// It says that nobody was reached, in good time, and the breaker opens.
async fn nobody_is_reached(settings: &ProviderSettings) {
    let mut settings = settings.clone();
    settings.provider_break_after = 2;
    let provider = provider(&settings);
    let request = Payment::of("pm_card_visa").request(Purpose::Open);
    let begun = Instant::now();
    for _ in 0..2 {
        let (why, _) = again(provider.perform(&request).await);
        assert!(why.starts_with("unreachable: "), "{why}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    assert!(provider.is_down());
    assert_eq!(kinds(&provider), ["provider-down"]);
}

#[tokio::test]
async fn refused_it_is_asked_again_until_it_is_there() {
    let mut sandbox = Sandbox::start().await;
    let settings = sandbox.settings();
    sandbox.kill().await;
    nobody_is_reached(&settings).await;
    let provider = provider(&settings);
    let request = Payment::of("pm_card_visa").request(Purpose::Open);
    let (settled, ()) = tokio::join!(settle(&provider, &request), async {
        sandbox.restart().await;
    });
    assert!(matches!(settled, Answer::Opened { .. }));
}

/// A socket whose queue is full drops whoever knocks, as a firewall does.
#[tokio::test]
async fn a_black_hole_is_given_up_in_time() {
    let sandbox = Sandbox::start().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let hole = socket.listen(1).unwrap();
    let address = hole.local_addr().unwrap();
    let mut queued = Vec::new();
    let soon = Duration::from_millis(300);
    while let Ok(Ok(one)) = tokio::time::timeout(soon, TcpStream::connect(address)).await {
        queued.push(one);
        assert!(queued.len() < 50, "its queue is never full");
    }
    let mut settings = sandbox.settings();
    settings.provider_url = format!("http://{address}");
    nobody_is_reached(&settings).await;
}

#[tokio::test]
async fn a_name_that_nobody_has_is_given_up_in_time() {
    let sandbox = Sandbox::start().await;
    let mut settings = sandbox.settings();
    settings.provider_url = String::from("https://payments.invalid");
    nobody_is_reached(&settings).await;
}

#[tokio::test]
async fn one_without_tls_gets_no_key() {
    let sandbox = Sandbox::start().await;
    let mut settings = sandbox.settings();
    settings.provider_url = sandbox.url().replace("http://", "https://");
    nobody_is_reached(&settings).await;
    assert!(sandbox.payments().await.is_empty());
}

/// The process is stopped: connections are made, and nobody answers. That is no black hole: it may have been heard.
#[tokio::test]
async fn one_that_hangs_as_a_whole_is_given_up_in_time() {
    let mut sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let payment = Payment::opened("pm_card_visa", &provider).await;
    sandbox.pause();
    let begun = Instant::now();
    let (why, _) = again(payment.once(&provider, Purpose::Authorise).await);
    assert!(why.starts_with("timed-out: "), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    sandbox.resume();
    payment
        .expect(&provider, Purpose::Authorise, Answer::Authorised)
        .await;
    assert_eq!(stage(&sandbox, payment.trip).await, Stage::Authorised);
}
