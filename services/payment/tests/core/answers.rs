//! Every cell of the table for the provider's words: answers to what was asked, and news that nobody asked for.

use super::*;

/// One line a cell: the state, whether the trip is off, the answer, the state after, what is said and asked, and whether an alarm is raised.
#[test]
fn every_answer_in_every_state_that_asks() {
    use Answer::{Authorised, Captured, Refunded, Voided};
    use State as S;
    let (quiet, stray) = (None, Some("answer-to-another-question"));
    let (on, off) = (false, true);
    let (opened, declined, refused) = (&opened(), &declined(), &refused());
    #[rustfmt::skip]
    let cells = [
        (S::Opening,     on,  opened,      S::Authorising, "authorise",      quiet),
        (S::Opening,     off, opened,      S::Voiding,     "void",           quiet),
        (S::Opening,     on,  declined,    S::Rejected,    "rejected",       quiet),
        (S::Opening,     on,  refused,     S::Rejected,    "rejected",       quiet),
        (S::Opening,     off, refused,     S::Released,    "released",       quiet),
        (S::Opening,     on,  &Authorised, S::Opening,     "",               stray),
        (S::Opening,     on,  &Captured,   S::Opening,     "",               stray),
        (S::Opening,     on,  &Voided,     S::Opening,     "",               stray),
        (S::Opening,     on,  &Refunded,   S::Opening,     "",               stray),
        (S::Authorising, on,  &Authorised, S::Held,        "reserved",       quiet),
        (S::Authorising, off, &Authorised, S::Voiding,     "void",           quiet),
        (S::Authorising, on,  declined,    S::Rejected,    "rejected, void", quiet),
        (S::Authorising, off, declined,    S::Voiding,     "void",           quiet),
        (S::Authorising, on,  refused,     S::Rejected,    "rejected, void", quiet),
        (S::Authorising, off, refused,     S::Voiding,     "void",           quiet),
        (S::Authorising, on,  &Voided,     S::Rejected,    "rejected",       quiet),
        (S::Authorising, off, &Voided,     S::Released,    "released",       quiet),
        (S::Authorising, on,  &Refunded,   S::Rejected,    "rejected",       quiet),
        (S::Authorising, on,  &Captured,   S::Refunding,   "refund",         Some("captured-too-early")),
        (S::Authorising, off, &Captured,   S::Refunding,   "refund",         Some("captured-too-early")),
        (S::Authorising, on,  opened,      S::Authorising, "",               stray),
        (S::Capturing,   on,  &Captured,   S::Captured,    "",               quiet),
        (S::Capturing,   off, &Captured,   S::Refunding,   "refund",         quiet),
        (S::Capturing,   on,  &Voided,     S::Unpaid,      "",               quiet),
        (S::Capturing,   off, &Voided,     S::Released,    "released",       quiet),
        (S::Capturing,   on,  &Refunded,   S::Unpaid,      "",               quiet),
        (S::Capturing,   off, &Refunded,   S::Released,    "released",       quiet),
        (S::Capturing,   on,  declined,    S::Unpaid,      "",               quiet),
        (S::Capturing,   off, declined,    S::Voiding,     "void",           quiet),
        (S::Capturing,   on,  refused,     S::Unpaid,      "",               quiet),
        (S::Capturing,   off, refused,     S::Voiding,     "void",           quiet),
        (S::Capturing,   on,  &Authorised, S::Capturing,   "",               stray),
        (S::Capturing,   on,  opened,      S::Capturing,   "",               stray),
        (S::Voiding,     on,  &Voided,     S::Released,    "released",       quiet),
        (S::Voiding,     on,  &Refunded,   S::Released,    "released",       quiet),
        (S::Voiding,     on,  &Captured,   S::Refunding,   "refund",         quiet),
        (S::Voiding,     on,  declined,    S::Voiding,     "",               quiet),
        (S::Voiding,     on,  refused,     S::Voiding,     "",               quiet),
        (S::Voiding,     on,  &Authorised, S::Voiding,     "",               quiet),
        (S::Voiding,     on,  opened,      S::Voiding,     "",               quiet),
        (S::Refunding,   on,  &Refunded,   S::Released,    "released",       quiet),
        (S::Refunding,   on,  &Voided,     S::Released,    "released",       quiet),
        (S::Refunding,   on,  &Captured,   S::Refunding,   "",               quiet),
        (S::Refunding,   on,  declined,    S::Refunding,   "",               quiet),
        (S::Refunding,   on,  refused,     S::Refunding,   "",               quiet),
        (S::Refunding,   on,  &Authorised, S::Refunding,   "",               quiet),
        (S::Refunding,   on,  opened,      S::Refunding,   "",               quiet),
    ];
    for (state, is_off, said, after, does, anomaly) in cells {
        let cell = format!("{} (off: {is_off}) is answered {said:?}", state.as_str());
        let before = if is_off {
            super::off(state)
        } else {
            in_state(state)
        };
        let reaction = answer(before, said);
        assert_eq!(reaction.record.state, after, "{cell}");
        assert_eq!(words(&reaction), does, "{cell}");
        assert_eq!(reaction.anomaly, anomaly, "{cell}");
        is_sound(&reaction, &cell);
    }
}

