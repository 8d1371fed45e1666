//! What a service is to the runtime: how it reads its inputs, which rows they need, and what it makes of them.
//!
//! Everything that judges is synchronous and pure in spirit: time, chance and ids come in through [`Context`]. It never sees the database, the
//! broker or the clock; only [`describe`](Service::describe), for the API's document, may read.

use std::convert::Infallible;

use opentelemetry::KeyValue;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::call::{Attempt, CALLS_PER_REACTION_MAX, Call};
use crate::database::Database;
use crate::event::{Event, Message};
use crate::problem::Problem;
use crate::table::{Table, Working};
use crate::telemetry::TraceContext;

/// One thing that happened to a service.
#[derive(Debug)]
pub enum Input<F, C, T, A = Infallible> {
    /// A fact from the broker.
    Fact(F),
    /// A command from HTTP.
    Command(C),
    /// A record's `due_us` has come.
    Due {
        /// The record's key.
        key: T,
        /// Saying it again would add nothing: the record's last announcement (`said_id`) still lies in the outbox, or the answer may lie
        /// among facts that this service is yet to hear.
        waiting: bool,
    },
    /// What a call was answered with that still waited for it; from this transaction on it waits no more.
    Answer {
        /// The call.
        call: Call,
        /// Its answer.
        answer: A,
    },
}

/// Why a message can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// Its major version is newer than this program: put back with a delay, for another version may be on its way.
    NewerVersion(String),
    /// It will never be read: a dead letter.
    Malformed(String),
}

/// What an input, a span or an answer is about, such as one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Of which kind, such as `order`; the name of the spans' attribute.
    pub kind: &'static str,
    /// Which one.
    pub id: String,
}

impl From<Entity> for KeyValue {
    fn from(Entity { kind, id }: Entity) -> Self {
        Self::new(kind, id)
    }
}

/// A service, as the loop sees it.
pub trait Service: Send + Sync + Sized + 'static {
    /// A fact, as read from the wire.
    type Fact: Send + Sync + 'static;
    /// A command, as taken from HTTP.
    type Command: Send + Sync + 'static;
    /// What a command's caller gets.
    type Reply: Send + 'static;
    /// The key of the records that have timers.
    type Timer: DeserializeOwned + Ord + Clone + std::fmt::Debug + Send + Sync + 'static;
    /// What its calls are answered with. [`Infallible`] for a service that makes none, and that then pays nothing for them; one that makes
    /// some lists [`calls_migration`](crate::database::calls_migration) among its migrations.
    type Answer: Send + Sync + 'static;
    /// The rows of one batch.
    type Rows: Send;

    /// Its name: the durable consumer's too.
    fn name(&self) -> &str;
    /// The subjects that it hears.
    fn filters(&self) -> Vec<String>;
    /// The types of facts that it knows from the start. Its metrics count them by name, as they do the first types that it reads; all
    /// others are counted together, for a type is whatever a sender wrote.
    fn kinds(&self) -> Vec<String> {
        Vec::new()
    }
    /// Its migrations, beside the runtime's own: [`migrations`](crate::database::migrations) makes them of their texts.
    fn migrations(&self) -> sqlx::migrate::Migrator;
    /// The table whose rows have timers, if any: it has the columns `due_us` and `said_id`.
    fn timers(&self) -> Option<&'static Table> {
        None
    }
    /// Tables with a column `forget_us`, after which a row may be dropped.
    fn forgettable(&self) -> &'static [&'static Table] {
        &[]
    }
    /// Reads a fact.
    ///
    /// # Errors
    /// With what to do of it: see [`ReadError`].
    fn read(&self, message: &Message) -> Result<Self::Fact, ReadError>;
    /// An empty working set.
    fn rows(&self) -> Self::Rows;
    /// Its tables, in the order in which their locks are taken.
    fn tables<'a>(&self, rows: &'a mut Self::Rows) -> Vec<&'a mut dyn Working>;
    /// Names the rows that an input needs.
    fn need(&self, input: &ServiceInput<Self>, rows: &mut Self::Rows);
    /// Judges one input: changes rows, says facts. Total: it neither fails nor waits.
    fn react(
        &self,
        input: &ServiceInput<Self>,
        rows: &mut Self::Rows,
        context: &mut Context,
    ) -> Option<Self::Reply>;
    /// What an input is about, for spans and log lines; none where there is nothing to tell, or only judging it tells ([`Context::about`]).
    fn about(&self, _input: &ServiceInput<Self>) -> Option<Entity> {
        None
    }
    /// What log lines about the one with this id are in: the runtime's own, and those of [`react`](Self::react) where the log takes `debug`,
    /// for it costs a microsecond each time. `tracing` wants a field's name when it is compiled, so a service says its own word here.
    fn log_span(&self, id: &str) -> tracing::Span {
        tracing::error_span!("about", entity = id)
    }
    /// The reply to a command that was applied before, its reply lost with the outcome of a commit.
    fn echo(&self, command: &Self::Command, rows: &Self::Rows) -> Self::Reply;
    /// Told after each commit, before replies go out: wake whoever waits for these rows.
    fn committed(&self, _rows: &Self::Rows) {}
    /// Performs a call, once; beside the loop, with others at the same time, and it may wait. What takes longer than `CALL_TIMEOUT_MS` is
    /// dropped and tried again, as what panics is: so the other side has to tell a repetition by [`Call::id`].
    fn perform(&self, _call: &Call) -> impl Future<Output = Attempt<Self::Answer>> + Send {
        let why = String::from("this service does not say how its calls are performed");
        std::future::ready(Attempt::Again { why, after: None })
    }
    /// How many calls may be started now, for the other side's sake: 0 while it is better left alone, 1 to see whether it is back. Asked
    /// before calls are started, and again every `TIMER_INTERVAL_MS` and when one ends. Those started before of which
    /// [`perform`](Self::perform) has not run up to its first wait are taken off by the runtime, so count a call as started before that. How
    /// many are under way at once is bounded by `CALLS_MAX` besides.
    fn calls_now(&self) -> usize {
        usize::MAX
    }
    /// A fact about the service itself, said at each start and every few minutes.
    fn announcement(&self, _turn: &mut Context) {}
    /// Adds to the OpenAPI document what is known only while the service runs, such as what others have said of themselves. Asked with
    /// every request for it.
    ///
    /// # Errors
    /// With what the caller gets in its place.
    fn describe(
        &self,
        _database: &Database,
        _document: &mut serde_json::Value,
    ) -> impl Future<Output = Result<(), Problem>> + Send {
        std::future::ready(Ok(()))
    }
}

