//! What the bench asks databases itself: how often a server waited for its disk, which rows trips write; and the trips that it stores
//! beforehand. All SQL of this crate is below here. But for those trips it changes nothing that a service reads.

mod counting;
pub(crate) mod rows;
mod stored;

use anyhow::{Context as _, Result};
use sqlx::{Connection as _, PgConnection};

pub(crate) use counting::{Counting, Written};
pub(crate) use stored::{Copied, Storing};

/// Whether it is a server's and not a file.
pub(crate) fn is_server(url: &str) -> bool {
    url.starts_with("postgres")
}

/// Has a PostgreSQL server write everything to its files now, and not in the middle of what comes.
pub(crate) async fn checkpoint(url: &str) -> Result<()> {
    let mut server = PgConnection::connect(url).await?;
    sqlx::query("checkpoint").execute(&mut server).await?;
    Ok(server.close().await?)
}

/// How often a PostgreSQL server has asked its disk to keep what was written: all of it, whoever's. A server's processes tell it what they
/// did about once a second.
pub(crate) async fn fsyncs(url: &str) -> Result<u64> {
    let mut server = PgConnection::connect(url).await?;
    let version: String = sqlx::query_scalar("show server_version_num")
        .fetch_one(&mut server)
        .await?;
    let version: u32 = version.parse()?;
    // The log was counted in a view of its own before 18; there was no view of the rest before 16.
    let log: i64 = match version {
        ..180_000 => {
            sqlx::query_scalar("select wal_sync from pg_stat_wal")
                .fetch_one(&mut server)
                .await?
        }
        _ => 0,
    };
    let rest: Option<i64> = match version {
        160_000.. => {
            sqlx::query_scalar("select sum(fsyncs)::bigint from pg_stat_io")
                .fetch_one(&mut server)
                .await?
        }
        _ => None,
    };
    server.close().await?;
    u64::try_from(rest.unwrap_or(0) + log).context("a count below zero")
}
