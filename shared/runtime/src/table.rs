//! How a service tells the runtime about its rows: tables as data, and the working set of one batch.
//!
//! A service names the rows that its inputs need; the runtime loads them all with one statement, the service's pure
//! core changes them in memory, and the runtime saves what changed with one statement. No SQL is written here, and no
//! mapping is guessed: a row's serde field names are its column names.

pub(crate) mod cells;

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use cells::{Cell, CellError};

/// What a column holds. Portable between SQLite and PostgreSQL: text or a 64-bit integer, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `text`
    Text,
    /// `bigint`
    Int,
}

/// One column of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name, as in the migration.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Saved as a difference (`held = held + ?`) and never as a value, so that no writer can bury another's change.
    pub counter: bool,
}

/// A text column.
#[must_use]
pub const fn text(name: &'static str) -> Column {
    Column {
        name,
        kind: Kind::Text,
        counter: false,
    }
}

/// A 64-bit integer column.
#[must_use]
pub const fn int(name: &'static str) -> Column {
    Column {
        name,
        kind: Kind::Int,
        counter: false,
    }
}

/// A 64-bit integer column that is saved as a difference.
#[must_use]
pub const fn counter(name: &'static str) -> Column {
    Column {
        name,
        kind: Kind::Int,
        counter: true,
    }
}

/// How a batch locks the rows that it loads. SQLite has one writer at a time, so it matters on PostgreSQL only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// The row is claimed: inserted empty, and so locked, before it is judged. Needed where two replicas may meet on a row
    /// that does not exist yet: `select ... for update` cannot lock what is not there.
    Claim,
    /// The row is locked if it is there.
    Update,
    /// Not at all: what many batches look at and hardly any changes, and where an old value does no harm.
    None,
}

/// A table that a batch loads from and saves to.
#[derive(Debug)]
pub struct Table {
    /// Its name, as in the migration.
    pub name: &'static str,
    /// The primary key, in order; locks are taken in its order.
    pub key: &'static [Column],
    /// All other columns. In a claimed table each of them has a default in the migration.
    pub columns: &'static [Column],
    /// How its rows are locked, on a database where replicas write side by side.
    pub lock: Lock,
}

impl Table {
    /// Key columns, then all the others.
    pub fn all(&self) -> impl Iterator<Item = &'static Column> + Clone {
        self.key.iter().chain(self.columns)
    }

    /// The column of the announcement that a row remembers: one that announces has it.
    pub(crate) fn announces(&self) -> bool {
        self.columns.iter().any(|column| column.name == "said_id")
    }

    /// What a batch loads of a row, by name: its columns, and of one that announces `unsent`, 1 while its last announcement still lies in
    /// the outbox, else 0.
    pub(crate) fn loaded(&self) -> impl Iterator<Item = &'static str> + Clone {
        let unsent = self.announces().then_some("unsent");
        self.all().map(|column| column.name).chain(unsent)
    }

    /// Whether rows are saved as differences.
    #[must_use]
    pub fn has_counters(&self) -> bool {
        self.columns.iter().any(|column| column.counter)
    }
}

/// What a batch did to one table: rows, each a cell for each column in the order of [`Table::all`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows to write; for a table with counters, differences of rows that exist, where null leaves what is there.
    pub saved: Vec<Vec<Cell>>,
    /// Rows to insert; used only by tables with counters.
    pub created: Vec<Vec<Cell>>,
    /// Keys of claimed rows that nothing was written to, and that must not stay behind.
    pub dropped: Vec<Vec<Cell>>,
}

/// The rows of one table that a batch works on.
pub trait Working: Send {
    /// Where they live.
    fn table(&self) -> &'static Table;
    /// The wanted keys, each a cell for each column in the order of [`Table::key`].
    ///
    /// # Errors
    /// When a key is none of the table's.
    fn wanted(&self) -> Result<Vec<Vec<Cell>>, CellError>;
    /// Takes what was loaded: rows, each a cell for each column in the order of [`Table::all`], and one more where the table has a column
    /// `said_id`: 1 while that announcement still lies in the outbox, else 0.
    ///
    /// # Errors
    /// When a row does not read as what the service said it is.
    fn fill(&mut self, rows: Vec<Vec<Cell>>) -> Result<(), CellError>;
    /// What to save.
    ///
    /// # Errors
    /// When a row holds what no column can.
    fn changes(&self) -> Result<Changes, CellError>;
}

