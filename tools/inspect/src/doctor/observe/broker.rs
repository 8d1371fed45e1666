//! The broker: its server, the stream and its consumers.

use std::time::Duration;

use anyhow::{Result, anyhow};
use async_nats::jetstream::stream::{ClusterInfo, Info};
use async_nats::jetstream::{Context, consumer};
use async_nats::jetstream::{ErrorCode, context::GetStreamErrorKind};
use futures::TryStreamExt as _;

use super::in_time;
use crate::audit::Nats;
use crate::doctor::observations::{Account, Broker, Consumer, Copy, Server, Stream};

/// Between looks at consumers, where one says too little. Services ask once a second: not so often that every look falls between two
/// requests.
const BETWEEN: [Duration; 2] = [Duration::from_secs(1), Duration::from_millis(1_300)];

pub(super) async fn observe(nats: &Nats, stream: &str) -> Broker {
    let mut broker = Broker {
        url: format!("{nats:?}"),
        server: Err(String::new()),
        account: Err(String::new()),
        stream: Ok(None),
        stores: None,
        consumers: Ok(Vec::new()),
    };
    let context = match in_time(nats.connect()).await {
        Ok(context) => context,
        Err(why) => {
            broker.server = Err(why);
            return broker;
        }
    };
    let info = context.client().server_info();
    broker.server = Ok(Server {
        name: info.server_name,
        version: info.version,
        cluster: info.cluster,
        jetstream: info.jetstream,
        tls_required: info.tls_required,
        lame_duck: info.lame_duck_mode,
    });
    let (account, found, consumers) = tokio::join!(
        in_time(account(&context)),
        in_time(find(&context, stream)),
        consumers(&context, stream),
    );
    broker.account = account;
    broker.stream = found;
    if let Ok(Some(stream)) = &broker.stream
        && let Some(subject) = nobodys(&stream.config.subjects)
    {
        broker.stores = Some(in_time(store(&context, &stream.config.name, subject)).await);
    }
    broker.consumers = consumers;
    broker
}

/// The stream's consumers. Where something waits to be delivered, or nobody asks for anything, they are looked at again.
pub(super) async fn consumers(context: &Context, stream: &str) -> Result<Vec<Consumer>, String> {
    let infos = in_time(list(context, stream)).await?;
    let mut consumers: Vec<Consumer> = infos.into_iter().map(seen).collect();
    for (at, pause) in BETWEEN.into_iter().enumerate() {
        let waits = at == 0 && consumers.iter().any(|consumer| consumer.pending > 0);
        if !waits && !consumers.iter().any(|consumer| consumer.silent) {
            break;
        }
        tokio::time::sleep(pause).await;
        let Ok(again) = in_time(list(context, stream)).await else {
            break;
        };
        for consumer in &mut consumers {
            if at == 0 {
                consumer.took = took(consumer, &again);
            }
            let found = again.iter().find(|info| info.name == consumer.name);
            consumer.silent &= found.is_none_or(|info| {
                info.num_waiting == 0 && info.delivered.consumer_sequence == consumer.delivered
            });
        }
    }
    Ok(consumers)
}

/// A subject that the stream takes and no service listens for: theirs have three tokens at least.
fn nobodys(subjects: &[String]) -> Option<String> {
    let all = subjects
        .iter()
        .find_map(|subject| subject.strip_suffix('>'))?;
    Some(format!("{all}doctor"))
}

/// A broker whose disk was full may answer everything and store nothing until it is started again, so it is tried: with one message, which
/// is removed at once where that is allowed, and is heard by nobody.
async fn store(context: &Context, stream: &str, subject: String) -> Result<()> {
    let published = context.publish(subject, "tried by the doctor".into()).await;
    let stored = published.map_err(|error| anyhow!("{error}"))?.await;
    let stored = stored.map_err(|error| anyhow!("{error}"))?;
    if let Ok(stream) = context.get_stream_no_info(stream).await {
        let _ = stream.delete_message(stored.sequence).await;
    }
    Ok(())
}

async fn account(context: &Context) -> Result<Account> {
    let account = context
        .query_account()
        .await
        .map_err(|error| anyhow!("{error}"))?;
    let max = account
        .limits
        .max_storage
        .and_then(|max| u64::try_from(max).ok());
    Ok(Account {
        storage: account.storage,
        storage_max: max,
    })
}

async fn find(context: &Context, name: &str) -> Result<Option<Stream>> {
    let found = match context.get_stream(name).await {
        Ok(found) => found,
        Err(error) => {
            return match error.kind() {
                GetStreamErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(None)
                }
                _ => Err(anyhow!("{error}")),
            };
        }
    };
    let Info {
        config,
        state,
        cluster,
        ..
    } = found.cached_info().clone();
    Ok(Some(Stream {
        config,
        bytes: state.bytes,
        messages: state.messages,
        last_sequence: state.last_sequence,
        first_us: i64::try_from(state.first_timestamp.unix_timestamp_nanos() / 1_000).unwrap_or(0),
        led: cluster
            .as_ref()
            .is_none_or(|cluster| cluster.leader.is_some()),
        copies: copies(cluster),
    }))
}

fn copies(cluster: Option<ClusterInfo>) -> Vec<Copy> {
    let peers = cluster.map(|cluster| cluster.replicas).unwrap_or_default();
    peers
        .into_iter()
        .map(|peer| Copy {
            node: peer.name,
            current: peer.current,
            offline: peer.offline,
        })
        .collect()
}

async fn list(context: &Context, stream: &str) -> Result<Vec<consumer::Info>> {
    let stream = context
        .get_stream_no_info(stream)
        .await
        .map_err(|error| anyhow!("{error}"))?;
    let infos = stream.consumers().try_collect();
    infos.await.map_err(|error| anyhow!("{error}"))
}

fn seen(info: consumer::Info) -> Consumer {
    Consumer {
        name: info.name,
        pending: info.num_pending,
        unacked: info.num_ack_pending as u64,
        redelivered: info.num_redelivered as u64,
        paused: info.paused,
        delivered: info.delivered.consumer_sequence,
        took: None,
        // So far. Who is delivered to unasked asks for nothing.
        silent: info.num_waiting == 0 && info.config.deliver_subject.is_none(),
        config: info.config,
    }
}

/// Whether something was delivered since; None when there was nothing to deliver.
fn took(first: &Consumer, second: &[consumer::Info]) -> Option<bool> {
    let second = second.iter().find(|second| second.name == first.name)?;
    let took = second.delivered.consumer_sequence > first.delivered || second.num_pending == 0;
    (first.pending > 0).then_some(took)
}
