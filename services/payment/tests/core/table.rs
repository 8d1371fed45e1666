//! Every cell of the table for facts, and what concerns a position at all.

use super::*;

/// By a leg behind it: there is none on an itinerary that it accepts, but nobody checks that for us.
fn refused_behind() -> Fact {
    let (position, reason) = (MINE + 1, reason("sold-out"));
    fact("car", plan(), FactBody::Rejected { position, reason })
}

/// The state, what is heard, the state after, what is said and asked, and whether an alarm is raised.
type Cell<'a> = (State, &'a Fact, State, &'static str, Option<&'static str>);

fn cells<'a>(
    turn: &'a Fact,
    confirmed: &'a Fact,
    cancelled: &'a Fact,
    behind: &'a Fact,
) -> Vec<Cell<'a>> {
    use State::*;
    let quiet = Option::<&str>::None;
    let early = Some("confirmed-without-a-hold");
    let firm = Some("rejected-behind-a-confirmed-leg");
    #[rustfmt::skip]
    let cells = vec![
        (None,        turn,      Opening,     "open",     quiet),
        (None,        confirmed, None,        "",         early),
        (None,        cancelled, Released,    "released", quiet),
        (None,        behind,    Released,    "released", quiet),
        (Opening,     turn,      Opening,     "",         quiet),
        (Opening,     confirmed, Opening,     "",         early),
        (Opening,     cancelled, Opening,     "",         quiet),
        (Opening,     behind,    Opening,     "",         quiet),
        (Authorising, turn,      Authorising, "",         quiet),
        (Authorising, confirmed, Authorising, "",         early),
        (Authorising, cancelled, Authorising, "",         quiet),
        (Authorising, behind,    Authorising, "",         quiet),
        (Held,        turn,      Held,        "reserved", quiet),
        (Held,        confirmed, Capturing,   "capture",  quiet),
        (Held,        cancelled, Voiding,     "void",     quiet),
        (Held,        behind,    Voiding,     "void",     quiet),
        (Capturing,   turn,      Capturing,   "reserved", quiet),
        (Capturing,   confirmed, Capturing,   "",         quiet),
        (Capturing,   cancelled, Capturing,   "",         quiet),
        (Capturing,   behind,    Capturing,   "",         firm),
        (Captured,    turn,      Captured,    "reserved", quiet),
        (Captured,    confirmed, Captured,    "",         quiet),
        (Captured,    cancelled, Refunding,   "refund",   quiet),
        (Captured,    behind,    Captured,    "",         firm),
        (Unpaid,      turn,      Unpaid,      "reserved", quiet),
        (Unpaid,      confirmed, Unpaid,      "",         quiet),
        (Unpaid,      cancelled, Voiding,     "void",     quiet),
        (Unpaid,      behind,    Unpaid,      "",         firm),
        (Voiding,     turn,      Voiding,     "",         quiet),
        (Voiding,     confirmed, Voiding,     "",         quiet),
        (Voiding,     cancelled, Voiding,     "",         quiet),
        (Voiding,     behind,    Voiding,     "",         quiet),
        (Refunding,   turn,      Refunding,   "",         quiet),
        (Refunding,   confirmed, Refunding,   "",         quiet),
        (Refunding,   cancelled, Refunding,   "",         quiet),
        (Refunding,   behind,    Refunding,   "",         quiet),
        (Released,    turn,      Released,    "released", quiet),
        (Released,    confirmed, Released,    "",         quiet),
        (Released,    cancelled, Released,    "released", quiet),
        (Released,    behind,    Released,    "",         quiet),
        (Rejected,    turn,      Rejected,    "rejected", quiet),
        (Rejected,    confirmed, Rejected,    "",         early),
        (Rejected,    cancelled, Rejected,    "rejected", quiet),
        (Rejected,    behind,    Rejected,    "",         quiet),
    ];
    cells
}

