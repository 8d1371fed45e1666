//! One service's own database: a SQLite file or a PostgreSQL server.
//!
//! One connection writes (the loop's transactions, the sweeper, housekeeping), a few read. The writer is outside any
//! pool: after an error it is rolled back before anything else happens on it, and opened anew if that fails, so that no
//! half-done transaction can reach somebody else. It knows no table of any service.

pub mod calls;
mod connect;
mod failure;
pub(crate) mod letters;
mod parameters;
pub mod queries;
mod select;
pub(crate) mod sql;

use std::sync::Arc;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Postgres, Row as _, Sqlite};
use tokio::sync::{Mutex, MutexGuard};

pub use connect::{
    RUNTIME_MIGRATION, SERVICE_MIGRATION, calls_migration, migrations, own_migrations,
};
pub use failure::Failure;
pub use parameters::Param;
pub use select::{Is, Select};
pub use sql::Engine;

use crate::table::{Cell, Row, Table, cells};
use connect::{Readers, Writer};

/// A statement with its parameters, for SQLite: it has no arrays.
fn sqlite(
    sql: &str,
    params: Vec<Param>,
) -> Result<Query<'static, Sqlite, SqliteArguments>, sqlx::Error> {
    let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    params.into_iter().try_fold(query, |query, param| {
        Ok(match param {
            Param::Cell(Cell::Text(text)) => query.bind(text),
            Param::Cell(Cell::Int(number)) => query.bind(number),
            Param::Cell(Cell::Null) => query.bind(None::<String>),
            Param::Texts(_) | Param::Ints(_) => {
                return Err(sqlx::Error::Encode("SQLite takes no arrays".into()));
            }
        })
    })
}

/// The same for PostgreSQL.
fn postgres(sql: &str, params: Vec<Param>) -> Query<'static, Postgres, PgArguments> {
    let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    params.into_iter().fold(query, |query, param| match param {
        Param::Cell(Cell::Text(text)) => query.bind(text),
        Param::Cell(Cell::Int(number)) => query.bind(number),
        Param::Cell(Cell::Null) => query.bind(None::<String>),
        Param::Texts(texts) => query.bind(texts),
        Param::Ints(numbers) => query.bind(numbers),
    })
}

/// Where the writer is kept between transactions.
#[derive(Default)]
struct Slot {
    writer: Option<Writer>,
    /// Somebody began a transaction and has neither committed it nor given it up.
    in_transaction: bool,
}

/// A service's database.
pub struct Database {
    engine: Engine,
    url: String,
    writer: Mutex<Slot>,
    readers: Readers,
}

impl Database {
    /// Opens it, and brings its schema up to date. A server that is not there yet is waited for, a minute at most.
    ///
    /// # Errors
    /// When it cannot be reached or its schema cannot be brought up to date, in words that say what to do.
    pub async fn open(url: &str, migrations: &Migrator) -> Result<Arc<Self>, anyhow::Error> {
        let engine = connect::engine(url)?;
        connect::until_reachable(url).await?;
        connect::migrate(url, migrations).await?;
        Ok(Arc::new(Self {
            engine,
            url: url.to_owned(),
            writer: Mutex::new(Slot {
                writer: Some(Writer::open(url).await?),
                in_transaction: false,
            }),
            readers: Readers::open(url).await?,
        }))
    }

    /// Opens it for reading only, without touching its schema: for audits.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn open_read_only(url: &str) -> Result<Arc<Self>, anyhow::Error> {
        let engine = connect::engine(url)?;
        Ok(Arc::new(Self {
            engine,
            url: url.to_owned(),
            writer: Mutex::default(),
            readers: Readers::open(url).await?,
        }))
    }

    /// Which database it is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The one connection that writes, held until it is dropped.
    ///
    /// # Errors
    /// When the connection was lost and cannot be opened again.
    pub async fn writer(&self) -> Result<Transaction<'_>, Failure> {
        let mut slot = self.writer.lock().await;
        if slot.in_transaction {
            // Whoever had it died in the middle. PostgreSQL takes a second `begin` with a mere warning, and would commit
            // what was left open along with what comes next.
            *slot = Slot::default();
        }
        if slot.writer.is_none() {
            let writer = Writer::open(&self.url).await;
            slot.writer = Some(writer.map_err(|error| Failure::Retry(format!("{error:#}")))?);
        }
        Ok(Transaction {
            slot,
            engine: self.engine,
        })
    }

    /// What OpenTelemetry calls it.
    pub(crate) fn system(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgresql",
        }
    }

    /// Begins a query for rows of this table.
    pub fn select<'a>(&'a self, table: &'a Table) -> Select<'a> {
        Select::new(self, table)
    }

    /// The row with this key, as last committed; none where there is none.
    ///
    /// # Errors
    /// When the database cannot be reached or the row does not read as an `R`.
    pub async fn find<R: Row>(&self, key: &R::Key) -> Result<Option<R>, Failure> {
        let key = cells::of_key(key)?;
        let select = R::TABLE
            .key
            .iter()
            .zip(key)
            .fold(self.select(R::TABLE), |select, (column, value)| {
                select.only(column.name, Is::Equal, value)
            });
        let found: Vec<R> = select.rows().await?;
        Ok(found.into_iter().find(Row::exists))
    }

    /// Asks it for nothing.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn answers(&self) -> Result<(), Failure> {
        self.number("select cast(1 as bigint)", vec![])
            .await
            .map(drop)
    }

    /// The first column, text, of each row that a read-only statement answers.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn texts(&self, sql: &str, params: Vec<Param>) -> Result<Vec<String>, Failure> {
        Ok(match &self.readers {
            Readers::Sqlite(pool) => column(sqlite(sql, params)?.fetch_all(pool).await?, |row| {
                row.try_get(0)
            })?,
            Readers::Postgres(pool) => {
                column(postgres(sql, params).fetch_all(pool).await?, |row| {
                    row.try_get(0)
                })?
            }
        })
    }

    /// The single number that a read-only statement answers.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn number(&self, sql: &str, params: Vec<Param>) -> Result<i64, Failure> {
        Ok(match &self.readers {
            Readers::Sqlite(pool) => sqlite(sql, params)?.fetch_one(pool).await?.try_get(0)?,
            Readers::Postgres(pool) => postgres(sql, params).fetch_one(pool).await?.try_get(0)?,
        })
    }
}

