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
        (S::Unpaid,   &Captured,   S::Capturing, "capture", quiet),
        (S::Unpaid,   &Authorised, S::Unpaid,   "",         quiet),
        (S::Unpaid,   &Voided,     S::Unpaid,   "",         quiet),
        (S::Released, &Voided,     S::Released, "",         quiet),
        (S::Released, &Authorised, S::Released, "void",     quiet),
        (S::Released, &Captured,   S::Released, "void",     quiet),
        (S::Rejected, declined,    S::Rejected, "",         quiet),
        (S::Rejected, &Voided,     S::Rejected, "",         quiet),
        (S::Rejected, &Authorised, S::Rejected, "void",     quiet),
        (S::Rejected, &Captured,   S::Rejected, "void",     quiet),
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
    is_given_back(rejected.record);
}

/// The provider is found to have taken money of a trip that is over: it is asked for it until it is back, and a person looks until then.
fn is_given_back(closing: Record) {
    let state = closing.state;
    let taken = answer(closing, &Answer::Captured);
    is_sound(&taken, "it was taken");
    assert_eq!(words(&taken), "refund");
    assert_eq!(taken.anomaly, Some("money-behind-a-release"));
    assert!(taken.record.needs_attention(later(1).now_us()));
    let mut keys = vec![taken.call.unwrap().key];
    let mut record = taken.record;
    for no in [refused(), Answer::Captured] {
        let paused = answer(record, &no);
        is_sound(&paused, "not yet");
        let looked = due(paused.record, &later(600));
        assert_eq!(words(&looked), "void", "how does it stand by now?");
        let again = answer(looked.record, &Answer::Captured);
        assert_eq!((words(&again).as_str(), again.anomaly), ("refund", None));
        keys.push(again.call.unwrap().key);
        record = again.record;
    }
    keys.dedup();
    assert_eq!(keys.len(), 3, "a provider answers a known key as before");
    let back = answer(record, &Answer::Refunded);
    is_sound(&back, "it is back");
    assert_eq!((words(&back).as_str(), back.anomaly), ("", None));
    assert_eq!(back.record.state, state, "what was said stays said");
    assert!(!back.record.needs_attention(i64::MAX) && back.record.forget_us.is_some());
}

/// What came out of order raises no alarm; what is really there is let go or given back, without a word to the trip.
#[test]
fn money_behind_a_release_is_looked_for_and_given_back() {
    for state in [State::Released, State::Rejected] {
        for said in [Answer::Authorised, Answer::Captured] {
            let before = in_state(state);
            let looked = told(before.clone(), &said);
            let key = &looked.call.as_ref().unwrap().key;
            assert_ne!(*key, before.key(Purpose::Void), "the old one is answered as before");
            let old = answer(looked.record.clone(), &Answer::Voided);
            is_sound(&old, "it came out of order");
            assert_eq!((words(&old).as_str(), old.anomaly), ("", None));
            assert!(!old.record.needs_attention(i64::MAX) && old.record.forget_us.is_some());
            is_given_back(looked.record);
        }
        let taken = answer(told(in_state(state), &Answer::Captured).record, &refused()).record;
        assert!(taken.due_us.is_some() && taken.attention_us.is_some());
        let heard = told(taken, &Answer::Refunded);
        is_sound(&heard, "news of the end");
        assert!(!heard.record.needs_attention(i64::MAX), "nobody has to look");
    }
}

/// News of money behind a lapse is looked into once the trip is off; whether it is, only booking says.
#[test]
fn money_behind_a_lapse_is_looked_for_when_the_trip_is_off() {
    let lapsed = told(in_state(State::Held), &Answer::Voided).record;
    let old = told(lapsed.clone(), &Answer::Authorised);
    assert_eq!((&old.record, old.anomaly), (&lapsed, None));
    let taken = told(lapsed, &Answer::Captured);
    assert_eq!(taken.anomaly, Some("money-behind-a-release"));
    assert_eq!(words(&taken), "");
    let off = hear(taken.record, &cancelled());
    is_sound(&off, "it is off");
    assert_eq!(words(&off), "released, void");
    is_given_back(off.record);
}

/// The money of a confirmed trip was given back by hand, and news of its capture comes late: nobody takes it for paid. If it was captured after
/// all, it is.
#[test]
fn news_of_a_capture_is_held_against_how_things_stand() {
    let back = told(in_state(State::Captured), &Answer::Refunded).record;
    let asked = told(back.clone(), &Answer::Captured);
    is_sound(&asked, "it came late");
    assert_eq!(words(&asked), "capture");
    assert_ne!(asked.call.unwrap().key, in_state(State::Held).key(Purpose::Capture));
    assert_eq!(asked.record.attention_us, back.attention_us, "until it is known");
    let unpaid = answer(asked.record.clone(), &Answer::Refunded).record;
    assert_eq!(unpaid.state, State::Unpaid);
    assert!(unpaid.needs_attention(later(1).now_us()) && unpaid.trouble.is_some());
    let paid = answer(asked.record, &Answer::Captured).record;
    assert_eq!((paid.state, paid.trouble), (State::Captured, None));
    assert_eq!(paid.attention_us, None);
}