/// News is heard while no call is under way; then the answer says what there is to know.
#[test]
fn news_changes_only_who_asks_nothing() {
    use Answer::{Authorised, Captured, Refunded, Voided};
    use State as S;
    let quiet = Option::<&str>::None;
    let behind = Some("money-behind-a-release");
    let (opened, declined) = (&opened(), &declined());
    #[rustfmt::skip]
    let cells = [
        (S::Held,     &Voided,     S::Released, "released", quiet),
        (S::Held,     &Refunded,   S::Released, "released", quiet),
        (S::Held,     &Authorised, S::Held,     "",         quiet),
        (S::Held,     &Captured,   S::Held,     "",         Some("captured-by-somebody-else")),
        (S::Held,     declined,    S::Held,     "",         Some("answer-to-another-question")),
        (S::Captured, &Captured,   S::Captured, "",         quiet),
        (S::Captured, &Authorised, S::Captured, "",         quiet),
        (S::Captured, opened,      S::Captured, "",         quiet),
        (S::Captured, &Refunded,   S::Unpaid,   "",         Some("taken-back-at-the-provider")),
        (S::Captured, &Voided,     S::Unpaid,   "",         Some("taken-back-at-the-provider")),
        (S::Captured, declined,    S::Captured, "",         Some("answer-to-another-question")),
        (S::Unpaid,   &Captured,   S::Captured, "",         quiet),
        (S::Unpaid,   &Authorised, S::Unpaid,   "",         quiet),
        (S::Unpaid,   &Voided,     S::Unpaid,   "",         quiet),
        (S::Released, &Voided,     S::Released, "",         quiet),
        (S::Released, &Authorised, S::Released, "",         behind),
        (S::Released, &Captured,   S::Released, "",         behind),
        (S::Rejected, declined,    S::Rejected, "",         quiet),
        (S::Rejected, &Captured,   S::Rejected, "",         behind),
    ];
    for (state, said, after, does, anomaly) in cells {
        let cell = format!("{} is told {said:?}", state.as_str());
        let reaction = told(in_state(state), said);
        assert_eq!(reaction.record.state, after, "{cell}");
        assert_eq!(words(&reaction), does, "{cell}");
        assert_eq!(reaction.anomaly, anomaly, "{cell}");
        is_sound(&reaction, &cell);
    }
    for state in State::ALL {
        let before = in_state(state);
        for said in [&Authorised, &Captured, &Voided, &Refunded, opened, declined] {
            if before.asked.is_some() {
                let reaction = told(before.clone(), said);
                assert_eq!((words(&reaction).as_str(), reaction.anomaly), ("", None));
                assert_eq!(reaction.record, before, "{} is busy", state.as_str());
            }
        }
    }
    let foreign = Input::Told {
        intent: "pi_2",
        answer: &Voided,
    };
    let reaction = react(&payment(), in_state(S::Held), foreign, &later(1));
    assert_eq!(reaction.record, in_state(S::Held));
    assert_eq!(reaction.anomaly, Some("another-payment"));
}

