//! From a refusal to everything being back: the time in the hotel's own fact, and when the caller was told. The facts are read afterwards,
//! so that nothing of it falls into what is measured.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow};
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures::StreamExt as _;
use jiff::Timestamp;

use super::distribution::Taken;

/// How long the facts of one measurement may take to be read.
const READ_WITHIN: Duration = Duration::from_secs(60);
/// A message that does not come.
const NEXT_WITHIN: Duration = Duration::from_secs(2);

/// When each trip was refused by the hotel, in microseconds since 1970, since that time and as far as the stream still has it.
pub(crate) async fn refusals(context: &Context, since: SystemTime) -> Result<HashMap<String, i64>> {
    let stream = context
        .get_stream(choreography::STREAM)
        .await
        .map_err(|error| anyhow!("{error}"))?;
    let config = pull::Config {
        filter_subject: format!("trips.{}.rejected", hotel::SPEC.name),
        deliver_policy: DeliverPolicy::ByStartTime {
            start_time: since.into(),
        },
        ack_policy: AckPolicy::None,
        headers_only: true,
        memory_storage: true,
        inactive_threshold: READ_WITHIN,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await?;
    let mut left = consumer.cached_info().num_pending;
    let mut all = HashMap::new();
    let mut messages = consumer.messages().await?;
    let reading = async {
        while left > 0 {
            let Ok(Some(Ok(message))) = tokio::time::timeout(NEXT_WITHIN, messages.next()).await
            else {
                return;
            };
            left -= 1;
            let header = |name: &str| Some(message.headers.as_ref()?.get(name)?.as_str());
            let at = header("ce-time").and_then(|time| time.parse::<Timestamp>().ok());
            let Some((trip, at)) = header("ce-subject").zip(at) else {
                continue;
            };
            // What was said again was decided when it was said first.
            let at = at.as_microsecond();
            let first = all.entry(trip.to_owned()).or_insert(at);
            *first = at.min(*first);
        }
    };
    // What was not read in time is not told: `count` says of how many it is.
    let _ = tokio::time::timeout(READ_WITHIN, reading).await;
    let _ = stream.delete_consumer(&consumer.cached_info().name).await;
    Ok(all)
}

/// How long it took of every trip of which both times are known.
pub(crate) fn taken(refused: &HashMap<String, i64>, undone: &[(String, i64)]) -> Result<Taken> {
    let mut taken = Taken::new()?;
    for (trip, told) in undone {
        if let Some(at) = refused.get(trip) {
            // Clocks of one machine: below zero it was set back in between.
            let us = u64::try_from(told - at).unwrap_or(0);
            taken.record(Duration::from_micros(us));
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_what_was_refused_and_told_counts() {
        let refused = HashMap::from([("a".into(), 1_000_000), ("b".into(), 5)]);
        let undone = [("a".into(), 1_025_000), ("c".into(), 9)];
        let told = taken(&refused, &undone).unwrap().distribution().unwrap();
        assert_eq!(told.count, 1);
        assert!((told.max_ms - 25.0).abs() < 0.1, "{told:?}");
    }
}
