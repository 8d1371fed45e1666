//! A stream of events as its reader has it. What is to be read is the tests'.

use std::collections::BTreeSet;
use std::time::Duration;

use booking::core::State;
use booking::view::TripView;
use choreography::TripId;
use e2e_tests::World;
use reqwest::{Method, Response};
use tokio::time::{Instant, timeout_at};

/// Longer than any event should take to come.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// An event as a browser would have it.
#[derive(Debug, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    id: String,
    data: String,
}

impl Event {
    pub(crate) fn trip(&self) -> TripView {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// A stream of events, read as the standard says.
pub(crate) struct Events {
    answer: Response,
    text: String,
    /// The id that a browser would come back with.
    pub(crate) last_id: String,
    /// Comments that came.
    pub(crate) heartbeats: usize,
}

impl Events {
    /// A stream of one replica's, from there on.
    pub(crate) async fn open(world: &World, replica: usize, path: &str, last_id: &str) -> Self {
        let request = world.request_at(replica, Method::GET, "booking", path);
        let request = request.header("Last-Event-ID", last_id);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-accel-buffering"), "no");
        Self {
            answer,
            text: String::new(),
            last_id: String::new(),
            heartbeats: 0,
        }
    }

    /// The next event; None when the stream has ended, an error when it was cut off.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, reqwest::Error> {
        let until = Instant::now() + SOON;
        loop {
            let Some((block, rest)) = self.text.split_once("\n\n") else {
                // Heartbeats are no event.
                let more = timeout_at(until, self.answer.chunk()).await;
                match more.unwrap_or_else(|_| panic!("nothing came after {:?}", self.last_id))? {
                    Some(more) => self.text += std::str::from_utf8(&more).unwrap(),
                    None => return Ok(None),
                }
                continue;
            };
            let mut event = Event::default();
            for line in block.lines() {
                let (field, value) = line.split_once(':').unwrap();
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => event.name = value.to_owned(),
                    "id" => event.id = value.to_owned(),
                    "data" => event.data += value,
                    "retry" => assert!(value.parse::<u64>().unwrap() >= 1_000),
                    "" => self.heartbeats += 1,
                    other => panic!("{other:?} in {block}"),
                }
            }
            self.text = rest.to_owned();
            if !event.id.is_empty() {
                self.last_id.clone_from(&event.id);
            }
            if !event.data.is_empty() {
                return Ok(Some(event));
            }
        }
    }

    pub(crate) async fn expect(&mut self, name: &str, state: State) -> TripView {
        let event = self.next().await.unwrap().unwrap();
        let view = event.trip();
        assert_eq!((event.name.as_str(), view.state), (name, state));
        view
    }

    /// Reads until these have been heard; each event is an outcome.
    pub(crate) async fn until_heard(
        &mut self,
        trips: &BTreeSet<TripId>,
        heard: &mut BTreeSet<TripId>,
    ) {
        while heard.len() < trips.len() {
            let event = self.next().await.unwrap().unwrap();
            assert_eq!(event.name, "outcome");
            let view = event.trip();
            assert!(view.outcome.is_some() && view.waiting_for.is_empty());
            assert!(trips.contains(&view.trip), "nobody asked for {event:?}");
            heard.insert(view.trip);
        }
    }
}