/// A service's own [`Input`].
pub type ServiceInput<S> = Input<
    <S as Service>::Fact,
    <S as Service>::Command,
    <S as Service>::Timer,
    <S as Service>::Answer,
>;

/// The values that one reaction is given, and what it says.
#[derive(Debug)]
pub struct Context {
    /// Now, in microseconds since 1970.
    pub now_us: i64,
    /// Chance, 0 to 1.
    pub jitter: f64,
    /// The id of the fact or command that is judged.
    pub cause: Option<Uuid>,
    /// Where in the trace this happens. A timer's is empty; the core may set the one that its record remembers, and what is said belongs
    /// there. The input's own span, if it is of another trace, points to it.
    pub trace: TraceContext,
    /// What the input is about, where [`Service::about`] could not tell.
    pub about: Option<Entity>,
    /// What was said, in order.
    pub said: Vec<Event>,
    /// The calls that were asked for, in order.
    pub calls: Vec<Call>,
    /// Anomalies: things heard that cannot happen, and were ignored.
    pub anomalies: Vec<&'static str>,
    /// Why what was asked for cannot be done, in words: the input that asks for it is put aside.
    pub(crate) refused: Option<String>,
}

impl Context {
    /// A turn at this moment.
    #[must_use]
    pub fn new(now_us: i64, cause: Option<Uuid>, trace: TraceContext) -> Self {
        Self {
            now_us,
            jitter: fastrand::f64(),
            cause,
            trace,
            about: None,
            said: Vec::new(),
            calls: Vec::new(),
            anomalies: Vec::new(),
            refused: None,
        }
    }

    /// Whether what was asked for can be done.
    ///
    /// # Errors
    /// With what cannot, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(why) = &self.refused {
            return Err(why.clone());
        }
        let asked = self.calls.len();
        if asked > CALLS_PER_REACTION_MAX {
            return Err(format!(
                "one reaction asked for {asked} calls, and {CALLS_PER_REACTION_MAX} is the most"
            ));
        }
        self.calls.iter().try_for_each(Call::check)
    }

    /// Says a fact, and returns its new id: every saying, first or again, has one of its own.
    /// ```
    /// use runtime::{Context, TraceContext};
    ///
    /// let order = uuid::Uuid::now_v7();
    /// let mut context = Context::new(1_700_000_000_000_000, Some(order), TraceContext::default());
    /// let data = r#"{"parcels":2}"#.to_owned();
    /// let id = context.say("order", "o-17".into(), "shop.sent.v1".into(), "shop.sent".into(), data);
    /// let said = &context.said[0];
    /// assert_eq!((said.id, said.aggregateid.as_str()), (id, "o-17"));
    /// assert_eq!(said.causation_id, Some(order.to_string()));
    /// ```
    pub fn say(
        &mut self,
        aggregatetype: &str,
        aggregateid: String,
        kind: String,
        subject: String,
        payload: String,
    ) -> Uuid {
        let id = Uuid::now_v7();
        self.said.push(Event {
            id,
            aggregatetype: aggregatetype.to_owned(),
            aggregateid,
            kind,
            payload,
            subject,
            causation_id: self.cause.map(|cause| cause.to_string()),
            time_us: self.now_us,
            traceparent: self.trace.traceparent.clone(),
            tracestate: self.trace.tracestate.clone(),
            attempt: 0,
        });
        id
    }
    /// Asks for a call, in the transaction of this reaction: see [`Call`]. It is performed once that is committed, and its answer is an
    /// input of its own.
    pub fn call(&mut self, call: Call) {
        self.calls.push(call);
    }
}
