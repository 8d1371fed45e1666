//! The row between two facts: who asks again and when, what is kept, and what an operator may do.

use super::*;

const HOUR_S: i64 = 3_600;
const WEEK_S: i64 = 604_800;

#[test]
fn a_request_is_said_and_kept_as_a_flat_row() {
    let reaction = request(trip(), &plan(), Some("Ada".into()), &moment(0));
    assert_eq!(names(&reaction), "requested");
    let record = reaction.record;
    assert_eq!(
        (record.state, record.due_us, record.created_us),
        (State::Pending, Some(us(30)), us(0))
    );
    assert_eq!(record.plan(), Some(plan()));
    let row = serde_json::to_value(&record).unwrap();
    assert!(
        row.as_object()
            .unwrap()
            .values()
            .all(|column| !column.is_object() && !column.is_array())
    );
    assert_eq!(
        (row["state"].as_str(), row["settled"].as_str()),
        (Some("pending"), Some("[null,null,null]"))
    );
    assert_eq!(serde_json::from_value::<Trip>(row).unwrap(), record);
    let hurried = Plan {
        deadline: moment(5).at,
        ..plan()
    };
    assert_eq!(
        request(trip(), &hurried, None, &moment(0)).record.due_us,
        Some(us(5)),
        "it looks up at its deadline"
    );
}

