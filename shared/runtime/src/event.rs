//! One fact on its way: a row of the outbox, and a CloudEvents 1.0 message in binary mode on NATS.
//!
//! It does not know what the fact means: `kind` and `data` are the service's own.

use async_nats::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::telemetry::TraceContext;

/// A row of the table `outbox`. The columns `id, aggregatetype, aggregateid, type, payload` are those that Debezium's
/// outbox router expects, so that change data capture could take the publisher's place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Event {
    /// `ce-id`, and what every inbox knows it by.
    pub id: Uuid,
    /// What `aggregateid` is an id of.
    pub aggregatetype: String,
    /// `ce-subject` and `ce-correlationid`: the thing that the fact is about.
    pub aggregateid: String,
    /// `ce-type`, with its major version.
    #[serde(rename = "type")]
    pub kind: String,
    /// The data, JSON.
    pub payload: String,
    /// The NATS subject it goes to.
    pub subject: String,
    /// `ce-causationid`: the fact or command that it is an answer to.
    pub causation_id: Option<String>,
    /// `ce-time`, in microseconds since 1970.
    pub time_us: i64,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// W3C trace context.
    pub tracestate: Option<String>,
    /// How often it was handed to a publisher before.
    #[serde(default)]
    pub attempt: i64,
}

impl Event {
    /// The message's headers. A repeat carries a new `Nats-Msg-Id` and the same `ce-id`: the broker's own deduplication
    /// says `duplicate` even of a message that it no longer has.
    /// ```
    /// use runtime::{Context, TraceContext};
    ///
    /// let mut context = Context::new(0, None, TraceContext::default());
    /// context.say("order", "o-17".into(), "shop.sent.v1".into(), "shop.sent".into(), "{}".into());
    /// let mut sent = context.said.remove(0);
    /// let id = sent.id.to_string();
    /// let header = |name, sent: &runtime::Event| sent.headers("/shop").get(name).map(|it| it.to_string());
    /// assert_eq!(header("ce-id", &sent), Some(id.clone()));
    /// assert_eq!(header("Nats-Msg-Id", &sent), Some(id.clone()));
    /// sent.attempt = 1;
    /// assert_eq!(header("ce-id", &sent), Some(id.clone()));
    /// assert_ne!(header("Nats-Msg-Id", &sent), Some(id));
    /// ```
    #[must_use]
    pub fn headers(&self, source: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let id = self.id.to_string();
        let time = time_text(self.time_us);
        headers.insert(named("ce-specversion"), "1.0");
        headers.insert(named("ce-type"), self.kind.as_str());
        headers.insert(named("ce-source"), source);
        headers.insert(named("ce-subject"), self.aggregateid.as_str());
        headers.insert(named("ce-time"), time.as_str());
        headers.insert(named("ce-datacontenttype"), "application/json");
        headers.insert(named("ce-correlationid"), self.aggregateid.as_str());
        if let Some(cause) = &self.causation_id {
            headers.insert(named("ce-causationid"), cause.as_str());
        }
        if let Some(traceparent) = &self.traceparent {
            headers.insert(named("traceparent"), traceparent.as_str());
        }
        if let Some(tracestate) = &self.tracestate {
            headers.insert(named("tracestate"), tracestate.as_str());
        }
        if self.attempt == 0 {
            headers.insert("Nats-Msg-Id", id.as_str());
        } else {
            headers.insert("Nats-Msg-Id", format!("{id}.{}", Uuid::now_v7()).as_str());
        }
        headers.insert(named("ce-id"), id);
        headers
    }
}

/// Names from text that is not static are copied each time, and a message has ten of them.
fn named(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

fn time_text(time_us: i64) -> String {
    jiff::Timestamp::from_microsecond(time_us)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

/// What came in over the wire, before the service has read it.
#[derive(Debug, Clone)]
pub struct Message {
    /// `ce-id`.
    pub id: Uuid,
    /// `ce-type`.
    pub kind: String,
    /// `ce-subject`, percent-decoding is left out: ids and names need none.
    pub entity: String,
    /// The NATS subject it came on.
    pub subject: String,
    /// Where it comes from in the trace.
    pub trace: TraceContext,
    /// The data as it came.
    pub payload: bytes::Bytes,
}

impl Message {
    /// Reads the envelope.
    ///
    /// # Errors
    /// With what is missing or wrong, in words; the message is then a dead letter.
    pub fn open(message: &async_nats::Message) -> Result<Self, String> {
        let header = |name: &'static str| {
            let headers = message.headers.as_ref()?;
            headers.get(named(name)).map(HeaderValue::as_str)
        };
        let required = |name| header(name).ok_or_else(|| format!("the header {name} is missing"));
        let version = required("ce-specversion")?;
        if version != "1.0" {
            return Err(format!(
                "ce-specversion is {version:?}, and only 1.0 is read"
            ));
        }
        let id = required("ce-id")?;
        Ok(Self {
            id: id
                .parse()
                .map_err(|_| format!("ce-id {id:?} is not a UUID"))?,
            kind: required("ce-type")?.to_owned(),
            entity: required("ce-subject")?.to_owned(),
            subject: message.subject.to_string(),
            // It ends in rows and in the headers of what is said next: what is malformed is as if absent.
            trace: TraceContext::read(header("traceparent"), header("tracestate")),
            payload: message.payload.clone(),
        })
    }
}
