//! Looks at everything at once: it reads, and tries the broker with one message; every step takes a few seconds at most. It judges nothing.

mod broker;
mod connections;
mod databases;
mod payments;
mod services;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{OptionFuture, join_all};
use jiff::Timestamp;

use super::Places;
use super::expected::Expected;
use super::observations::Seen;
use crate::audit::Nats;

/// The longest that one look may take.
const WITHIN: Duration = Duration::from_secs(3);

pub(super) async fn observe(places: &Places, expected: &Expected) -> Seen {
    let stream = expected.stream().name;
    let broker = OptionFuture::from(
        places
            .broker
            .as_ref()
            .map(|nats| broker::observe(nats, &stream)),
    );
    let (services, broker, databases, connections) = tokio::join!(
        join_all(places.services.iter().map(services::observe)),
        broker,
        join_all(places.databases.iter().map(databases::observe)),
        connections::observe(places),
    );
    Seen {
        now_us: Timestamp::now().as_microsecond(),
        home: places.home.clone(),
        services,
        broker,
        databases,
        connections,
    }
}

/// See [`super::silent`].
pub(super) async fn silent(nats: &Nats, stream: &str) -> anyhow::Result<BTreeSet<String>> {
    let consumers = async {
        let context = nats.connect().await?;
        broker::consumers(&context, stream)
            .await
            .map_err(anyhow::Error::msg)
    };
    let silent = consumers.await?.into_iter().filter(|it| it.silent);
    Ok(silent.map(|consumer| consumer.name).collect())
}

/// What comes of it in time; else that it did not.
async fn in_time<T>(work: impl Future<Output = anyhow::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(WITHIN, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(_) => Err(format!("no answer within {} s", WITHIN.as_secs())),
    }
}
