//! Every cell of the table, and the outcome that is decided on the way.

use super::*;

/// Goal: every cell of the protocol's table, and that facts climb in each. Method: one line a cell: the state, what is heard, the
/// state after, what is said, what is back (r: rejected, l: released, b: behind, -: not), and whether an alarm is raised.
#[test]
fn every_cell_of_the_table() {
    use State::{Closed, Confirmed, None, Pending, Undoing};
    let quiet = Option::<&str>::None;
    let (unknown, other) = (Some("unknown-trip"), Some("not-for-booking"));
    #[rustfmt::skip]
    let cells = [
        (None,      reserved(2),          None,      "",          "",    unknown),
        (None,      rejected(0),          None,      "",          "",    unknown),
        (None,      released(0, "late"),  None,      "",          "",    unknown),
        (Pending,   reserved(2),          Confirmed, "confirmed", "---", quiet),
        (Pending,   rejected(0),          Closed,    "",          "rbb", quiet),
        (Pending,   rejected(1),          Undoing,   "",          "-rb", quiet),
        (Pending,   rejected(2),          Undoing,   "",          "--r", quiet),
        (Pending,   released(1, "late"),  Undoing,   "",          "-l-", quiet),
        (Confirmed, reserved(2),          Confirmed, "confirmed", "---", quiet),
        (Confirmed, rejected(1),          Confirmed, "",          "---", Some("rejected-after-the-pivot")),
        (Confirmed, released(1, "late"),  Confirmed, "",          "---", Some("released-after-the-pivot")),
        (Undoing,   reserved(2),          Undoing,   "cancelled", "---", quiet),
        (Undoing,   rejected(0),          Closed,    "",          "rbb", quiet),
        (Undoing,   rejected(1),          Undoing,   "",          "-rb", quiet),
        (Undoing,   released(0, "x"),     Undoing,   "",          "l--", quiet),
        (Closed,    reserved(2),          Closed,    "cancelled", "rbb", quiet),
        (Closed,    rejected(1),          Closed,    "",          "rbb", quiet),
        (Closed,    released(1, "x"),     Closed,    "",          "rbb", quiet),
        // What is addressed to somebody else concerns booking in no state.
        (Pending,   reserved(0),          Pending,   "",          "---", other),
        (Undoing,   reserved(1),          Undoing,   "",          "---", other),
        (Pending,   fact(FactBody::Requested),                                 Pending,   "", "---", other),
        (Confirmed, fact(FactBody::Confirmed),                                 Confirmed, "", "---", other),
        (Closed,    fact(FactBody::Cancelled { reason: reason("deadline") }),  Closed,    "", "rbb", other),
    ];
    for (state, heard, after, said, back, anomaly) in cells {
        let cell = format!("{} hears {:?}", state.as_str(), heard.said);
        let before = in_state(state);
        let reaction = hear(before.clone(), &heard);
        assert_eq!(reaction.record.state, after, "{cell}");
        assert_eq!(names(&reaction), said, "{cell}");
        assert_eq!(marks(&reaction.record), back, "{cell}");
        assert_eq!(
            (reaction.anomaly, reaction.refused),
            (anomaly, quiet),
            "{cell}"
        );
        assert!(
            reaction
                .said
                .iter()
                .all(|said| height(said) > height(&heard.said)),
            "{cell}: facts climb"
        );
        if after == state && back == marks(&before) {
            assert_eq!(reaction.record, before, "{cell}: the trip is as it was");
        }
        let waits = matches!(after, Pending | Undoing);
        assert_eq!(
            reaction.record.due_us.is_some(),
            waits,
            "{cell}: only who waits has a timer"
        );
        assert_eq!(
            reaction.record.forget_us.is_some(),
            after == Closed,
            "{cell}: only what is over is forgotten"
        );
    }
}

/// The outcome is set at the pivot, and again when the trip turns back.
#[test]
fn the_outcome_says_what_turned_the_trip() {
    let told = |trip: &Trip| {
        (
            trip.outcome.map(Outcome::as_str),
            trip.reason().map(|Reason { code, message }| {
                assert!(!message.is_empty(), "{code}: the words for people are lost");
                code
            }),
        )
    };
    let pending = || in_state(State::Pending);
    assert_eq!(told(&pending()), (None, None));
    let confirmed = in_state(State::Confirmed);
    assert_eq!(
        (told(&confirmed), confirmed.total()),
        (
            (Some("confirmed"), None),
            vec![Money::new(4_000, Currency::EUR)]
        )
    );
    let cases = [
        (hear(pending(), &rejected(1)), "rejected", "sold-out"),
        (
            hear(pending(), &released(0, "sold-out")),
            "rejected",
            "sold-out",
        ),
        (hear(pending(), &released(0, "late")), "expired", "late"),
        (due(pending(), false, 120), "expired", "deadline"),
        (cancel(pending()), "cancelled", "cancelled-by-traveller"),
        (cancel(confirmed), "cancelled", "cancelled-by-traveller"),
    ];
    for (reaction, outcome, code) in cases {
        let turned = reaction.record;
        assert_eq!(told(&turned), (Some(outcome), Some(code.into())));
        assert_eq!(
            (turned.state, turned.undoing_since_us),
            (State::Undoing, Some(turned.changed_us))
        );
        let later = hear(cancel(turned).record, &rejected(0)).record;
        assert_eq!(
            (later.state, told(&later)),
            (State::Closed, (Some(outcome), Some(code.into()))),
            "it stays"
        );
    }
}

/// A reason is for programs and for people, and both are said for as long as the trip is on its way back.
#[test]
fn a_reason_is_kept_and_said_whole() {
    let why = Reason::new("sold-out", "no double room is left on 2026-12-02");
    let refused = |position, reason: &Reason| {
        let reason = reason.clone();
        fact(FactBody::Rejected { position, reason })
    };
    let released = fact(FactBody::Released {
        position: 1,
        reason: why.clone(),
    });
    let by_traveller = react(
        in_state(State::Confirmed),
        Input::Cancel { reason: &why },
        &moment(1),
    );
    for turned in [
        hear(in_state(State::Pending), &refused(2, &why)),
        hear(in_state(State::Pending), &released),
        by_traveller,
    ] {
        let turned = turned.record;
        assert_eq!(turned.reason().as_ref(), Some(&why));
        let asked = due(turned, false, 31);
        let reason = why.clone();
        assert_eq!(asked.said, [FactBody::Cancelled { reason }]);
        // What else goes wrong on the way does not change why.
        let later = hear(asked.record, &refused(0, &reason_of_another())).record;
        assert_eq!(later.reason().as_ref(), Some(&why));
    }
}

fn reason_of_another() -> Reason {
    Reason::new("budget", "too dear")
}

#[test]
fn a_cancellation_says_cancelled_once_and_is_never_refused() {
    for (state, said) in [
        (State::Pending, "cancelled"),
        (State::Confirmed, "cancelled"),
        (State::Undoing, ""),
        (State::Closed, ""),
    ] {
        let reaction = cancel(in_state(state));
        assert_eq!(
            (names(&reaction).as_str(), reaction.refused),
            (said, None),
            "{}",
            state.as_str()
        );
    }
    assert!(cancel(in_state(State::None)).refused.is_some());
}
