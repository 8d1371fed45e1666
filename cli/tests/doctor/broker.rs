//! Broken streams and consumers on a real broker, with no service near that would mend them.

use std::path::Path;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use async_nats::jetstream::{self, Context};
use clap::Parser as _;
use runtime::Settings;
use runtime::broker::{consumer_config, stream_config};
use stack::broker::{self, Broker};
use stack::skip::{self, Need};

use crate::{doctor, with, wrong};

#[derive(clap::Parser)]
struct Program {
    #[command(flatten)]
    settings: Settings,
}

fn settings() -> Settings {
    Program::parse_from(["test", "--database-url", "sqlite://unused"]).settings
}

fn stream() -> Config {
    stream_config(participant::SYSTEM, &settings())
}

fn consumer(service: &str) -> pull::Config {
    let filters = match service {
        "booking" => choreography::filters_for_booking(),
        leg => choreography::filters_for_leg(&leg.parse().unwrap()),
    };
    consumer_config(participant::SYSTEM, service, &filters, &settings())
}

/// As it has to be, whatever it was.
async fn declare(context: &Context, config: Config) {
    let _ = context.delete_stream(choreography::STREAM).await;
    context.create_stream(config).await.unwrap();
    for service in ["booking", "flight", "hotel"] {
        put(context, consumer(service)).await;
    }
}

async fn put(context: &Context, config: pull::Config) {
    let name = config.durable_name.clone().unwrap();
    let stream = context.get_stream(choreography::STREAM).await.unwrap();
    let _ = stream.delete_consumer(&name).await;
    stream.create_consumer(config).await.unwrap();
}

#[tokio::test]
async fn each_break_of_the_stream_and_its_consumers_is_named() {
    let test = "each_break_of_the_stream_is_named";
    let Some(program) = skip::unless(Need::Nats, test, broker::find(&|_| {})) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(&program, &folder.path().join("broker"), None)
        .await
        .unwrap();
    let context = jetstream::new(async_nats::connect(broker.url()).await.unwrap());
    let (url, nowhere) = (broker.url(), Path::new("nowhere"));
    let args = ["--nats", url.as_str()];
    wrong(
        nowhere,
        &args,
        &["broker/TRIPS/stream"],
        &["the stream is not there"],
    );

    declare(&context, stream()).await;
    let (said, report) = doctor(nowhere, &args);
    assert_eq!(said.code, Some(0), "{}", said.out);
    assert!(with(&report, "wrong").is_empty() && with(&report, "warning").is_empty());

    let config = &["broker/TRIPS/config"];
    let refuses = Config {
        discard: DiscardPolicy::New,
        ..stream()
    };
    declare(&context, refuses).await;
    wrong(
        nowhere,
        &args,
        config,
        &["it takes none any more", "nats stream edit TRIPS"],
    );
    let forgets = Config {
        retention: RetentionPolicy::Interest,
        ..stream()
    };
    declare(&context, forgets).await;
    wrong(
        nowhere,
        &args,
        config,
        &["it is no window", "nats stream rm TRIPS"],
    );

    let stores_nothing = Config {
        max_message_size: 1,
        ..stream()
    };
    declare(&context, stores_nothing).await;
    let stores = &["broker/TRIPS/stores"];
    wrong(
        nowhere,
        &args,
        stores,
        &["message size exceeds maximum allowed", "restart it"],
    );

    consumers(&args, &context).await;
}

async fn consumers(args: &[&str], context: &Context) {
    let nowhere = Path::new("nowhere");
    declare(context, stream()).await;
    let found = context.get_stream(choreography::STREAM).await.unwrap();
    found.delete_consumer("flight").await.unwrap();
    let gone = &["broker/consumer flight/consumer"];
    wrong(
        nowhere,
        args,
        gone,
        &["flight has no consumer", "start flight"],
    );

    let gives_up = pull::Config {
        max_deliver: 3,
        filter_subjects: vec!["trips.*.*.flight".into()],
        ..consumer("flight")
    };
    put(context, gives_up).await;
    wrong(
        nowhere,
        args,
        &["broker/consumer flight/config"],
        &[
            "it gives up after 3",
            "it does not hear trips.*.rejected",
            "nats consumer rm TRIPS flight",
        ],
    );

    // Facts wait, and nobody takes them.
    put(context, consumer("flight")).await;
    let publish = context.publish("trips.booking.requested.flight", "{}".into());
    publish.await.unwrap().await.unwrap();
    let (said, report) = doctor(nowhere, args);
    assert_eq!(
        with(&report, "warning"),
        ["broker/consumer flight/work"],
        "{}",
        said.out
    );
    assert!(said.out.contains("1 to deliver"), "{}", said.out);

    // A foreign consumer is nobody's business, and is named.
    let foreign = pull::Config {
        durable_name: Some("Archive".into()),
        ack_policy: AckPolicy::None,
        ..pull::Config::default()
    };
    put(context, foreign).await;
    let (_, report) = doctor(nowhere, args);
    let unseen = with(&report, "not-looked-at");
    assert!(
        unseen.contains(&"broker/consumer Archive/config".into()),
        "{unseen:?}"
    );
}
