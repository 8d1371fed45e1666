//! Rows as the floor writes them: tables of a key and a text, nothing else on them, many rows in a statement and one transaction for as many
//! trips as the services put into theirs. As durable as the services' own.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use sqlx::postgres::{PgConnectOptions, Postgres};
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqliteConnection};

use super::counting::Written;

/// Rows that are there before.
const THERE: u64 = 1_000;
/// Of a length that is not known: an outbox that is empty once it is looked at.
const ROW_BYTES: f64 = 600.0;
/// The most rows in one statement: SQLite takes 32,766 values.
const ROWS_MAX: usize = 5_000;
/// The schema that it is in on a server, and goes with.
const SCHEMA: &str = "bench_floor";

/// Where it writes.
enum Place {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// One table.
struct Table {
    name: String,
    each: Written,
    body: String,
    /// Fractions of rows that are due.
    due: [f64; 3],
    /// The first key that is there, and the first that is not.
    keys: (u64, u64),
}

/// Runs statements on either engine: the texts are the same, the types are not.
macro_rules! on {
    ($place:expr, $text:expr, $values:expr) => {{
        let text = AssertSqlSafe($text);
        match $place {
            Place::Sqlite(file) => {
                let query = $values
                    .iter()
                    .fold(sqlx::query::<Sqlite>(text), |q, v| q.bind(v.as_str()));
                query.execute(&mut *file).await?;
            }
            Place::Postgres(server) => {
                let query = $values
                    .iter()
                    .fold(sqlx::query::<Postgres>(text), |q, v| q.bind(v.as_str()));
                query.execute(&mut *server).await?;
            }
        }
    }};
}

/// What was written, and a reading as it began and as it ended.
#[derive(Debug)]
pub(crate) struct Wrote<T> {
    pub(crate) trips: f64,
    pub(crate) before: T,
    pub(crate) after: T,
}

/// Writes for so long what a service writes for its trips, `trips` of them in a transaction; for how many trips it was. `read` is called
/// around the writing alone: what comes before and after is nobody's share.
pub(crate) async fn write<T>(
    url: &str,
    file: &Path,
    written: &BTreeMap<String, Written>,
    trips: f64,
    time: Duration,
    read: impl Fn() -> T,
) -> Result<Wrote<T>> {
    let mut place = open(url, file).await?;
    let mut tables = fill(&mut place, written).await?;
    let before = read();
    let (began, mut done) = (Instant::now(), 0.0);
    while began.elapsed() < time {
        let none: [String; 0] = [];
        on!(&mut place, String::from("begin"), none);
        for table in &mut tables {
            table.write(&mut place, trips).await?;
        }
        on!(&mut place, String::from("commit"), none);
        done += trips;
    }
    let wrote = Wrote {
        trips: done,
        before,
        after: read(),
    };
    match place {
        Place::Sqlite(file) => file.close().await?,
        Place::Postgres(mut server) => {
            let drop = format!("drop schema {SCHEMA} cascade");
            sqlx::raw_sql(AssertSqlSafe(drop))
                .execute(&mut server)
                .await?;
            server.close().await?;
        }
    }
    Ok(wrote)
}

/// The tables, with the rows that are there before.
async fn fill(place: &mut Place, written: &BTreeMap<String, Written>) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for (name, each) in written {
        let bytes = if each.row_bytes > 0.0 {
            each.row_bytes
        } else {
            ROW_BYTES
        };
        let mut table = Table {
            name: format!("floor_{name}"),
            each: *each,
            body: "x".repeat(bytes as usize),
            due: [0.0; 3],
            keys: (0, 0),
        };
        let create = format!(
            "create table {} (id text not null primary key, body text not null)",
            table.name
        );
        let none: [String; 0] = [];
        on!(&mut *place, create, none);
        table.insert(place, THERE).await?;
        tables.push(table);
    }
    Ok(tables)
}

async fn open(url: &str, file: &Path) -> Result<Place> {
    if !super::is_server(url) {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("fullfsync", "1")
            .disable_statement_logging();
        return Ok(Place::Sqlite(options.connect().await?));
    }
    let options: PgConnectOptions = url.parse()?;
    let options = options.options([("synchronous_commit", "on"), ("search_path", SCHEMA)]);
    let mut server = options.disable_statement_logging().connect().await?;
    let create = format!("create schema {SCHEMA}");
    sqlx::raw_sql(AssertSqlSafe(create))
        .execute(&mut server)
        .await?;
    Ok(Place::Postgres(server))
}

