//! The turn: what is refused and why, what it costs, and what it takes from the shelf.

use super::*;

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
        let mut shelf = StockView::new([
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
            [FactBody::Rejected {
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
        late.at = choreography::instant(late.now_us() + 3_600_000_000);
        let fact = turn(plan_for(details, None));
        let reaction = apply(Record::none(trip(), 1), &fact, &mut five(), &late);
        assert_ne!(reaction.record.state, State::Released, "{details}");
        late.at = choreography::instant(late.now_us() + 1);
        let reaction = apply(Record::none(trip(), 1), &fact, &mut five(), &late);
        assert_eq!(
            reaction.said,
            [FactBody::Released {
                position: 1,
                reason: reaction.record.reason().unwrap()
            }]
        );
        assert_eq!(reaction.record.reason_code.as_deref(), Some("late"));
        assert_eq!(
            reaction.record.forget_us,
            Some(late.now_us() + 604_800_000_000),
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
        [FactBody::Reserved {
            position: 1,
            price: price.clone()
        }]
    );
    let mut dearer = StockView::new([stock("room", 3, 9999, "USD")]);
    let asked = fact(
        "flight",
        plan(),
        FactBody::Reserved {
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
        Input::Due { waiting: false },
        &mut dearer,
        &later(60),
    );
    assert_eq!(due.said, first.said);
    let confirmed = apply(
        due.record,
        &fact("booking", plan(), FactBody::Confirmed),
        &mut dearer,
        &later(61),
    );
    let asked = apply(confirmed.record, &asked, &mut dearer, &later(62));
    assert_eq!(asked.said, first.said);
}

#[test]
fn a_total_keeps_one_sum_per_currency() {
    let mut shelf = StockView::new([stock("room", 5, 300, "CHF")]);
    let reaction = at_turn(plan(), &mut shelf);
    let total = vec![Money::new(600, Currency::CHF), eur(500)];
    let price = Price {
        price: Money::new(600, Currency::CHF),
        total,
    };
    assert_eq!(reaction.said, [FactBody::Reserved { position: 1, price }]);
}

/// Goal: trips of one batch share the stock in their order, and the database gets one delta a row.
#[test]
fn capacity_is_shared_in_order_and_saved_as_a_delta() {
    let mut shelf = five();
    let ask = |n: u128, shelf: &mut StockView| {
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
        FactBody::Cancelled {
            reason: reason("deadline"),
        },
    );
    let confirmed = fact("booking", plan(), FactBody::Confirmed);
    apply(second, &confirmed, &mut shelf, &now());
    let delta = |shelf: &StockView| {
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

    let mut not_in_view = StockView::default();
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
    let mut shelf = StockView::new([stock("a", 1, 100, "EUR"), stock("b", 2, 10, "EUR")]);
    let record = at_turn(several.clone(), &mut shelf).record;
    assert_eq!(record.holds(), [hold("a", 1), hold("b", 2)]);
    assert_eq!(record.price_minor, Some(120));
    let mut short = StockView::new([stock("a", 1, 100, "EUR"), stock("b", 1, 10, "EUR")]);
    assert_eq!(
        at_turn(several, &mut short).record.reason_code.as_deref(),
        Some("sold-out")
    );
    assert_eq!(short.deltas().count(), 0);
}
