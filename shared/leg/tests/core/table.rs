//! Every cell of the table, and what concerns a position at all.

use super::*;

fn cancelled() -> Fact {
    let reason = reason("cancelled");
    fact("booking", plan(), FactBody::Cancelled { reason })
}

/// By the car, which comes later.
fn refused() -> Fact {
    let (position, reason) = (2, reason("sold-out"));
    fact("car", plan(), FactBody::Rejected { position, reason })
}

/// Goal: every cell of the protocol's table, and that facts climb in each. Method: one line a cell: the state, what is heard, the
/// state after, what is said, the rooms (held, confirmed, free) after, and whether an alarm is raised.
#[test]
fn every_cell_of_the_table() {
    use State::{Confirmed, Held, None, Rejected, Released};
    let turn = turn(plan());
    let confirmed = fact("booking", plan(), FactBody::Confirmed);
    let (cancelled, refused) = (cancelled(), refused());
    let quiet = Option::<&str>::None;
    #[rustfmt::skip]
    let cells = [
        (None,      &turn,      Held,      "reserved", (3, 0, 3), quiet),
        (None,      &confirmed, None,      "",         (1, 0, 5), Some("confirmed-without-a-hold")),
        (None,      &cancelled, Released,  "released", (1, 0, 5), quiet),
        (None,      &refused,   Released,  "released", (1, 0, 5), quiet),
        (Held,      &turn,      Held,      "reserved", (3, 0, 3), quiet),
        (Held,      &confirmed, Confirmed, "",         (1, 2, 3), quiet),
        (Held,      &cancelled, Released,  "released", (1, 0, 5), quiet),
        (Held,      &refused,   Released,  "released", (1, 0, 5), quiet),
        (Confirmed, &turn,      Confirmed, "reserved", (1, 2, 3), quiet),
        (Confirmed, &confirmed, Confirmed, "",         (1, 2, 3), quiet),
        (Confirmed, &cancelled, Released,  "released", (1, 0, 5), quiet),
        (Confirmed, &refused,   Confirmed, "",         (1, 2, 3), Some("rejected-behind-a-confirmed-leg")),
        (Released,  &turn,      Released,  "released", (1, 0, 5), quiet),
        (Released,  &confirmed, Released,  "",         (1, 0, 5), quiet),
        (Released,  &cancelled, Released,  "released", (1, 0, 5), quiet),
        (Released,  &refused,   Released,  "",         (1, 0, 5), quiet),
        (Rejected,  &turn,      Rejected,  "rejected", (1, 0, 5), quiet),
        (Rejected,  &confirmed, Rejected,  "",         (1, 0, 5), Some("confirmed-without-a-hold")),
        (Rejected,  &cancelled, Rejected,  "rejected", (1, 0, 5), quiet),
        (Rejected,  &refused,   Rejected,  "",         (1, 0, 5), quiet),
    ];
    for (state, heard, after, said, stock, anomaly) in cells {
        let cell = format!("{} hears {}", state.as_str(), heard.said.name());
        let (before, mut shelf) = in_state(state);
        let reaction = apply(before.clone(), heard, &mut shelf, &later(1));
        assert_eq!(reaction.record.state, after, "{cell}");
        let names: Vec<_> = reaction.said.iter().map(FactBody::name).collect();
        assert_eq!(names.join(","), said, "{cell}");
        assert_eq!(rooms(&shelf), stock, "{cell}");
        assert_eq!(reaction.anomaly, anomaly, "{cell}");
        assert!(
            reaction
                .said
                .iter()
                .all(|said| height(said) > height(&heard.said)),
            "{cell}: facts climb"
        );
        if after == state {
            assert_eq!(reaction.record, before, "{cell}: the record is as it was");
        }
        assert_eq!(
            reaction.record.due_us.is_some(),
            after == Held,
            "{cell}: only a hold waits"
        );
        let forgettable = matches!(after, Released | Rejected);
        assert_eq!(
            reaction.record.forget_us.is_some(),
            forgettable,
            "{cell}: only what is over is forgotten"
        );
    }
}

/// What is said by or to somebody else.
fn elsewhere() -> Vec<Fact> {
    let price = Price {
        price: eur(1),
        total: vec![eur(1)],
    };
    vec![
        fact("booking", plan(), FactBody::Requested),
        fact(
            "hotel",
            plan(),
            FactBody::Reserved {
                position: 1,
                price: price.clone(),
            },
        ),
        fact(
            "car",
            plan(),
            FactBody::Reserved {
                position: 2,
                price: price.clone(),
            },
        ),
        fact(
            "car",
            plan(),
            FactBody::Reserved {
                position: Position::MAX,
                price,
            },
        ),
        fact(
            "flight",
            plan(),
            FactBody::Rejected {
                position: 0,
                reason: reason("sold-out"),
            },
        ),
        fact(
            "hotel",
            plan(),
            FactBody::Rejected {
                position: 1,
                reason: reason("sold-out"),
            },
        ),
        fact(
            "flight",
            plan(),
            FactBody::Released {
                position: 0,
                reason: reason("late"),
            },
        ),
        fact(
            "booking",
            plan(),
            FactBody::Settled {
                position: 1,
                reason: reason("by-hand"),
            },
        ),
    ]
}

/// Everything else that could be said, from everywhere, concerns this position in no state.
#[test]
fn what_is_not_for_this_position_changes_nothing() {
    for state in [
        State::None,
        State::Held,
        State::Confirmed,
        State::Released,
        State::Rejected,
    ] {
        for heard in &elsewhere() {
            assert_eq!(positions(&hotel(), heard), [] as [Position; 0]);
            let (before, mut shelf) = in_state(state);
            let reaction = apply(before.clone(), heard, &mut shelf, &now());
            assert_eq!(
                (reaction.record, reaction.said, reaction.anomaly),
                (before, vec![], None)
            );
        }
    }
    let elsewhere = Record::none(trip(), 2);
    assert_eq!(
        apply(elsewhere, &turn(plan()), &mut five(), &now()).anomaly,
        Some("not-mine")
    );
}

/// A service that owns several positions judges each for itself, and hears its own rejection at the earlier one.
#[test]
fn a_leg_is_a_position() {
    let raw = r#"[{"leg":"hotel","rooms":1},{"leg":"flight"},{"leg":"hotel","rooms":2},{"leg":"hotel","rooms":9}]"#;
    let plan = Plan {
        itinerary: Itinerary::parse(raw).unwrap(),
        ..plan()
    };
    let at = |said| positions(&hotel(), &fact("booking", plan.clone(), said));
    assert_eq!(at(FactBody::Requested), [0]);
    assert_eq!(at(FactBody::Confirmed), [0, 2, 3]);
    assert_eq!(
        at(FactBody::Cancelled {
            reason: reason("deadline")
        }),
        [0, 2, 3]
    );
    let said = |leg, said| positions(&hotel(), &fact(leg, plan.clone(), said));
    let price = || Price {
        price: eur(1),
        total: vec![eur(1)],
    };
    assert_eq!(
        said(
            "flight",
            FactBody::Reserved {
                position: 1,
                price: price()
            }
        ),
        [2]
    );
    assert_eq!(
        said(
            "hotel",
            FactBody::Reserved {
                position: 2,
                price: price()
            }
        ),
        [3]
    );
    assert_eq!(
        said(
            "hotel",
            FactBody::Rejected {
                position: 3,
                reason: reason("sold-out")
            }
        ),
        [0, 2]
    );
    assert_eq!(
        said(
            "hotel",
            FactBody::Rejected {
                position: 0,
                reason: reason("sold-out")
            }
        ),
        [] as [Position; 0]
    );
}
