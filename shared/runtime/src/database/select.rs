//! Reading rows of a table, the same on SQLite and PostgreSQL: which, in which order, and how many at most. For what HTTP shows and tools
//! compare; what a batch loads is `sql`'s, and joins and sums are nobody's.

use serde::de::DeserializeOwned;

use super::{Database, Engine, Failure, Param};
use crate::table::{Cell, Table, cells};

/// How a column stands to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    /// The same value.
    Equal,
    /// Another.
    NotEqual,
    /// Smaller.
    Less,
    /// Not larger.
    AtMost,
    /// Not smaller.
    AtLeast,
    /// Larger.
    Greater,
}

impl Is {
    fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
            Self::Greater => ">",
        }
    }
}

/// A query for rows of one table, as last committed. All conditions hold together.
///
/// ```no_run
/// # use runtime::database::{Database, Failure, Is};
/// # async fn oldest(database: &Database, trip: &'static runtime::Table) -> Result<(), Failure> {
/// let oldest: Vec<serde_json::Value> = database
///     .select(trip)
///     .only("state", Is::Equal, "pending")
///     .order(&["created_us"])
///     .most(10)
///     .rows()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Select<'a> {
    database: &'a Database,
    table: &'a Table,
    conditions: Vec<String>,
    params: Vec<Param>,
    order: String,
    most: Option<usize>,
    /// An index, and which rows it has.
    index: Option<(&'static str, String)>,
    is_backwards: bool,
}

impl<'a> Select<'a> {
    pub(super) fn new(database: &'a Database, table: &'a Table) -> Self {
        Self {
            database,
            table,
            conditions: Vec::new(),
            params: Vec::new(),
            order: String::new(),
            most: None,
            index: None,
            is_backwards: false,
        }
    }

    /// Only rows whose column stands so to this value. Null is equal to null; otherwise no row stands to it in any way.
    pub fn only(mut self, column: &str, is: Is, value: impl Into<Cell>) -> Self {
        let value = value.into();
        if value == Cell::Null {
            self.conditions.push(match is {
                Is::Equal => format!("t.{column} is null"),
                _ => String::from("false"),
            });
            return self;
        }
        let place = self.param(value);
        let sign = is.sign();
        self.conditions.push(format!("t.{column} {sign} {place}"));
        self
    }

    /// Only rows whose text column holds one of these.
    pub fn one_of<T: Into<String>>(
        mut self,
        column: &str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        // One parameter, however many values: databases take only so many.
        let values = serde_json::Value::from_iter(values.into_iter().map(Into::into));
        let place = self.param(Cell::Text(values.to_string()));
        let list = match self.database.engine {
            Engine::Sqlite => format!("select value from json_each({place})"),
            Engine::Postgres => format!("select json_array_elements_text({place}::json)"),
        };
        self.conditions.push(format!("t.{column} in ({list})"));
        self
    }

    /// Only rows whose text column holds one of these words of our own, by an index on such rows alone that names the same words in the
    /// same order. They stand in the statement, for a parameter could be anything. PostgreSQL can find the index then; SQLite, which knows
    /// nothing of how many rows are where, is told to use it, and refuses the statement when it cannot. Where the order is another than the
    /// index's, all rows that it has are sorted.
    pub fn among<const N: usize>(
        mut self,
        index: &'static str,
        column: &str,
        words: [&'static str; N],
    ) -> Self {
        let words = words.map(|word| format!("'{word}'")).join(", ");
        let among = format!("t.{column} in ({words})");
        self.conditions.push(among.clone());
        self.index = Some((index, among));
        self
    }

    /// Only rows that come after this one in the order of these columns.
    pub fn after(self, row: Vec<(&str, Cell)>) -> Self {
        self.beside(">", row)
    }

    /// Only rows that come before this one in the order of these columns.
    pub fn before(self, row: Vec<(&str, Cell)>) -> Self {
        self.beside("<", row)
    }

    /// Only rows whose text column begins with this.
    pub fn begins(mut self, column: &str, text: impl Into<String>) -> Self {
        let place = self.param(Cell::Text(text.into()));
        self.conditions
            .push(format!("substr(t.{column}, 1, length({place})) = {place}"));
        self
    }

    fn beside(mut self, sign: &str, row: Vec<(&str, Cell)>) -> Self {
        let (columns, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
        let places: Vec<String> = values.into_iter().map(|value| self.param(value)).collect();
        let columns = names(&columns, "");
        self.conditions
            .push(format!("({columns}) {sign} ({})", places.join(", ")));
        self
    }

    /// In the order of these columns, the smallest first.
    pub fn order(mut self, columns: &[&str]) -> Self {
        self.order = format!(" order by {}", names(columns, ""));
        self
    }

    /// In the order of these columns, the largest first.
    pub fn descending(mut self, columns: &[&str]) -> Self {
        self.order = format!(" order by {}", names(columns, " desc"));
        self.is_backwards = true;
        self
    }

    /// Not more of them than this.
    pub fn most(mut self, rows: usize) -> Self {
        self.most = Some(rows);
        self
    }

    /// Reads them.
    ///
    /// # Errors
    /// When the database cannot be reached or a row does not read as a `T`.
    pub async fn rows<T: DeserializeOwned>(self) -> Result<Vec<T>, Failure> {
        let table = self.table;
        let names = || table.all().map(|column| column.name);
        let rows = self.cells().await?.into_iter();
        rows.map(|row| cells::read(names(), row).map_err(Failure::unreadable))
            .collect()
    }

    /// Reads them as they are, each row a cell for each column in the order of [`Table::all`].
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn cells(mut self) -> Result<Vec<Vec<Cell>>, Failure> {
        let engine = self.database.engine;
        let row = engine.row("t", self.table.all());
        let cast = match engine {
            Engine::Sqlite => "",
            Engine::Postgres => "::text",
        };
        let sql = format!("select {row}{cast}{}", self.tail());
        let rows = self.database.texts(&sql, self.params).await?;
        let read = |row: &String| serde_json::from_str(row).map_err(Failure::unreadable);
        rows.iter().map(read).collect()
    }

    /// Counts them, and no further than [`Select::most`].
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn count(mut self) -> Result<i64, Failure> {
        let sql = format!("select count(*) from (select 1{}) as counted", self.tail());
        self.database.number(&sql, self.params).await
    }

    fn tail(&mut self) -> String {
        let table = self.table.name;
        let mut tail = match (self.database.engine, &self.index) {
            (Engine::Sqlite, Some((index, _))) => format!(" from {table} as t indexed by {index}"),
            // Its planner would walk the key backwards and look at every row on the way, for the sake of the order.
            (Engine::Postgres, Some((_, among))) if self.is_backwards => {
                format!(" from (select * from {table} as t where {among} offset 0) as t")
            }
            _ => format!(" from {table} as t"),
        };
        if !self.conditions.is_empty() {
            tail += &format!(" where {}", self.conditions.join(" and "));
        }
        tail += &self.order;
        if let Some(most) = self.most {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            tail += &format!(" limit {}", self.param(Cell::Int(most)));
        }
        tail
    }

    fn param(&mut self, value: Cell) -> String {
        self.params.push(value.into());
        format!("${}", self.params.len())
    }
}

fn names(columns: &[&str], direction: &str) -> String {
    let names = columns.iter().map(|name| format!("t.{name}{direction}"));
    names.collect::<Vec<_>>().join(", ")
}
