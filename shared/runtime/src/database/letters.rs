//! The statements about dead letters: one is buried, one goes to the past, and how long some are. What becomes of one is not decided here.

use std::collections::HashMap;

use super::parameters::{Parameters, texts};
use super::sql::names;
use super::{Database, Engine, Failure, Transaction};
use crate::dead_letters::DEAD_LETTER;
use crate::table::{Column, Table, text};

/// The columns of `dead_letter` that come with a letter; `count` starts at 1.
const LETTER: &[Column] = &[
    text("id"),
    text("aggregateid"),
    text("type"),
    text("reason"),
    text("subject"),
    text("headers"),
    text("payload"),
    text("last_id"),
];
/// What is said of a letter that goes.
const FATE: &[Column] = &[text("id"), text("outcome"), text("why"), text("who")];

/// How long the past of dead letters is kept.
const KEEP_PAST_US: i64 = 30 * 86_400_000_000;

/// Keeps the letters of parameter `n`, or counts them with those that are alike: of these the first is the one that stays.
pub(super) fn bury(engine: Engine, n: usize) -> String {
    let columns: Vec<&Column> = LETTER.iter().collect();
    format!(
        "insert into dead_letter ({names}, count, first_us, last_us) \
         select {names}, 1, {now}, {now} from {rows} where true \
         on conflict (aggregateid, type, reason) do update set last_id = excluded.last_id, last_us = excluded.last_us, \
         count = dead_letter.count + case when dead_letter.last_id = excluded.last_id then 0 else 1 end",
        names = names(LETTER.iter()),
        now = engine.now_us(),
        rows = engine.objects(n, &columns, "letter"),
    )
}

/// Moves letters to the past, each with its fate (a JSON list of them). Answers the ids of those that were still there.
pub(crate) async fn put_away(
    transaction: &mut Transaction<'_>,
    fates: String,
) -> Result<Vec<String>, Failure> {
    let engine = transaction.engine;
    let fate: Vec<&Column> = FATE.iter().collect();
    let kept: Vec<&str> = DEAD_LETTER.all().map(|column| column.name).collect();
    // Whoever else takes one waits here, and then finds it gone.
    let lock = match engine {
        Engine::Sqlite => "",
        Engine::Postgres => "for update of dead_letter",
    };
    let sql = format!(
        "insert into dead_letter_past ({kept}, outcome, why, who, at_us, forget_us) \
         select {from}, fate.outcome, fate.why, fate.who, {now}, {now} + {KEEP_PAST_US} \
         from {fates} join dead_letter on dead_letter.id = fate.id where true order by dead_letter.id {lock} \
         on conflict (id) do nothing returning id",
        kept = kept.join(", "),
        from = kept
            .iter()
            .map(|name| format!("dead_letter.{name}"))
            .collect::<Vec<_>>()
            .join(", "),
        now = engine.now_us(),
        fates = engine.objects(1, &fate, "fate"),
    );
    let gone = transaction.run(&sql, vec![fates.into()]).await?;
    drop_ids(transaction, "dead_letter", &gone).await?;
    Ok(gone)
}

/// How many bytes each of these letters of a table keeps, by its id; the rest of a letter is small. One that is not there is left out.
pub(crate) async fn lengths(
    database: &Database,
    table: &Table,
    ids: &[&str],
) -> Result<HashMap<String, usize>, Failure> {
    let engine = database.engine;
    let (array, cast) = match engine {
        Engine::Sqlite => ("json_array", ""),
        Engine::Postgres => ("json_build_array", "::text"),
    };
    // Both databases know it without reading a long text.
    let sql = format!(
        "select {array}(t.id, octet_length(t.payload) + octet_length(t.headers) + octet_length(t.subject)){cast} \
         from {wanted} join {table} as t on t.id = wanted.id",
        wanted = Parameters::new(engine).ids("wanted"),
        table = table.name,
    );
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let rows = database.texts(&sql, vec![texts(engine, ids)?]).await?;
    rows.iter()
        .map(|row| serde_json::from_str(row).map_err(Failure::unreadable))
        .collect()
}

/// Takes back that these facts were heard, in the transaction that said so.
pub(crate) async fn unhear(
    transaction: &mut Transaction<'_>,
    ids: &[String],
) -> Result<(), Failure> {
    drop_ids(transaction, "inbox", ids).await
}

async fn drop_ids(
    transaction: &mut Transaction<'_>,
    table: &str,
    ids: &[String],
) -> Result<(), Failure> {
    if ids.is_empty() {
        return Ok(());
    }
    let engine = transaction.engine;
    let sql = delete(table, &mut Parameters::new(engine));
    transaction
        .run(&sql, vec![texts(engine, ids.to_vec())?])
        .await?;
    Ok(())
}

/// Drops the rows of a table with these ids.
pub(super) fn delete(table: &str, parameters: &mut Parameters) -> String {
    let gone = parameters.ids("gone");
    match parameters.engine {
        Engine::Sqlite => format!("delete from {table} where id in (select id from {gone})"),
        Engine::Postgres => format!("delete from {table} using {gone} where {table}.id = gone.id"),
    }
}