/// Lists are filtered and logs are read by the words that the columns have.
#[test]
fn a_state_and_an_outcome_are_written_as_the_column_has_them() {
    use Outcome::{Cancelled, Confirmed, Expired, Rejected};
    for state in [
        State::None,
        State::Pending,
        State::Confirmed,
        State::Undoing,
        State::Closed,
    ] {
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
    for outcome in [Confirmed, Rejected, Cancelled, Expired] {
        assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
    }
    let finals = [State::Confirmed, State::Closed];
    for state in [State::None, State::Pending, State::Undoing] {
        assert!(!in_state(state).is_final());
    }
    assert!(finals.into_iter().all(|state| in_state(state).is_final()));
}

/// A pending trip asks again and again, until its deadline.
#[test]
fn pending_asks_with_requested() {
    let pending = in_state(State::Pending);
    assert_eq!(
        due(pending.clone(), false, 29),
        Reaction {
            record: pending.clone(),
            said: vec![],
            anomaly: None,
            refused: None
        }
    );
    let asked = due(pending.clone(), false, 30);
    assert_eq!(
        (
            names(&asked).as_str(),
            asked.record.tries,
            asked.record.due_us
        ),
        ("requested", 1, Some(us(60)))
    );
    let moved = due(asked.record.clone(), true, 60);
    assert_eq!(
        moved.record.due_us,
        Some(us(60) + 7_500_000),
        "it looks again after a quarter of a pause"
    );
    let moved = due(asked.record, true, 115);
    assert_eq!(
        (
            names(&moved).as_str(),
            moved.record.tries,
            moved.record.due_us
        ),
        ("", 1, Some(us(120))),
        "the deadline"
    );
    let expired = due(moved.record, true, 120);
    assert_eq!(
        (names(&expired).as_str(), expired.record.state),
        ("cancelled", State::Undoing),
        "a decision does not wait"
    );
}

/// Who asked long for an answer and then turns back begins anew: the legs hear of the cancellation soon, and again soon.
#[test]
fn turning_back_begins_with_the_shortest_pause() {
    let asked = due(in_state(State::Pending), false, 30).record;
    assert_eq!(asked.tries, 1);
    let expired = due(asked.clone(), false, 120);
    for (turned, at) in [
        (cancel(asked.clone()), us(31)),
        (hear(asked.clone(), &rejected(2)), us(31)),
        // What the refuser said is lost or under way: it is asked soon.
        (hear(asked, &released(0, "late")), us(1) + 7_500_000),
        (expired, us(150)),
    ] {
        let turned = turned.record;
        assert_eq!(
            (turned.state, turned.tries, turned.due_us),
            (State::Undoing, 0, Some(at))
        );
    }
}

/// An undoing trip asks for ever, even where it never said cancelled before.
#[test]
fn undoing_asks_with_cancelled() {
    let undoing = hear(in_state(State::Pending), &rejected(2)).record;
    assert_eq!((undoing.due_us, undoing.tries), (Some(us(31)), 0));
    let asked = due(undoing, false, 31);
    let cancelled = FactBody::Cancelled {
        reason: reason("sold-out"),
    };
    assert_eq!(
        (asked.said, asked.record.due_us),
        (vec![cancelled], Some(us(61)))
    );
    let moved = due(asked.record.clone(), true, 61);
    assert_eq!(
        (names(&moved).as_str(), moved.record.due_us),
        ("", Some(us(61) + 7_500_000))
    );
    let answered = react(asked.record, Input::Fact(&released(1, "x")), &moment(50)).record;
    assert_eq!(answered.due_us, Some(us(80)), "an answer moves the timer");
    let echo = react(
        answered.clone(),
        Input::Fact(&released(1, "x")),
        &moment(55),
    )
    .record;
    assert_eq!(echo, answered, "what is no news does not");

    // A rejection is news, although all behind it was settled before.
    let last = hear(in_state(State::Undoing), &released(2, "x")).record;
    let middle = react(last, Input::Fact(&rejected(1)), &moment(80)).record;
    assert_eq!(
        (marks(&middle).as_str(), middle.due_us),
        ("-rl", Some(us(110)))
    );
    let echo = react(middle.clone(), Input::Fact(&rejected(1)), &moment(85)).record;
    assert_eq!(echo, middle);

    for state in [State::None, State::Confirmed, State::Closed] {
        let trip = in_state(state);
        let reaction = due(
            Trip {
                due_us: Some(0),
                ..trip.clone()
            },
            false,
            60,
        );
        assert_eq!(
            (reaction.record, reaction.said),
            (trip, vec![]),
            "{}",
            state.as_str()
        );
    }
}

#[test]
fn closed_trips_are_kept_a_week_and_confirmed_ones_for_ever() {
    assert_eq!(
        in_state(State::Closed).forget_us,
        Some(us(120 + WEEK_S)),
        "the deadline is later than the change"
    );
    let late = react(
        in_state(State::Undoing),
        Input::Fact(&rejected(0)),
        &moment(500),
    )
    .record;
    assert_eq!(late.forget_us, Some(us(500 + WEEK_S)));
    assert_eq!(in_state(State::Confirmed).forget_us, None);
}

/// Goal: an operator can end the wait for a leg that nobody answers for, and only that.
#[test]
fn a_position_is_settled_by_hand_while_undoing() {
    let by_hand = reason("by-hand");
    let settle = |trip, position| {
        react(
            trip,
            Input::Settle {
                position,
                reason: &by_hand,
            },
            &moment(1),
        )
    };
    for state in [State::None, State::Pending, State::Confirmed] {
        let trip = in_state(state);
        let reaction = settle(trip.clone(), 0);
        assert!(
            reaction.refused.is_some() && reaction.said.is_empty() && reaction.record == trip,
            "{}",
            state.as_str()
        );
    }
    let undoing = hear(in_state(State::Undoing), &rejected(2)).record;
    assert_eq!(undoing.waiting_for(), [0, 1]);
    assert_eq!(in_state(State::Pending).waiting_for(), [0, 1, 2]);
    for over in [State::None, State::Confirmed, State::Closed] {
        assert!(in_state(over).waiting_for().is_empty(), "{over:?}");
    }
    assert!(
        settle(undoing.clone(), 2).refused.is_some(),
        "it is settled already"
    );
    assert!(
        settle(undoing.clone(), 3).refused.is_some(),
        "there is no such position"
    );
    let first = settle(undoing, 1);
    assert_eq!(
        first.said,
        [FactBody::Settled {
            position: 1,
            reason: by_hand.clone()
        }]
    );
    assert_eq!(
        (marks(&first.record).as_str(), first.record.state),
        ("-hr", State::Undoing)
    );
    let last = settle(first.record, 0);
    assert_eq!(
        (
            names(&last).as_str(),
            marks(&last.record).as_str(),
            last.record.state
        ),
        ("settled", "hhr", State::Closed)
    );
    let beside = settle(last.record.clone(), 3);
    assert!(
        beside.refused.is_some() && beside.said.is_empty() && beside.record == last.record,
        "nor is there one when all is over"
    );
    let back = settle(last.record.clone(), 0);
    assert_eq!(
        (names(&back).as_str(), back.record),
        ("cancelled", last.record),
        "a leg that came back hears it now"
    );
}

#[test]
fn undoing_for_over_an_hour_needs_attention() {
    let undoing = in_state(State::Undoing);
    assert!(!undoing.needs_attention(us(1 + HOUR_S)));
    assert!(undoing.needs_attention(us(1 + HOUR_S) + 1));
    assert!(
        !in_state(State::Closed).needs_attention(i64::MAX)
            && !in_state(State::Pending).needs_attention(i64::MAX)
    );
}
