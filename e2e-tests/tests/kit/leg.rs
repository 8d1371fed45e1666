//! A leg made with a NATS client and the wire alone, small enough to be read in one sitting, and with a switch for each way to be wrong. Its memory
//! outlives its task, as a database outlives a process.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, AckKind, Context, stream};
use choreography::{LegName, Plan, Position, Price, Reason, TripId, WireError, WireFact};
use futures::StreamExt as _;
use jiff::Timestamp;
use runtime::{Event, Message};
use serde_json::Value;
use uuid::Uuid;

use crate::wrong::Fault;

/// How many of `many` there are: a few more than the kit wants at once.
pub(crate) const MANY: i64 = 24;
/// From one saying of a hold to the next.
pub(crate) const PAUSE: Duration = Duration::from_millis(700);
const TICK: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Held,
    Confirmed,
    Released,
    Rejected,
}

pub(crate) struct Record {
    pub(crate) state: State,
    pub(crate) plan: Plan,
    pub(crate) kind: String,
    pub(crate) price: Price,
    pub(crate) reason: Reason,
    pub(crate) asks: Instant,
    pub(crate) said: Option<Event>,
}

/// What it keeps.
pub(crate) struct Memory {
    pub(crate) records: HashMap<(TripId, Position), Record>,
    pub(crate) inbox: HashSet<Uuid>,
    pub(crate) outbox: Vec<Event>,
    pub(crate) stock: HashMap<String, i64>,
    pub(crate) starts: u32,
    pub(crate) sayings: i64,
}

impl Memory {
    pub(crate) fn new() -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            records: HashMap::new(),
            inbox: HashSet::new(),
            outbox: Vec::new(),
            stock: HashMap::from([("many".into(), MANY), ("last".into(), 1)]),
            starts: 0,
            sayings: 0,
        }))
    }
}

/// One process of the leg, until it is dropped or dies of its fault.
pub(crate) struct Leg {
    pub(crate) name: LegName,
    pub(crate) fault: Fault,
    pub(crate) memory: Arc<Mutex<Memory>>,
}

impl Leg {
    pub(crate) fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    pub(crate) async fn run(self, url: String) {
        let context = jetstream::new(async_nats::connect(url).await.unwrap());
        let consumer = self.begin(&context).await;
        let mut heard = consumer.messages().await.unwrap();
        loop {
            match tokio::time::timeout(TICK, heard.next()).await {
                Ok(Some(message)) => {
                    let message = message.unwrap();
                    let ack = self.hear(&message);
                    self.flush(&context).await;
                    match ack {
                        Some(AckKind::Term) => return, // it died of it
                        Some(kind) => message.ack_with(kind).await.unwrap(),
                        None => {}
                    }
                }
                Ok(None) => return,
                Err(_) => {}
            }
            self.ticks();
            self.flush(&context).await;
        }
    }

    async fn begin(&self, context: &Context) -> PullConsumer {
        let config = stream::Config {
            name: choreography::STREAM.into(),
            subjects: vec![choreography::STREAM_SUBJECTS.into()],
            ..Default::default()
        };
        let stream = context.get_or_create_stream(config).await.unwrap();
        let again = {
            let mut memory = self.memory.lock().unwrap();
            memory.starts += 1;
            if memory.starts > 1 && self.is(Fault::ForgetsAtRestart) {
                memory.records.clear();
                memory.inbox.clear();
            }
            memory.starts > 1
        };
        let mut config = pull::Config {
            durable_name: Some(self.name.to_string()),
            filter_subjects: choreography::filters_for_leg(&self.name),
            ack_wait: Duration::from_secs(2),
            ..Default::default()
        };
        if self.is(Fault::BeforeItsTurn) {
            config.filter_subjects = vec![
                "trips.booking.>".into(),
                "trips.*.reserved.*".into(),
                "trips.*.rejected".into(),
            ];
        }
        if self.is(Fault::NoDurable) {
            config.durable_name = None;
        }
        if again && self.is(Fault::HearsOnlyTheNew) {
            let _ = stream.delete_consumer(self.name.as_str()).await;
            config.deliver_policy = DeliverPolicy::New;
        }
        let consumer = stream.create_consumer(config).await.unwrap();
        if !self.is(Fault::NeverJoins) {
            let joined = choreography::Joined {
                leg: self.name.clone(),
                counts: vec![],
                dates: vec![],
            };
            let event = event(
                "leg",
                self.name.to_string(),
                joined.kind(),
                joined.subject(),
                joined.to_json(),
                None,
            );
            self.memory.lock().unwrap().outbox.push(event);
            self.flush(context).await;
        }
        consumer
    }

    /// What is said is kept with what brought it about, and gone only when the broker has it.
    async fn flush(&self, context: &Context) {
        let events = self.memory.lock().unwrap().outbox.clone();
        for event in &events {
            let headers: HeaderMap = event.headers(&format!("/{}", self.name));
            let payload = event.payload.clone().into();
            context
                .publish_with_headers(event.subject.clone(), headers, payload)
                .await
                .unwrap()
                .await
                .unwrap();
        }
        self.memory.lock().unwrap().outbox.drain(..events.len());
    }

    /// None: it forgets to acknowledge. `Term`: it dies.
    fn hear(&self, message: &async_nats::Message) -> Option<AckKind> {
        let done = if self.is(Fault::NeverAcknowledges) {
            None
        } else {
            Some(AckKind::Ack)
        };
        let unreadable = if self.is(Fault::DiesOfMalformed) {
            Some(AckKind::Term)
        } else {
            done
        };
        let Ok(opened) = Message::open(message) else {
            return unreadable;
        };
        let fact = match choreography::read(&opened.kind, &opened.entity, &opened.payload) {
            Ok(WireFact::Trip(fact)) => fact,
            Err(WireError::UnknownVersion { .. }) if !self.is(Fault::DropsTheNewer) => {
                return Some(AckKind::Nak(Some(Duration::from_millis(500))));
            }
            _ => return unreadable,
        };
        if self.is(Fault::DiesOfUnknownFields) && has_unknown(&opened.payload) {
            return Some(AckKind::Term);
        }
        let mut memory = self.memory.lock().unwrap();
        if !memory.inbox.insert(opened.id) && !self.is(Fault::AnswersEchoes) {
            return done;
        }
        let positions: Vec<Position> = fact.plan.itinerary.positions_of(&self.name).collect();
        for position in positions {
            self.react(&mut memory, &fact, position, opened.id);
        }
        done
    }
}

fn has_unknown(data: &[u8]) -> bool {
    let known = [
        "trip",
        "itinerary",
        "deadline",
        "budget",
        "position",
        "price",
        "total",
        "reason",
    ];
    let data: Value = serde_json::from_slice(data).unwrap();
    data.as_object()
        .unwrap()
        .keys()
        .any(|key| !known.contains(&key.as_str()))
}

pub(crate) fn event(
    kind_of: &str,
    about: String,
    kind: String,
    subject: String,
    payload: String,
    cause: Option<Uuid>,
) -> Event {
    Event {
        id: Uuid::now_v7(),
        aggregatetype: kind_of.into(),
        aggregateid: about,
        kind,
        payload,
        subject,
        causation_id: cause.map(|cause| cause.to_string()),
        time_us: Timestamp::now().as_microsecond(),
        traceparent: None,
        tracestate: None,
        attempt: 0,
    }
}
