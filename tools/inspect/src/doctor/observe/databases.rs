//! Databases, read-only.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;
use runtime::Database as Opened;
use runtime::database::{Engine, RUNTIME_MIGRATION, SERVICE_MIGRATION};

use super::in_time;
use crate::audit::{Part, tables, whose};
use crate::doctor::observations::{Ahead, Applied, Database, Found, Letters, Transactions};

pub(super) async fn observe(part: &Part) -> Database {
    let mut database = Database {
        name: format!("{part:?}"),
        postgres: !part.url.starts_with("sqlite:"),
        found: Err(String::new()),
    };
    let opened = match in_time(Opened::open_read_only(&part.url)).await {
        Ok(opened) => opened,
        Err(why) => {
            database.found = Err(why);
            return database;
        }
    };
    let looked = in_time(async {
        let name = whose(part, &opened).await?;
        Ok((name, found(&opened).await?))
    });
    match looked.await {
        Ok((name, found)) => {
            database.name = name;
            database.found = Ok(found);
        }
        Err(why) => database.found = Err(why),
    }
    database
}

async fn found(database: &Opened) -> Result<Found> {
    let tables = tables(database).await?;
    let has = |name: &str| tables.iter().any(|table| table == name);
    let mut found = Found::default();
    if has(RUNTIME_MIGRATION) {
        found.runtime = Some(applied(database, RUNTIME_MIGRATION).await?);
    }
    if has(SERVICE_MIGRATION) {
        found.service = Some(applied(database, SERVICE_MIGRATION).await?);
    }
    if has("outbox") {
        found.outbox = outbox(database).await.ok();
    }
    if has("dead_letter") {
        found.letters = letters(database).await.ok();
    }
    found.settings = settings(database).await?;
    if database.engine() == Engine::Postgres {
        server(database, &mut found).await?;
    }
    Ok(found)
}

async fn applied(database: &Opened, table: &str) -> Result<Vec<Applied>> {
    let (success, checksum) = match database.engine() {
        Engine::Sqlite => ("success", "lower(hex(checksum))"),
        Engine::Postgres => ("success::int", "encode(checksum, 'hex')"),
    };
    let sql = format!(
        "select version || ' ' || {success} || ' ' || {checksum} from {table} order by version"
    );
    let rows = database.texts(&sql, vec![]).await?;
    let applied = |row: &String| {
        let mut words = row.split(' ');
        Some(Applied {
            version: words.next()?.parse().ok()?,
            success: words.next()? == "1",
            checksum: words.next()?.to_owned(),
        })
    };
    Ok(rows.iter().filter_map(applied).collect())
}

async fn outbox(database: &Opened) -> Result<(u64, i64)> {
    let number = async |sql: &str| database.number(sql, vec![]).await;
    // Before they are counted: an outbox is emptied all the time, and of one that was empty nothing is old.
    let oldest = "select cast(coalesce(min(time_us), 0) as bigint) from outbox";
    let oldest_us = number(oldest).await?;
    if oldest_us == 0 {
        return Ok((0, 0));
    }
    let count = number("select count(*) from outbox").await?;
    Ok((u64::try_from(count)?, oldest_us))
}

async fn letters(database: &Opened) -> Result<Letters> {
    let count = database
        .number("select count(*) from dead_letter", vec![])
        .await?;
    let newest = "select last_us || ' ' || reason from dead_letter order by last_us desc limit 1";
    let newest = database.texts(newest, vec![]).await?;
    let (last, reason) = newest
        .first()
        .and_then(|row| row.split_once(' '))
        .unwrap_or_default();
    Ok(Letters {
        count: u64::try_from(count)?,
        more: false,
        last_us: last.parse().unwrap_or_default(),
        reason: reason.to_owned(),
    })
}

async fn settings(database: &Opened) -> Result<BTreeMap<String, String>> {
    let names: &[&str] = match database.engine() {
        Engine::Sqlite => &["journal_mode"],
        Engine::Postgres => &["fsync", "full_page_writes", "synchronous_commit"],
    };
    let mut settings = BTreeMap::new();
    for name in names {
        let sql = match database.engine() {
            Engine::Sqlite => format!("pragma {name}"),
            Engine::Postgres => format!("select current_setting('{name}')"),
        };
        if let Some(value) = database.texts(&sql, vec![]).await?.pop() {
            settings.insert((*name).to_owned(), value);
        }
    }
    Ok(settings)
}

/// What a PostgreSQL server says of itself.
async fn server(database: &Opened, found: &mut Found) -> Result<()> {
    let number = async |sql: &str| database.number(sql, vec![]).await;
    let asked_us = Timestamp::now().as_microsecond();
    let said_us =
        number("select (extract(epoch from clock_timestamp()) * 1000000)::bigint").await?;
    let answered_us = Timestamp::now().as_microsecond();
    found.clock = Some(Ahead::seen((said_us, said_us), asked_us, answered_us));
    let used = number("select sum(numbackends)::bigint from pg_stat_database").await?;
    let max = number("select current_setting('max_connections')::bigint").await?;
    found.connections = Some((u64::try_from(used)?, u64::try_from(max)?));
    found.follows = number("select pg_is_in_recovery()::int::bigint").await? == 1;
    // Everybody sees their own sessions; others' only who may.
    let sees = "select (pg_has_role(current_user, 'pg_read_all_stats', 'usage'))::int::bigint";
    let oldest = "select (extract(epoch from clock_timestamp() - xact_start) * 1000000)::bigint || ' ' || pid || ' ' \
                    || coalesce(nullif(replace(application_name, ' ', '_'), ''), '-') || ' ' || coalesce(state, '') \
                  from pg_stat_activity \
                  where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null \
                  order by xact_start limit 1";
    let oldest = database.texts(oldest, vec![]).await?;
    found.transaction = match oldest.first().and_then(|row| transaction(row)) {
        Some(transaction) => transaction,
        None if number(sees).await? == 1 => Transactions::None,
        None => Transactions::Hidden,
    };
    Ok(())
}

fn transaction(row: &str) -> Option<Transactions> {
    let mut words = row.splitn(4, ' ');
    Some(Transactions::Oldest {
        age_us: words.next()?.parse().ok()?,
        pid: words.next()?.parse().ok()?,
        program: words.next()?.to_owned(),
        state: words.next()?.to_owned(),
    })
}
