//! The rows of a leg service: its records, and its stock. No SQL: the runtime makes that of the descriptions here.

use std::collections::{BTreeMap, BTreeSet};

use choreography::{Plan, Position, TripId};
use participant::Kept;
use runtime::faults::{self, Guard};
use runtime::table::{Changes, Column, Lock, Row, Rows, Table, Working, counter, int, text};
use serde_json::{Map, Value};

use crate::core::{Delta, Record, State, Stock, StockView};

/// The table `leg`.
pub const LEG: &Table = &Table {
    name: "leg",
    key: &[text("trip"), int("position")],
    columns: &[
        text("state"),
        text("itinerary"),
        int("deadline_us"),
        int("budget_minor"),
        text("budget_currency"),
        int("price_minor"),
        text("currency"),
        text("total"),
        text("reason_code"),
        text("reason_message"),
        text("holds"),
        int("due_us"),
        int("tries"),
        text("said_id"),
        text("traceparent"),
        text("tracestate"),
        int("changed_us"),
        int("forget_us"),
    ],
    lock: Lock::Claim,
};

impl Row for Record {
    const TABLE: &'static Table = LEG;
    type Key = (TripId, Position);

    fn key(&self) -> Self::Key {
        (self.trip, self.position)
    }

    fn exists(&self) -> bool {
        self.state != State::None
    }
}

impl participant::Record for Record {
    fn trip(&self) -> TripId {
        self.trip
    }

    fn plan(&self) -> Option<Plan> {
        self.plan()
    }

    fn state(&self) -> &'static str {
        self.state.as_str()
    }

    fn kept(&mut self) -> Kept<'_> {
        Kept {
            said_id: &mut self.said_id,
            traceparent: &mut self.traceparent,
            tracestate: &mut self.tracestate,
        }
    }
}

/// The columns that every stock table has, behind a key of its own.
pub const STOCK_COLUMNS: &[Column] = &[
    counter("total"),
    counter("held"),
    counter("confirmed"),
    counter("free"),
    int("price_minor"),
    text("currency"),
];

/// The table of a leg's stock: a key of its own, and [`STOCK_COLUMNS`].
#[must_use]
pub const fn stock_table(name: &'static str, key: &'static [Column]) -> Table {
    Table {
        name,
        key,
        columns: STOCK_COLUMNS,
        lock: Lock::Update,
    }
}

/// The rows of one batch.
pub struct Work {
    /// Records of trips.
    pub legs: Rows<Record>,
    /// What there is to hold.
    pub stock: StockRows,
}

/// The stock of one batch: wanted keys, the shelf that trips take from, and what an operator sets.
pub struct StockRows {
    table: &'static Table,
    wanted: BTreeSet<Vec<String>>,
    /// What trips take from and give back to.
    pub shelf: StockView,
    /// Rows as an operator sets them in this batch: with what they had, if they were there.
    set: BTreeMap<Vec<String>, (Option<Stock>, Stock)>,
}

impl StockRows {
    /// A working set without rows.
    #[must_use]
    pub fn new(table: &'static Table) -> Self {
        Self {
            table,
            wanted: BTreeSet::new(),
            shelf: StockView::default(),
            set: BTreeMap::new(),
        }
    }

    /// Asks for a row to be there when the batch is judged.
    pub fn want(&mut self, key: Vec<String>) {
        self.wanted.insert(key);
    }

    /// A row as this batch leaves it.
    #[must_use]
    pub fn get(&self, key: &[String]) -> Option<&Stock> {
        self.set
            .get(key)
            .map(|(_, now)| now)
            .or_else(|| self.shelf.get(key))
    }

    /// Sets a row. Trips of the same batch were judged before: facts come first.
    pub fn set(&mut self, row: Stock) {
        let before = match self.set.get(&row.key) {
            Some((before, _)) => before.clone(),
            None => self.shelf.get(&row.key).cloned(),
        };
        self.set.insert(row.key.clone(), (before, row));
    }

    fn object(
        &self,
        key: &[String],
        delta: Delta,
        total: i64,
        price: Option<(i64, &str)>,
    ) -> Value {
        let mut row: Map<String, Value> = self
            .table
            .key
            .iter()
            .zip(key)
            .map(|(column, value)| (column.name.to_owned(), Value::from(value.as_str())))
            .collect();
        row.insert("total".into(), total.into());
        row.insert("held".into(), delta.held.into());
        row.insert("confirmed".into(), delta.confirmed.into());
        row.insert("free".into(), (delta.free + total).into());
        // Null leaves what is there.
        row.insert(
            "price_minor".into(),
            price.map_or(Value::Null, |(minor, _)| minor.into()),
        );
        row.insert(
            "currency".into(),
            price.map_or(Value::Null, |(_, currency)| currency.into()),
        );
        Value::Object(row)
    }
}

impl Working for StockRows {
    fn table(&self) -> &'static Table {
        self.table
    }

    fn wanted(&self) -> String {
        Value::from_iter(self.wanted.iter().map(|key| Value::from(key.as_slice()))).to_string()
    }

    fn fill(&mut self, rows: &str) -> Result<(), serde_json::Error> {
        let rows: Vec<Map<String, Value>> = serde_json::from_str(rows)?;
        let mut stock: Vec<Stock> = rows.iter().map(|row| stock(self.table, row)).collect();
        if faults::is_off(Guard::Capacity) {
            stock.iter_mut().for_each(|row| row.free = i64::MAX / 2);
        }
        self.shelf = StockView::new(stock);
        Ok(())
    }

    fn changes(&self) -> Changes {
        let mut saved: BTreeMap<&[String], Value> = self
            .shelf
            .deltas()
            .map(|(key, delta)| (key, self.object(key, delta, 0, None)))
            .collect();
        let deltas: BTreeMap<&[String], Delta> = self.shelf.deltas().collect();
        let mut created = Vec::new();
        for (key, (before, now)) in &self.set {
            let price = Some((now.price_minor, now.currency.as_str()));
            match before {
                Some(before) => {
                    let delta = deltas.get(key.as_slice()).copied().unwrap_or_default();
                    saved.insert(
                        key,
                        self.object(key, delta, now.total - before.total, price),
                    );
                }
                None => created.push(self.object(key, Delta::default(), now.total, price)),
            }
        }
        Changes {
            saved: Value::from_iter(saved.into_values()).to_string(),
            created: Value::from(created).to_string(),
            dropped: String::from("[]"),
        }
    }
}

/// Reads a stock row; its key columns are the table's.
pub(crate) fn stock(table: &Table, row: &Map<String, Value>) -> Stock {
    let number = |name: &str| row.get(name).and_then(Value::as_i64).unwrap_or_default();
    let string = |name: &str| {
        row.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Stock {
        key: table.key.iter().map(|column| string(column.name)).collect(),
        total: number("total"),
        held: number("held"),
        confirmed: number("confirmed"),
        free: number("free"),
        price_minor: number("price_minor"),
        currency: string("currency"),
    }
}

impl Stock {
    /// What one costs today; none where the row's currency is no currency.
    #[must_use]
    pub fn price(&self) -> Option<choreography::Money> {
        let currency = choreography::Currency::from_code(&self.currency)?;
        Some(choreography::Money::new(self.price_minor, currency))
    }
}
