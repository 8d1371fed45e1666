//! The kit's end of the wire: what it says goes into the stream, what the leg says is heard by a plain subscriber, and each word is entered
//! into its trip's exchange. It leaves nothing behind at the broker, and judges nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::stream::{Config, Stream};
use async_nats::jetstream::{self, consumer};
use async_nats::{Client, ConnectOptions, HeaderMap, ServerAddr};
use choreography::{LegName, TripId};
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::exchange::{Exchange, Word, header};

/// How long the broker may take for anything.
const WITHIN: Duration = Duration::from_secs(5);
/// How far the clocks of the leg and the kit may lie apart.
const CLOCKS_APART: SignedDuration = SignedDuration::from_secs(2);
/// Messages that may wait to be entered.
const HEARD_MAX: usize = 262_144;
/// Words about trips that ended, and messages that belong to no trip, that are kept.
const STRAYS_MAX: usize = 100;

/// The exchanges, and what belongs to none.
#[derive(Debug, Default)]
struct Books {
    open: HashMap<TripId, (Exchange, Arc<Notify>)>,
    /// When each ended.
    ended: HashMap<TripId, Timestamp>,
    strays: Vec<(TripId, Word)>,
    lost: Vec<String>,
    joined: Vec<Result<(), String>>,
}

/// A connection to the broker.
#[derive(Debug)]
pub(crate) struct Wire {
    context: jetstream::Context,
    client: Client,
    begun: Instant,
    leg: LegName,
    books: Mutex<Books>,
    missed: Arc<AtomicBool>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl Wire {
    /// Connects, and listens to what the leg says from now on.
    pub(crate) async fn open(
        urls: &str,
        login: Option<(String, String)>,
        leg: &LegName,
    ) -> Result<Arc<Self>> {
        let servers = urls.split(',').map(|url| url.trim().parse());
        let servers: Vec<ServerAddr> = servers
            .collect::<Result<_, _>>()
            .context("that is no address such as nats://127.0.0.1:4222")?;
        let cut = Arc::new(AtomicBool::new(false));
        let heard_of = Arc::clone(&cut);
        let mut options = ConnectOptions::new()
            .name("conformance")
            .connection_timeout(WITHIN)
            .ping_interval(Duration::from_secs(2))
            .subscription_capacity(HEARD_MAX)
            .event_callback(move |event| {
                let cut = Arc::clone(&heard_of);
                async move {
                    use async_nats::Event::{Disconnected, SlowConsumer};
                    if matches!(event, Disconnected | SlowConsumer(_)) {
                        cut.store(true, Ordering::Relaxed);
                    }
                }
            });
        if let Some((user, password)) = login {
            options = options.user_and_password(user, password);
        }
        let client = options
            .connect(servers)
            .await
            .context("the broker cannot be reached")?;
        let context = jetstream::ContextBuilder::new()
            .timeout(WITHIN)
            .build(client.clone());
        let wire = Arc::new(Self {
            context,
            client,
            begun: Instant::now(),
            leg: leg.clone(),
            books: Mutex::default(),
            missed: cut,
            listening: Mutex::default(),
        });
        let mut heard = wire.client.subscribe(format!("trips.{leg}.>")).await?;
        wire.client.flush().await?;
        let weak = Arc::downgrade(&wire);
        let listening = tokio::spawn(async move {
            while let (Some(message), Some(wire)) = (heard.next().await, weak.upgrade()) {
                wire.hear(&message);
            }
        });
        *wire
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(listening);
        Ok(wire)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, message: &async_nats::Message) {
        let kind = header(message.headers.as_ref(), "ce-type").unwrap_or_default();
        let entity = header(message.headers.as_ref(), "ce-subject").unwrap_or_default();
        if message.subject.as_str() == format!("trips.{}.joined", self.leg) {
            let read = choreography::read(kind, entity, &message.payload);
            self.books()
                .joined
                .push(read.map(drop).map_err(|error| error.to_string()));
            return;
        }
        let word = Word::read(self.begun.elapsed(), false, message);
        let mut books = self.books();
        // One whose envelope cannot be read may say in its data which trip it is about.
        let data = || {
            serde_json::from_slice::<serde_json::Value>(&message.payload).ok()?["trip"]
                .as_str()?
                .parse()
                .ok()
        };
        let Some(trip) = entity.parse::<TripId>().ok().or_else(data) else {
            if books.lost.len() < STRAYS_MAX {
                books.lost.push(word.line());
            }
            return;
        };
        if let Some((exchange, news)) = books.open.get_mut(&trip) {
            exchange.words.push(word);
            news.notify_waiters();
        } else if books.ended.contains_key(&trip) && books.strays.len() < STRAYS_MAX {
            books.strays.push((trip, word));
        }
    }

    /// Begins to keep an exchange.
    pub(crate) fn begin(&self, exchange: Exchange) -> Arc<Notify> {
        let news = Arc::new(Notify::new());
        let entry = (exchange, Arc::clone(&news));
        let trip = entry.0.trip;
        self.books().open.insert(trip, entry);
        news
    }

    /// What says that something was heard of it.
    pub(crate) fn news(&self, trip: TripId) -> Option<Arc<Notify>> {
        self.books()
            .open
            .get(&trip)
            .map(|(_, news)| Arc::clone(news))
    }

    /// Looks at an exchange as it is now.
    pub(crate) fn look<T>(&self, trip: TripId, look: impl FnOnce(&Exchange) -> T) -> Option<T> {
        self.books()
            .open
            .get(&trip)
            .map(|(exchange, _)| look(exchange))
    }

    /// Ends an exchange: what is said of it from now on is a stray word.
    pub(crate) fn end(&self, trip: TripId) -> Option<Exchange> {
        let mut books = self.books();
        let (exchange, _) = books.open.remove(&trip)?;
        books.ended.insert(trip, Timestamp::now());
        Some(exchange)
    }

    /// Trips whose exchange has not ended.
    pub(crate) fn open_trips(&self) -> Vec<TripId> {
        self.books().open.keys().copied().collect()
    }

    /// How many trips there were, ended or not.
    pub(crate) fn trips(&self) -> u64 {
        let books = self.books();
        (books.open.len() + books.ended.len()) as u64
    }

    /// What was decided about trips after they had ended, and what was said that could be about any.
    pub(crate) fn strays(&self) -> (Vec<Word>, Vec<String>) {
        let mut books = self.books();
        let strays = std::mem::take(&mut books.strays).into_iter();
        let after = strays.filter(|(trip, word)| {
            let ended = books
                .ended
                .get(trip)
                .and_then(|ended| ended.checked_add(CLOCKS_APART).ok());
            word.time
                .zip(ended)
                .is_some_and(|(time, ended)| time > ended)
        });
        let after = after.map(|(_, word)| word).collect();
        (after, std::mem::take(&mut books.lost))
    }

    /// Every `joined` that was heard, readable or not.
    pub(crate) fn joined(&self) -> Vec<Result<(), String>> {
        self.books().joined.clone()
    }

    /// Whether the connection broke, or was too slow, so that something may not have been heard.
    pub(crate) fn missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Says something: it is entered first, so that no answer comes before it. Returns its place in the stream.
    pub(crate) async fn say(
        &self,
        trip: TripId,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Vec<u8>,
        note: &'static str,
    ) -> Result<u64> {
        let message = async_nats::Message {
            subject: subject.clone().into(),
            reply: None,
            payload: payload.into(),
            length: 0,
            headers,
            status: None,
            description: None,
        };
        let mut word = Word::read(self.begun.elapsed(), true, &message);
        word.note = note;
        if let Some((exchange, _)) = self.books().open.get_mut(&trip) {
            exchange.words.push(word);
        }
        let saying = async {
            let taken = match message.headers {
                Some(headers) => {
                    self.context
                        .publish_with_headers(subject, headers, message.payload)
                        .await?
                }
                None => self.context.publish(subject, message.payload).await?,
            };
            anyhow::Ok(taken.await?.sequence)
        };
        let said = tokio::time::timeout(WITHIN, saying).await;
        said.context("the broker takes no messages")?
            .context("the broker does not take a fact")
    }

    /// The stream.
    pub(crate) async fn stream(&self) -> Result<Stream> {
        let name = choreography::STREAM;
        let stream = self.context.get_stream(name).await;
        stream.map_err(|error| anyhow!("the broker has no stream {name}: {error}"))
    }

    /// Declares the stream as booking would where it is missing; true where it was.
    pub(crate) async fn declare(&self, config: Option<&Config>) -> Result<bool> {
        let Some(config) = config else {
            return self.stream().await.map(|_| false);
        };
        if self.context.get_stream(&config.name).await.is_ok() {
            return Ok(false);
        }
        let made = self.context.get_or_create_stream(config.clone()).await;
        made.map_err(|error| anyhow!("the stream {} cannot be declared: {error}", config.name))?;
        Ok(true)
    }

    /// A service's durable consumer as it is now; None where there is none.
    pub(crate) async fn consumer(&self, name: &str) -> Result<Option<consumer::Info>> {
        let stream = self.stream().await?;
        match stream.consumer_info(name).await {
            Ok(info) => Ok(Some(info)),
            Err(error) if matches!(error.kind(), ConsumerInfoErrorKind::NotFound) => Ok(None),
            Err(error) => bail!("the broker does not say which consumers it has: {error}"),
        }
    }

    /// Whether somebody waits for messages of a service's durable consumer; true of one that has none, for then nobody can tell.
    pub(crate) async fn has_reader(&self, name: &str) -> Result<bool> {
        let consumer = self.consumer(name).await?;
        Ok(consumer.is_none_or(|info| info.push_bound || info.num_waiting > 0))
    }

    /// The last `joined` in the stream.
    pub(crate) async fn joined_before(&self) -> Result<Option<Result<(), String>>> {
        let stream = self.stream().await?;
        let subject = format!("trips.{}.joined", self.leg);
        let Ok(message) = stream.get_last_raw_message_by_subject(&subject).await else {
            return Ok(None);
        };
        let get = |name| header(Some(&message.headers), name).unwrap_or_default();
        let read = choreography::read(get("ce-type"), get("ce-subject"), &message.payload);
        Ok(Some(read.map(drop).map_err(|error| error.to_string())))
    }

    /// Takes a message of the kit's own out of the stream, so that nobody finds it there later.
    pub(crate) async fn take_back(&self, sequence: u64) -> Result<()> {
        let stream = self.stream().await?;
        let _ = stream.delete_message(sequence).await;
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let listening = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(listening) = listening {
            listening.abort();
        }
    }
}