/// An answer that comes twice, late, or to what was asked before, changes nothing in any state.
#[test]
fn an_answer_to_what_is_not_asked_changes_nothing() {
    let all = [
        opened(),
        Answer::Authorised,
        Answer::Captured,
        Answer::Voided,
        Answer::Refunded,
        declined(),
        refused(),
    ];
    for state in State::ALL {
        let before = in_state(state);
        for purpose in [
            Purpose::Open,
            Purpose::Authorise,
            Purpose::Capture,
            Purpose::Void,
            Purpose::Refund,
        ] {
            if before.asked == Some(purpose) {
                continue;
            }
            for said in &all {
                let key = before.key(purpose);
                let heard = Input::Answered {
                    key: &key,
                    answer: said,
                };
                let reaction = react(&payment(), before.clone(), heard, &later(1));
                assert_eq!((words(&reaction).as_str(), reaction.anomaly), ("", None));
                assert_eq!(reaction.record, before, "{}", state.as_str());
            }
        }
    }
    let again = answer(in_state(State::Voiding), &refused()).record;
    let asked = due(again, &later(60));
    let first = in_state(State::Voiding).key(Purpose::Void);
    let heard = Input::Answered {
        key: &first,
        answer: &refused(),
    };
    let stale = react(&payment(), asked.record.clone(), heard, &later(61));
    assert_eq!(stale.record, asked.record, "the one before it");
}

/// What has to be undone is asked again for ever, at a pace, each time under a new key; and a person is told.
#[test]
fn a_refused_void_or_refund_is_asked_again() {
    for (state, purpose) in [(State::Voiding, "void"), (State::Refunding, "refund")] {
        let mut record = in_state(state);
        let mut keys = vec![record.key(record.asked.unwrap())];
        for round in 1..=40 {
            let paused = answer(record, &refused()).record;
            assert_eq!(
                (paused.state, paused.asked, paused.refusals),
                (state, None, round)
            );
            assert_eq!(paused.trouble.as_deref(), Some("because"));
            let early = due(paused.clone(), &later(2));
            assert_eq!((words(&early).as_str(), &early.record), ("", &paused));
            let asked = due(paused, &later(600));
            assert_eq!(words(&asked), purpose);
            keys.push(asked.call.unwrap().key);
            record = asked.record;
        }
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 41, "a provider answers a known key as before");
        let hour = record.attention_us.unwrap();
        assert!(!record.needs_attention(hour - 1) && record.needs_attention(hour));
        assert_eq!(
            hour,
            later(1 + 3_600).now_us(),
            "an hour after it was called off"
        );
    }
}

/// Of openings and authorisations there is one: whatever is answered, neither goes out under a second key.
#[test]
fn an_authorisation_is_never_asked_under_a_second_key() {
    for state in [State::Opening, State::Authorising, State::Capturing] {
        let before = in_state(state);
        let key = before.key(before.asked.unwrap());
        let stray = if state == State::Opening {
            Answer::Authorised
        } else {
            opened()
        };
        let paused = answer(before, &stray).record;
        let asked = due(paused.clone(), &later(600));
        assert_eq!(asked.call.unwrap().key, key);
        // Called off meanwhile: it is known that nothing is under way, so it is undone at once.
        let off = hear(paused, &cancelled()).record;
        let undone = due(off, &later(600));
        let expected = if state == State::Opening {
            "open"
        } else {
            "void"
        };
        assert_eq!(words(&undone), expected);
    }
}

/// A declined payment says so at once, with the provider's reason, and is closed at the provider too.
#[test]
fn a_declined_payment_is_rejected_and_closed() {
    let rejected = answer(in_state(State::Authorising), &declined());
    let reason = reason("declined");
    let position = MINE;
    assert_eq!(rejected.said, Some(FactBody::Rejected { position, reason }));
    assert_eq!(rejected.record.forget_us, None, "it still asks");
    let closed = answer(rejected.record.clone(), &Answer::Voided);
    assert_eq!((words(&closed).as_str(), closed.anomaly), ("", None));
    assert!(closed.record.forget_us.is_some() && closed.record.attention_us.is_none());
    for no in [refused(), declined(), Answer::Authorised, opened()] {
        let paused = answer(rejected.record.clone(), &no);
        assert_eq!((words(&paused).as_str(), paused.anomaly), ("", None));
        assert_eq!(
            words(&due(paused.record, &later(600))),
            "void",
            "until it is closed"
        );
    }
    let taken = answer(rejected.record, &Answer::Captured);
    assert_eq!(taken.anomaly, Some("money-behind-a-release"));
    assert!(taken.record.needs_attention(later(1).now_us()));
}
