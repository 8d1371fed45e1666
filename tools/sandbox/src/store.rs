//! The file with the payments: one SQLite database, one writer, each change on disk before it is answered. What a change is, is the payment's.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};
use tokio::sync::Mutex;

use super::payment::Payment;
use super::secrets::fresh;

const SCHEMA: &str = "
create table if not exists payment (seq integer primary key autoincrement, id text not null unique, held_until_ms integer, state text not null);
create index if not exists payment_held on payment (held_until_ms) where held_until_ms is not null;
create table if not exists answer (idempotency_key text primary key, asked text not null, status integer not null, body text not null);
create table if not exists event (seq integer primary key autoincrement, body text not null, tries integer not null, due_ms integer not null);
";

/// An answer that was given before.
pub struct Kept {
    /// What was asked, to tell whether the same is asked again.
    pub asked: String,
    /// Its HTTP status.
    pub status: u16,
    /// Its body.
    pub body: String,
}

/// Something to tell the webhook's address.
pub struct Event {
    /// What to call it by when it is told.
    pub seq: i64,
    /// Its body.
    pub body: String,
    /// How often it was tried.
    pub tries: i64,
}

/// The file.
pub struct Store {
    connection: Mutex<SqliteConnection>,
}

/// A transaction.
pub type Unit<'a> = sqlx::Transaction<'a, sqlx::Sqlite>;

impl Store {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When it is no file of ours, or cannot be written.
    pub async fn open(path: &Path) -> Result<Self> {
        let what = || format!("cannot open {}", client::paint::visible_path(path));
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("fullfsync", "1")
            .disable_statement_logging();
        let mut connection = options.connect().await.with_context(what)?;
        let made = sqlx::raw_sql(SCHEMA).execute(&mut connection).await;
        made.with_context(what)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// The one connection: whoever has it works alone.
    pub async fn alone(&self) -> tokio::sync::MutexGuard<'_, SqliteConnection> {
        self.connection.lock().await
    }

