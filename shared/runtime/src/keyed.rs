//! The small way in: a service of one kind of record, each found by what a fact is about. It has no commands and no timers; whoever needs
//! those, or several tables, implements [`Service`].

use std::convert::Infallible;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use sqlx::migrate::Migrator;

use crate::database;
use crate::event::Message;
use crate::service::{Context, Input, ReadError, Service, ServiceInput};
use crate::table::{Row, Rows, Working};

/// What a fact makes of the record that it is about: the record as it is from now on, or none to leave it as it was. What is said goes
/// through the context. Pure: it neither waits nor fails, and is given the clock and chance.
pub type Reaction<R, F> = fn(&<R as Row>::Key, Option<&R>, &F, &mut Context) -> Option<R>;

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
pub struct Keyed<R: Row, F> {
    name: &'static str,
    hears: &'static [&'static str],
    migrations: &'static [(i64, &'static str)],
    react: Reaction<R, F>,
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
            fact: PhantomData,
        }
    }
}

impl<R: Row + Sync, F: DeserializeOwned + Send + Sync + 'static> Service for Keyed<R, F>
where
    R::Key: Sync + 'static,
{
    type Fact = (R::Key, F);
    type Command = Infallible;
    type Reply = ();
    type Timer = ();
    type Rows = Rows<R>;

    fn name(&self) -> &str {
        self.name
    }

    fn filters(&self) -> Vec<String> {
        self.hears.iter().map(ToString::to_string).collect()
    }

    fn migrations(&self) -> Migrator {
        let migrations = self.migrations.iter();
        database::migrations(migrations.map(|(version, sql)| (*version, "", *sql)))
    }

    fn read(&self, message: &Message) -> Result<(R::Key, F), ReadError> {
        let malformed = |what: &str, error: serde_json::Error| {
            ReadError::Malformed(format!("{what} cannot be read: {error}"))
        };
        let key = serde_json::json!([message.entity]);
        let key = serde_json::from_value(key).map_err(|error| malformed("ce-subject", error))?;
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
        if let Input::Fact((key, _)) = input {
            rows.want(key.clone());
        }
    }

    fn react(
        &self,
        input: &ServiceInput<Self>,
        rows: &mut Rows<R>,
        context: &mut Context,
    ) -> Option<()> {
        if let Input::Fact((key, fact)) = input
            && let Some(record) = (self.react)(key, rows.get(key), fact, context)
        {
            rows.put(record);
        }
        None
    }

    fn echo(&self, command: &Infallible, _rows: &Rows<R>) {
        match *command {}
    }
}
