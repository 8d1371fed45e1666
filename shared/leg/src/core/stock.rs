//! The stock of one batch, shared by its trips in order: what one takes, the next does not find.
//!
//! Every change is kept twice, in the view that the next trip is judged by and as a delta for the database (`free = free - n`),
//! which a value read earlier could overwrite and a delta cannot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// So much of one stock row, for one position of one trip.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hold {
    /// The row's key, column by column.
    pub key: Vec<String>,
    /// How much of it, at least 1.
    pub quantity: i64,
}

/// One stock row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stock {
    /// The row's key, column by column.
    pub key: Vec<String>,
    /// held + confirmed + free.
    pub total: i64,
    /// Held for trips that are not decided yet.
    pub held: i64,
    /// How many are firm.
    pub confirmed: i64,
    /// How many are left.
    pub free: i64,
    /// What one costs today.
    pub price_minor: i64,
    /// In which currency, ISO 4217.
    pub currency: String,
}

/// What a batch changes in one stock row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// To be added to `held`.
    pub held: i64,
    /// To be added to `confirmed`.
    pub confirmed: i64,
    /// To be added to `free`.
    pub free: i64,
}

/// The stock that a batch may need, by key. Giving back and making firm need no row in view, only taking does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StockView {
    stock: BTreeMap<Vec<String>, Stock>,
    deltas: BTreeMap<Vec<String>, Delta>,
}

impl StockView {
    /// A shelf with these rows.
    pub fn new(stock: impl IntoIterator<Item = Stock>) -> Self {
        let stock = stock
            .into_iter()
            .map(|stock| (stock.key.clone(), stock))
            .collect();
        Self {
            stock,
            deltas: BTreeMap::new(),
        }
    }

    /// A row as the batch has left it so far.
    pub fn get(&self, key: &[String]) -> Option<&Stock> {
        self.stock.get(key)
    }

    /// What changed, by key; rows that are as before are left out.
    pub fn deltas(&self) -> impl Iterator<Item = (&[String], Delta)> {
        let changed = self
            .deltas
            .iter()
            .filter(|(_, delta)| **delta != Delta::default());
        changed.map(|(key, delta)| (key.as_slice(), *delta))
    }

    /// Free becomes held.
    pub(super) fn hold(&mut self, holds: &[Hold]) {
        self.move_each(holds, |n| Delta {
            held: n,
            confirmed: 0,
            free: -n,
        });
    }

    /// Held becomes firm.
    pub(super) fn confirm(&mut self, holds: &[Hold]) {
        self.move_each(holds, |n| Delta {
            held: -n,
            confirmed: n,
            free: 0,
        });
    }

    /// Held becomes free.
    pub(super) fn release_held(&mut self, holds: &[Hold]) {
        self.move_each(holds, |n| Delta {
            held: -n,
            confirmed: 0,
            free: n,
        });
    }

    /// Firm becomes free.
    pub(super) fn release_confirmed(&mut self, holds: &[Hold]) {
        self.move_each(holds, |n| Delta {
            held: 0,
            confirmed: -n,
            free: n,
        });
    }

    fn move_each(&mut self, holds: &[Hold], how: impl Fn(i64) -> Delta) {
        for hold in holds {
            let by = how(hold.quantity.max(0));
            let sum = self.deltas.entry(hold.key.clone()).or_default();
            add(&mut sum.held, &mut sum.confirmed, &mut sum.free, by);
            if let Some(stock) = self.stock.get_mut(&hold.key) {
                add(&mut stock.held, &mut stock.confirmed, &mut stock.free, by);
            }
        }
    }
}

fn add(held: &mut i64, confirmed: &mut i64, free: &mut i64, by: Delta) {
    *held = held.saturating_add(by.held);
    *confirmed = confirmed.saturating_add(by.confirmed);
    *free = free.saturating_add(by.free);
}
