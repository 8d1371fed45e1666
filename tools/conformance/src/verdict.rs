//! What became of each promise: kept, broken with what was exchanged, or not tried and why. It only keeps account.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::exchange::Exchange;
use crate::judge;
use crate::promise::Promise;

/// The most breaks of one promise that are shown; all are counted.
const SHOWN_MAX: usize = 3;

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Break {
    /// What was wrong.
    pub what: String,
    /// What was exchanged, a line for each message.
    pub facts: Vec<String>,
}

/// What is known of one promise.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// How often it was kept.
    pub kept: u64,
    /// How often it was broken.
    pub broken: u64,
    /// The first breaks.
    pub shown: Vec<Break>,
    /// Why some or all of it was not tried.
    pub not_tried: Option<String>,
}

/// The account of all promises.
#[derive(Debug, Clone, Default)]
pub struct Verdicts(BTreeMap<Promise, Found>);

impl Verdicts {
    /// It was kept once more.
    pub fn kept(&mut self, promise: Promise) {
        self.0.entry(promise).or_default().kept += 1;
    }

    /// It was broken.
    pub fn broken(&mut self, promise: Promise, what: impl Into<String>, facts: Vec<String>) {
        let found = self.0.entry(promise).or_default();
        found.broken += 1;
        if found.shown.len() < SHOWN_MAX {
            let what = what.into();
            found.shown.push(Break { what, facts });
        }
    }

    /// It could not be tried; the first reason counts.
    pub fn not_tried(&mut self, promise: Promise, why: &str) {
        let found = self.0.entry(promise).or_default();
        found.not_tried.get_or_insert_with(|| why.to_owned());
    }

    /// Takes in all that an exchange shows.
    pub fn judge(&mut self, exchange: &Exchange) {
        let mut facts = None;
        for (promise, judged) in judge::judge(exchange) {
            match judged {
                Ok(()) => self.kept(promise),
                Err(what) => {
                    let facts = facts.get_or_insert_with(|| exchange.lines());
                    self.broken(promise, what, facts.clone());
                }
            }
        }
    }

    /// What is known of one promise.
    #[must_use]
    pub fn of(&self, promise: Promise) -> Found {
        self.0.get(&promise).cloned().unwrap_or_default()
    }
}
