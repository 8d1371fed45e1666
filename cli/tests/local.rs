//! The local stack's foundations against a real broker and a real database server, found or fetched. Not about what runs on them.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt as _;
use roundtrip::local::broker::{self, Broker};
use roundtrip::local::skip::{self, Need};

fn say(line: &str) {
    eprintln!("{line}");
}

fn nats(test: &str) -> Option<PathBuf> {
    skip::unless(Need::Nats, test, broker::find(&say))
}

/// Runs are bounded, so that a server that hangs fails its test and no more.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .unwrap()
}

async fn jetstream(broker: &Broker) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(soon(async_nats::connect(broker.url())).await.unwrap())
}

async fn stored(broker: &Broker) -> Option<u64> {
    let mut names = jetstream(broker).await.streams();
    let mut count = None;
    while let Some(stream) = soon(names.next()).await {
        count = Some(stream.unwrap().state.messages);
    }
    count
}

#[tokio::test]
async fn a_broker_keeps_port_and_store_over_stop_and_kill_and_loses_them_when_wiped() {
    let Some(program) = nats("a_broker_keeps_port_and_store") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut broker = soon(Broker::start(&program, folder.path(), None))
        .await
        .unwrap();
    let (url, pid) = (broker.url(), broker.pid().unwrap());
    let js = jetstream(&broker).await;
    let config = async_nats::jetstream::stream::Config {
        name: "TRIPS".into(),
        subjects: vec!["trips.>".into()],
        ..Default::default()
    };
    soon(js.create_stream(config)).await.unwrap();
    soon(js.publish("trips.x", "1".into()))
        .await
        .unwrap()
        .await
        .unwrap();
    assert!(broker.wipe().is_err(), "not while it runs");

    soon(broker.restart()).await.unwrap();
    assert_eq!(broker.url(), url);
    assert_ne!(broker.pid().unwrap(), pid);
    assert_eq!(stored(&broker).await, Some(1));

    soon(broker.kill()).await.unwrap();
    assert_eq!(broker.pid(), None);
    soon(broker.restart()).await.unwrap();
    assert_eq!(broker.url(), url);
    assert_eq!(stored(&broker).await, Some(1));

    soon(broker.stop()).await.unwrap();
    broker.wipe().unwrap();
    soon(broker.restart()).await.unwrap();
    assert_eq!(stored(&broker).await, None);
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let Some(program) = nats("a_taken_port_is_named") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = soon(Broker::start(&program, folder.path(), Some(port)))
        .await
        .unwrap_err();
    assert!(
        format!("{error:#}").contains(&format!("port {port}")),
        "{error:#}"
    );
}
