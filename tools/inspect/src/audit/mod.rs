//! Judges a stack by its databases: did every trip go through, or come all the way back?
//!
//! It reads the databases themselves, read-only, SQLite or PostgreSQL, and trusts no service's word. It looks twice: what still
//! moves can't be judged. It mends nothing, and knows no leg by name: a leg's database says whose it is, and its stock is whatever
//! table has the columns `total`, `held`, `confirmed` and `free`.
//!
//! - `part` opens the databases, `stock_table` finds their stock, `broker` asks for the consumers; `observe` fills in the `counts`.
//! - `judge`: trips against their legs, `payments` among them; `reconcile`: payments against the provider's list; `stock`: stock against what trips hold; both name `violations`. `report`: what came of it.

mod broker;
mod counts;
mod judge;
mod observe;
mod part;
mod payments;
mod reconcile;
mod report;
mod stock;
mod stock_table;
mod violations;

use std::time::{Duration, Instant};

pub use broker::Nats;
pub use counts::{ByState, Consumer, Counts, Stock};
pub use part::{Part, Parts};
pub(crate) use part::{tables, whose};
pub use report::{Report, Verdict};

use part::Opened;
use violations::Judgement;

/// How long to wait between the two looks: longer than the default `TIMER_INTERVAL_MS` (250), after which a due record is taken up.
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);
/// How often a stack that still moves is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Judges the stack as it is now. What can't be reached is named in the report.
pub async fn audit(parts: &Parts) -> Report {
    Opened::open(parts).await.judge().await
}

/// Judges the stack once nothing moves any more, or when the time is over. What is found while nothing moves is final.
pub async fn wait_until_clean(parts: &Parts, within: Duration) -> Report {
    let until = Instant::now() + within;
    loop {
        let opened = Opened::open(parts).await;
        let over = Instant::now() >= until || !opened.unreached.is_empty();
        if over || opened.is_quiet().await {
            let report = opened.judge().await;
            if over || report.is_settled() {
                return report;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Opened {
    async fn is_quiet(&self) -> bool {
        let (counts, unreached) = self.observe().await;
        unreached.is_empty() && counts.moving().is_empty()
    }

    async fn judge(self) -> Report {
        let started = Instant::now();
        let (first, unreached) = self.observe().await;
        let mut report = Report::new(first);
        report.reach(self.unreached.iter().cloned().chain(unreached));
        let Judgement {
            violations,
            unreached,
            missing,
        } = self.compare().await;
        report.missing = !missing.is_empty();
        if self.trusts_the_provider() {
            let list = "the payment provider's list";
            report.not_looked_at.push(String::from(list));
        }
        report.reach(unreached.into_iter().chain(missing));

        tokio::time::sleep(BETWEEN_LOOKS.saturating_sub(started.elapsed())).await;
        let (second, unreached) = self.observe().await;
        report.reach(unreached);
        let same = report.counts == second;
        if !same {
            report.moving.push(String::from(
                "the second look saw other counts than the first",
            ));
        }
        // What lies in two databases was read at two moments: it can be compared only when nothing happened in between.
        report.violate(violations, same);
        match self.not_looked_at().await {
            Ok(names) => report.not_looked_at.extend(names),
            Err(error) => report.reach([format!("{}: {error:#}", booking::NAME)]),
        }
        if self.nats.is_none() {
            report
                .notes
                .push(String::from("the broker was not looked at"));
        }
        report.decide();
        report
    }
}
