//! The statements of a batch, generated from [`Table`]s once at the start, for SQLite and for PostgreSQL. Not how connections are set up,
//! nor what their errors mean.
//!
//! Every statement takes a constant number of JSON parameters, so its text never changes with the batch; a batch costs
//! one call that loads and one that saves, however many rows it has. SQLite runs several statements in one call;
//! PostgreSQL gets one statement of several CTEs; while loading, each waits for the one before it, so that locks are
//! always taken in the same order: inbox, then the service's tables in their order, each by key.

use std::fmt::Write as _;

use super::letters;
use crate::table::{Column, Kind, Lock, Table};

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

    /// A row of `alias` as one JSON object, named by its columns.
    #[must_use]
    pub fn object<'a>(self, alias: &str, columns: impl Iterator<Item = &'a Column>) -> String {
        let function = match self {
            Self::Sqlite => "json_object",
            Self::Postgres => "json_build_object",
        };
        let fields: Vec<String> = columns
            .map(|c| format!("'{0}', {alias}.{0}", c.name))
            .collect();
        format!("{function}({})", fields.join(", "))
    }

    /// A row of `table` as a batch loads it. One that announces (it has a `said_id`) also says whether its last announcement still lies
    /// in the outbox: `unsent`, 1 or 0.
    fn loaded(self, alias: &str, table: &Table) -> String {
        let mut object = self.object(alias, table.all());
        if table.columns.iter().any(|column| column.name == "said_id") {
            object.pop();
            let _ = write!(
                object,
                ", 'unsent', case when exists (select 1 from outbox where outbox.id = {alias}.said_id) then 1 else 0 end)"
            );
        }
        object
    }

    fn group(self, value: &str) -> String {
        match self {
            Self::Sqlite => format!("json_group_array({value})"),
            Self::Postgres => format!("coalesce(json_agg({value}), '[]')"),
        }
    }

    /// Rows of parameter `n`, a JSON list of lists (keys), as columns `k0, k1, ...`.
    fn keys(self, n: usize, key: &[Column]) -> String {
        let columns: Vec<String> = key
            .iter()
            .enumerate()
            .map(|(i, c)| match (self, c.kind) {
                (Self::Sqlite, _) => format!("value ->> {i} as k{i}"),
                (Self::Postgres, Kind::Text) => format!("value ->> {i} as k{i}"),
                (Self::Postgres, Kind::Int) => format!("(value ->> {i})::bigint as k{i}"),
            })
            .collect();
        format!(
            "(select {} from {}) as wanted",
            columns.join(", "),
            self.each(n)
        )
    }

    /// Rows of parameter `n`, a JSON list of objects, with these columns.
    pub(super) fn objects(self, n: usize, columns: &[&Column], alias: &str) -> String {
        match self {
            Self::Sqlite => {
                let fields: Vec<String> = columns
                    .iter()
                    .map(|c| format!("value ->> '{0}' as {0}", c.name))
                    .collect();
                format!(
                    "(select {} from json_each(${n})) as {alias}",
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

    fn each(self, n: usize) -> String {
        match self {
            Self::Sqlite => format!("json_each(${n})"),
            Self::Postgres => format!("json_array_elements(${n}::json)"),
        }
    }
}

fn sql_type(column: &Column) -> &'static str {
    match column.kind {
        Kind::Text => "text",
        Kind::Int => "bigint",
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

/// The call that opens a batch. Parameters: `$1` ids of facts and commands (a JSON list of texts), then one list of
/// wanted keys for each table. Answers one text each: fresh ids, then the rows of each table.
#[must_use]
pub(crate) fn load(engine: Engine, tables: &[&'static Table]) -> String {
    match engine {
        Engine::Sqlite => load_sqlite(tables),
        Engine::Postgres => load_postgres(tables),
    }
}

fn load_sqlite(tables: &[&'static Table]) -> String {
    let engine = Engine::Sqlite;
    let mut sql = format!(
        "begin immediate; \
         select json_group_array(value) from json_each($1) as given where not exists (select 1 from inbox where inbox.id = given.value); \
         insert into inbox (id, seen_us) select value, {} from json_each($1) where true on conflict do nothing;",
        engine.now_us()
    );
    for (i, table) in tables.iter().enumerate() {
        let _ = write!(
            sql,
            " select {} from {} cross join {} as t on {};",
            engine.group(&engine.loaded("t", table)),
            engine.keys(i + 2, table.key),
            table.name,
            matching("t", "wanted", table.key),
        );
    }
    sql
}

fn load_postgres(tables: &[&'static Table]) -> String {
    let engine = Engine::Postgres;
    let mut sql = format!(
        "with fresh as (insert into inbox (id, seen_us) select value #>> '{{}}', {} from {} order by 1 \
         on conflict do nothing returning id)",
        engine.now_us(),
        engine.each(1)
    );
    let mut before = String::from("fresh");
    let mut answers = vec![String::from(
        "(select coalesce(json_agg(id), '[]') from fresh)::text",
    )];
    for (i, table) in tables.iter().enumerate() {
        let (this, wanted) = (format!("t{i}"), engine.keys(i + 2, table.key));
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

/// The call that closes a batch. Parameters: for each table `saved`, `created`, `dropped`; then new outbox rows, the ids
/// of published ones, the lease in microseconds, and dead letters. On SQLite it also commits.
#[must_use]
pub(crate) fn save(engine: Engine, tables: &[&'static Table]) -> String {
    let mut statements = Vec::new();
    for (i, table) in tables.iter().enumerate() {
        let n = 3 * i + 1;
        if table.has_counters() {
            statements.push(add(engine, table, n));
            statements.push(insert(engine, table, n + 1));
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
                insert(engine, table, n)
            ));
        }
        if table.lock == Lock::Claim && engine == Engine::Postgres {
            statements.push(format!(
                "delete from {} as t using {} where {}",
                table.name,
                engine.keys(n + 2, table.key),
                matching("t", "wanted", table.key)
            ));
        }
    }
    let n = 3 * tables.len() + 1;
    let columns: Vec<&Column> = OUTBOX.iter().collect();
    statements.push(format!(
        "insert into outbox ({names}, lease_us) select {names}, {} + cast(${} as bigint) from {} where true",
        engine.now_us(),
        n + 2,
        engine.objects(n, &columns, "said"),
        names = names(OUTBOX.iter()),
    ));
    statements.push(delete(engine, "outbox", n + 1));
    statements.push(letters::bury(engine, n + 3));
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

/// Drops the rows whose ids are parameter `n`, a JSON list of texts.
pub(super) fn delete(engine: Engine, table: &str, n: usize) -> String {
    match engine {
        Engine::Sqlite => {
            format!("delete from {table} where id in (select value from json_each(${n}))")
        }
        Engine::Postgres => format!(
            "delete from {table} using json_array_elements_text(${n}::json) as gone(id) where {table}.id = gone.id"
        ),
    }
}

fn insert(engine: Engine, table: &Table, n: usize) -> String {
    let columns: Vec<&Column> = table.all().collect();
    let names = names(table.all());
    format!(
        "insert into {} ({names}) select {names} from {} where true",
        table.name,
        engine.objects(n, &columns, "new")
    )
}

fn add(engine: Engine, table: &Table, n: usize) -> String {
    let columns: Vec<&Column> = table.all().collect();
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
        "update {} set {} from {} where {}",
        table.name,
        set.join(", "),
        engine.objects(n, &columns, "d"),
        on.join(" and ")
    )
}
