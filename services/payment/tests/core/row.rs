//! The row between two inputs: who asks again and when, and what a timer finds in it.

use super::*;

/// A hold asks, again and again, until it is answered, and so does who is unpaid; nobody else says anything by the clock.
#[test]
fn only_who_waits_asks_again() {
    let held = in_state(State::Held);
    assert_eq!(held.due_us, Some(later(31).now_us()));
    let early = due(held.clone(), &later(30));
    assert_eq!((words(&early).as_str(), &early.record), ("", &held));
    let asked = due(held.clone(), &later(31));
    assert_eq!(words(&asked), "reserved");
    assert_eq!(asked.record.due_us, Some(later(61).now_us()));
    let waiting = react(&payment(), held, Input::Due { waiting: true }, &later(31));
    assert_eq!(
        words(&waiting),
        "",
        "it looks again after a quarter of a pause"
    );
    assert_eq!(waiting.record.due_us, Some(later(31).now_us() + 7_500_000));
    let unpaid = due(in_state(State::Unpaid), &later(31));
    assert_eq!(
        words(&unpaid),
        "reserved",
        "booking may know that it is off"
    );
    for state in State::ALL {
        let record = in_state(state);
        let stale = Record {
            due_us: Some(0),
            ..record.clone()
        };
        if !matches!(state, State::Held | State::Unpaid) {
            let reaction = due(stale, &later(60));
            assert_eq!((words(&reaction).as_str(), reaction.anomaly), ("", None));
            assert_eq!(reaction.record, record, "{}", state.as_str());
        }
    }
}

/// The row is all that an answer has: the plan comes back from it as it came in.
#[test]
fn a_record_keeps_the_plan_and_reads_as_a_flat_row() {
    let own = r#"{"leg":"payment",  "method":"pm_card_visa", "wish":"\u00fc 1.10"}"#;
    let plan = plan_for(own, Some(eur(99_999)));
    let asked = turn_of(plan.clone(), vec![eur(700)]);
    let record = hear(in_state(State::None), &asked).record;
    assert_eq!(record.plan().as_ref(), Some(&plan));
    let row = serde_json::to_value(&record).unwrap();
    let flat = |column: &serde_json::Value| !column.is_object() && !column.is_array();
    assert!(row.as_object().unwrap().values().all(flat));
    assert_eq!(
        (row["state"].as_str(), row["asked"].as_str()),
        (Some("opening"), Some("open"))
    );
    assert_eq!(serde_json::from_value::<Record>(row).unwrap(), record);
    for state in State::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
}

/// A row that was damaged by hand says and asks nothing, and is counted.
#[test]
fn a_damaged_row_is_an_anomaly() {
    let damaged = Record {
        intent: None,
        ..in_state(State::Held)
    };
    let reaction = hear(damaged, &confirmed());
    assert_eq!(
        (words(&reaction).as_str(), reaction.anomaly),
        ("", Some("unreadable-record"))
    );
    let damaged = Record {
        currency: Some(String::from("?")),
        ..in_state(State::Held)
    };
    assert_eq!(hear(damaged, &turn()).anomaly, Some("unreadable-record"));
}

/// A trip that is off is to be looked at an hour after that became known, wherever it stands then.
#[test]
fn what_does_not_end_within_an_hour_needs_attention() {
    for state in [State::Opening, State::Authorising, State::Capturing] {
        let record = off(state);
        let hour = later(1 + 3_600).now_us();
        assert!(!record.needs_attention(hour - 1) && record.needs_attention(hour));
    }
    for state in [
        State::None,
        State::Held,
        State::Captured,
        State::Released,
        State::Rejected,
    ] {
        assert!(
            !in_state(state).needs_attention(i64::MAX),
            "{}",
            state.as_str()
        );
    }
    assert!(in_state(State::Unpaid).needs_attention(later(1).now_us()));
}