/// A row with a type of its own.
pub trait Row: Serialize + DeserializeOwned + Clone + PartialEq + Send + 'static {
    /// Where it lives.
    const TABLE: &'static Table;
    /// Its key: a tuple in the order of [`Table::key`].
    type Key: Serialize + DeserializeOwned + Ord + Clone + Debug + Send;
    /// Its key.
    fn key(&self) -> Self::Key;
    /// False for a row that was only claimed: it holds nothing yet.
    fn exists(&self) -> bool {
        true
    }
}

struct Slot<R> {
    loaded: Option<R>,
    current: Option<R>,
}

/// The working set of one table whose rows have a type of their own. A reaction names what it needs, is given what is there, and puts
/// back what is to be; the batch saves what has changed.
/// ```
/// use runtime::table::{Lock, Row, Rows, Table, Working as _, int, text};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// struct Jar {
///     jar: String,
///     coins: i64,
/// }
///
/// impl Row for Jar {
///     const TABLE: &'static Table = &Table {
///         name: "jar",
///         key: &[text("jar")],
///         columns: &[int("coins")],
///         lock: Lock::Claim,
///     };
///     type Key = (String,);
///     fn key(&self) -> (String,) {
///         (self.jar.clone(),)
///     }
/// }
///
/// let mut jars = Rows::<Jar>::default();
/// jars.want(("kitchen".into(),));
/// jars.fill(vec![vec!["kitchen".into(), 3.into()]])?; // the batch does this
/// let mut jar = jars.get(&("kitchen".into(),)).unwrap().clone();
/// jar.coins += 2;
/// jars.put(jar);
/// assert_eq!(jars.changes()?.saved, [["kitchen".into(), 5.into()]]);
/// # Ok::<(), runtime::table::CellError>(())
/// ```
pub struct Rows<R: Row> {
    slots: BTreeMap<R::Key, Slot<R>>,
}

impl<R: Row> Default for Rows<R> {
    fn default() -> Self {
        Self {
            slots: BTreeMap::new(),
        }
    }
}

impl<R: Row> Rows<R> {
    /// Asks for the row with this key to be there when the batch is judged.
    pub fn want(&mut self, key: R::Key) {
        self.slots.entry(key).or_insert(Slot {
            loaded: None,
            current: None,
        });
    }

    /// The row as it now stands, if it exists.
    #[must_use]
    pub fn get(&self, key: &R::Key) -> Option<&R> {
        self.slots.get(key)?.current.as_ref()
    }

    /// Puts the row in place; it is saved if it differs from what was loaded.
    pub fn put(&mut self, row: R) {
        let slot = self.slots.entry(row.key()).or_insert(Slot {
            loaded: None,
            current: None,
        });
        slot.current = Some(row);
    }

    /// The rows that differ from what was loaded, each with what that was.
    pub fn changed(&self) -> impl Iterator<Item = (Option<&R>, &R)> {
        let differs = |slot: &&Slot<R>| slot.loaded != slot.current;
        let slots = self.slots.values().filter(differs);
        slots.filter_map(|slot| Some((slot.loaded.as_ref(), slot.current.as_ref()?)))
    }

    /// Every row that exists, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = &R> {
        self.slots.values().filter_map(|slot| slot.current.as_ref())
    }
}

impl<R: Row> Working for Rows<R> {
    fn table(&self) -> &'static Table {
        R::TABLE
    }

    fn wanted(&self) -> Result<Vec<Vec<Cell>>, CellError> {
        self.slots.keys().map(cells::of_key).collect()
    }

    fn fill(&mut self, rows: Vec<Vec<Cell>>) -> Result<(), CellError> {
        for cells in rows {
            let row: R = cells::read(R::TABLE.loaded(), cells)?;
            if row.exists() {
                self.slots.insert(
                    row.key(),
                    Slot {
                        loaded: Some(row.clone()),
                        current: Some(row),
                    },
                );
            }
        }
        Ok(())
    }

    fn changes(&self) -> Result<Changes, CellError> {
        let saved = self.changed().map(|(_, row)| cells::of_row(row, R::TABLE));
        let claimed = |_: &&R::Key| R::TABLE.lock == Lock::Claim;
        let empty = self.slots.iter().filter(|(_, slot)| slot.current.is_none());
        let dropped = empty.map(|(key, _)| key).filter(claimed);
        Ok(Changes {
            saved: saved.collect::<Result<_, _>>()?,
            created: Vec::new(),
            dropped: dropped.map(cells::of_key).collect::<Result<_, _>>()?,
        })
    }
}
