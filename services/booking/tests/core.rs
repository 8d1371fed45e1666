//! Booking's half of the protocol, held to its table: every state hears everything, and each cell is one line below.
#![expect(clippy::unwrap_used, reason = "tests")]

use booking::core::{
    ATTENTION_US, Heard, KEPT_US, Outcome, Reaction, Settled, State, Trip, react, request,
};
use choreography::{
    Currency, Fact, Itinerary, Moment, Money, Pace, Plan, Position, Price, Reason, Said, Speaker,
    TripId, instant,
};
use uuid::Uuid;

fn moment(seconds: i64) -> Moment {
    Moment {
        now: instant((1_800_000_000 + seconds) * 1_000_000),
        jitter: 0.5,
        pace: Pace::default(),
    }
}

fn us(seconds: i64) -> i64 {
    moment(seconds).now_us()
}

fn reason(code: &str) -> Reason {
    Reason::new(code, "because")
}

/// Three legs, two minutes, and a budget.
fn plan() -> Plan {
    let itinerary =
        Itinerary::parse(r#"[{"leg":"flight"}, {"leg":"hotel"},{"leg":"flight"}]"#).unwrap();
    Plan {
        itinerary,
        deadline: moment(120).now,
        budget: Some(Money::new(5_000, Currency::EUR)),
    }
}

fn trip() -> TripId {
    Uuid::from_u128(1).into()
}

fn fact(said: Said) -> Fact {
    let name = |position: Position| plan().itinerary.name_at(position).unwrap().clone();
    let speaker = match said {
        Said::Reserved { position, .. }
        | Said::Rejected { position, .. }
        | Said::Released { position, .. } => Speaker::Leg(name(position)),
        _ => Speaker::Booking,
    };
    Fact {
        speaker,
        trip: trip(),
        plan: plan(),
        said,
    }
}

fn reserved(position: Position) -> Fact {
    let total = vec![Money::new(4_000, Currency::EUR)];
    fact(Said::Reserved {
        position,
        price: Price {
            price: Money::new(1_000, Currency::EUR),
            total,
        },
    })
}

fn rejected(position: Position) -> Fact {
    fact(Said::Rejected {
        position,
        reason: reason("sold-out"),
    })
}

fn released(position: Position, code: &str) -> Fact {
    fact(Said::Released {
        position,
        reason: reason(code),
    })
}

fn hear(trip: Trip, fact: &Fact) -> Reaction {
    react(trip, Heard::Fact(fact), &moment(1))
}

fn cancel(trip: Trip) -> Reaction {
    react(
        trip,
        Heard::Cancel {
            reason: &reason("cancelled-by-traveller"),
        },
        &moment(1),
    )
}

fn due(trip: Trip, waiting: bool, seconds: i64) -> Reaction {
    react(trip, Heard::Due { waiting }, &moment(seconds))
}

/// A trip in this state; `undoing` because the traveller cancelled, with nothing back yet.
fn in_state(state: State) -> Trip {
    let pending = request(trip(), &plan(), Some("Ada".into()), &moment(0)).record;
    match state {
        State::None => Trip::none(trip()),
        State::Pending => pending,
        State::Confirmed => hear(pending, &reserved(2)).record,
        State::Undoing => cancel(pending).record,
        State::Closed => hear(cancel(pending).record, &rejected(0)).record,
    }
}

fn names(reaction: &Reaction) -> String {
    reaction
        .said
        .iter()
        .map(Said::name)
        .collect::<Vec<_>>()
        .join(",")
}

/// Rule 7's order.
fn height(said: &Said) -> u32 {
    match said {
        Said::Requested => 0,
        Said::Reserved { position, .. } => 1 + u32::from(*position),
        Said::Confirmed | Said::Cancelled { .. } | Said::Settled { .. } => 100,
        Said::Rejected { .. } => 200,
        Said::Released { .. } => 300,
    }
}

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
        (Pending,   fact(Said::Requested),                                 Pending,   "", "---", other),
        (Confirmed, fact(Said::Confirmed),                                 Confirmed, "", "---", other),
        (Closed,    fact(Said::Cancelled { reason: reason("deadline") }),  Closed,    "", "rbb", other),
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

fn marks(trip: &Trip) -> String {
    let mark = |how: &Option<Settled>| match how {
        None => '-',
        Some(Settled::Rejected) => 'r',
        Some(Settled::Released) => 'l',
        Some(Settled::Behind) => 'b',
        Some(Settled::ByHand) => 'h',
    };
    trip.settled().iter().map(mark).collect()
}

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
    assert_eq!(record.fact(Said::Requested), Some(fact(Said::Requested)));
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
        deadline: moment(5).now,
        ..plan()
    };
    assert_eq!(
        request(trip(), &hurried, None, &moment(0)).record.due_us,
        Some(us(5)),
        "it looks up at its deadline"
    );
}

/// The outcome is decided once, when the trip turns, and stays.
#[test]
fn the_outcome_says_what_turned_the_trip() {
    let told = |trip: &Trip| {
        (
            trip.outcome.map(Outcome::as_str),
            trip.reason().map(|reason| reason.code),
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

/// Goal: who waits, re-announces, at a growing pace; pending says requested until its deadline, undoing says cancelled for ever,
/// even where it never did.
#[test]
fn who_waits_asks_again() {
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
        ("requested", 1, Some(us(90)))
    );
    let moved = due(asked.record, true, 90);
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

    let undoing = hear(pending, &rejected(2)).record;
    assert_eq!((undoing.due_us, undoing.tries), (Some(us(31)), 0));
    let asked = due(undoing, false, 31);
    let cancelled = Said::Cancelled {
        reason: reason("sold-out"),
    };
    assert_eq!(
        (asked.said, asked.record.due_us),
        (vec![cancelled], Some(us(91)))
    );
    let moved = due(asked.record.clone(), true, 91);
    assert_eq!(
        (names(&moved).as_str(), moved.record.due_us),
        ("", Some(us(151)))
    );
    let answered = react(asked.record, Heard::Fact(&released(1, "x")), &moment(80)).record;
    assert_eq!(answered.due_us, Some(us(140)), "an answer moves the timer");
    let echo = react(
        answered.clone(),
        Heard::Fact(&released(1, "x")),
        &moment(85),
    )
    .record;
    assert_eq!(echo, answered, "what is no news does not");

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
        Some(us(120) + KEPT_US),
        "the deadline is later than the change"
    );
    let late = react(
        in_state(State::Undoing),
        Heard::Fact(&rejected(0)),
        &moment(500),
    )
    .record;
    assert_eq!(late.forget_us, Some(us(500) + KEPT_US));
    assert_eq!(in_state(State::Confirmed).forget_us, None);
}

/// Goal: an operator can end the wait for a leg that nobody answers for, and only that.
#[test]
fn a_position_is_settled_by_hand_while_undoing() {
    let by_hand = reason("by-hand");
    let settle = |trip, position| {
        react(
            trip,
            Heard::Settle {
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
        [Said::Settled {
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
    assert!(!undoing.needs_attention(us(1) + ATTENTION_US));
    assert!(undoing.needs_attention(us(1) + ATTENTION_US + 1));
    assert!(
        !in_state(State::Closed).needs_attention(i64::MAX)
            && !in_state(State::Pending).needs_attention(i64::MAX)
    );
}
