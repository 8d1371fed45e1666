//! What was said on the wire, in the order in which anybody could hear it: a plain subscriber on `trips.>`, without JetStream.
//! For the reader of a test that failed, and for tests about what is said. Not proof that something was *not* said: a plain
//! subscriber misses what is said while it is not connected.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use choreography::TripId;
use futures::StreamExt as _;
use inspect::audit::Nats;
use serde_json::Value;

use crate::eventually;

/// One message, as it passed.
#[derive(Debug, Clone)]
pub struct Published {
    /// When it was heard, since the story began.
    pub at: Duration,
    /// The subject it was said on.
    pub subject: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its data.
    pub payload: Vec<u8>,
}

/// See [`Published::key`].
pub(crate) fn key(subject: &str, headers: &HeaderMap, payload: &[u8]) -> Vec<u8> {
    let id = headers
        .get("ce-id")
        .map_or("", async_nats::HeaderValue::as_str);
    [subject.as_bytes(), b"\n", id.as_bytes(), b"\n", payload].concat()
}

/// All that was heard since the world began.
#[derive(Debug, Clone)]
pub struct Timeline {
    words: Arc<Mutex<Vec<Published>>>,
    client: async_nats::Client,
}

impl Timeline {
    /// Listens from now on, also over the broker's restarts.
    pub(crate) async fn listen(nats: &Nats) -> Self {
        let mut options = async_nats::ConnectOptions::new()
            .name("story")
            .ping_interval(Duration::from_secs(5))
            .reconnect_delay_callback(|_| Duration::from_millis(50));
        if let (Some(user), Some(password)) = (&nats.user, &nats.password) {
            options = options.user_and_password(user.clone(), password.clone());
        }
        let client = options
            .connect(&nats.url)
            .await
            .expect("the broker cannot be reached");
        let mut heard = client.subscribe("trips.>").await.unwrap();
        client.flush().await.unwrap();
        let words: Arc<Mutex<Vec<Published>>> = Arc::default();
        let (begun, book) = (Instant::now(), Arc::downgrade(&words));
        tokio::spawn(async move {
            while let (Some(message), Some(book)) = (heard.next().await, book.upgrade()) {
                book.lock().unwrap().push(Published {
                    at: begun.elapsed(),
                    subject: message.subject.to_string(),
                    headers: message.headers.unwrap_or_default(),
                    payload: message.payload.to_vec(),
                });
            }
        });
        Self { words, client }
    }

    /// The connection that it listens on.
    #[must_use]
    pub fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// Everything that was said, whatever it is about.
    #[must_use]
    pub fn all(&self) -> Vec<Published> {
        self.words.lock().unwrap().clone()
    }

    /// What was said about a trip.
    #[must_use]
    pub fn of(&self, trip: TripId) -> Vec<Published> {
        let trip = trip.to_string();
        let mut words = self.all();
        words.retain(|word| word.header("ce-subject") == trip);
        words
    }

    /// The kinds of facts about a trip, each as `flight.reserved` and only where it was first said: what is said again, because an
    /// answer was slow, changes nothing.
    #[must_use]
    pub fn facts(&self, trip: TripId) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut facts: Vec<String> = self.of(trip).iter().map(Published::fact).collect();
        facts.retain(|fact| seen.insert(fact.clone()));
        facts
    }

    /// Waits until all these facts about a trip were said, then fails unless they were first said in this order, and no others. A
    /// `booking.cancelled` counts only where it or `booking.confirmed` is expected: while a trip is undone, booking says it to ask slow
    /// legs again. A fact may be heard a moment after the service that said it has answered its caller.
    pub async fn expect<const N: usize>(&self, trip: TripId, facts: [&str; N]) {
        let asked_again = "booking.cancelled";
        let said = || {
            let mut said = self.facts(trip);
            if !facts.contains(&asked_again) && !facts.contains(&"booking.confirmed") {
                said.retain(|fact| fact != asked_again);
            }
            said
        };
        eventually(&format!("{facts:?} of trip {trip}"), async || {
            let said = said();
            facts
                .iter()
                .all(|fact| said.iter().any(|word| word == fact))
                .then_some(())
        })
        .await;
        assert_eq!(said(), facts, "{}", self.tell(trip));
    }

    /// A trip's story in order, one line for each fact.
    #[must_use]
    pub fn tell(&self, trip: TripId) -> String {
        let mut story = format!("the story of trip {trip}:\n");
        for word in self.of(trip) {
            let _ = writeln!(story, "  {}", word.line());
        }
        story
    }
}

impl Published {
    /// What tells it from others: where and as what it was said, and the data.
    pub(crate) fn key(&self) -> Vec<u8> {
        key(&self.subject, &self.headers, &self.payload)
    }

    /// A header, empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", async_nats::HeaderValue::as_str)
    }

    /// Such as `flight.reserved`.
    #[must_use]
    pub fn fact(&self) -> String {
        let kind = self.header("ce-type");
        kind.rsplit_once('.')
            .map_or(kind, |(fact, _)| fact)
            .to_owned()
    }

    /// Its data as JSON, null where it is none.
    #[must_use]
    pub fn data(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap_or_default()
    }

    fn line(&self) -> String {
        let data = self.data();
        let mut line = format!("{:>8.3} s  {:<22}", self.at.as_secs_f64(), self.fact());
        if let Some(position) = data["position"].as_u64() {
            let _ = write!(line, " #{position}");
        }
        if let Some(next) = self.subject.split('.').nth(3) {
            let _ = write!(line, " -> {next}");
        }
        if let Some(code) = data["reason"]["code"].as_str() {
            let _ = write!(line, " ({code})");
        }
        let short = |id: &str| {
            id.get(id.len().saturating_sub(6)..)
                .unwrap_or("")
                .to_owned()
        };
        let _ = write!(line, "  {}", short(self.header("ce-id")));
        let cause = self.header("ce-causationid");
        if !cause.is_empty() {
            let _ = write!(line, " because of {}", short(cause));
        }
        line
    }
}
