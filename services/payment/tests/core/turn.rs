//! Its turn has come: what is asked of the provider, and what is refused without asking.

use super::*;

fn at_turn(fact: &Fact, standing: Standing, moment: &Now) -> Reaction {
    let none = in_state(State::None);
    react(&payment(), none, Input::Fact(fact, standing), moment)
}

fn refusal(fact: &Fact, standing: Standing) -> String {
    let reaction = at_turn(fact, standing, &now());
    is_sound(&reaction, "refused at its turn");
    match reaction.said {
        Some(FactBody::Rejected { reason, .. }) => reason.code,
        other => panic!("{other:?}, {:?}", reaction.call),
    }
}

#[test]
fn it_asks_for_the_running_total() {
    let reaction = at_turn(&turn(), Standing::Up, &now());
    let call = reaction.call.unwrap();
    assert_eq!(call.purpose, Purpose::Open);
    assert_eq!(call.key, format!("{}-2-open", trip()));
    assert_eq!((call.amount_minor, call.currency.as_str()), (700, "EUR"));
    assert_eq!(
        (call.trip, call.position, call.intent),
        (trip(), MINE, None)
    );
    let held = in_state(State::Held).announcement();
    let Some(FactBody::Reserved { position, price }) = held else {
        panic!("{held:?}");
    };
    assert_eq!(position, MINE);
    assert_eq!(price.price, eur(0), "it costs nothing itself");
    assert_eq!(price.total, [eur(700)], "and adds nothing");
}

#[test]
fn what_cannot_be_paid_is_refused_without_asking() {
    let total = |total| turn_of(plan(), total);
    let own = |own: &str| turn_of(plan_for(own, None), vec![eur(700)]);
    let yen = Money::new(1, Currency::JPY);
    let in_yen = turn_of(
        plan_for(r#"{"leg":"payment","method":"pm_card_visa"}"#, Some(yen)),
        vec![eur(700)],
    );
    for (fact, code) in [
        (total(vec![]), "nothing-to-pay"),
        (total(vec![eur(0)]), "nothing-to-pay"),
        (total(vec![eur(-5)]), "nothing-to-pay"),
        (total(vec![eur(700), yen]), "currency"),
        (in_yen, "currency"),
        (own(r#"{"leg":"payment"}"#), "unreadable-details"),
        (own(r#"{"leg":"payment","method":7}"#), "unreadable-details"),
        (
            own(r#"{"leg":"payment","method":"pm_a b"}"#),
            "unreadable-details",
        ),
        (
            own(r#"{"leg":"payment","method":"4242424242424242"}"#),
            "unreadable-details",
        ),
        (
            own(r#"{"leg":"payment","method":"pm_x"},{"leg":"car"}"#),
            "not-last",
        ),
    ] {
        assert_eq!(refusal(&fact, Standing::Up), code);
    }
    assert_eq!(refusal(&turn(), Standing::Down), "payment-unavailable");
    let budget = plan_for(
        r#"{"leg":"payment","method":"pm_card_visa"}"#,
        Some(eur(700)),
    );
    let within = turn_of(budget, vec![eur(700)]);
    assert_eq!(words(&at_turn(&within, Standing::Up, &now())), "open");
    let beyond = turn_of(within.plan, vec![eur(701)]);
    assert_eq!(refusal(&beyond, Standing::Up), "budget");
}

/// Whoever is first has nothing to pay for.
#[test]
fn a_payment_alone_has_nothing_to_pay() {
    let raw = r#"[{"leg":"payment","method":"pm_card_visa"}]"#;
    let plan = Plan {
        itinerary: Itinerary::parse(raw).unwrap(),
        ..plan()
    };
    let asked = fact("booking", plan, FactBody::Requested);
    let none = Record::none(trip(), 0);
    let reaction = react(&payment(), none, Input::Fact(&asked, Standing::Up), &now());
    let reason = reaction.record.reason().unwrap();
    assert_eq!(
        (words(&reaction).as_str(), reason.code.as_str()),
        ("rejected", "nothing-to-pay")
    );
}

/// More than an hour behind the deadline nothing is asked for any more, whatever a forgotten record was. It is no lapse: a late `confirmed`
/// makes nothing of it.
#[test]
fn far_too_late_is_released() {
    let late = at_turn(&turn(), Standing::Up, &later(120 + 3_601));
    assert_eq!(words(&late), "released");
    assert_eq!(late.record.reason().unwrap().code, "late");
    let after = hear(late.record.clone(), &confirmed());
    assert_eq!(after.record, late.record);
    let in_time = at_turn(&turn(), Standing::Up, &later(120 + 3_600));
    assert_eq!(words(&in_time), "open");
}

/// Nothing that is under way cares whether the provider is known to be down.
#[test]
fn a_provider_that_is_down_stops_new_payments_only() {
    for state in State::ALL.into_iter().filter(|state| *state != State::None) {
        for heard in [&turn(), &confirmed(), &cancelled()] {
            let up = react(
                &payment(),
                in_state(state),
                Input::Fact(heard, Standing::Up),
                &later(1),
            );
            let down = react(
                &payment(),
                in_state(state),
                Input::Fact(heard, Standing::Down),
                &later(1),
            );
            assert_eq!(up, down);
        }
    }
}
