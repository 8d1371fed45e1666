//! The rows of a leg service: its records, and its stock. No SQL: the runtime makes that of the descriptions here.

use std::collections::{BTreeMap, BTreeSet};

use choreography::{Plan, Position, TripId};
use participant::Kept;
use runtime::faults::{self, Guard};
use runtime::table::{
    Cell, CellError, Changes, Column, Lock, Row, Rows, Table, Working, counter, int, text,
};
use serde::de::Error as _;

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

    /// A row as a difference from what is there; a price of none leaves what is there.
    fn cells(key: &[String], delta: Delta, total: i64, price: Option<&Stock>) -> Vec<Cell> {
        let key = key.iter().map(|value| Cell::from(value.as_str()));
        key.chain([
            total.into(),
            delta.held.into(),
            delta.confirmed.into(),
            (delta.free + total).into(),
            price.map(|stock| stock.price_minor).into(),
            price.map(|stock| stock.currency.as_str()).into(),
        ])
        .collect()
    }
}

impl Working for StockRows {
    fn table(&self) -> &'static Table {
        self.table
    }

    fn wanted(&self) -> Result<Vec<Vec<Cell>>, CellError> {
        let cells =
            |key: &Vec<String>| key.iter().map(|value| Cell::from(value.as_str())).collect();
        Ok(self.wanted.iter().map(cells).collect())
    }

    fn fill(&mut self, rows: Vec<Vec<Cell>>) -> Result<(), CellError> {
        let mut stock: Vec<Stock> = rows.into_iter().map(stock).collect::<Result<_, _>>()?;
        if faults::is_off(Guard::Capacity) {
            stock.iter_mut().for_each(|row| row.free = i64::MAX / 2);
        }
        self.shelf = StockView::new(stock);
        Ok(())
    }

    fn changes(&self) -> Result<Changes, CellError> {
        let deltas: BTreeMap<&[String], Delta> = self.shelf.deltas().collect();
        let mut saved: BTreeMap<&[String], Vec<Cell>> = deltas
            .iter()
            .map(|(key, delta)| (*key, Self::cells(key, *delta, 0, None)))
            .collect();
        let mut created = Vec::new();
        for (key, (before, now)) in &self.set {
            match before {
                Some(before) => {
                    let delta = deltas.get(key.as_slice()).copied().unwrap_or_default();
                    let more = now.total - before.total;
                    saved.insert(key, Self::cells(key, delta, more, Some(now)));
                }
                None => created.push(Self::cells(key, Delta::default(), now.total, Some(now))),
            }
        }
        Ok(Changes {
            saved: saved.into_values().collect(),
            created,
            dropped: Vec::new(),
        })
    }
}

/// Reads a stock row: its key, then [`STOCK_COLUMNS`].
pub(crate) fn stock(mut row: Vec<Cell>) -> Result<Stock, CellError> {
    let levels = row.split_off(row.len().saturating_sub(STOCK_COLUMNS.len()));
    let key = row.into_iter().map(|cell| match cell {
        Cell::Text(part) => Ok(part),
        _ => Err(CellError::custom("a stock's key is text")),
    });
    let key = key.collect::<Result<Vec<String>, _>>()?;
    let Ok(
        [
            Cell::Int(total),
            Cell::Int(held),
            Cell::Int(confirmed),
            Cell::Int(free),
            Cell::Int(price_minor),
            Cell::Text(currency),
        ],
    ) = <[Cell; STOCK_COLUMNS.len()]>::try_from(levels)
    else {
        return Err(CellError::custom(format_args!(
            "the stock {key:?} has something other than five numbers and a currency"
        )));
    };
    Ok(Stock {
        key,
        total,
        held,
        confirmed,
        free,
        price_minor,
        currency,
    })
}

impl Stock {
    /// What one costs today; none where the row's currency is no currency.
    #[must_use]
    pub fn price(&self) -> Option<choreography::Money> {
        let currency = choreography::Currency::from_code(&self.currency)?;
        Some(choreography::Money::new(self.price_minor, currency))
    }
}

#[cfg(test)]
mod tests {
    use super::{Stock, StockRows, Table, Working as _, stock, stock_table, text};

    const CAR: &Table = &stock_table("car", &[text("city"), text("class")]);

    #[test]
    fn a_stock_row_has_each_value_in_its_column() -> Result<(), super::CellError> {
        let car = Stock {
            key: vec!["OSL".into(), "small".into()],
            total: 9,
            held: 0,
            confirmed: 0,
            free: 9,
            price_minor: 4_200,
            currency: "NOK".into(),
        };
        let mut rows = StockRows::new(CAR);
        rows.set(car.clone());
        let mut created = rows.changes()?.created;
        assert_eq!(created.len(), 1);
        assert_eq!(stock(created.remove(0))?, car);
        // What an odd row says of itself.
        let odd = vec!["OSL".into(), "small".into(), super::Cell::Null];
        assert!(stock(odd).is_err());
        Ok(())
    }
}
