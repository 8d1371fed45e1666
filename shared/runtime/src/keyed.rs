//! The small way in: a service of one kind of record, each found by what a fact is about, that may have things done outside. It has no
//! commands and no timers; whoever needs those, or several tables, implements [`Service`].

use std::convert::Infallible;
use std::marker::PhantomData;

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use sqlx::migrate::Migrator;

use crate::call::{Attempt, Call, makes_calls};
use crate::database;
use crate::event::Message;
use crate::service::{Context, Input, ReadError, Service, ServiceInput};
use crate::table::{Row, Rows, Working};

/// What a fact makes of the record that it is about: the record as it is from now on, or none to leave it as it was. What is said goes
/// through the context. Pure: it neither waits nor fails, and is given the clock and chance.
pub type Reaction<R, F> = fn(&<R as Row>::Key, Option<&R>, &F, &mut Context) -> Option<R>;

/// What the answer to a call makes of the record that the call is about; as [`Reaction`].
pub type Answered<R, A> = fn(&<R as Row>::Key, Option<&R>, &Call, &A, &mut Context) -> Option<R>;

/// How calls are performed, and what their answers come to.
struct Calls<R: Row, A> {
    perform: Box<dyn Fn(Call) -> BoxFuture<'static, Attempt<A>> + Send + Sync>,
    answered: Answered<R, A>,
}

/// A service of one kind of record `R`, changed by facts whose data read as `F`. A fact is about the record whose key is the fact's
/// `ce-subject`; data that do not read as `F` are a dead letter.
///
/// The example `savings` is a whole service in one file. What it makes of a fact is tried with neither broker nor database:
/// ```
/// use runtime::table::{Lock, Row, Table, int, text};
/// use runtime::{Context, Keyed, TraceContext};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// struct Jar {
///     jar: String,
///     coins: i64,
/// }
///
/// impl Row for Jar {
///     const TABLE: &'static Table = &Table {
///         name: "jar",
///         key: &[text("jar")],
///         columns: &[int("coins")],
///         lock: Lock::Claim,
///     };
///     type Key = (String,);
///     fn key(&self) -> (String,) {
///         (self.jar.clone(),)
///     }
/// }
///
/// #[derive(Deserialize)]
/// struct Dropped {
///     coins: i64,
/// }
///
/// fn dropped(key: &(String,), jar: Option<&Jar>, fact: &Dropped, context: &mut Context) -> Option<Jar> {
///     let coins = jar.map_or(0, |jar| jar.coins) + fact.coins;
///     let (kind, subject) = ("jars.filled.v1".into(), "jars.filled".into());
///     context.say("jar", key.0.clone(), kind, subject, format!(r#"{{"coins":{coins}}}"#));
///     Some(Jar { jar: key.0.clone(), coins })
/// }
///
/// const TABLES: &str = "create table jar (jar text not null primary key, coins bigint not null default 0)";
/// let service = Keyed::new("jars", &["jars.dropped"], &[(1001, TABLES)], dropped);
///
/// let mut context = Context::new(0, None, TraceContext::default());
/// let three = Jar { jar: "kitchen".into(), coins: 3 };
/// let five = dropped(&("kitchen".into(),), Some(&three), &Dropped { coins: 2 }, &mut context);
/// assert_eq!(five.map(|jar| jar.coins), Some(5));
/// assert_eq!(context.said[0].payload, r#"{"coins":5}"#);
/// # let _ = service;
/// ```
pub struct Keyed<R: Row, F, A = Infallible> {
    name: &'static str,
    hears: &'static [&'static str],
    migrations: &'static [(i64, &'static str)],
    react: Reaction<R, F>,
    calls: Option<Calls<R, A>>,
    fact: PhantomData<fn() -> F>,
}

impl<R: Row, F> Keyed<R, F> {
    /// A service of this name that hears these subjects (NATS's wildcards may be among them). Its migrations are pairs of a version above
    /// 1000 and of statements that SQLite and PostgreSQL both read.
    #[must_use]
    pub const fn new(
        name: &'static str,
        hears: &'static [&'static str],
        migrations: &'static [(i64, &'static str)],
        react: Reaction<R, F>,
    ) -> Self {
        Self {
            name,
            hears,
            migrations,
            react,
            calls: None,
            fact: PhantomData,
        }
    }

    /// The same with calls that its reactions ask for ([`Context::call`]), each about a record by its key: how one is performed, beside the
    /// loop and maybe more than once under one id, and what its answer makes of the record. The example `alerts` is such a service.
    #[must_use]
    pub fn calling<A, P>(
        self,
        perform: impl Fn(Call) -> P + Send + Sync + 'static,
        answered: Answered<R, A>,
    ) -> Keyed<R, F, A>
    where
        P: Future<Output = Attempt<A>> + Send + 'static,
    {
        Keyed {
            name: self.name,
            hears: self.hears,
            migrations: self.migrations,
            react: self.react,
            calls: Some(Calls {
                perform: Box::new(move |call| Box::pin(perform(call))),
                answered,
            }),
            fact: PhantomData,
        }
    }
}

