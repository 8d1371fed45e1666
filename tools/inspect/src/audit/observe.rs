//! One look at the stack: what there is of everything, and what of it still moves.

use runtime::Database;
use runtime::database::Failure;

use super::broker;
use super::counts::{ByState, Counts};
use super::part::{Kind, Leg, Opened};
use super::stock_table::{number, words};

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
            if let Err(error) = counts.leg(leg).await {
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

    async fn leg(&mut self, leg: &Leg) -> Result<(), Failure> {
        let sql = match leg.kind {
            Kind::Stock => {
                "select state || ' ' || count(*) || ' ' || max(changed_us) from leg group by state"
            }
            Kind::Payment => {
                "select state || ' ' || count(*) || ' ' || max(changed_us) from payment group by state"
            }
        };
        let mut states = ByState::new();
        for row in leg.database.texts(sql, vec![]).await? {
            let [state, count, changed_us] = words(&row);
            states.insert(state.to_owned(), number(count));
            self.changed(&leg.name, number(changed_us));
        }
        self.legs.insert(leg.name.clone(), states);
        if leg.kind == Kind::Payment {
            let waiting = "select count(*) from call";
            let waiting = leg.database.number(waiting, vec![]).await?;
            self.calls.insert(leg.name.clone(), waiting);
        }
        Ok(())
    }

    fn changed(&mut self, name: &str, changed_us: i64) {
        let last = self.changed_us.entry(name.to_owned()).or_default();
        *last = changed_us.max(*last);
    }
}
