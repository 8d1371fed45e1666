//! Which rows trips write: counted by the server on PostgreSQL, and on SQLite by triggers that are there for a moment and go again.
//! Only for a stack of our own.

use std::collections::BTreeMap;

use anyhow::Result;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use super::is_server;

/// Rows written to one table.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Written {
    pub(crate) inserted: f64,
    pub(crate) updated: f64,
    pub(crate) deleted: f64,
    /// How long a row is, on average; 0 where there is none left to look at.
    pub(crate) row_bytes: f64,
}

/// A service's database in which rows are being counted.
#[derive(Debug)]
pub(crate) enum Counting {
    Sqlite(SqliteConnection),
    Postgres(PgConnection, BTreeMap<String, Written>),
}

const OPERATIONS: [&str; 3] = ["insert", "update", "delete"];

impl Counting {
    /// Counts from now on.
    pub(crate) async fn begin(url: &str) -> Result<Self> {
        if is_server(url) {
            let mut server = PgConnection::connect(url).await?;
            let before = Self::told(&mut server).await?;
            return Ok(Self::Postgres(server, before));
        }
        let mut file = SqliteConnection::connect(url).await?;
        sqlx::raw_sql("pragma busy_timeout = 10000; create table bench_written (name text primary key, rows integer not null)")
            .execute(&mut file)
            .await?;
        for table in Self::tables(&mut file).await? {
            for operation in OPERATIONS {
                let trigger = format!(
                    "insert into bench_written values ('{table}.{operation}', 0);
                     create trigger \"bench_{table}_{operation}\" after {operation} on \"{table}\" begin
                       update bench_written set rows = rows + 1 where name = '{table}.{operation}';
                     end"
                );
                sqlx::raw_sql(AssertSqlSafe(trigger))
                    .execute(&mut file)
                    .await?;
            }
        }
        Ok(Self::Sqlite(file))
    }

    /// What was written by table since it began; tables to which nothing was are left out. What counted is gone afterwards.
    pub(crate) async fn end(self) -> Result<BTreeMap<String, Written>> {
        let mut all = match self {
            Self::Postgres(mut server, before) => {
                // The server's processes tell it what they did about once a second.
                tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
                let mut all = Self::told(&mut server).await?;
                for (table, written) in &mut all {
                    let before = before.get(table).copied().unwrap_or_default();
                    written.inserted -= before.inserted;
                    written.updated -= before.updated;
                    written.deleted -= before.deleted;
                    let length = format!(
                        "select coalesce(avg(pg_column_size(t.*)), 0)::float8 from (select * from \"{table}\" limit 1000) t"
                    );
                    written.row_bytes = sqlx::query_scalar(AssertSqlSafe(length))
                        .fetch_one(&mut server)
                        .await?;
                }
                server.close().await?;
                all
            }
            Self::Sqlite(file) => Self::counted(file).await?,
        };
        all.retain(|_, written| written.inserted + written.updated + written.deleted > 0.0);
        Ok(all)
    }

    async fn tables(file: &mut SqliteConnection) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar("select name from sqlite_master where type = 'table' and name not like 'sqlite_%' and name not like 'bench_%' and name not like '%_migration'")
            .fetch_all(file)
            .await?)
    }

    async fn counted(mut file: SqliteConnection) -> Result<BTreeMap<String, Written>> {
        let tables = Self::tables(&mut file).await?;
        let rows: Vec<(String, i64)> = sqlx::query_as("select name, rows from bench_written")
            .fetch_all(&mut file)
            .await?;
        let rows: BTreeMap<String, i64> = rows.into_iter().collect();
        let mut all = BTreeMap::new();
        for table in tables {
            for operation in OPERATIONS {
                let drop = format!("drop trigger \"bench_{table}_{operation}\"");
                sqlx::raw_sql(AssertSqlSafe(drop))
                    .execute(&mut file)
                    .await?;
            }
            let columns: Vec<String> = sqlx::query_scalar("select name from pragma_table_info($1)")
                .bind(&table)
                .fetch_all(&mut file)
                .await?;
            let long = columns
                .iter()
                .map(|name| format!("coalesce(length(\"{name}\"), 0)"));
            let long = long.collect::<Vec<_>>().join(" + ");
            let length = format!(
                "select coalesce(avg({long}), 0.0) from (select * from \"{table}\" limit 1000)"
            );
            let row_bytes: f64 = sqlx::query_scalar(AssertSqlSafe(length))
                .fetch_one(&mut file)
                .await?;
            let of = |operation: &str| {
                rows.get(&format!("{table}.{operation}"))
                    .copied()
                    .unwrap_or(0) as f64
            };
            let written = Written {
                inserted: of("insert"),
                updated: of("update"),
                deleted: of("delete"),
                row_bytes,
            };
            all.insert(table, written);
        }
        sqlx::raw_sql("drop table bench_written")
            .execute(&mut file)
            .await?;
        file.close().await?;
        Ok(all)
    }

    async fn told(server: &mut PgConnection) -> Result<BTreeMap<String, Written>> {
        let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
            "select relname::text, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables where schemaname = 'public'",
        )
        .fetch_all(server)
        .await?;
        let written = |(table, inserted, updated, deleted): (String, i64, i64, i64)| {
            let written = Written {
                inserted: inserted as f64,
                updated: updated as f64,
                deleted: deleted as f64,
                row_bytes: 0.0,
            };
            (table, written)
        };
        Ok(rows.into_iter().map(written).collect())
    }
}
