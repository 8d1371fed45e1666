//! What is said for one trip: messages, statements, waits for the disk. Of each protocol as it is counted there; what nobody counts is null.

use serde::Serialize;

use super::cost::Cost;
use super::distribution::round;
use super::report::Run;
use super::rival::Counted;
use super::spread::Spread;

/// What a trip takes of the network and of the disk.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exchange {
    /// Messages by the broker: facts published and facts delivered, without their acknowledgements; 0 of two-phase commit, which has none.
    pub broker_messages_per_trip: Option<f64>,
    /// Statements to databases, each with its answer; null of the saga, whose services do not count theirs. Not to be set beside the broker's
    /// messages: they are not the same thing.
    pub database_statements_per_trip: Option<f64>,
    /// Transactions that services committed, of the saga; null of two-phase commit.
    pub commits_per_trip: Option<f64>,
    /// How often the disk was waited for.
    pub fsyncs_per_trip: Option<f64>,
}

impl Exchange {
    pub(crate) fn of_saga(cost: &Cost) -> Self {
        let out: f64 = cost.facts_out_per_trip.values().sum();
        let heard: f64 = cost.facts_in_per_trip.values().sum();
        let commits: f64 = cost.commits_per_trip.values().sum();
        Self {
            broker_messages_per_trip: Some(round(out + heard)),
            database_statements_per_trip: None,
            commits_per_trip: Some(commits),
            fsyncs_per_trip: fsyncs(cost),
        }
    }

    /// None where no trip lies between.
    pub(crate) fn of_rival(before: Counted, after: Counted, cost: Option<&Cost>) -> Option<Self> {
        let trips = after.trips - before.trips;
        if trips <= 0.0 {
            return None;
        }
        let statements = (after.round_trips - before.round_trips) / trips;
        Some(Self {
            broker_messages_per_trip: Some(0.0),
            database_statements_per_trip: Some(round(statements)),
            commits_per_trip: None,
            fsyncs_per_trip: cost.and_then(fsyncs),
        })
    }

    /// The median of these runs, of each figure by itself; null where no run has it.
    #[must_use]
    pub fn median(runs: &[Run]) -> Self {
        let median = |of: fn(&Self) -> Option<f64>| {
            let all = runs.iter().filter_map(|run| run.exchange.as_ref());
            Spread::of(all.filter_map(of)).map(|spread| round(spread.median))
        };
        Self {
            broker_messages_per_trip: median(|it| it.broker_messages_per_trip),
            database_statements_per_trip: median(|it| it.database_statements_per_trip),
            commits_per_trip: median(|it| it.commits_per_trip),
            fsyncs_per_trip: median(|it| it.fsyncs_per_trip),
        }
    }
}

/// Of all that tell.
fn fsyncs(cost: &Cost) -> Option<f64> {
    let each = cost.fsyncs_per_trip.values().flatten();
    each.copied().reduce(|one, other| one + other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_counted_is_null() {
        let counted = |trips, round_trips| Counted { trips, round_trips };
        let told = Exchange::of_rival(counted(10.0, 100.0), counted(20.0, 145.0), None);
        let told = told.map(|it| {
            (
                it.broker_messages_per_trip,
                it.database_statements_per_trip,
                it.fsyncs_per_trip,
            )
        });
        assert_eq!(told, Some((Some(0.0), Some(4.5), None)));
        assert_eq!(
            Exchange::of_rival(counted(1.0, 1.0), counted(1.0, 9.0), None),
            None
        );
    }
}
