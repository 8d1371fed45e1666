//! Two legs as others would bring them, each a program that this test program becomes: the end-to-end tests' car, made with `shared/leg`, and
//! a boat, made with a NATS client alone, without HTTP and without a database. As ordinary tests they have nothing to do.

#[path = "../../../e2e-tests/tests/car/program.rs"]
mod car;

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::{self, consumer::pull};
use choreography::LegName;
use futures::StreamExt as _;
use jiff::Timestamp;

/// Set where a program is wanted, and no test.
pub(crate) const WANTED: &str = "LEG_PROGRAM";

#[test]
fn car_program() {
    if std::env::var_os(WANTED).is_some() {
        car::serve();
    }
}

#[tokio::test]
async fn boat_program() {
    if std::env::var_os(WANTED).is_none() {
        return;
    }
    let name: LegName = "boat".parse().unwrap();
    let client = async_nats::connect(std::env::var("NATS_URL").unwrap()).await;
    let context = jetstream::new(client.unwrap());
    let stream = loop {
        match context.get_stream(choreography::STREAM).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let config = pull::Config {
        durable_name: Some(name.to_string()),
        filter_subjects: choreography::filters_for_leg(&name),
        ..Default::default()
    };
    let consumer = stream.get_or_create_consumer("boat", config).await.unwrap();
    let joined = choreography::Joined {
        leg: name,
        counts: vec![],
        dates: vec![],
    };
    let id = uuid();
    let said = BTreeMap::from([
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", id.clone()),
        ("ce-source", "/boat".to_owned()),
        ("ce-type", joined.kind()),
        ("ce-subject", "boat".to_owned()),
        ("ce-time", Timestamp::now().to_string()),
        ("ce-datacontenttype", "application/json".to_owned()),
        ("ce-correlationid", "boat".to_owned()),
        ("Nats-Msg-Id", id),
    ]);
    let mut headers = async_nats::HeaderMap::new();
    for (name, value) in said {
        headers.insert(name, value);
    }
    let said = context.publish_with_headers(joined.subject(), headers, joined.to_json().into());
    said.await.unwrap().await.unwrap();
    loop {
        let mut batch = consumer.batch().expires(Duration::from_secs(1));
        batch = batch.max_messages(10);
        let mut heard = batch.messages().await.unwrap();
        while let Some(fact) = heard.next().await {
            fact.unwrap().ack().await.unwrap();
        }
    }
}

fn uuid() -> String {
    format!(
        "{:08x}-0000-7000-8000-{:012x}",
        fastrand::u32(..),
        fastrand::u64(..1 << 48)
    )
}