/// The key of the record with this id.
fn key_of<K: DeserializeOwned>(id: &str) -> Result<K, serde_json::Error> {
    serde_json::from_value(serde_json::json!([id]))
}

impl<R: Row + Sync, F: DeserializeOwned + Send + Sync + 'static, A> Service for Keyed<R, F, A>
where
    R::Key: Sync + 'static,
    A: Send + Sync + 'static,
{
    type Fact = (R::Key, F);
    type Command = Infallible;
    type Reply = ();
    type Timer = ();
    type Answer = A;
    type Rows = Rows<R>;

    fn name(&self) -> &str {
        self.name
    }

    fn filters(&self) -> Vec<String> {
        self.hears.iter().map(ToString::to_string).collect()
    }

    fn migrations(&self) -> Migrator {
        let calls = makes_calls::<Self>().then(database::calls_migration);
        let own = self
            .migrations
            .iter()
            .map(|(version, sql)| (*version, "", *sql));
        database::migrations(calls.into_iter().chain(own))
    }

    fn read(&self, message: &Message) -> Result<(R::Key, F), ReadError> {
        let malformed = |what: &str, error: serde_json::Error| {
            ReadError::Malformed(format!("{what} cannot be read: {error}"))
        };
        let key = key_of(&message.entity).map_err(|error| malformed("ce-subject", error))?;
        let fact = serde_json::from_slice(&message.payload)
            .map_err(|error| malformed("the data", error))?;
        Ok((key, fact))
    }

    fn rows(&self) -> Rows<R> {
        Rows::default()
    }

    fn tables<'a>(&self, rows: &'a mut Rows<R>) -> Vec<&'a mut dyn Working> {
        vec![rows]
    }

    fn need(&self, input: &ServiceInput<Self>, rows: &mut Rows<R>) {
        match input {
            Input::Fact((key, _)) => rows.want(key.clone()),
            Input::Answer { call, .. } => {
                if let Ok(key) = key_of(&call.about) {
                    rows.want(key);
                }
            }
            Input::Command(_) | Input::Due { .. } => {}
        }
    }

    fn react(
        &self,
        input: &ServiceInput<Self>,
        rows: &mut Rows<R>,
        context: &mut Context,
    ) -> Option<()> {
        let record = match input {
            Input::Fact((key, fact)) => (self.react)(key, rows.get(key), fact, context),
            Input::Answer { call, answer } => match (&self.calls, key_of(&call.about)) {
                (Some(calls), Ok(key)) => {
                    (calls.answered)(&key, rows.get(&key), call, answer, context)
                }
                _ => {
                    context.anomalies.push("answer-about-nothing");
                    None
                }
            },
            Input::Command(command) => match *command {},
            Input::Due { .. } => None,
        };
        // Else its answer would find no record.
        let lost = context.calls.iter().find_map(|call| {
            let error = key_of::<R::Key>(&call.about).err()?;
            Some(format!(
                "the call {:?} is about {:?}, which is no key: {error}",
                call.id, call.about
            ))
        });
        context.refused = lost.or(context.refused.take());
        if let Some(record) = record {
            rows.put(record);
        }
        None
    }

    fn echo(&self, command: &Infallible, _rows: &Rows<R>) {
        match *command {}
    }
    fn perform(&self, call: &Call) -> impl Future<Output = Attempt<A>> + Send {
        let performing = self
            .calls
            .as_ref()
            .map(|calls| (calls.perform)(call.clone()));
        async move {
            match performing {
                Some(performing) => performing.await,
                None => Attempt::Again {
                    why: String::from("this service makes no calls"),
                    after: None,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::table::{Lock, Table, int};
    use crate::telemetry::TraceContext;

    /// Its keys are numbers.
    #[derive(Clone, PartialEq, Serialize, Deserialize)]
    struct Door {
        door: i64,
    }

    impl Row for Door {
        const TABLE: &'static Table = &Table {
            name: "door",
            key: &[int("door")],
            columns: &[],
            lock: Lock::Claim,
        };
        type Key = (i64,);

        fn key(&self) -> (i64,) {
            (self.door,)
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a reaction")]
    fn rung(key: &(i64,), _: Option<&Door>, _: &String, context: &mut Context) -> Option<Door> {
        context.call(Call::new("ring", "ring", "the front door", "{}"));
        Some(Door { door: key.0 })
    }

    fn answered(_: &(i64,), _: Option<&Door>, _: &Call, (): &(), _: &mut Context) -> Option<Door> {
        None
    }

    #[test]
    fn a_call_about_what_is_no_key_is_refused_with_what_asks_for_it() {
        let service = Keyed::new("doors", &[], &[], rung);
        let service = service.calling(|_| async { Attempt::Answered(()) }, answered);
        let mut rows = service.rows();
        let mut context = Context::new(0, None, TraceContext::default());
        let input = Input::Fact(((1,), String::new()));
        service.react(&input, &mut rows, &mut context);
        let why = context.check().err().unwrap_or_default();
        assert!(why.contains("\"the front door\", which is no key"), "{why}");
    }
}
