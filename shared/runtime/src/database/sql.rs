//! The statements of a batch, generated from [`Table`]s once at the start, for SQLite and for PostgreSQL. Not how connections are set up,
//! nor what their errors mean.
//!
//! Every statement takes a constant number of parameters, so its text never changes with the batch; a batch costs one call that loads and
//! one that saves, however many rows it has. Rows go in as PostgreSQL's arrays, one for each column, and to SQLite, which has none, as one
//! list of lists, which it parses once; they come back as lists of cells. SQLite runs several statements in one call; PostgreSQL gets one
//! statement of several CTEs; while loading, each waits for the one before it, so that locks are always taken in the same order: inbox, then
//! the service's tables in their order, each by key.

use std::fmt::Write as _;

use super::calls::{self, Changed};
use super::failure::Failure;
use super::letters;
use super::parameters::{Param, Parameters, json, rows, sql_type, texts};
use crate::dead_letters::DeadLetter;
use crate::event::Event;
use crate::table::{Cell, Changes, Column, Lock, Table};

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file of the service's own.
    Sqlite,
    /// A server.
    Postgres,
}

/// The outbox, as a batch writes it.
const OUTBOX: &[Column] = &[
    crate::table::text("id"),
    crate::table::text("aggregatetype"),
    crate::table::text("aggregateid"),
    crate::table::text("type"),
    crate::table::text("payload"),
    crate::table::text("subject"),
    crate::table::text("causation_id"),
    crate::table::int("time_us"),
    crate::table::text("traceparent"),
    crate::table::text("tracestate"),
];

/// The outbox, as a sweeper reads it.
pub(crate) const OUTBOX_ALL: &[Column] = &[
    OUTBOX[0],
    OUTBOX[1],
    OUTBOX[2],
    OUTBOX[3],
    OUTBOX[4],
    OUTBOX[5],
    OUTBOX[6],
    OUTBOX[7],
    OUTBOX[8],
    OUTBOX[9],
    crate::table::int("attempt"),
];

impl Engine {
    /// The database's own clock, in microseconds since 1970.
    #[must_use]
    pub fn now_us(self) -> &'static str {
        match self {
            Self::Sqlite => "cast(unixepoch('subsec') * 1000000 as integer)",
            Self::Postgres => "(extract(epoch from clock_timestamp()) * 1000000)::bigint",
        }
    }

    /// A row of `alias` as one list of cells.
    #[must_use]
    pub fn row<'a>(self, alias: &str, columns: impl Iterator<Item = &'a Column>) -> String {
        self.list(columns.map(|c| format!("{alias}.{}", c.name)))
    }

    fn list(self, values: impl Iterator<Item = String>) -> String {
        let function = match self {
            Self::Sqlite => "json_array",
            Self::Postgres => "json_build_array",
        };
        format!("{function}({})", values.collect::<Vec<_>>().join(", "))
    }

    /// A row of `table` as a batch loads it: see [`Table::loaded`].
    fn loaded(self, alias: &str, table: &Table) -> String {
        let unsent = format!(
            "case when exists (select 1 from outbox where outbox.id = {alias}.said_id) then 1 else 0 end"
        );
        let columns = table.all().map(|c| format!("{alias}.{}", c.name));
        self.list(columns.chain(table.announces().then_some(unsent)))
    }

    fn group(self, value: &str) -> String {
        match self {
            Self::Sqlite => format!("json_group_array({value})"),
            Self::Postgres => format!("coalesce(json_agg({value}), '[]')"),
        }
    }

    /// Rows of a JSON list of objects, parameter `n`, with these columns: for what is rare.
    pub(super) fn objects(self, n: usize, columns: &[&Column], alias: &str) -> String {
        match self {
            Self::Sqlite => {
                let fields: Vec<String> = columns
                    .iter()
                    .map(|c| format!("value ->> '{0}' as {0}", c.name))
                    .collect();
                format!(
                    "(select {} from jsonb_each(${n})) as {alias}",
                    fields.join(", ")
                )
            }
            Self::Postgres => {
                let fields: Vec<String> = columns
                    .iter()
                    .map(|c| format!("{} {}", c.name, sql_type(c)))
                    .collect();
                format!(
                    "json_to_recordset(${n}::json) as {alias}({})",
                    fields.join(", ")
                )
            }
        }
    }
}

pub(super) fn names<'a>(columns: impl Iterator<Item = &'a Column>) -> String {
    columns.map(|c| c.name).collect::<Vec<_>>().join(", ")
}

