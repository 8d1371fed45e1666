//! Stock against what trips hold of it: judged inside one database by one statement, so that what it compares is of one moment.

use runtime::Database;
use runtime::database::{Engine, Failure};
use serde::Deserialize;

use super::judge::Violations;
use super::observe::{Stock, number, words};
use super::part::Leg;

/// A table whose rows are capacity.
#[derive(Debug, Deserialize)]
pub(super) struct StockTable {
    pub(super) table: String,
    /// The columns of its primary key, in order: a hold names them so.
    pub(super) key: Vec<String>,
}

impl StockTable {
    /// Finds them by their columns.
    pub(super) async fn find(database: &Database) -> Result<Vec<Self>, Failure> {
        let sql = match database.engine() {
            Engine::Sqlite => {
                "select json_object('table', m.name, 'key',
                   (select json_group_array(c.name order by c.pk) from pragma_table_info(m.name) as c where c.pk > 0))
                 from sqlite_master as m
                 where m.type = 'table' and 4 = (select count(*) from pragma_table_info(m.name) as c
                   where c.name in ('total', 'held', 'confirmed', 'free'))
                 order by m.name"
            }
            Engine::Postgres => {
                "select json_build_object('table', t.relname, 'key', coalesce(
                   (select json_agg(a.attname order by array_position(i.indkey::int2[], a.attnum))
                    from pg_index as i join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::int2[])
                    where i.indrelid = t.oid and i.indisprimary), '[]'::json))::text
                 from pg_class as t
                 where t.relkind = 'r' and t.relnamespace = current_schema()::regnamespace
                   and 4 = (select count(*) from pg_attribute as a
                     where a.attrelid = t.oid and a.attname in ('total', 'held', 'confirmed', 'free'))
                 order by t.relname"
            }
        };
        database
            .texts(sql, vec![])
            .await?
            .iter()
            .map(|row| {
                serde_json::from_str(row).map_err(|error| Failure::Poison(error.to_string()))
            })
            .collect()
    }

    pub(super) async fn count(&self, database: &Database) -> Result<Stock, Failure> {
        let sum = |column: &str| format!("coalesce(sum({column}), 0)");
        let sql = format!(
            "select count(*) || ' ' || {} || ' ' || {} || ' ' || {} || ' ' || {} from \"{}\"",
            sum("total"),
            sum("held"),
            sum("confirmed"),
            sum("free"),
            self.table
        );
        let rows = database.texts(&sql, vec![]).await?;
        let [rows, total, held, confirmed, free] =
            words(rows.first().map_or("", String::as_str)).map(number);
        Ok(Stock {
            rows,
            total,
            held,
            confirmed,
            free,
        })
    }

    /// Its rows as `key` (a JSON list) and counts.
    fn rows(&self, engine: Engine) -> String {
        let columns: Vec<String> = self.key.iter().map(|name| format!("\"{name}\"")).collect();
        let columns = columns.join(", ");
        let key = match engine {
            Engine::Sqlite => format!("json_array({columns})"),
            Engine::Postgres => format!("jsonb_build_array({columns})::text"),
        };
        format!(
            "select {key} as key, total, held, confirmed, free from \"{}\"",
            self.table
        )
    }
}

/// A stock row that is not as it has to be, beside what trips hold of it.
#[derive(Deserialize)]
struct Odd {
    key: Vec<String>,
    total: Option<i64>,
    held: Option<i64>,
    confirmed: Option<i64>,
    free: Option<i64>,
    held_by: i64,
    confirmed_by: i64,
}

/// Names every stock row of a leg that does not add up, is negative, or is not what the leg's records hold of it.
pub(super) async fn judge(leg: &Leg, violations: &mut Violations) -> Result<(), Failure> {
    if leg.stock.is_empty() {
        return Ok(());
    }
    for row in leg.database.texts(&statement(leg), vec![]).await? {
        let odd: Odd = serde_json::from_str(&row).map_err(|e| Failure::Poison(e.to_string()))?;
        odd.name(&leg.name, violations);
    }
    Ok(())
}

fn statement(leg: &Leg) -> String {
    let engine = leg.database.engine();
    let stock: Vec<String> = leg.stock.iter().map(|table| table.rows(engine)).collect();
    let stock = stock.join(" union all ");
    // Keys are compared as the text of a JSON list, which each engine writes in one way.
    let (key, quantity, each, object, cast) = match engine {
        Engine::Sqlite => (
            "json_extract(h.value, '$.key')",
            "json_extract(h.value, '$.quantity')",
            "json_each(l.holds)",
            "json_object",
            "",
        ),
        Engine::Postgres => (
            "(h.value -> 'key')::text",
            "(h.value ->> 'quantity')::bigint",
            "jsonb_array_elements(l.holds::jsonb)",
            "json_build_object",
            "::text",
        ),
    };
    let json = if engine == Engine::Sqlite { "json" } else { "" };
    let json_cast = if engine == Engine::Sqlite {
        ""
    } else {
        "::json"
    };
    format!(
        "with stock as ({stock}), hold as (
           select {key} as key,
             cast(sum(case when l.state = 'held' then {quantity} else 0 end) as bigint) as held_by,
             cast(sum(case when l.state = 'confirmed' then {quantity} else 0 end) as bigint) as confirmed_by
           from leg as l cross join {each} as h
           where l.state in ('held', 'confirmed')
           group by 1),
         both_sides as (
           select key, max(total) as total, max(held) as held, max(confirmed) as confirmed, max(free) as free,
             max(held_by) as held_by, max(confirmed_by) as confirmed_by
           from (select key, total, held, confirmed, free, 0 as held_by, 0 as confirmed_by from stock
             union all select key, null, null, null, null, held_by, confirmed_by from hold) as each_side
           group by key)
         select {object}('key', {json}(b.key){json_cast}, 'total', b.total, 'held', b.held, 'confirmed', b.confirmed,
           'free', b.free, 'held_by', b.held_by, 'confirmed_by', b.confirmed_by){cast}
         from both_sides as b
         where b.total is null or b.held + b.confirmed + b.free <> b.total or b.held < 0 or b.confirmed < 0 or b.free < 0
           or b.held <> b.held_by or b.confirmed <> b.confirmed_by
         order by b.key"
    )
}

impl Odd {
    fn name(&self, leg: &str, violations: &mut Violations) {
        let key = self.key.join(" ");
        let (Some(total), Some(held), Some(confirmed), Some(free)) =
            (self.total, self.held, self.confirmed, self.free)
        else {
            violations.within(format!(
                "{leg} {key}: trips hold {} and confirmed {} of it, and it is not in the inventory",
                self.held_by, self.confirmed_by
            ));
            return;
        };
        if held + confirmed + free != total {
            violations.within(format!(
                "{leg} {key}: {held} held + {confirmed} confirmed + {free} free is not the total of {total}"
            ));
        }
        if held < 0 || confirmed < 0 || free < 0 {
            violations.within(format!(
                "{leg} {key}: a count is negative: {held} held, {confirmed} confirmed, {free} free"
            ));
        }
        for (word, counted, by) in [
            ("held", held, self.held_by),
            ("confirmed", confirmed, self.confirmed_by),
        ] {
            if counted != by {
                violations.within(format!(
                    "{leg} {key}: {counted} are counted as {word}, and its {word} legs come to {by}"
                ));
            }
        }
    }
}
