//! The parameters of statements: single values, and whole rows. PostgreSQL takes rows as arrays, one for each column; SQLite has no arrays,
//! and takes one list of lists, which it parses once. It writes no statement.

use super::failure::Failure;
use super::sql::Engine;
use crate::table::{Cell, Column, Kind};

/// One parameter of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    /// A single value.
    Cell(Cell),
    /// A text column of rows, for PostgreSQL.
    Texts(Vec<Option<String>>),
    /// A bigint column of rows, for PostgreSQL.
    Ints(Vec<Option<i64>>),
}

impl<T: Into<Cell>> From<T> for Param {
    fn from(value: T) -> Self {
        Self::Cell(value.into())
    }
}

/// The parameters of one statement, given away in order as its text is written; [`rows`] and [`texts`] bind them in the same order.
pub(super) struct Parameters {
    pub(super) engine: Engine,
    given: usize,
}

impl Parameters {
    pub(super) fn new(engine: Engine) -> Self {
        Self { engine, given: 0 }
    }

    pub(super) fn next(&mut self) -> usize {
        self.given += 1;
        self.given
    }

    /// Rows with these columns, under names of their own.
    fn rows<'a>(
        &mut self,
        columns: impl Iterator<Item = (String, &'a Column)>,
        alias: &str,
    ) -> String {
        match self.engine {
            Engine::Sqlite => {
                let n = self.next();
                let cells = columns.enumerate();
                let cells = cells.map(|(i, (name, _))| format!("value ->> {i} as {name}"));
                let cells = cells.collect::<Vec<_>>().join(", ");
                format!("(select {cells} from jsonb_each(${n})) as {alias}")
            }
            Engine::Postgres => {
                let array = |(name, c)| (format!("${}::{}[]", self.next(), sql_type(c)), name);
                let (arrays, names): (Vec<String>, Vec<String>) = columns.map(array).unzip();
                let (arrays, names) = (arrays.join(", "), names.join(", "));
                format!("unnest({arrays}) as {alias}({names})")
            }
        }
    }

    /// Rows named by their columns.
    pub(super) fn named<'a>(
        &mut self,
        columns: impl Iterator<Item = &'a Column>,
        alias: &str,
    ) -> String {
        self.rows(columns.map(|c| (c.name.to_owned(), c)), alias)
    }

    /// Keys as rows of `k0, k1, ...`.
    pub(super) fn keys(&mut self, key: &[Column]) -> String {
        let columns = key.iter().enumerate();
        self.rows(columns.map(|(i, c)| (format!("k{i}"), c)), "wanted")
    }

    /// Texts as rows of one column, `id`.
    pub(super) fn ids(&mut self, alias: &str) -> String {
        let n = self.next();
        match self.engine {
            Engine::Sqlite => format!("(select value as id from json_each(${n})) as {alias}"),
            Engine::Postgres => format!("unnest(${n}::text[]) as {alias}(id)"),
        }
    }
}

/// Binds what [`Parameters::rows`] reads. A row of another shape than the columns is refused: in arrays it would move its neighbours' values.
pub(super) fn rows(
    engine: Engine,
    columns: &[&Column],
    rows: Vec<Vec<Cell>>,
    params: &mut Vec<Param>,
) -> Result<(), Failure> {
    rows.iter().try_for_each(|row| check(columns, row))?;
    if engine == Engine::Sqlite {
        params.push(json(&rows)?);
        return Ok(());
    }
    let mut arrays: Vec<Param> = columns
        .iter()
        .map(|column| match column.kind {
            Kind::Text => Param::Texts(Vec::with_capacity(rows.len())),
            Kind::Int => Param::Ints(Vec::with_capacity(rows.len())),
        })
        .collect();
    for row in rows {
        for (array, cell) in arrays.iter_mut().zip(row) {
            match (array, cell) {
                (Param::Texts(texts), Cell::Text(text)) => texts.push(Some(text)),
                (Param::Texts(texts), _) => texts.push(None),
                (Param::Ints(numbers), Cell::Int(number)) => numbers.push(Some(number)),
                (Param::Ints(numbers), _) => numbers.push(None),
                (Param::Cell(_), _) => {}
            }
        }
    }
    params.append(&mut arrays);
    Ok(())
}

/// Whether a row has a cell of the right kind for each column.
fn check(columns: &[&Column], row: &[Cell]) -> Result<(), Failure> {
    if row.len() != columns.len() {
        let (cells, columns) = (row.len(), columns.len());
        let word = format!("a row of {cells} cells is none for {columns} columns");
        return Err(Failure::Poison(word));
    }
    for (column, cell) in columns.iter().zip(row) {
        let held = match (column.kind, cell) {
            (Kind::Text, Cell::Int(_)) => "an integer",
            (Kind::Int, Cell::Text(_)) => "text",
            _ => continue,
        };
        let Column { name, kind, .. } = column;
        let word = format!("{held} was to be stored in the column {name}, whose kind is {kind:?}");
        return Err(Failure::Poison(word));
    }
    Ok(())
}

/// Binds what [`Parameters::ids`] reads.
pub(super) fn texts(engine: Engine, texts: Vec<String>) -> Result<Param, Failure> {
    match engine {
        Engine::Sqlite => json(&texts),
        Engine::Postgres => Ok(Param::Texts(texts.into_iter().map(Some).collect())),
    }
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<Param, Failure> {
    serde_json::to_string(value)
        .map(Param::from)
        .map_err(|error| Failure::Poison(error.to_string()))
}

pub(super) fn sql_type(column: &Column) -> &'static str {
    match column.kind {
        Kind::Text => "text",
        Kind::Int => "bigint",
    }
}