fn matching(left: &str, right: &str, key: &[Column]) -> String {
    key.iter()
        .enumerate()
        .map(|(i, c)| format!("{left}.{} = {right}.k{i}", c.name))
        .collect::<Vec<_>>()
        .join(" and ")
}

/// The call that opens a batch, with what [`load_params`] binds. Answers one text each: fresh ids, then the rows of each table.
#[must_use]
pub(crate) fn load(engine: Engine, tables: &[&'static Table]) -> String {
    match engine {
        Engine::Sqlite => load_sqlite(tables),
        Engine::Postgres => load_postgres(tables),
    }
}

/// The parameters of [`load`]: ids of facts and commands, then the wanted keys of each table.
pub(crate) fn load_params(
    engine: Engine,
    ids: Vec<String>,
    wanted: Vec<(&'static Table, Vec<Vec<Cell>>)>,
) -> Result<Vec<Param>, Failure> {
    let mut params = vec![texts(engine, ids)?];
    for (table, keys) in wanted {
        let key: Vec<&Column> = table.key.iter().collect();
        rows(engine, &key, keys, &mut params)?;
    }
    Ok(params)
}

fn load_sqlite(tables: &[&'static Table]) -> String {
    let engine = Engine::Sqlite;
    let mut parameters = Parameters::new(engine);
    let given = parameters.ids("given");
    let mut sql = format!(
        "begin immediate; \
         select json_group_array(id) from {given} where not exists (select 1 from inbox where inbox.id = given.id); \
         insert into inbox (id, seen_us) select id, {} from {given} where true on conflict do nothing;",
        engine.now_us()
    );
    for table in tables {
        let _ = write!(
            sql,
            " select {} from {} cross join {} as t on {};",
            engine.group(&engine.loaded("t", table)),
            parameters.keys(table.key),
            table.name,
            matching("t", "wanted", table.key),
        );
    }
    sql
}

fn load_postgres(tables: &[&'static Table]) -> String {
    let engine = Engine::Postgres;
    let mut parameters = Parameters::new(engine);
    let mut sql = format!(
        "with fresh as (insert into inbox (id, seen_us) select id, {} from {} order by 1 on conflict do nothing returning id)",
        engine.now_us(),
        parameters.ids("given")
    );
    let mut before = String::from("fresh");
    let mut answers = vec![String::from(
        "(select coalesce(json_agg(id), '[]') from fresh)::text",
    )];
    for (i, table) in tables.iter().enumerate() {
        let (this, wanted) = (format!("t{i}"), parameters.keys(table.key));
        let order = (0..table.key.len())
            .map(|k| format!("wanted.k{k}"))
            .collect::<Vec<_>>()
            .join(", ");
        // This condition makes PostgreSQL run the CTE before this one to its end.
        let after = format!("(select count(*) from {before}) >= 0");
        let key = names(table.key.iter());
        if table.lock == Lock::Claim {
            let first = table.key[0].name;
            let _ = write!(
                sql,
                ", {this} as (insert into {0} ({key}) select {order} from {wanted} where {after} order by {order} \
                 on conflict ({key}) do update set {first} = {0}.{first} returning {0}.*)",
                table.name,
            );
        } else {
            let lock = if table.lock == Lock::Update {
                " for update of t"
            } else {
                ""
            };
            let _ = write!(
                sql,
                ", {this} as (select t.* from {wanted} join {} as t on {} where {after} order by {order}{lock})",
                table.name,
                matching("t", "wanted", table.key),
            );
        }
        answers.push(format!(
            "(select {} from {this} as t)::text",
            engine.group(&engine.loaded("t", table))
        ));
        before = this;
    }
    let _ = write!(sql, " select {}", answers.join(", "));
    sql
}

/// What a batch leaves to write.
pub(crate) struct Saving<'a> {
    /// What it did to each table.
    pub changes: Vec<(&'static Table, Changes)>,
    /// What it did to calls, where the service makes some.
    pub calls: Option<Changed>,
    /// New outbox rows, as a batch writes them.
    pub said: &'a [Event],
    /// Ids of outbox rows that may go.
    pub published: Vec<String>,
    /// For how long new outbox rows are this process's.
    pub lease_us: i64,
    /// Dead letters.
    pub letters: &'a [&'a DeadLetter],
}

/// Whether claimed rows are given back: SQLite claims none, for it has one writer at a time.
fn gives_back(engine: Engine, table: &Table) -> bool {
    engine == Engine::Postgres && table.lock == Lock::Claim
}

/// The call that closes a batch, with what [`save_params`] binds. On SQLite it also commits. `calls`: whether the service makes some.
#[must_use]
pub(crate) fn save(engine: Engine, tables: &[&'static Table], calls: bool) -> String {
    let mut parameters = Parameters::new(engine);
    let mut statements = Vec::new();
    for table in tables {
        if table.has_counters() {
            statements.push(add(table, &parameters.named(table.all(), "d")));
            statements.push(insert(table, &parameters.named(table.all(), "new")));
        } else {
            let key = names(table.key.iter());
            let set: Vec<String> = table
                .columns
                .iter()
                .map(|c| format!("{0} = excluded.{0}", c.name))
                .collect();
            let write = if set.is_empty() {
                String::from("nothing")
            } else {
                format!("update set {}", set.join(", "))
            };
            statements.push(format!(
                "{} on conflict ({key}) do {write}",
                insert(table, &parameters.named(table.all(), "new"))
            ));
        }
        if gives_back(engine, table) {
            statements.push(format!(
                "delete from {} as t using {} where {}",
                table.name,
                parameters.keys(table.key),
                matching("t", "wanted", table.key)
            ));
        }
    }
    if calls {
        statements.extend(calls::save(&mut parameters));
    }
    let said = parameters.named(OUTBOX.iter(), "said");
    statements.push(format!(
        "insert into outbox ({names}, lease_us) select {names}, {} + cast(${} as bigint) from {said} where true",
        engine.now_us(),
        parameters.next(),
        names = names(OUTBOX.iter()),
    ));
    statements.push(letters::delete("outbox", &mut parameters));
    statements.push(letters::bury(engine, parameters.next()));
    match engine {
        Engine::Sqlite => format!("{}; commit;", statements.join("; ")),
        Engine::Postgres => {
            let ctes: Vec<String> = statements
                .iter()
                .enumerate()
                .map(|(i, s)| format!("s{i} as ({s})"))
                .collect();
            format!("with {} select '' as done", ctes.join(", "))
        }
    }
}

/// The parameters of [`save`].
pub(crate) fn save_params(engine: Engine, saving: Saving<'_>) -> Result<Vec<Param>, Failure> {
    let mut params = Vec::new();
    for (table, changes) in saving.changes {
        let all: Vec<&Column> = table.all().collect();
        rows(engine, &all, changes.saved, &mut params)?;
        if table.has_counters() {
            rows(engine, &all, changes.created, &mut params)?;
        }
        if gives_back(engine, table) {
            let key: Vec<&Column> = table.key.iter().collect();
            rows(engine, &key, changes.dropped, &mut params)?;
        }
    }
    if let Some(changed) = saving.calls {
        calls::bind(engine, changed, &mut params)?;
    }
    let outbox: Vec<&Column> = OUTBOX.iter().collect();
    let said = saving.said.iter().map(outbox_row).collect();
    rows(engine, &outbox, said, &mut params)?;
    params.push(saving.lease_us.into());
    params.push(texts(engine, saving.published)?);
    params.push(json(&saving.letters)?);
    Ok(params)
}

/// An outbox row's cells, in the order of [`OUTBOX`].
fn outbox_row(fact: &Event) -> Vec<Cell> {
    vec![
        fact.id.to_string().into(),
        fact.aggregatetype.as_str().into(),
        fact.aggregateid.as_str().into(),
        fact.kind.as_str().into(),
        fact.payload.as_str().into(),
        fact.subject.as_str().into(),
        fact.causation_id.as_deref().into(),
        fact.time_us.into(),
        fact.traceparent.as_deref().into(),
        fact.tracestate.as_deref().into(),
    ]
}

fn insert(table: &Table, new: &str) -> String {
    let names = names(table.all());
    format!(
        "insert into {} ({names}) select {names} from {new} where true",
        table.name
    )
}

fn add(table: &Table, differences: &str) -> String {
    let set: Vec<String> = table
        .columns
        .iter()
        .map(|c| {
            if c.counter {
                format!("{0} = {1}.{0} + d.{0}", c.name, table.name)
            } else {
                // Null leaves what is there.
                format!("{0} = coalesce(d.{0}, {1}.{0})", c.name, table.name)
            }
        })
        .collect();
    let on: Vec<String> = table
        .key
        .iter()
        .map(|c| format!("{1}.{0} = d.{0}", c.name, table.name))
        .collect();
    format!(
        "update {} set {} from {differences} where {}",
        table.name,
        set.join(", "),
        on.join(" and ")
    )
}

#[cfg(test)]
mod tests;
