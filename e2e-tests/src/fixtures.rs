//! Databases as an earlier version left them: copied to text that both engines read, kept in `golden/schema-v*`, and laid under a
//! stack before it starts. Not a backup: it knows text, whole numbers and the checksums of migrations, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use runtime::Database;
use runtime::database::Engine;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

/// The deadline of every trip in a copy, so that what was waiting when it was made waits for ever after.
const DEADLINE: &str = "2039-06-01T00:00:00Z";
/// When whatever may be dropped is dropped, for the same reason.
const FORGET: &str = "2039-06-08T00:00:00Z";

/// The two tables in which sqlx keeps what was applied, with the order in which they come about. Their columns have types of their
/// own on each database; this is how SQLite has them.
const APPLIED: [&str; 2] = ["runtime_migration", "service_migration"];
const APPLIED_COLUMNS: &str = "version bigint primary key, description text not null, \
    installed_on timestamp not null default current_timestamp, success boolean not null, checksum blob not null, \
    execution_time bigint not null";

/// Where the copies that a version left are kept.
#[must_use]
pub fn folder(version: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    golden.join(format!("schema-{version}"))
}

/// One file of a version's folder.
#[must_use]
pub fn read(version: &str, file: &str) -> String {
    let path = folder(version).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs statements on a database, as somebody would who knows nothing of the service. A SQLite file is made where there is none.
pub async fn run(url: &str, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    if url.starts_with("sqlite:") {
        let file: SqliteConnectOptions = url.parse().unwrap();
        let mut database = file.create_if_missing(true).connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
    } else {
        let mut database = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
    }
}

/// The first column, text, of what a statement answers.
pub async fn texts(url: &str, sql: &str) -> Vec<String> {
    let database = Database::open_read_only(url).await.unwrap();
    database.texts(sql, vec![]).await.unwrap()
}

/// Checksums of the migrations that were applied, the runtime's first.
pub async fn applied(url: &str) -> Vec<String> {
    let database = Database::open_read_only(url).await.unwrap();
    let hex = match database.engine() {
        Engine::Sqlite => "lower(hex(checksum))",
        Engine::Postgres => "encode(checksum, 'hex')",
    };
    let mut checksums = Vec::new();
    for table in APPLIED {
        let sql = format!("select {hex} from {table} order by version");
        checksums.extend(database.texts(&sql, vec![]).await.unwrap());
    }
    checksums
}

/// Lays a copy under a service: its database is empty before.
pub(crate) async fn lay(url: &str, copy: &str) {
    if url.starts_with("sqlite:") {
        return run(url, copy).await;
    }
    let copy = copy
        .replace("installed_on timestamp", "installed_on timestamptz")
        .replace("checksum blob", "checksum bytea")
        .replace(", true, X'", ", true, '\\x");
    run(url, &copy).await;
}

/// All that a SQLite database has in it, as statements that make it anew.
pub async fn copy(url: &str) -> String {
    let database = Database::open_read_only(url).await.unwrap();
    let texts = async |sql: &str| database.texts(sql, vec![]).await.unwrap();
    let mut lines = Vec::new();
    for table in APPLIED {
        lines.push(format!("create table {table} ({APPLIED_COLUMNS});"));
        let rows = format!(
            "select 'insert into {table} values (' || version || ', ' || quote(description) || ', ' || quote(installed_on) || \
             ', true, ' || quote(checksum) || ', ' || execution_time || ');' from {table} order by version"
        );
        lines.extend(texts(&rows).await);
    }
    let ours = "sql is not null and name not in ('runtime_migration', 'service_migration')";
    let made = format!("select sql || ';' from sqlite_master where {ours} order by rowid");
    lines.extend(texts(&made).await);
    let tables =
        format!("select name from sqlite_master where type = 'table' and {ours} order by rowid");
    for table in texts(&tables).await {
        let columns = format!("select name from pragma_table_info('{table}') order by cid");
        let columns = texts(&columns).await;
        let values: Vec<String> = columns.iter().map(|name| value(name)).collect();
        let rows = format!(
            "select 'insert into {table} ({}) values (' || {} || ');' from {table} order by rowid",
            columns.join(", "),
            values.join(" || ', ' || ")
        );
        lines.extend(texts(&rows).await);
    }
    far_deadlines(&lines.join("\n"))
}

/// A column's value as SQL: what would come with time comes late.
fn value(column: &str) -> String {
    let late = match column {
        "deadline_us" => DEADLINE,
        "forget_us" => FORGET,
        _ => return format!("quote({column})"),
    };
    let late: Timestamp = late.parse().unwrap();
    let late_us = late.as_microsecond();
    format!("case when {column} is null then 'NULL' else '{late_us}' end")
}

/// The same for the deadlines in facts.
fn far_deadlines(text: &str) -> String {
    const BEFORE: &str = "\"deadline\":\"";
    let mut parts = text.split(BEFORE);
    let mut far = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, after) = part.split_once('"').unwrap();
        far.push_str(&format!("{BEFORE}{DEADLINE}\"{after}"));
    }
    far + "\n"
}
