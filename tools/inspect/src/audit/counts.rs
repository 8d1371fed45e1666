//! What was counted in one look at the stack, and what that says is still on its way. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// How many of each.
pub type ByState = BTreeMap<String, i64>;

/// What was counted. Two looks that count the same saw the same stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Trips by state.
    pub trips: ByState,
    /// Decided trips by outcome.
    pub outcomes: ByState,
    /// For each leg service, its records by state.
    pub legs: BTreeMap<String, ByState>,
    /// For each stock table, such as `flight.seat`, its rows and their sums.
    pub stock: BTreeMap<String, Stock>,
    /// For each service, facts that are not known to lie in the stream.
    pub outbox: ByState,
    /// For each service that makes calls, those that have no answer yet.
    #[serde(skip_serializing_if = "ByState::is_empty")]
    pub calls: ByState,
    /// For each service, messages that could not be read or applied.
    pub dead_letters: ByState,
    /// For each service, what the broker has for it; empty when the broker was not looked at.
    pub consumers: BTreeMap<String, Consumer>,
    /// The last change of each service, in microseconds since 1970.
    pub changed_us: ByState,
}

/// What a stock table has in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stock {
    /// How many rows the table has.
    pub rows: i64,
    /// held + confirmed + free.
    pub total: i64,
    /// For trips that are not decided.
    pub held: i64,
    /// How many are firm.
    pub confirmed: i64,
    /// How many are left.
    pub free: i64,
}

/// What the broker has for a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Consumer {
    /// Not delivered yet.
    pub pending: u64,
    /// Delivered and not acknowledged.
    pub unacked: u64,
}

/// Where a payment waits for its provider.
const ASKING: [&str; 5] = [
    "opening",
    "authorising",
    "capturing",
    "voiding",
    "refunding",
];

impl Counts {
    /// Nothing at all to judge.
    pub(super) fn is_empty(&self) -> bool {
        self.trips.is_empty() && self.legs.values().all(BTreeMap::is_empty)
    }

    /// What is on its way, in words.
    pub(super) fn moving(&self) -> Vec<String> {
        let mut moving = Vec::new();
        let of = |states: &ByState, state: &str| states.get(state).copied().unwrap_or(0);
        let (pending, undoing) = (of(&self.trips, "pending"), of(&self.trips, "undoing"));
        if pending + undoing > 0 {
            moving.push(format!(
                "trips are not final: {pending} pending, {undoing} undoing"
            ));
        }
        for (name, states) in &self.legs {
            let held = of(states, "held");
            if held > 0 {
                moving.push(format!("{name} waits for word on {held} held legs"));
            }
            let asking = ASKING.iter().map(|state| of(states, state)).sum::<i64>();
            if asking > 0 {
                moving.push(format!(
                    "{name} waits for its provider in {asking} payments"
                ));
            }
        }
        for (name, calls) in self.calls.iter().filter(|(_, calls)| **calls > 0) {
            moving.push(format!("{name} waits for answers to {calls} calls"));
        }
        for (name, facts) in self.outbox.iter().filter(|(_, facts)| **facts > 0) {
            moving.push(format!("{name}'s outbox has {facts} facts in it"));
        }
        for (name, consumer) in &self.consumers {
            if *consumer != Consumer::default() {
                moving.push(format!(
                    "the consumer {name} has {} facts to deliver and {} that were not acknowledged",
                    consumer.pending, consumer.unacked
                ));
            }
        }
        moving
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |counts: &ByState| counts.values().sum::<i64>();
        let mut lines = vec![("trips", sum(&self.trips), list(&self.trips))];
        if !self.outcomes.is_empty() {
            lines.push(("outcomes", sum(&self.outcomes), list(&self.outcomes)));
        }
        for (name, states) in &self.legs {
            lines.push((name, sum(states), list(states)));
        }
        for (name, stock) in &self.stock {
            let Stock {
                rows,
                total,
                held,
                confirmed,
                free,
            } = stock;
            let sums =
                format!("rows: {held} held + {confirmed} confirmed + {free} free of {total}");
            lines.push((name, *rows, sums));
        }
        lines.push(("outbox", sum(&self.outbox), String::new()));
        lines.push(("letters", sum(&self.dead_letters), String::new()));
        if !self.consumers.is_empty() {
            let pending: u64 = self.consumers.values().map(|c| c.pending).sum();
            let unacked: u64 = self.consumers.values().map(|c| c.unacked).sum();
            let left = format!("{pending} to deliver, {unacked} not acknowledged");
            lines.push(("consumers", self.consumers.len() as i64, left));
        }
        let width = lines.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        for (name, count, what) in lines {
            let line = format!("{name:<width$}  {count:>8}  {what}");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn list(counts: &ByState) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    parts.join(", ")
}