impl Table {
    /// What so many trips write.
    async fn write(&mut self, place: &mut Place, trips: f64) -> Result<()> {
        let each = [self.each.inserted, self.each.updated, self.each.deleted];
        let mut now = [0_u64; 3];
        for ((now, due), each) in now.iter_mut().zip(&mut self.due).zip(each) {
            *due += each * trips;
            *now = due.floor() as u64;
            *due -= *now as f64;
        }
        let [inserted, updated, deleted] = now;
        self.insert(place, inserted).await?;
        let (first, end) = self.keys;
        // The ones written last, as trips under way are.
        let updated = updated.min(end - first);
        for part in parts(end - updated, end) {
            let rows = part.clone().enumerate();
            let values = rows.map(|(at, _)| format!("(${},${})", 2 * at + 1, 2 * at + 2));
            let values = values.collect::<Vec<_>>().join(",");
            let name = &self.name;
            let text = format!(
                "update {name} set body = v.column2 from (values {values}) as v where {name}.id = v.column1"
            );
            on!(place, text, self.pairs(part));
        }
        let last = (first + deleted).min(end);
        for part in parts(first, last) {
            let values: Vec<String> = part
                .clone()
                .enumerate()
                .map(|(at, _)| format!("${}", at + 1))
                .collect();
            let text = format!(
                "delete from {} where id in ({})",
                self.name,
                values.join(",")
            );
            let keys: Vec<String> = part.map(key).collect();
            on!(place, text, keys);
        }
        self.keys.0 = last;
        Ok(())
    }

    async fn insert(&mut self, place: &mut Place, rows: u64) -> Result<()> {
        let (_, end) = self.keys;
        for part in parts(end, end + rows) {
            let values = part.clone().enumerate();
            let values = values.map(|(at, _)| format!("(${},${})", 2 * at + 1, 2 * at + 2));
            let values = values.collect::<Vec<_>>().join(",");
            let text = format!("insert into {} (id, body) values {values}", self.name);
            on!(place, text, self.pairs(part));
        }
        self.keys.1 = end + rows;
        Ok(())
    }

    fn pairs(&self, rows: std::ops::Range<u64>) -> Vec<String> {
        rows.flat_map(|row| [key(row), self.body.clone()]).collect()
    }
}

/// A range, in parts that fit into a statement.
fn parts(first: u64, end: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (first..end)
        .step_by(ROWS_MAX)
        .map(move |at| at..end.min(at + ROWS_MAX as u64))
}

/// As long as an id, and in the order of time as ids are.
fn key(row: u64) -> String {
    format!("01890000-0000-7000-8000-{row:012x}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn no_row_is_left_out_or_written_twice() {
        let all: Vec<_> = parts(3, 10_004).collect();
        assert_eq!(all, [3..5_003, 5_003..10_003, 10_003..10_004]);
        assert_eq!(parts(7, 7).count(), 0);
    }

    #[tokio::test]
    async fn as_many_rows_are_written_as_trips_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("floor.db");
        let written = BTreeMap::from([(
            String::from("outbox"),
            Written {
                inserted: 1.5,
                updated: 0.5,
                deleted: 1.5,
                row_bytes: 10.0,
            },
        )]);
        let time = Duration::from_millis(50);
        let wrote = write("sqlite://x", &file, &written, 3.0, time, || ()).await;
        let trips = wrote.unwrap().trips;
        let mut file = SqliteConnectOptions::new()
            .filename(&file)
            .connect()
            .await
            .unwrap();
        let (rows, last): (i64, String) =
            sqlx::query_as("select count(*), max(id) from floor_outbox")
                .fetch_one(&mut file)
                .await
                .unwrap();
        assert_eq!(rows, 1_000);
        let last = i64::from_str_radix(last.rsplit('-').next().unwrap(), 16).unwrap();
        assert_eq!(last, 999 + (1.5 * trips) as i64);
    }
}
