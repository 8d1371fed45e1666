//! What a database is asked for between batches: which records are due, which outbox rows nobody publishes, what may be forgotten,
//! how much waits. Each is one statement; who asks when is the business of the tasks.

use std::fmt::Display;

use serde::de::DeserializeOwned;

use crate::database::sql::OUTBOX_ALL;
use crate::database::{Database, Engine, Failure};
use crate::event::Event;
use crate::table::{Table, cells};

/// Records, rows or letters taken at a time, so that no batch waits long for them.
pub const ROWS_MAX: usize = 512;
const LIMIT: i64 = ROWS_MAX as i64;
/// How much longer than a sweeper's own lease another replica's may be, for their settings may differ. A lease that ends still later was
/// given before a clock went back, and would outlive its holder by as much as that clock was ahead.
const LEASES_APART_US: i64 = 30_000_000;

impl Engine {
    /// [`now_us`](Self::now_us), asked once for a whole statement. PostgreSQL looks nothing up in an index by a clock that it would have to ask anew for each row.
    pub(super) fn now_once_us(self) -> String {
        format!("(select {})", self.now_us())
    }

    /// How rows are taken that nobody else may take meanwhile, and that are left to who has them already. SQLite has one writer at a time.
    pub(super) fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "for update skip locked",
        }
    }
}

/// Keys of records that are due at `now_us`, and of each whether its last announcement still lies in the outbox.
///
/// One that is due later than `far_us` is due now: it is further off than the longest possible pause, so a clock went
/// back.
///
/// # Errors
/// When the database does not answer.
pub async fn due<K: DeserializeOwned>(
    database: &Database,
    table: &Table,
    now_us: i64,
    far_us: i64,
) -> Result<Vec<(K, bool)>, Failure> {
    let (array, cast) = match database.engine() {
        Engine::Sqlite => ("json_array", ""),
        Engine::Postgres => ("json_build_array", "::text"),
    };
    let key: Vec<String> = table.key.iter().map(|c| format!("t.{}", c.name)).collect();
    let waiting =
        "case when exists (select 1 from outbox where outbox.id = t.said_id) then 1 else 0 end";
    let rows = format!(
        "select {array}({array}({}), {waiting}){cast} as due from {} as t",
        key.join(", "),
        table.name
    );
    // Two ranges of one index, each with its limit; as one condition they would be a walk through everything between.
    let sql = format!(
        "select due from ({rows} where t.due_us <= $1 order by t.due_us limit $3) as soon \
         union all select due from ({rows} where t.due_us > $2 limit $3) as far"
    );
    let found = database
        .texts(&sql, vec![now_us.into(), far_us.into(), LIMIT.into()])
        .await?;
    let due = readable(&found, |row| serde_json::from_str::<(K, i64)>(row));
    Ok(due.map(|(key, waiting)| (key, waiting == 1)).collect())
}

/// Rows that somebody damaged by hand are left out, with a word in the log: they must not stop the others.
fn readable<T, E: Display>(
    rows: &[String],
    read: impl Fn(&str) -> Result<T, E>,
) -> impl Iterator<Item = T> {
    rows.iter().filter_map(move |row| {
        read(row)
            .inspect_err(|error| {
                let row: String = row.chars().take(100).collect();
                tracing::error!(%error, row, "a row cannot be read and is left alone");
            })
            .ok()
    })
}

/// Takes over outbox rows whose lease ended, by the database's own clock, for `lease_us`: at most `most`, and as many whose lease is so
/// far off that a clock must have gone back. No other sweeper gets them meanwhile.
///
/// # Errors
/// When the database does not answer.
pub async fn sweep(database: &Database, lease_us: i64, most: usize) -> Result<Vec<Event>, Failure> {
    let most = i64::try_from(most).unwrap_or(LIMIT);
    let engine = database.engine();
    let (now, skip) = (engine.now_once_us(), engine.skip_locked());
    let cast = match engine {
        Engine::Sqlite => "",
        Engine::Postgres => "::text",
    };
    let row = engine.row("outbox", OUTBOX_ALL.iter());
    let sql = format!(
        "with soon as materialized (select id from outbox where lease_us <= {now} order by lease_us limit $2 {skip}), \
         far as materialized (select id from outbox where lease_us > {now} + cast($3 as bigint) order by lease_us desc limit $2 {skip}) \
         update outbox set lease_us = {now} + cast($1 as bigint), attempt = attempt + 1 \
         where id in (select id from soon union all select id from far) returning {row}{cast}"
    );
    let far_us = lease_us.saturating_add(LEASES_APART_US);
    let rows = database
        .writer()
        .await?
        .run(&sql, vec![lease_us.into(), most.into(), far_us.into()])
        .await?;
    let fact = |row: &str| {
        let cells = serde_json::from_str(row).map_err(Failure::unreadable)?;
        let names = OUTBOX_ALL.iter().map(|column| column.name);
        cells::read(names, cells).map_err(Failure::unreadable)
    };
    Ok(readable(&rows, fact).collect())
}

/// When the oldest of the facts was said that were applied last, in microseconds since 1970, by the time that their ids carry (UUIDv7).
/// Commands are among the ids too, and younger. None where nothing was applied yet.
///
/// # Errors
/// When the database does not answer.
pub async fn heard_us(database: &Database) -> Result<Option<i64>, Failure> {
    let sql = "select id from inbox order by seen_us desc limit $1";
    let ids = database.texts(sql, vec![LIMIT.into()]).await?;
    let said_us = |id: &String| {
        let (seconds, nanos) = uuid::Uuid::parse_str(id).ok()?.get_timestamp()?.to_unix();
        Some(i64::try_from(seconds).ok()? * 1_000_000 + i64::from(nanos) / 1_000)
    };
    Ok(ids.iter().filter_map(said_us).min())
}

/// Rows in the outbox, counted up to `most`.
///
/// # Errors
/// When the database does not answer.
pub async fn outbox_depth(database: &Database, most: u64) -> Result<i64, Failure> {
    let sql = "select count(*) from (select 1 from outbox limit $1) as counted";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    database.number(sql, vec![most.into()]).await
}

/// Drops ids of facts and commands that were applied before `before_us`. Answers how many went; at most [`ROWS_MAX`].
///
/// # Errors
/// When the database does not answer.
pub async fn forget_inbox(database: &Database, before_us: i64) -> Result<usize, Failure> {
    let sql = "delete from inbox where id in (select id from inbox where seen_us < $1 order by seen_us limit $2) returning id";
    Ok(database
        .writer()
        .await?
        .run(sql, vec![before_us.into(), LIMIT.into()])
        .await?
        .len())
}

/// Drops rows of a table whose `forget_us` has come. Answers how many went; at most [`ROWS_MAX`].
///
/// # Errors
/// When the database does not answer.
pub async fn forget_rows(
    database: &Database,
    table: &Table,
    now_us: i64,
) -> Result<usize, Failure> {
    let key = table
        .key
        .iter()
        .map(|c| c.name)
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "delete from {0} where ({key}) in (select {key} from {0} where forget_us <= $1 order by forget_us limit $2) returning '{0}'",
        table.name
    );
    Ok(database
        .writer()
        .await?
        .run(&sql, vec![now_us.into(), LIMIT.into()])
        .await?
        .len())
}