/// Goal: every cell of the table, and that facts climb in each.
#[test]
fn every_cell_of_the_table() {
    use State::*;
    let (turn, confirmed, cancelled, behind) = (turn(), confirmed(), cancelled(), refused_behind());
    let cells = cells(&turn, &confirmed, &cancelled, &behind);
    assert_eq!(cells.len(), 4 * State::ALL.len());
    for (state, heard, after, does, anomaly) in cells {
        let cell = format!("{} hears {}", state.as_str(), heard.said.name());
        let before = in_state(state);
        let reaction = hear(before.clone(), heard);
        assert_eq!(reaction.record.state, after, "{cell}");
        assert_eq!(words(&reaction), does, "{cell}");
        assert_eq!(reaction.anomaly, anomaly, "{cell}");
        is_sound(&reaction, &cell);
        if let Some(said) = &reaction.said {
            assert!(height(said) > height(&heard.said), "{cell}: facts climb");
        }
        let remembers = matches!(state, Opening | Authorising | Capturing)
            && (heard == &cancelled || (heard == &behind && state != Capturing));
        assert_eq!(
            reaction.record.is_off(),
            before.is_off()
                || remembers
                || (after != state && !matches!(after, Opening | Capturing)),
            "{cell}: that a trip is off is remembered"
        );
        if after == state && !remembers {
            assert_eq!(reaction.record, before, "{cell}: the record is as it was");
        }
    }
}

/// What is said by or to somebody else concerns this position in no state.
#[test]
fn what_is_not_for_this_position_changes_nothing() {
    let price = || Price {
        price: eur(1),
        total: vec![eur(1)],
    };
    let reserved = |position| FactBody::Reserved {
        position,
        price: price(),
    };
    let why = || reason("sold-out");
    let elsewhere = [
        fact("booking", plan(), FactBody::Requested),
        fact("flight", plan(), reserved(0)),
        fact("payment", plan(), reserved(MINE)),
        fact("payment", plan(), reserved(u16::MAX)),
        fact(
            "hotel",
            plan(),
            FactBody::Rejected {
                position: 1,
                reason: why(),
            },
        ),
        fact(
            "payment",
            plan(),
            FactBody::Rejected {
                position: MINE,
                reason: why(),
            },
        ),
        fact(
            "flight",
            plan(),
            FactBody::Released {
                position: 0,
                reason: why(),
            },
        ),
        fact(
            "booking",
            plan(),
            FactBody::Settled {
                position: MINE,
                reason: why(),
            },
        ),
    ];
    for state in State::ALL {
        for heard in &elsewhere {
            assert_eq!(positions(&payment(), heard), [] as [u16; 0]);
            let before = in_state(state);
            let reaction = hear(before.clone(), heard);
            assert_eq!((words(&reaction).as_str(), reaction.anomaly), ("", None));
            assert_eq!(reaction.record, before);
        }
    }
    let elsewhere = Record::none(trip(), 0);
    assert_eq!(hear(elsewhere, &confirmed()).anomaly, Some("not-mine"));
    assert_eq!(positions(&payment(), &confirmed()), [MINE]);
}

/// An authorisation that lapsed is given back by itself; if booking was confirming just then, a person has to know. Whatever comes in which
/// order, a trip that was cancelled ends released.
#[test]
fn what_lapsed_behind_the_pivot_needs_attention_until_it_is_cancelled() {
    let lapsed = told(in_state(State::Held), &Answer::Voided);
    assert_eq!(lapsed.record.state, State::Released);
    let Some(FactBody::Released { reason, .. }) = &lapsed.said else {
        panic!("{:?}", lapsed.said);
    };
    assert_eq!(reason.code, "authorisation-expired");
    let unpaid = hear(lapsed.record.clone(), &confirmed());
    assert_eq!((words(&unpaid).as_str(), unpaid.anomaly), ("", None));
    assert_eq!(unpaid.record.state, State::Unpaid);
    assert!(unpaid.record.needs_attention(later(1).now_us()));
    let back = hear(unpaid.record, &cancelled());
    assert_eq!(words(&back), "void");
    let back = answer(back.record, &Answer::Voided);
    assert_eq!(words(&back), "released");
    // The other order: `cancelled` first, and the `confirmed` that it passed comes late.
    let off = hear(lapsed.record, &cancelled());
    assert_eq!(words(&off), "released");
    let late = hear(off.record.clone(), &confirmed());
    assert_eq!(words(&late), "");
    assert_eq!(late.record, off.record);
}
