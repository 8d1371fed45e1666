//! What the whole loop promises, on a real broker.

use async_nats::HeaderMap;
use async_nats::jetstream;
use runtime::TraceContext;
use uuid::Uuid;

use crate::place::{Place, eventually};
use crate::wallet::{PayOut, Wallet, Wallets};

async fn pay(jetstream: &jetstream::Context, place: &Place, wallet: &str, cents: &'static str) {
    let mut headers = HeaderMap::new();
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-type", "wallet.paid.v1");
    headers.insert("ce-subject", wallet);
    headers.insert("ce-id", Uuid::now_v7().to_string());
    let subject = format!("{}.paid", place.system.namespace);
    // A service that has just been started may not have declared the stream yet.
    eventually(async || {
        let published =
            jetstream.publish_with_headers(subject.clone(), headers.clone(), cents.into());
        published.await.unwrap().await.is_ok()
    })
    .await;
}

async fn cents(handle: &runtime::Handle<Wallets>, wallet: &str) -> i64 {
    let key = (wallet.to_owned(),);
    let found = handle.database().find::<Wallet>(&key).await;
    found.unwrap().map_or(0, |wallet| wallet.cents)
}

async fn number(handle: &runtime::Handle<Wallets>, sql: &str) -> i64 {
    handle.database().number(sql, vec![]).await.unwrap()
}

/// How many facts with that last word lie in the stream.
async fn said(jetstream: &jetstream::Context, place: &Place, what: &str) -> usize {
    let stream = jetstream.get_stream(place.system.stream).await.unwrap();
    let subject = format!("{}.{what}", place.system.namespace);
    let info = stream.info_with_subjects(&subject).await.unwrap();
    let counts: Vec<_> = futures::TryStreamExt::try_collect(info).await.unwrap();
    counts.into_iter().map(|(_, count)| count).sum()
}

pub(crate) async fn what_cannot_be_read_is_put_aside_and_stops_nothing(place: Place) {
    let (running, handle) = place.start().await;
    let jetstream = Place::jetstream().await;
    for cents in ["5", "five", "5", "five"] {
        pay(&jetstream, &place, "ann", cents).await;
    }
    eventually(async || cents(&handle, "ann").await == 10).await;
    let aside = "select count(*) from dead_letter";
    eventually(async || number(&handle, aside).await == 1).await;
    running.drain().await;
}

pub(crate) async fn an_answer_says_what_is_saved_and_a_fact_follows(place: Place) {
    let (running, handle) = place.start().await;
    let jetstream = Place::jetstream().await;
    pay(&jetstream, &place, "ann", "5").await;
    eventually(async || cents(&handle, "ann").await == 5).await;
    let wallet = String::from("ann");
    let pay_out = PayOut { wallet, cents: 2 };
    let reply = handle.command(pay_out.clone(), TraceContext::default());
    assert_eq!(reply.await.unwrap(), Some(3));
    assert_eq!(cents(&handle, "ann").await, 3, "before it was answered");
    eventually(async || said(&jetstream, &place, "changed").await == 2).await;
    running.drain().await;
    let late = handle.command(pay_out, TraceContext::default()).await;
    late.expect_err("it has stopped");
}

pub(crate) async fn a_timer_strikes_when_it_is_due(place: Place) {
    let (running, handle) = place.start().await;
    let jetstream = Place::jetstream().await;
    pay(&jetstream, &place, "ann", "5").await;
    eventually(async || said(&jetstream, &place, "looked-at").await == 1).await;
    let waits = "select count(*) from wallet where due_us is not null";
    assert_eq!(number(&handle, waits).await, 0);
    running.drain().await;
}

/// `ACK_WAIT_MS` is thirty seconds here: what a replica had fetched and left would come later than anything is waited for.
pub(crate) async fn who_drains_leaves_nothing_behind_and_another_goes_on(place: Place) {
    let (first, handle) = place.start().await;
    let (second, _) = place.start().await;
    let jetstream = Place::jetstream().await;
    for _ in 0..200 {
        pay(&jetstream, &place, "ann", "1").await;
    }
    eventually(async || cents(&handle, "ann").await >= 50).await;
    first.drain().await;
    for _ in 0..100 {
        pay(&jetstream, &place, "ann", "1").await;
    }
    eventually(async || cents(&handle, "ann").await == 300).await;
    eventually(async || number(&handle, "select count(*) from outbox").await == 0).await;
    assert!(said(&jetstream, &place, "changed").await >= 300);
    second.drain().await;
}
