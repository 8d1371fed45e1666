//! One look at the stack: what there is of everything, and what of it still moves.

use std::collections::BTreeMap;
use std::fmt;

use runtime::Database;
use runtime::database::Failure;
use serde::Serialize;

use super::broker;
use super::part::Opened;

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
    /// Rows.
    pub rows: i64,
    /// held + confirmed + free.
    pub total: i64,
    /// For trips that are not decided.
    pub held: i64,
    /// Firm.
    pub confirmed: i64,
    /// Left.
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

impl Opened {
    /// Looks once; what could not be looked at is named.
    pub(super) async fn observe(&self) -> (Counts, Vec<String>) {
        let mut counts = Counts::default();
        let mut unreached = Vec::new();
        for (name, database) in self.services() {
            if let Err(error) = counts.runtime(name, database).await {
                unreached.push(format!("{name}: {error}"));
            }
        }
        if let Some(booking) = &self.booking
            && let Err(error) = counts.trips(booking).await
        {
            unreached.push(format!("{}: {error}", booking::NAME));
        }
        for leg in &self.legs {
            if let Err(error) = counts.leg(&leg.name, &leg.database).await {
                unreached.push(format!("{}: {error}", leg.name));
            }
            for table in &leg.stock {
                match table.count(&leg.database).await {
                    Ok(stock) => {
                        counts
                            .stock
                            .insert(format!("{}.{}", leg.name, table.table), stock);
                    }
                    Err(error) => unreached.push(format!("{}: {error}", leg.name)),
                }
            }
        }
        match (&self.nats, &self.context) {
            (Some(nats), None) => {
                unreached.push(format!("the broker: it does not answer at {nats:?}"));
            }
            (_, Some(context)) => {
                for (name, _) in self.services() {
                    match broker::consumer(context, name).await {
                        Ok(consumer) => {
                            counts.consumers.insert(name.to_owned(), consumer);
                        }
                        Err(error) => {
                            unreached.push(format!("the broker's consumer {name}: {error:#}"));
                        }
                    }
                }
            }
            (None, None) => {}
        }
        (counts, unreached)
    }
}

impl Counts {
    /// What every service has.
    async fn runtime(&mut self, name: &str, database: &Database) -> Result<(), Failure> {
        let outbox = database
            .number("select count(*) from outbox", vec![])
            .await?;
        let letters = database
            .number("select count(*) from dead_letter", vec![])
            .await?;
        self.outbox.insert(name.to_owned(), outbox);
        self.dead_letters.insert(name.to_owned(), letters);
        Ok(())
    }

    async fn trips(&mut self, database: &Database) -> Result<(), Failure> {
        let sql = "select state || ' ' || coalesce(outcome, 'undecided') || ' ' || count(*) || ' ' || max(changed_us) \
                   from trip group by state, outcome";
        for row in database.texts(sql, vec![]).await? {
            let [state, outcome, count, changed_us] = words(&row);
            *self.trips.entry(state.to_owned()).or_default() += number(count);
            if outcome != "undecided" {
                *self.outcomes.entry(outcome.to_owned()).or_default() += number(count);
            }
            self.changed(booking::NAME, number(changed_us));
        }
        Ok(())
    }

    async fn leg(&mut self, name: &str, database: &Database) -> Result<(), Failure> {
        let sql =
            "select state || ' ' || count(*) || ' ' || max(changed_us) from leg group by state";
        let mut states = ByState::new();
        for row in database.texts(sql, vec![]).await? {
            let [state, count, changed_us] = words(&row);
            states.insert(state.to_owned(), number(count));
            self.changed(name, number(changed_us));
        }
        self.legs.insert(name.to_owned(), states);
        Ok(())
    }

    fn changed(&mut self, name: &str, changed_us: i64) {
        let last = self.changed_us.entry(name.to_owned()).or_default();
        *last = changed_us.max(*last);
    }

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

/// The words of a row that was put together above.
pub(super) fn words<const N: usize>(row: &str) -> [&str; N] {
    let mut words = row.split(' ');
    std::array::from_fn(|_| words.next().unwrap_or_default())
}

pub(super) fn number(word: &str) -> i64 {
    word.parse().unwrap_or_default()
}
