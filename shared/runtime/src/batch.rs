//! One batch, one transaction: inbox, load, react, save, outbox, commit.
//!
//! This is the heart. It does not gather inputs (the worker does), and does not know what they mean (the service does).

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::database::{Database, Engine, Failure, Param, sql};
use crate::event::Event;
use crate::letters::Letter;
use crate::problem::Problem;
use crate::service::{Input, Service, ServiceInput, Turn};
use crate::table::Table;
use crate::telemetry::{self, TraceContext};

/// One input, with what is owed for it after the commit.
pub(crate) enum Item<S: Service> {
    /// A fact to apply and to acknowledge.
    Fact {
        id: Uuid,
        kind: String,
        trace: TraceContext,
        input: ServiceInput<S>,
        message: async_nats::jetstream::Message,
    },
    /// A command to apply and to reply to.
    Command {
        id: Uuid,
        trace: TraceContext,
        input: ServiceInput<S>,
        reply: oneshot::Sender<Result<S::Reply, Problem>>,
    },
    /// A record whose time has come.
    Due {
        key: S::Timer,
        input: ServiceInput<S>,
    },
    /// A message to bury and to acknowledge.
    Letter {
        letter: Box<Letter>,
        message: async_nats::jetstream::Message,
    },
    /// The service says that it is there.
    Announcement,
}

impl<S: Service> Item<S> {
    /// What the inbox knows it by.
    fn id(&self) -> Option<Uuid> {
        match self {
            Self::Fact { id, .. } | Self::Command { id, .. } => Some(*id),
            Self::Due { .. } | Self::Letter { .. } | Self::Announcement => None,
        }
    }

    fn input(&self) -> Option<&ServiceInput<S>> {
        match self {
            Self::Fact { input, .. } | Self::Command { input, .. } | Self::Due { input, .. } => {
                Some(input)
            }
            Self::Letter { .. } | Self::Announcement => None,
        }
    }
}

/// What a committed batch leaves to do.
pub(crate) struct Done<S: Service> {
    /// What was said, to be published.
    pub(crate) said: Vec<Event>,
    /// A reply for each item, in order.
    pub(crate) replies: Vec<Option<S::Reply>>,
    /// The rows as saved.
    pub(crate) rows: S::Rows,
    /// What could not have happened.
    pub(crate) anomalies: Vec<&'static str>,
}

/// The transaction of one service, with its statements made once.
pub(crate) struct Transactor<S: Service> {
    pub(crate) service: Arc<S>,
    pub(crate) database: Arc<Database>,
    load: String,
    save: String,
    lease_us: i64,
}

impl<S: Service> Transactor<S> {
    pub(crate) fn new(service: Arc<S>, database: Arc<Database>, lease_ms: u64) -> Self {
        let mut rows = service.rows();
        let tables: Vec<&'static Table> = service
            .tables(&mut rows)
            .iter()
            .map(|table| table.table())
            .collect();
        let engine: Engine = database.engine();
        Self {
            load: sql::load(engine, &tables),
            save: sql::save(engine, &tables),
            service,
            database,
            lease_us: i64::try_from(lease_ms)
                .unwrap_or(i64::MAX / 2_000)
                .saturating_mul(1_000),
        }
    }

    /// Applies a batch and commits it, or leaves no trace of it. `published` are ids of outbox rows that may go.
    pub(crate) async fn run(
        &self,
        items: &[Item<S>],
        published: &[Uuid],
    ) -> Result<Done<S>, Failure> {
        let mut rows = self.service.rows();
        for input in items.iter().filter_map(Item::input) {
            self.service.need(input, &mut rows);
        }
        let ids: Vec<Uuid> = items.iter().filter_map(Item::id).collect();
        let mut params = vec![json(&ids)?];
        params.extend(
            self.service
                .tables(&mut rows)
                .iter()
                .map(|table| Param::Text(table.wanted())),
        );

        let mut transaction = self.database.writer().await?;
        transaction.begin().await?;
        let loaded = transaction.run(&self.load, params).await?;
        let judged = self.judge(items, &loaded, rows);
        let mut done = match judged {
            Ok(done) => done,
            Err(failure) => {
                transaction.roll_back().await;
                return Err(failure);
            }
        };
        let params = self.changes(items, &mut done, published)?;
        transaction.run(&self.save, params).await?;
        transaction.commit().await?;
        Ok(done)
    }

