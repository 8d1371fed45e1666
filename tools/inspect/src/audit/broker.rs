//! What the broker has still to deliver to each service.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, ServerAddr};

use super::counts::Consumer;
use client::redaction::shown;

const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How to reach a broker.
#[derive(Clone)]
pub struct Nats {
    /// One or more addresses, separated by commas.
    pub url: String,
    /// With its password.
    pub user: Option<String>,
    /// The user's.
    pub password: Option<String>,
}

impl Nats {
    /// A broker without a login.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
        }
    }

    /// Connects, once, and gives up soon.
    ///
    /// # Errors
    /// When the broker does not answer, or the address is none.
    pub async fn connect(&self) -> Result<Context> {
        let servers: Vec<ServerAddr> = self
            .url
            .split(',')
            .map(|url| {
                let wrong = || {
                    let url = shown(url);
                    format!("{url:?} is not an address such as nats://127.0.0.1:4222")
                };
                url.trim().parse().with_context(wrong)
            })
            .collect::<Result<_>>()?;
        let mut options = ConnectOptions::new()
            .name("roundtrip")
            .connection_timeout(ANSWER_WITHIN);
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            options = options.user_and_password(user.clone(), password.clone());
        }
        let client = tokio::time::timeout(ANSWER_WITHIN, options.connect(servers))
            .await
            .map_err(|_| anyhow::anyhow!("the broker does not answer at {}", shown(&self.url)))?
            .with_context(|| format!("the broker cannot be reached at {}", shown(&self.url)))?;
        Ok(jetstream::ContextBuilder::new()
            .timeout(ANSWER_WITHIN)
            .build(client))
    }
}

/// Without the password.
impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.url))
    }
}

/// What a service's consumer has before it.
pub(super) async fn consumer(context: &Context, service: &str) -> Result<Consumer> {
    let stream = context
        .get_stream_no_info(choreography::STREAM)
        .await
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let info = stream
        .consumer_info(service)
        .await
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Consumer {
        pending: info.num_pending,
        unacked: info.num_ack_pending as u64,
    })
}
