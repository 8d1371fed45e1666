//! The leg's half of the protocol, held to its table: every state hears everything, and each cell is one line below.
#![expect(clippy::unwrap_used, reason = "tests")]

use choreography::{
    Currency, Fact, Itinerary, LegName, Moment, Money, Pace, Plan, Position, Price, Reason, Said,
    Speaker, TripId,
};
use jiff::Timestamp;
use leg::core::{
    Heard, Hold, KEPT_US, LATE_US, Reaction, Record, Shelf, State, Stock, Trade, details,
    positions, react, stock_wanted,
};
use serde::Deserialize;
use uuid::Uuid;

/// A trade in rooms: `{"leg":"hotel","rooms":2}`, or several of them by name: `{"leg":"hotel","take":["a","b"]}`.
struct Rooms;

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    rooms: Option<i64>,
    #[serde(default)]
    take: Vec<String>,
}

impl Trade for Rooms {
    fn needs(&self, details: &str, _now: Timestamp) -> Result<Vec<Hold>, Reason> {
        let Details { rooms, take } = details::read(details)?;
        let rooms = rooms.map(|quantity| hold("room", quantity));
        Ok(rooms
            .into_iter()
            .chain(take.iter().map(|key| hold(key, 1)))
            .collect())
    }
}

fn hold(key: &str, quantity: i64) -> Hold {
    Hold {
        key: vec![key.into()],
        quantity,
    }
}

fn stock(key: &str, free: i64, price_minor: i64, currency: &str) -> Stock {
    Stock {
        key: vec![key.into()],
        total: free,
        held: 0,
        confirmed: 0,
        free,
        price_minor,
        currency: currency.into(),
    }
}

fn hotel() -> LegName {
    "hotel".parse().unwrap()
}

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

fn now() -> Moment {
    Moment {
        now: "2026-11-22T12:00:00Z".parse().unwrap(),
        jitter: 0.5,
        pace: Pace::default(),
    }
}

fn later(seconds: i64) -> Moment {
    let now = now();
    Moment {
        now: choreography::instant(now.now_us() + seconds * 1_000_000),
        ..now
    }
}

fn reason(code: &str) -> Reason {
    Reason::new(code, "because")
}