    /// Everything between load and save: no waiting, no I/O.
    fn judge(
        &self,
        items: &[Item<S>],
        loaded: &[String],
        mut rows: S::Rows,
    ) -> Result<Done<S>, Failure> {
        let broken = |error: serde_json::Error| {
            Failure::Poison(format!("a stored row cannot be read: {error}"))
        };
        let mut loaded = loaded.iter();
        let mut fresh: HashSet<Uuid> =
            serde_json::from_str(loaded.next().map_or("[]", String::as_str)).map_err(broken)?;
        for (table, text) in self.service.tables(&mut rows).into_iter().zip(loaded) {
            table.fill(text).map_err(broken)?;
        }
        let mut done = Done {
            said: Vec::new(),
            replies: Vec::with_capacity(items.len()),
            rows,
            anomalies: Vec::new(),
        };
        let now_us = now_us();
        for item in items {
            // Removing it makes the second of two same ids in one batch an echo too.
            let heard = item.id().is_some_and(|id| !fresh.remove(&id));
            let reply = catch_unwind(AssertUnwindSafe(|| {
                self.apply(item, heard, now_us, &mut done)
            }))
            .map_err(|_| {
                Failure::Poison(String::from(
                    "the service's core panicked on it; see the log",
                ))
            })?;
            done.replies.push(reply);
        }
        Ok(done)
    }

    fn apply(
        &self,
        item: &Item<S>,
        heard: bool,
        now_us: i64,
        done: &mut Done<S>,
    ) -> Option<S::Reply> {
        if heard {
            return match item.input() {
                Some(Input::Command(command)) => Some(self.service.echo(command, &done.rows)),
                _ => None,
            };
        }
        let span = trace_of(item);
        let trace = span
            .as_ref()
            .map(telemetry::ActiveSpan::context)
            .unwrap_or_default();
        let mut turn = Turn::new(now_us, item.id(), trace);
        let reply = match item.input() {
            Some(input) => self.service.react(input, &mut done.rows, &mut turn),
            None => {
                if matches!(item, Item::Announcement) {
                    self.service.announcement(&mut turn);
                }
                None
            }
        };
        done.said.append(&mut turn.said);
        done.anomalies.append(&mut turn.anomalies);
        reply
    }

    fn changes(
        &self,
        items: &[Item<S>],
        done: &mut Done<S>,
        published: &[Uuid],
    ) -> Result<Vec<Param>, Failure> {
        let mut params = Vec::new();
        for table in self.service.tables(&mut done.rows) {
            let changes = table.changes();
            params.extend([changes.saved, changes.created, changes.dropped].map(Param::Text));
        }
        let letters: Vec<&Letter> = items
            .iter()
            .filter_map(|item| match item {
                Item::Letter { letter, .. } => Some(letter.as_ref()),
                _ => None,
            })
            .collect();
        params.extend([
            json(&done.said)?,
            json(&published)?,
            Param::Int(self.lease_us),
            json(&one_of_each(letters))?,
        ]);
        Ok(params)
    }
}

/// One statement may not write one row twice: of letters alike, the last stands for all of a batch.
fn one_of_each(letters: Vec<&Letter>) -> Vec<&Letter> {
    let mut kept: std::collections::BTreeMap<_, &Letter> = std::collections::BTreeMap::new();
    for letter in letters {
        kept.insert((&letter.aggregateid, &letter.kind, &letter.reason), letter);
    }
    kept.into_values().collect()
}

fn trace_of<S: Service>(item: &Item<S>) -> Option<telemetry::ActiveSpan> {
    match item {
        Item::Fact {
            id, kind, trace, ..
        } => Some(telemetry::span(
            SpanKind::Consumer,
            &format!("process {kind}"),
            trace,
            || {
                vec![
                    KeyValue::new("messaging.system", "nats"),
                    KeyValue::new("messaging.operation.type", "process"),
                    KeyValue::new("messaging.message.id", id.to_string()),
                ]
            },
        )),
        Item::Command { trace, .. } => Some(telemetry::span(
            SpanKind::Internal,
            "command",
            trace,
            Vec::new,
        )),
        Item::Due { .. } | Item::Letter { .. } | Item::Announcement => None,
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<Param, Failure> {
    serde_json::to_string(value)
        .map(Param::Text)
        .map_err(|error| Failure::Poison(error.to_string()))
}

/// Microseconds since 1970, by this machine's clock.
pub(crate) fn now_us() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
