//! What is said for one trip: messages, round trips, waits for the disk. Of each protocol as it is counted there; what nobody counts is null.

use serde::Serialize;

use super::cost::Cost;
use super::distribution::round;
use super::rival::Counted;

/// What a trip takes of the network and of the disk.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exchange {
    /// Of the saga: facts published and facts delivered, without their acknowledgements. Of two-phase commit: messages to databases, and
    /// their answers. The caller's own request is in neither.
    pub messages_per_trip: Option<f64>,
    /// Round trips to databases; null of the saga, whose services do not count them.
    pub round_trips_per_trip: Option<f64>,
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
            messages_per_trip: Some(round(out + heard)),
            round_trips_per_trip: None,
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
        let round_trips = (after.round_trips - before.round_trips) / trips;
        Some(Self {
            messages_per_trip: Some(round(2.0 * round_trips)),
            round_trips_per_trip: Some(round(round_trips)),
            commits_per_trip: None,
            fsyncs_per_trip: cost.and_then(fsyncs),
        })
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
    fn a_round_trip_is_two_messages_and_what_is_not_counted_is_null() {
        let counted = |trips, round_trips| Counted { trips, round_trips };
        let told = Exchange::of_rival(counted(10.0, 100.0), counted(20.0, 145.0), None);
        let told = told.map(|it| {
            (
                it.messages_per_trip,
                it.round_trips_per_trip,
                it.fsyncs_per_trip,
            )
        });
        assert_eq!(told, Some((Some(9.0), Some(4.5), None)));
        assert_eq!(
            Exchange::of_rival(counted(1.0, 1.0), counted(1.0, 9.0), None),
            None
        );
    }
}
