//! A stranger on the wire: hears every message that is published, counts it, keeps the latest, and says some of them once more.
//!
//! It listens to subjects and not to the stream, so what it counted is there when the stream is not. It knows no trips.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::{Client, ConnectOptions, HeaderMap, Message, ServerAddr, jetstream};
use fastrand::Rng;
use futures::StreamExt as _;

use super::fault::Manner;
use client::timeline::Timeline;

/// By this header the stranger knows its own.
const OURS: &str = "Chaos-Repeat";
/// Messages that are kept, for stories and to be said again; and the first ones, which are as old as can be.
const LATEST_MAX: usize = 100_000;
const FIRST_MAX: usize = 1_000;
/// Ids that are told apart.
const IDS_MAX: usize = 4_000_000;
/// How many are said again at a time.
const REPEATED: usize = 300;
const WITHIN: Duration = Duration::from_secs(3);

/// What was heard.
#[derive(Debug, Default)]
struct Heard {
    first: Vec<Message>,
    latest: VecDeque<Message>,
    copies: HashMap<u128, u32>,
    messages: u64,
    repeated: u64,
}

/// What it counted.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub struct Counted {
    /// Messages that services published.
    pub messages: u64,
    /// Different ids among them.
    pub ids: u64,
    /// The most copies of one.
    pub copies_max: u32,
    /// Messages that were said again by the stranger, and are in none of the above.
    pub repeated: u64,
}

/// A stranger on the broker, who listens to everything and says some of it again.
#[derive(Debug)]
pub(super) struct Wire {
    client: Client,
    heard: Mutex<Heard>,
}

impl Wire {
    /// Connects to the broker itself, past all proxies.
    pub(super) async fn tap(urls: &str) -> Result<Arc<Self>> {
        let servers: Vec<ServerAddr> = urls
            .split(',')
            .map(|url| url.parse().with_context(|| format!("{url} is no address")))
            .collect::<Result<_>>()?;
        let client = ConnectOptions::new()
            .name("chaos")
            .retry_on_initial_connect()
            .connection_timeout(WITHIN)
            .ping_interval(Duration::from_secs(2))
            .reconnect_delay_callback(|_| Duration::from_millis(50))
            .connect(servers)
            .await?;
        Ok(Arc::new(Self {
            client,
            heard: Mutex::default(),
        }))
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens, for as long as it is asked to.
    pub(super) async fn listen(self: Arc<Self>) -> Result<()> {
        let mut messages = self.client.subscribe("trips.>").await?;
        while let Some(message) = messages.next().await {
            self.heard().hear(message);
        }
        Ok(())
    }

    pub(super) fn jetstream(&self) -> jetstream::Context {
        jetstream::ContextBuilder::new()
            .timeout(WITHIN)
            .build(self.client.clone())
    }

    pub(super) fn counted(&self) -> Counted {
        let heard = self.heard();
        Counted {
            messages: heard.messages,
            ids: heard.copies.len() as u64,
            copies_max: heard.copies.values().copied().max().unwrap_or(0),
            repeated: heard.repeated,
        }
    }

    /// One trip's story, as far as its messages are kept.
    pub(super) fn story(&self, trip: &str) -> Timeline {
        let mut story = Timeline::default();
        let heard = self.heard();
        for message in heard.first.iter().chain(&heard.latest) {
            if header(message, "ce-subject") == Some(trip) {
                story.hear(&message.headers, &message.payload);
            }
        }
        story
    }

    /// Publishes some of the messages heard once more; returns how many.
    pub(super) async fn repeat(&self, manner: Manner, luck: u64) -> Result<usize> {
        let mut rng = Rng::with_seed(luck);
        let chosen = self.heard().choose(manner, &mut rng);
        let many = chosen.len();
        let saying = async {
            for message in chosen {
                let asks = match manner {
                    Manner::SameId => false,
                    Manner::NewId => true,
                    Manner::Reordered | Manner::Old => rng.bool(),
                };
                let mut headers = message.headers.unwrap_or_default();
                headers.insert(OURS, "1");
                headers.insert("Nats-Msg-Id", uuid::Uuid::now_v7().to_string());
                if asks {
                    headers.insert("ce-id", uuid::Uuid::now_v7().to_string());
                }
                self.client
                    .publish_with_headers(message.subject, headers, message.payload)
                    .await?;
            }
            anyhow::Ok(self.client.flush().await?)
        };
        tokio::time::timeout(WITHIN, saying)
            .await
            .context("the broker does not take messages")??;
        Ok(many)
    }
}

impl Heard {
    fn hear(&mut self, message: Message) {
        if header(&message, OURS).is_some() {
            self.repeated += 1;
            return;
        }
        self.messages += 1;
        let id = header(&message, "ce-id").and_then(|id| id.parse::<uuid::Uuid>().ok());
        if let Some(id) = id.filter(|_| self.copies.len() < IDS_MAX) {
            *self.copies.entry(id.as_u128()).or_default() += 1;
        }
        if self.first.len() < FIRST_MAX {
            self.first.push(message);
            return;
        }
        if self.latest.len() >= LATEST_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(message);
    }

    fn choose(&self, manner: Manner, rng: &mut Rng) -> Vec<Message> {
        let all = || self.first.iter().chain(&self.latest);
        match manner {
            Manner::Old => all().take(REPEATED).cloned().collect(),
            Manner::Reordered => all().rev().take(REPEATED).cloned().collect(),
            Manner::SameId | Manner::NewId => {
                let many = self.first.len() + self.latest.len();
                (0..REPEATED.min(many))
                    .filter_map(|_| all().nth(rng.usize(..many)).cloned())
                    .collect()
            }
        }
    }
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let headers: &HeaderMap = message.headers.as_ref()?;
    headers.get(name).map(|value| value.as_str())
}