    /// What was answered under this idempotency key.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn kept(unit: &mut Unit<'_>, key: &str) -> Result<Option<Kept>> {
        let sql = "select asked, status, body from answer where idempotency_key = ?";
        let found = sqlx::query(sql)
            .bind(key)
            .fetch_optional(&mut **unit)
            .await?;
        let Some(row) = found else {
            return Ok(None);
        };
        Ok(Some(Kept {
            asked: row.try_get("asked")?,
            status: row.try_get("status")?,
            body: row.try_get("body")?,
        }))
    }

    /// Keeps an answer under its idempotency key.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn keep(unit: &mut Unit<'_>, key: &str, kept: &Kept) -> Result<()> {
        let sql = "insert into answer (idempotency_key, asked, status, body) values (?, ?, ?, ?)";
        let insert = sqlx::query(sql).bind(key).bind(&kept.asked);
        let insert = insert.bind(kept.status).bind(&kept.body);
        insert.execute(&mut **unit).await?;
        Ok(())
    }

    /// A payment.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn payment(unit: &mut Unit<'_>, id: &str) -> Result<Option<Payment>> {
        let sql = "select state from payment where id = ?";
        let found = sqlx::query_scalar::<_, String>(sql).bind(id);
        let found = found.fetch_optional(&mut **unit).await?;
        Ok(found
            .map(|state| serde_json::from_str(&state))
            .transpose()?)
    }

    /// Keeps a payment as it is now.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn put(unit: &mut Unit<'_>, payment: &Payment) -> Result<()> {
        let sql = "insert into payment (id, held_until_ms, state) values (?, ?, ?)
                   on conflict (id) do update set held_until_ms = excluded.held_until_ms, state = excluded.state";
        let state = serde_json::to_string(payment)?;
        let put = sqlx::query(sql)
            .bind(&payment.id)
            .bind(payment.held_until_ms);
        put.bind(state).execute(&mut **unit).await?;
        Ok(())
    }

    /// Payments whose money was held too long by now, some of them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn expired(unit: &mut Unit<'_>, now_ms: i64) -> Result<Vec<Payment>> {
        let sql = "select state from payment where held_until_ms <= ? limit 500";
        let states = sqlx::query_scalar::<_, String>(sql).bind(now_ms);
        read(&states.fetch_all(&mut **unit).await?)
    }

    /// Payments with a refund, or the one with this refund. It looks at all of them, as nobody does often here.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn refunded(unit: &mut Unit<'_>, id: Option<&str>) -> Result<Vec<Payment>> {
        let sql = "select distinct payment.state from payment, json_each(payment.state, '$.refunds') as refund
                   where ?1 is null or json_extract(refund.value, '$.id') = ?1";
        let states = sqlx::query_scalar::<_, String>(sql).bind(id);
        read(&states.fetch_all(&mut **unit).await?)
    }

    /// Payments older than that one, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn list(unit: &mut Unit<'_>, after: Option<&str>, most: i64) -> Result<Vec<Payment>> {
        let sql = "select state from payment where ?1 is null or seq < (select seq from payment where id = ?1) order by seq desc limit ?2";
        let states = sqlx::query_scalar::<_, String>(sql).bind(after).bind(most);
        read(&states.fetch_all(&mut **unit).await?)
    }

    /// How many payments there are.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn count(&self) -> Result<i64> {
        let mut connection = self.alone().await;
        let count = sqlx::query_scalar("select count(*) from payment");
        Ok(count.fetch_one(&mut *connection).await?)
    }

    /// Forgets every idempotency key. How many there were.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn forget_keys(&self) -> Result<u64> {
        let mut connection = self.alone().await;
        let gone = sqlx::query("delete from answer").execute(&mut *connection);
        Ok(gone.await?.rows_affected())
    }

    /// Lets all money that is held have been held too long. How many payments it is.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn hold_no_longer(&self) -> Result<u64> {
        let mut connection = self.alone().await;
        let mut unit = connection.begin().await?;
        let held = Self::expired(&mut unit, i64::MAX).await?;
        for mut payment in held.clone() {
            payment.held_until_ms = Some(0);
            Self::put(&mut unit, &payment).await?;
        }
        unit.commit().await?;
        Ok(held.len() as u64)
    }

    /// Keeps something to tell.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn tell(unit: &mut Unit<'_>, kind: &str, object: &Value, now_ms: i64) -> Result<()> {
        let body = json!({
            "id": format!("evt_{}", fresh()),
            "object": "event",
            "created": now_ms / 1_000,
            "data": {"object": object},
            "livemode": false,
            "type": kind,
        });
        let sql = "insert into event (body, tries, due_ms) values (?, 0, 0)";
        let insert = sqlx::query(sql).bind(body.to_string());
        insert.execute(&mut **unit).await?;
        Ok(())
    }

    /// Some of what is to be told now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn to_tell(&self, now_ms: i64, most: i64) -> Result<Vec<Event>> {
        let mut connection = self.alone().await;
        let sql = "select seq, body, tries from event where due_ms <= ? order by seq limit ?";
        let rows = sqlx::query(sql).bind(now_ms).bind(most);
        let rows = rows.fetch_all(&mut *connection).await?;
        let event = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Event {
                seq: row.try_get("seq")?,
                body: row.try_get("body")?,
                tries: row.try_get("tries")?,
            })
        };
        rows.iter().map(event).collect()
    }

    /// It was told, or is to be told later.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn told(&self, event: &Event, later_ms: Option<i64>) -> Result<()> {
        let mut connection = self.alone().await;
        let change = match later_ms {
            None => sqlx::query("delete from event where seq = ?").bind(event.seq),
            Some(later_ms) => {
                let sql = "update event set tries = tries + 1, due_ms = ? where seq = ?";
                sqlx::query(sql).bind(later_ms).bind(event.seq)
            }
        };
        change.execute(&mut *connection).await?;
        Ok(())
    }
}

fn read(states: &[String]) -> Result<Vec<Payment>> {
    let payment = |state: &String| serde_json::from_str(state);
    Ok(states.iter().map(payment).collect::<Result<_, _>>()?)
}
