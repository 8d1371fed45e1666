//! The messages of trips through a broker of the same make, with nothing of ours at either end: published, stored, delivered to as many
//! consumers, acknowledged. What is published are copies of what the services said, each under an id of its own.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use inspect::audit::Nats;
use stack::Stack;
use stack::broker::{self, Broker};
use stack::process::cpu_us;
use tokio::sync::watch;

/// So many of the last messages are copied: all kinds of them, in their proportion.
const COPIED: u64 = 500;
/// How long the last deliveries may take.
const DELIVERED_WITHIN: Duration = Duration::from_secs(20);

/// What one message costs, with its deliveries.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) clients_us: Option<f64>,
    pub(super) server_us: Option<f64>,
}

struct Copied {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

/// So many are under way at the same time, for so long.
pub(super) async fn measure(stack: &Stack, under_way: usize, time: Duration) -> Result<Messages> {
    let theirs = Nats::at(stack.nats_url()).connect().await?;
    let copied = copy(&theirs).await?;
    let program = broker::find(&|_| ())?;
    let folder = stack
        .folder()
        .join(format!("floor-nats-{:08x}", fastrand::u32(..)));
    let mut bare = Broker::start(&program, &folder, None).await?;
    let measured = drive(&theirs, &bare, copied, under_way, time).await;
    bare.stop().await?;
    let _ = std::fs::remove_dir_all(&folder);
    measured
}

/// The last messages of trips that the stack's stream has.
async fn copy(context: &Context) -> Result<Vec<Copied>> {
    let stream = context.get_stream(choreography::STREAM).await?;
    let last = stream.cached_info().state.last_sequence;
    let mut all = Vec::new();
    for sequence in last.saturating_sub(COPIED) + 1..=last {
        let Ok(message) = stream.get_raw_message(sequence).await else {
            continue;
        };
        // A leg that says that it is there is no part of a trip.
        if !message.subject.ends_with(".joined") {
            all.push(Copied {
                subject: message.subject.to_string(),
                headers: message.headers,
                payload: message.payload,
            });
        }
    }
    ensure!(!all.is_empty(), "there are no messages to copy");
    Ok(all)
}

async fn drive(
    theirs: &Context,
    bare: &Broker,
    copied: Vec<Copied>,
    under_way: usize,
    time: Duration,
) -> Result<Messages> {
    let stream = theirs.get_stream(choreography::STREAM).await?;
    let clean = Nats::at(bare.url()).connect().await?;
    clean
        .create_stream(stream.cached_info().config.clone())
        .await?;
    let mut expected = HashMap::new();
    let (stop, stopped) = watch::channel(false);
    let mut hearers = Vec::new();
    for service in stack::SERVICES {
        let consumer: PullConsumer = stream
            .get_consumer(service)
            .await
            .map_err(|e| anyhow!("{e}"))?;
        let config = &consumer.cached_info().config;
        expected.insert((*service).to_owned(), config.filter_subjects.clone());
        let config = pull::Config {
            durable_name: Some((*service).to_owned()),
            filter_subjects: config.filter_subjects.clone(),
            ack_policy: config.ack_policy,
            ack_wait: config.ack_wait,
            max_ack_pending: config.max_ack_pending,
            ..pull::Config::default()
        };
        let context = Nats::at(bare.url()).connect().await?;
        let stream = context.get_stream(choreography::STREAM).await?;
        let consumer = stream.create_consumer(config).await?;
        hearers.push(tokio::spawn(hear(consumer, stopped.clone())));
    }
    let pid = bare.pid();
    let server = || pid.and_then(cpu_us);
    let (before, before_server) = (super::own_cpu_us(), server());
    let said = say(bare, copied, &expected, under_way, time, &clean).await?;
    // The deliveries, too: a floor without them would be none.
    for service in stack::SERVICES {
        rest(&clean, service).await?;
    }
    let after = super::own_cpu_us().zip(before);
    let after_server = server().zip(before_server);
    stop.send_replace(true);
    for hearer in hearers {
        hearer.await??;
    }
    let each = |used: f64| used / said.max(1) as f64;
    Ok(Messages {
        clients_us: after.map(|(now, before)| each(now - before)),
        server_us: after_server.map(|(now, before)| each(now.saturating_sub(before) as f64)),
    })
}

/// Publishes, from a connection for each speaker as the services have it, and counts what the broker has stored.
async fn say(
    bare: &Broker,
    copied: Vec<Copied>,
    services: &HashMap<String, Vec<String>>,
    under_way: usize,
    time: Duration,
    clean: &Context,
) -> Result<u64> {
    let mut speakers = HashMap::new();
    for service in services.keys() {
        let client = async_nats::connect(bare.url()).await?;
        let context = jetstream::ContextBuilder::new()
            .backpressure_on_inflight(false)
            .max_ack_inflight(16_384)
            .build(client);
        speakers.insert(service.clone(), context);
    }
    let until = Instant::now() + time;
    let (mut number, mut acknowledged) = (0_u64, FuturesUnordered::new());
    for message in copied.iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        if acknowledged.len() >= under_way {
            let _stored: jetstream::publish::PublishAck = match acknowledged.next().await {
                Some(stored) => stored?,
                None => continue,
            };
        }
        let speaker = message.subject.split('.').nth(1).unwrap_or_default();
        let context = speakers.get(speaker).unwrap_or(clean);
        let mut headers = message.headers.clone();
        let id = format!("01890000-0000-7000-8000-{number:012x}");
        headers.insert("Nats-Msg-Id", id.as_str());
        headers.insert("ce-id", id.as_str());
        let publish = context
            .publish_with_headers(message.subject.clone(), headers, message.payload.clone())
            .await?;
        acknowledged.push(publish.into_future());
        number += 1;
    }
    while let Some(stored) = acknowledged.next().await {
        stored?;
    }
    Ok(number)
}

/// Takes and acknowledges, until it is stopped.
async fn hear(consumer: PullConsumer, mut stopped: watch::Receiver<bool>) -> Result<()> {
    let mut messages = consumer.messages().await?;
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message else { return Ok(()) };
                message?.ack().await.map_err(|error| anyhow!("{error}"))?;
            }
            _ = stopped.changed() => return Ok(()),
        }
    }
}

/// Waits until everything was delivered and acknowledged.
async fn rest(context: &Context, service: &str) -> Result<()> {
    let until = Instant::now() + DELIVERED_WITHIN;
    let stream = context.get_stream_no_info(choreography::STREAM).await?;
    loop {
        let info = stream
            .consumer_info(service)
            .await
            .context("a bare consumer")?;
        if info.num_pending == 0 && info.num_ack_pending == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < until, "the bare consumers fell behind");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
