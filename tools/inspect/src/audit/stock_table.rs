//! Tables whose rows are capacity, found by their columns: no leg is known by name.

use runtime::Database;
use runtime::database::{Engine, Failure};
use serde::Deserialize;

use super::counts::Stock;

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
    pub(super) fn rows(&self, engine: Engine) -> String {
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

/// The words of a row that was put together with blanks between them.
pub(super) fn words<const N: usize>(row: &str) -> [&str; N] {
    let mut words = row.split(' ');
    std::array::from_fn(|_| words.next().unwrap_or_default())
}

pub(super) fn number(word: &str) -> i64 {
    word.parse().unwrap_or_default()
}
