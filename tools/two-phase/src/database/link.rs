//! Connections to one database that stay: a bounded number, each lent to one statement at a time. Not a pool for anything: it has no
//! transactions, for each statement that is said over it either is one or ends as a prepared one.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::settings::Settings;

/// Why a statement has no answer, or a bad one.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The database said no: its code (SQLSTATE), and in words.
    Said { code: String, message: String },
    /// It did not answer: what was said may have been done or not.
    Away(String),
}

impl Fault {
    /// Whether it said no with this code.
    pub(crate) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Said { code, .. } if code == wanted)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said { code, message } => write!(f, "{message} ({code})"),
            Self::Away(why) => write!(f, "{why}"),
        }
    }
}

/// A database, and the connections to it.
#[derive(Debug)]
pub(crate) struct Link {
    options: PgConnectOptions,
    idle: Mutex<Vec<PgConnection>>,
    permits: Semaphore,
    /// For statements that end what another began: behind those that begin they would wait for what only they can free.
    reserved: Semaphore,
    most: usize,
    within: Duration,
    round_trips: Arc<AtomicU64>,
}

/// A connection for one statement.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    pub(crate) connection: PgConnection,
    _permit: SemaphorePermit<'a>,
    /// Whether what is said over it counts as said for a trip.
    counted: bool,
}

impl Link {
    /// At most so many connections; so many of them are kept for what ends something ([`Link::say_last`]).
    pub(crate) fn new(
        url: &str,
        most: usize,
        reserved: usize,
        settings: &Settings,
        round_trips: &Arc<AtomicU64>,
    ) -> Result<Self> {
        let options: PgConnectOptions = url
            .parse()
            .context("a database's URL looks like postgres://user:password@host/database")?;
        let ms = |time: Duration| time.as_millis().to_string();
        let options = options
            .application_name(&crate::trip::prefix(&settings.name))
            .options([
                ("synchronous_commit", String::from("on")),
                ("standard_conforming_strings", String::from("on")),
                ("lock_timeout", ms(settings.lock_timeout())),
                // Planned once for each connection, whatever the values.
                ("plan_cache_mode", String::from("force_generic_plan")),
            ]);
        Ok(Self {
            options,
            idle: Mutex::default(),
            permits: Semaphore::new(most.saturating_sub(reserved)),
            reserved: Semaphore::new(reserved),
            most,
            within: settings.answer_within(),
            round_trips: Arc::clone(round_trips),
        })
    }

    pub(crate) fn within(&self) -> Duration {
        self.within
    }

    /// One more statement went there and its answer came back.
    fn count(&self) {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection, as soon as there is one.
    pub(crate) async fn lend(&self) -> Result<Lent<'_>, Fault> {
        let late = |_: Elapsed| Fault::Away(String::from("no connection was free in time"));
        let permit = timeout(self.within, self.permits.acquire())
            .await
            .map_err(late)?;
        self.lend_by(permit).await
    }

    /// The same, with those that are kept for it.
    async fn lend_last(&self) -> Result<Lent<'_>, Fault> {
        let late = |_: Elapsed| Fault::Away(String::from("no connection was free in time"));
        let either = async {
            tokio::select! {
                permit = self.reserved.acquire() => permit,
                permit = self.permits.acquire() => permit,
            }
        };
        let permit = timeout(self.within, either).await.map_err(late)?;
        self.lend_by(permit).await
    }

    async fn lend_by<'a>(
        &'a self,
        permit: Result<SemaphorePermit<'a>, AcquireError>,
    ) -> Result<Lent<'a>, Fault> {
        let permit = permit.map_err(|_| Fault::Away(String::from("closed")))?;
        let kept = self.idle().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(Lent {
            connection,
            _permit: permit,
            counted: true,
        })
    }

    /// Connects as often as it may, one after the other, before somebody waits for it; again after a server was restarted.
    pub(crate) async fn warm(&self) -> Result<(), Fault> {
        loop {
            let free = self.permits.available_permits() + self.reserved.available_permits();
            let lent = self.most.saturating_sub(free);
            if self.idle().len() + lent >= self.most {
                return Ok(());
            }
            let connection = self.connect().await?;
            self.idle().push(connection);
        }
    }

    /// A connection of one's own, which is not counted.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Fault> {
        let connecting = PgConnection::connect_with(&self.options);
        match timeout(self.within, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(Fault::Away(error.to_string())),
            Err(_) => Err(Fault::Away(String::from(
                "it cannot be connected to in time",
            ))),
        }
    }

    /// Takes a connection back after what was said over it. One that did not answer is dropped, and with it those that are idle: a server
    /// that was restarted has ended them all.
    pub(crate) async fn settle<T>(
        &self,
        mut lent: Lent<'_>,
        done: Result<Result<T, sqlx::Error>, Elapsed>,
    ) -> Result<T, Fault> {
        if lent.counted {
            self.count();
        }
        let fault = match done {
            Ok(Ok(answer)) => {
                self.idle().push(lent.connection);
                return Ok(answer);
            }
            Ok(Err(sqlx::Error::Database(error))) => Fault::Said {
                code: error.code().map(Into::into).unwrap_or_default(),
                message: error.message().to_owned(),
            },
            Ok(Err(error)) => Fault::Away(error.to_string()),
            Err(_) => Fault::Away(format!("no answer within {:?}", self.within)),
        };
        // 57P: it is being stopped; what it says then is that it goes away.
        let goes = matches!(&fault, Fault::Said { code, .. } if code.starts_with("57P"));
        if goes || matches!(fault, Fault::Away(_)) {
            self.idle().clear();
            return Err(Fault::Away(fault.to_string()));
        }
        // A transaction that failed is still open.
        self.count();
        let rolled_back = sqlx::raw_sql("rollback").fetch_all(&mut lent.connection);
        if matches!(timeout(self.within, rolled_back).await, Ok(Ok(_))) {
            self.idle().push(lent.connection);
        }
        Err(fault)
    }

    /// Says some statements at once, in one message, and hears every row that they answer with.
    pub(crate) async fn say(&self, statements: String) -> Result<Vec<PgRow>, Fault> {
        self.say_over(self.lend().await?, statements).await
    }

    /// The same for what ends something that another statement began.
    pub(crate) async fn say_last(&self, statements: String) -> Result<Vec<PgRow>, Fault> {
        self.say_over(self.lend_last().await?, statements).await
    }

    /// The same for what is said for no trip, and counted for none.
    pub(crate) async fn ask(&self, statements: String) -> Result<Vec<PgRow>, Fault> {
        let mut lent = self.lend_last().await?;
        lent.counted = false;
        self.say_over(lent, statements).await
    }

    async fn say_over(&self, mut lent: Lent<'_>, statements: String) -> Result<Vec<PgRow>, Fault> {
        let said = sqlx::raw_sql(AssertSqlSafe(statements)).fetch_all(&mut lent.connection);
        let done = timeout(self.within, said).await;
        self.settle(lent, done).await
    }
}