fn column<R, E>(rows: Vec<R>, get: impl Fn(&R) -> Result<String, E>) -> Result<Vec<String>, E> {
    rows.iter().map(get).collect()
}

/// The writer, in somebody's hands. What runs on it must not be cancelled half-way: only tasks of their own hold it.
pub struct Transaction<'a> {
    slot: MutexGuard<'a, Slot>,
    engine: Engine,
}

impl Transaction<'_> {
    /// Whether the statement that saves commits too, in one call.
    pub(crate) fn saving_commits(&self) -> bool {
        self.engine == Engine::Sqlite
    }

    /// Begins a transaction; on SQLite the load statement itself opens it.
    pub(crate) async fn begin(&mut self) -> Result<(), Failure> {
        self.slot.in_transaction = true;
        if self.engine == Engine::Postgres {
            self.run("begin", vec![]).await?;
        }
        Ok(())
    }

    /// Commits; on SQLite the save statement itself has done so.
    pub(crate) async fn commit(&mut self) -> Result<(), Failure> {
        if self.engine == Engine::Postgres {
            self.run("commit", vec![]).await?;
        }
        self.slot.in_transaction = false;
        Ok(())
    }

    /// Runs one call, and answers the text columns of its rows, in order. An error is rolled back before this returns.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn run(&mut self, sql: &str, params: Vec<Param>) -> Result<Vec<String>, Failure> {
        let answer = self.attempt(sql, params).await;
        if let Err(error) = &answer {
            self.roll_back().await;
            if failure::is_of_the_connection(error) {
                self.slot.writer = None;
            }
        }
        answer.map_err(Failure::from)
    }

    async fn attempt(&mut self, sql: &str, params: Vec<Param>) -> Result<Vec<String>, sqlx::Error> {
        let mut texts = Vec::new();
        match self.slot.writer.as_mut() {
            Some(Writer::Sqlite(connection)) => {
                for row in sqlite(sql, params)?.fetch_all(connection).await? {
                    for i in 0..row.len() {
                        texts.push(row.try_get::<Option<String>, _>(i)?.unwrap_or_default());
                    }
                }
            }
            Some(Writer::Postgres(connection)) => {
                for row in postgres(sql, params).fetch_all(&mut **connection).await? {
                    for i in 0..row.len() {
                        texts.push(row.try_get::<Option<String>, _>(i)?.unwrap_or_default());
                    }
                }
            }
            // Closed by the roll back of an earlier call.
            None => {
                return Err(sqlx::Error::Protocol(String::from(
                    "the connection was closed",
                )));
            }
        }
        Ok(texts)
    }

    /// Gives the transaction up. A connection that cannot even do that is closed; the next use opens a new one.
    pub async fn roll_back(&mut self) {
        let done = match self.slot.writer.as_mut() {
            // SQLite may have rolled back by itself; then there is nothing to do, and it says so.
            Some(Writer::Sqlite(connection)) => {
                match sqlx::query("rollback").execute(connection).await {
                    Ok(_) => true,
                    Err(error) => error.to_string().contains("no transaction is active"),
                }
            }
            Some(Writer::Postgres(connection)) => sqlx::query("rollback")
                .execute(&mut **connection)
                .await
                .is_ok(),
            None => true,
        };
        if !done {
            self.slot.writer = None;
        }
        self.slot.in_transaction = false;
    }
}
