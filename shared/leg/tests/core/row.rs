//! The row between two facts: who asks again and when, and what a timer finds in it.

use super::*;

/// Goal: a hold asks, again and again, until it is answered; nothing else asks.
#[test]
fn only_a_hold_asks_again() {
    let due = |record: Record, waiting, moment: &Now| {
        react(
            &hotel(),
            &Rooms,
            record,
            Input::Due { waiting },
            &mut five(),
            moment,
        )
    };
    let (held, _) = in_state(State::Held);
    assert_eq!(held.due_us, Some(later(30).now_us()));
    let early = due(held.clone(), false, &later(29));
    assert_eq!(
        (early.record, early.said.len()),
        (held.clone(), 0),
        "moved since the timer was read"
    );
    let asked = due(held.clone(), false, &later(30));
    assert_eq!(
        asked.said.iter().map(FactBody::name).collect::<Vec<_>>(),
        ["reserved"]
    );
    assert_eq!(
        (asked.record.tries, asked.record.due_us),
        (1, Some(later(60).now_us()))
    );
    let moved = due(asked.record, true, &later(60));
    assert_eq!(
        (moved.said.len(), moved.record.tries, moved.record.due_us),
        (0, 1, Some(later(60).now_us() + 7_500_000)),
        "it looks again after a quarter of a pause"
    );
    let clock_went_back = due(held, false, &later(-3600));
    assert_eq!(
        clock_went_back.said.len(),
        1,
        "further off than any pause: it is due now"
    );
    for state in [
        State::None,
        State::Confirmed,
        State::Released,
        State::Rejected,
    ] {
        let (record, _) = in_state(state);
        let reaction = due(
            Record {
                due_us: Some(0),
                ..record.clone()
            },
            false,
            &later(60),
        );
        assert_eq!(
            (reaction.record, reaction.said.len(), reaction.anomaly),
            (record, 0, None)
        );
    }
}

/// A reason is for programs and for people: what is kept of it, and said again, is what was heard.
#[test]
fn a_reason_is_kept_and_said_whole() {
    let why = Reason::new("deadline", "not every leg had answered by the deadline");
    let cancelled = fact(
        "booking",
        plan(),
        FactBody::Cancelled {
            reason: why.clone(),
        },
    );
    let refused = fact(
        "car",
        plan(),
        FactBody::Rejected {
            position: 2,
            reason: why.clone(),
        },
    );
    let released = [FactBody::Released {
        position: 1,
        reason: why.clone(),
    }];
    for heard in [&cancelled, &refused] {
        for state in [State::None, State::Held] {
            let (before, mut shelf) = in_state(state);
            let first = apply(before, heard, &mut shelf, &later(1));
            assert_eq!(first.said, released);
            assert_eq!(first.record.reason().as_ref(), Some(&why));
            let again = apply(first.record, &turn(plan()), &mut shelf, &later(2));
            assert_eq!(again.said, released);
        }
    }
    let full = at_turn(plan(), &mut StockView::new([stock("room", 1, 1000, "EUR")]));
    assert_eq!(
        full.said,
        [FactBody::Rejected {
            position: 1,
            reason: Reason::new("sold-out", "room: 2 wanted, 1 left")
        }]
    );
}

#[test]
fn a_state_is_written_as_the_column_has_it() {
    use State::{Confirmed, Held, None, Rejected, Released};
    for state in [None, Held, Confirmed, Released, Rejected] {
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
}

/// The row is all that a timer has: the plan comes back from it as it came in.
#[test]
fn a_record_keeps_the_plan_and_reads_as_a_flat_row() {
    let plan = plan_for(
        r#"{"leg":"hotel",  "rooms":1, "wish":"\u00fc 1.10"}"#,
        Some(eur(99_999)),
    );
    let record = at_turn(plan.clone(), &mut five()).record;
    assert_eq!(record.plan().as_ref(), Some(&plan));
    let row = serde_json::to_value(&record).unwrap();
    assert!(
        row.as_object()
            .unwrap()
            .values()
            .all(|column| !column.is_object() && !column.is_array())
    );
    assert_eq!(
        (row["state"].as_str(), row["position"].as_i64()),
        (Some("held"), Some(1))
    );
    assert_eq!(serde_json::from_value::<Record>(row).unwrap(), record);
    let damaged = Record {
        price_minor: None,
        ..record
    };
    let reaction = apply(
        damaged,
        &turn(plan_for("{\"leg\":\"hotel\"}", None)),
        &mut five(),
        &now(),
    );
    assert_eq!(
        (reaction.said.len(), reaction.anomaly),
        (0, Some("unreadable-record"))
    );
}