/// A hotel between a flight and a car, asking for two rooms.
fn plan() -> Plan {
    plan_for(r#"{"leg":"hotel","rooms":2}"#, None)
}

fn plan_for(hotel: &str, budget: Option<Money>) -> Plan {
    let raw = format!(r#"[{{"leg":"flight"}},{hotel},{{"leg":"car"}}]"#);
    Plan {
        itinerary: Itinerary::parse(&raw).unwrap(),
        deadline: later(120).now,
        budget,
    }
}

fn trip() -> TripId {
    Uuid::from_u128(1).into()
}

fn fact(speaker: &str, plan: Plan, said: Said) -> Fact {
    let speaker = if speaker == "booking" {
        Speaker::Booking
    } else {
        Speaker::Leg(speaker.parse().unwrap())
    };
    Fact {
        speaker,
        trip: trip(),
        plan,
        said,
    }
}

fn turn(plan: Plan) -> Fact {
    fact(
        "flight",
        plan,
        Said::Reserved {
            position: 0,
            price: Price {
                price: eur(500),
                total: vec![eur(500)],
            },
        },
    )
}

fn apply(record: Record, fact: &Fact, shelf: &mut Shelf, moment: &Moment) -> Reaction {
    react(&hotel(), &Rooms, record, Heard::Fact(fact), shelf, moment)
}

/// A shelf with five rooms, one of them held by somebody else.
fn five() -> Shelf {
    Shelf::new([Stock {
        held: 1,
        total: 6,
        ..stock("room", 5, 1000, "EUR")
    }])
}

fn at_turn(plan: Plan, shelf: &mut Shelf) -> Reaction {
    apply(Record::none(trip(), 1), &turn(plan), shelf, &now())
}

/// A record in this state, and the shelf as it is then.
fn in_state(state: State) -> (Record, Shelf) {
    let mut shelf = five();
    let none = Record::none(trip(), 1);
    let held = apply(none.clone(), &turn(plan()), &mut shelf, &now()).record;
    match state {
        State::None => (none, five()),
        State::Held => (held, shelf),
        State::Confirmed => {
            let confirmed = apply(
                held,
                &fact("booking", plan(), Said::Confirmed),
                &mut shelf,
                &now(),
            )
            .record;
            (confirmed, shelf)
        }
        State::Released => {
            let cancelled = fact(
                "booking",
                plan(),
                Said::Cancelled {
                    reason: reason("first"),
                },
            );
            (apply(held, &cancelled, &mut shelf, &now()).record, shelf)
        }
        State::Rejected => {
            let mut empty = Shelf::new([stock("room", 1, 1000, "EUR")]);
            (at_turn(plan(), &mut empty).record, five())
        }
    }
}

/// held, confirmed, free of the rooms.
fn rooms(shelf: &Shelf) -> (i64, i64, i64) {
    let room = shelf.get(&["room".to_string()]).unwrap();
    assert_eq!(room.held + room.confirmed + room.free, room.total);
    (room.held, room.confirmed, room.free)
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
/// state after, what is said, the rooms (held, confirmed, free) after, and whether an alarm is raised.
#[test]
fn every_cell_of_the_table() {
    use State::{Confirmed, Held, None, Rejected, Released};
    let turn = turn(plan());
    let confirmed = fact("booking", plan(), Said::Confirmed);
    let cancelled = fact(
        "booking",
        plan(),
        Said::Cancelled {
            reason: reason("cancelled"),
        },
    );
    let refused = fact(
        "car",
        plan(),
        Said::Rejected {
            position: 2,
            reason: reason("sold-out"),
        },
    );
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
        let names: Vec<_> = reaction.said.iter().map(Said::name).collect();
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

/// Everything else that could be said, from everywhere, concerns this position in no state.
#[test]
fn what_is_not_for_this_position_changes_nothing() {
    let price = Price {
        price: eur(1),
        total: vec![eur(1)],
    };
    let facts = [
        fact("booking", plan(), Said::Requested),
        fact(
            "hotel",
            plan(),
            Said::Reserved {
                position: 1,
                price: price.clone(),
            },
        ),
        fact(
            "car",
            plan(),
            Said::Reserved {
                position: 2,
                price: price.clone(),
            },
        ),
        fact(
            "car",
            plan(),
            Said::Reserved {
                position: Position::MAX,
                price,
            },
        ),
        fact(
            "flight",
            plan(),
            Said::Rejected {
                position: 0,
                reason: reason("sold-out"),
            },
        ),
        fact(
            "hotel",
            plan(),
            Said::Rejected {
                position: 1,
                reason: reason("sold-out"),
            },
        ),
        fact(
            "flight",
            plan(),
            Said::Released {
                position: 0,
                reason: reason("late"),
            },
        ),
        fact(
            "booking",
            plan(),
            Said::Settled {
                position: 1,
                reason: reason("by-hand"),
            },
        ),
    ];
    for state in [
        State::None,
        State::Held,
        State::Confirmed,
        State::Released,
        State::Rejected,
    ] {
        for heard in &facts {
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
    assert_eq!(at(Said::Requested), [0]);
    assert_eq!(at(Said::Confirmed), [0, 2, 3]);
    assert_eq!(
        at(Said::Cancelled {
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
            Said::Reserved {
                position: 1,
                price: price()
            }
        ),
        [2]
    );
    assert_eq!(
        said(
            "hotel",
            Said::Reserved {
                position: 2,
                price: price()
            }
        ),
        [3]
    );
    assert_eq!(
        said(
            "hotel",
            Said::Rejected {
                position: 3,
                reason: reason("sold-out")
            }
        ),
        [0, 2]
    );
    assert_eq!(
        said(
            "hotel",
            Said::Rejected {
                position: 0,
                reason: reason("sold-out")
            }
        ),
        [] as [Position; 0]
    );
    let wanted = stock_wanted(
        &hotel(),
        &Rooms,
        &fact("booking", plan.clone(), Said::Requested),
        now().now,
    );
    assert_eq!(wanted, [["room".to_string()]]);
    assert!(
        stock_wanted(
            &hotel(),
            &Rooms,
            &fact("booking", plan, Said::Confirmed),
            now().now
        )
        .is_empty()
    );
}

/// The refusals at the turn, in the order in which they are looked for: each case would also fail every later check.
#[test]
fn a_turn_is_refused_for_the_first_reason_that_holds() {
    let budget = Some(eur(100));
    let cases = [
        (r#"{"leg":"hotel","rooms":"two"}"#, "unreadable-details"),
        (r#"{"leg":"hotel","rooms":-1}"#, "quantity"),
        (r#"{"leg":"hotel","rooms":0}"#, "quantity"),
        (r#"{"leg":"hotel"}"#, "quantity"),
        (
            r#"{"leg":"hotel","take":["dollars","nowhere"]}"#,
            "unknown-stock",
        ),
        (r#"{"leg":"hotel","take":["dollars","full"]}"#, "sold-out"),
        (
            r#"{"leg":"hotel","take":["dollars","dollars"]}"#,
            "sold-out",
        ),
        (r#"{"leg":"hotel","take":["dollars","room"]}"#, "currency"),
        (r#"{"leg":"hotel","take":["dollars"]}"#, "currency"),
        (r#"{"leg":"hotel","take":["shells"]}"#, "currency"),
        (r#"{"leg":"hotel","take":["palace"]}"#, "price"),
        (r#"{"leg":"hotel","rooms":1}"#, "budget"),
    ];
    for (details, code) in cases {
        let mut shelf = Shelf::new([
            stock("room", 5, 1000, "EUR"),
            stock("full", 0, 1, "EUR"),
            stock("dollars", 1, 1, "USD"),
            stock("shells", 1, 1, "cowrie"),
            stock("palace", 1, i64::MAX, "EUR"),
        ]);
        let before = shelf.clone();
        let reaction = at_turn(plan_for(details, budget), &mut shelf);
        let record = &reaction.record;
        assert_eq!(
            (record.state, record.reason_code.as_deref()),
            (State::Rejected, Some(code)),
            "{details}"
        );
        assert_eq!(
            reaction.said,
            [Said::Rejected {
                position: 1,
                reason: record.reason().unwrap()
            }]
        );
        assert_eq!(shelf, before, "{details}: nothing was taken");
    }
}

/// An hour past the deadline a hold is still taken; after that the answer is `released`, whatever else is wrong.
#[test]
fn far_too_late_is_released_and_not_rejected() {
    for details in [
        r#"{"leg":"hotel","rooms":1}"#,
        r#"{"leg":"hotel","rooms":"two"}"#,
    ] {
        let mut late = later(120);
        late.now = choreography::instant(late.now_us() + LATE_US);
        let fact = turn(plan_for(details, None));
        let reaction = apply(Record::none(trip(), 1), &fact, &mut five(), &late);
        assert_ne!(reaction.record.state, State::Released, "{details}");
        late.now = choreography::instant(late.now_us() + 1);
        let reaction = apply(Record::none(trip(), 1), &fact, &mut five(), &late);
        assert_eq!(
            reaction.said,
            [Said::Released {
                position: 1,
                reason: reaction.record.reason().unwrap()
            }]
        );
        assert_eq!(reaction.record.reason_code.as_deref(), Some("late"));
        assert_eq!(
            reaction.record.forget_us,
            Some(late.now_us() + KEPT_US),
            "its last change is later than its deadline"
        );
    }
}

#[test]
fn a_budget_is_met_exactly_and_not_exceeded() {
    let two_rooms = r#"{"leg":"hotel","rooms":2}"#;
    let state = |budget| at_turn(plan_for(two_rooms, Some(budget)), &mut five()).record;
    assert_eq!(
        state(eur(2500)).state,
        State::Held,
        "500 for the flight and 2 * 1000: equal passes"
    );
    assert_eq!(state(eur(2499)).reason_code.as_deref(), Some("budget"));
    assert_eq!(
        state(Money::new(2500, Currency::USD))
            .reason_code
            .as_deref(),
        Some("currency")
    );
    assert_eq!(
        state(Money::new(i64::MAX, Currency::USD))
            .reason_code
            .as_deref(),
        Some("currency")
    );
}

/// Goal: a price once said stays. Method: the stock's price and currency change after the hold, and the leg is asked again.
#[test]
fn the_price_is_recorded_at_the_hold_and_said_again_verbatim() {
    let first = at_turn(plan(), &mut five());
    let price = Price {
        price: eur(2000),
        total: vec![eur(2500)],
    };
    assert_eq!(
        first.said,
        [Said::Reserved {
            position: 1,
            price: price.clone()
        }]
    );
    let mut dearer = Shelf::new([stock("room", 3, 9999, "USD")]);
    let asked = fact(
        "flight",
        plan(),
        Said::Reserved {
            position: 0,
            price: Price {
                price: eur(1),
                total: vec![eur(1)],
            },
        },
    );
    let again = apply(first.record, &asked, &mut dearer, &later(1));
    assert_eq!(again.said, first.said);
    let due = react(
        &hotel(),
        &Rooms,
        again.record,
        Heard::Due { waiting: false },
        &mut dearer,
        &later(60),
    );
    assert_eq!(due.said, first.said);
    let confirmed = apply(
        due.record,
        &fact("booking", plan(), Said::Confirmed),
        &mut dearer,
        &later(61),
    );
    let asked = apply(confirmed.record, &asked, &mut dearer, &later(62));
    assert_eq!(asked.said, first.said);
}

#[test]
fn a_total_keeps_one_sum_per_currency() {
    let mut shelf = Shelf::new([stock("room", 5, 300, "CHF")]);
    let reaction = at_turn(plan(), &mut shelf);
    let total = vec![Money::new(600, Currency::CHF), eur(500)];
    let price = Price {
        price: Money::new(600, Currency::CHF),
        total,
    };
    assert_eq!(reaction.said, [Said::Reserved { position: 1, price }]);
}

/// Goal: trips of one batch share the stock in their order, and the database gets one delta a row.
#[test]
fn capacity_is_shared_in_order_and_saved_as_a_delta() {
    let mut shelf = five();
    let ask = |n: u128, shelf: &mut Shelf| {
        let fact = Fact {
            trip: Uuid::from_u128(n).into(),
            ..turn(plan())
        };
        apply(Record::none(fact.trip, 1), &fact, shelf, &now()).record
    };
    let (first, second, third) = (ask(1, &mut shelf), ask(2, &mut shelf), ask(3, &mut shelf));
    assert_eq!(
        [first.state, second.state, third.state],
        [State::Held, State::Held, State::Rejected],
        "2 + 2 of 5, then 2"
    );
    let cancelled = fact(
        "booking",
        plan(),
        Said::Cancelled {
            reason: reason("deadline"),
        },
    );
    let confirmed = fact("booking", plan(), Said::Confirmed);
    apply(second, &confirmed, &mut shelf, &now());
    let delta = |shelf: &Shelf| {
        shelf
            .deltas()
            .map(|(_, d)| (d.held, d.confirmed, d.free))
            .collect::<Vec<_>>()
    };
    assert_eq!(delta(&shelf), [(2, 2, -4)]);
    assert_eq!(rooms(&shelf), (3, 2, 1));
    let first = apply(first, &cancelled, &mut shelf, &now()).record;
    assert_eq!(
        ask(4, &mut shelf).state,
        State::Held,
        "what came back is there for the next"
    );
    assert_eq!(delta(&shelf), [(2, 2, -4)]);
    assert_eq!(
        first.holds(),
        [hold("room", 2)],
        "kept after the release, for the reader"
    );

    let mut not_in_view = Shelf::default();
    let (held, _) = in_state(State::Held);
    apply(held, &cancelled, &mut not_in_view, &now());
    assert_eq!(
        delta(&not_in_view),
        [(-2, 0, 2)],
        "giving back needs no row in view"
    );
}

/// One key named twice is one hold, and all or nothing is taken.
#[test]
fn a_leg_takes_all_that_it_needs_or_nothing() {
    let several = plan_for(r#"{"leg":"hotel","take":["b","a","b"]}"#, None);
    let mut shelf = Shelf::new([stock("a", 1, 100, "EUR"), stock("b", 2, 10, "EUR")]);
    let record = at_turn(several.clone(), &mut shelf).record;
    assert_eq!(record.holds(), [hold("a", 1), hold("b", 2)]);
    assert_eq!(record.price_minor, Some(120));
    let mut short = Shelf::new([stock("a", 1, 100, "EUR"), stock("b", 1, 10, "EUR")]);
    assert_eq!(
        at_turn(several, &mut short).record.reason_code.as_deref(),
        Some("sold-out")
    );
    assert_eq!(short.deltas().count(), 0);
}

/// Goal: a hold asks, at a growing pace, until it is answered; nothing else asks.
#[test]
fn only_a_hold_asks_again() {
    let due = |record: Record, waiting, moment: &Moment| {
        react(
            &hotel(),
            &Rooms,
            record,
            Heard::Due { waiting },
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
        asked.said.iter().map(Said::name).collect::<Vec<_>>(),
        ["reserved"]
    );
    assert_eq!(
        (asked.record.tries, asked.record.due_us),
        (1, Some(later(90).now_us()))
    );
    let moved = due(asked.record, true, &later(90));
    assert_eq!(
        (moved.said.len(), moved.record.tries, moved.record.due_us),
        (0, 1, Some(later(150).now_us()))
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

/// The row is all that a timer has: the plan comes back from it as it came in.
#[test]
fn a_record_keeps_the_plan_and_reads_as_a_flat_row() {
    let plan = plan_for(
        r#"{"leg":"hotel",  "rooms":1, "wish":"\u00fc 1.10"}"#,
        Some(eur(99_999)),
    );
    let record = at_turn(plan.clone(), &mut five()).record;
    assert_eq!(record.plan(), Some(plan));
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
