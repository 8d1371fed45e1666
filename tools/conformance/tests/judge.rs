//! The judge, on exchanges that were made up: each shows one thing that is wrong, beside one that is not. No broker.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use choreography::{
    Currency, Fact, FactBody, Itinerary, Money, Plan, Position, Price, Reason, Speaker, TripId,
};
use conformance::exchange::Word;
use conformance::judge::{Answer, answer, judge};
use conformance::{Exchange, Promise};
use jiff::Timestamp;
use uuid::Uuid;

const LEG: &str = "boat";

fn exchange(itinerary: &str) -> Exchange {
    Exchange {
        leg: LEG.parse().unwrap(),
        trip: TripId::from(Uuid::from_u128(7)),
        plan: Plan {
            itinerary: Itinerary::parse(itinerary).unwrap(),
            deadline: Timestamp::from_second(2_000_000_000).unwrap(),
            budget: None,
        },
        words: Vec::new(),
    }
}

fn one_leg() -> Exchange {
    exchange(r#"[{"leg":"boat"},{"leg":"kit-after"}]"#)
}

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

fn held(position: Position, price: i64, total: i64) -> FactBody {
    let (price, total) = (eur(price), vec![eur(total)]);
    FactBody::Reserved {
        position,
        price: Price { price, total },
    }
}

fn reason() -> Reason {
    Reason::new("test", "")
}

fn released(position: Position) -> FactBody {
    FactBody::Released {
        position,
        reason: reason(),
    }
}

fn rejected(position: Position) -> FactBody {
    FactBody::Rejected {
        position,
        reason: reason(),
    }
}

/// One more word; the speaker's clock goes on by a second with each.
fn word(exchange: &mut Exchange, ours: bool, id: u128, cause: Option<u128>, said: FactBody) {
    let speaker = if ours {
        Speaker::Booking
    } else {
        Speaker::Leg(LEG.parse().unwrap())
    };
    let fact = Fact {
        speaker,
        trip: exchange.trip,
        plan: exchange.plan.clone(),
        said,
    };
    let seconds = i64::try_from(exchange.words.len()).unwrap();
    exchange.words.push(Word {
        at: Duration::from_secs(seconds.unsigned_abs()),
        ours,
        subject: fact.subject(),
        id: Some(Uuid::from_u128(id)),
        cause: cause.map(Uuid::from_u128),
        time: Timestamp::from_second(1_000 + seconds).ok(),
        fact: Ok(fact),
        note: "",
    });
}

fn kit(exchange: &mut Exchange, id: u128, said: FactBody) {
    word(exchange, true, id, None, said);
}

fn leg(exchange: &mut Exchange, id: u128, cause: u128, said: FactBody) {
    word(exchange, false, id, Some(cause), said);
}

fn broken(exchange: &Exchange) -> Vec<&'static str> {
    let judged = judge(exchange);
    let broken = judged.iter().filter(|(_, judged)| judged.is_err());
    broken.map(|(promise, _)| promise.name()).collect()
}

fn asked_and_held() -> Exchange {
    let mut exchange = one_leg();
    kit(&mut exchange, 1, FactBody::Requested);
    leg(&mut exchange, 11, 1, held(0, 5, 5));
    exchange
}

#[test]
fn what_is_as_it_should_be_breaks_nothing() {
    let mut exchange = asked_and_held();
    kit(&mut exchange, 2, FactBody::Requested);
    leg(&mut exchange, 12, 2, held(0, 5, 5));
    // The same once more, for its acknowledgement was lost: no saying of its own.
    leg(&mut exchange, 12, 2, held(0, 5, 5));
    kit(&mut exchange, 2, FactBody::Requested);
    kit(&mut exchange, 3, FactBody::Cancelled { reason: reason() });
    leg(&mut exchange, 13, 3, released(0));
    assert_eq!(broken(&exchange), Vec::<&str>::new());
    let kept: Vec<Promise> = judge(&exchange).into_iter().map(|it| it.0).collect();
    for promise in [
        Promise::Envelope,
        Promise::Relays,
        Promise::FixedPrice,
        Promise::Echo,
    ] {
        assert!(kept.contains(&promise), "{promise:?}");
    }
}

#[test]
fn one_message_has_one_answer() {
    let mut exchange = asked_and_held();
    kit(&mut exchange, 1, FactBody::Requested);
    leg(&mut exchange, 12, 1, held(0, 5, 5));
    assert_eq!(broken(&exchange), ["same-id-is-an-echo"]);
}

#[test]
fn whoever_held_rejects_no_more_and_whoever_rejected_holds_no_more() {
    let mut exchange = asked_and_held();
    kit(&mut exchange, 2, FactBody::Cancelled { reason: reason() });
    leg(&mut exchange, 12, 2, rejected(0));
    assert_eq!(broken(&exchange), ["rejected-never-held"]);
    let mut exchange = one_leg();
    kit(&mut exchange, 1, FactBody::Requested);
    leg(&mut exchange, 11, 1, rejected(0));
    kit(&mut exchange, 2, FactBody::Requested);
    leg(&mut exchange, 12, 2, held(0, 5, 5));
    assert_eq!(broken(&exchange), ["a-refusal-stays"]);
}

/// What was said before, and is heard late, is no hold.
#[test]
fn what_is_let_go_is_not_held_again() {
    let mut exchange = asked_and_held();
    kit(&mut exchange, 2, FactBody::Cancelled { reason: reason() });
    leg(&mut exchange, 12, 2, released(0));
    leg(&mut exchange, 13, 1, held(0, 5, 5));
    assert_eq!(broken(&exchange), ["let-go-is-for-good"]);
    exchange.words.last_mut().unwrap().time = Timestamp::from_second(1_000).ok();
    assert_eq!(broken(&exchange), Vec::<&str>::new());
}

#[test]
fn prices_stay_and_add_up() {
    let mut exchange = asked_and_held();
    kit(&mut exchange, 2, FactBody::Requested);
    leg(&mut exchange, 12, 2, held(0, 6, 6));
    assert_eq!(broken(&exchange), ["price-is-fixed"]);
    let mut exchange = one_leg();
    kit(&mut exchange, 1, FactBody::Requested);
    leg(&mut exchange, 11, 1, held(0, 5, 4));
    assert_eq!(broken(&exchange), ["total-adds-up"]);
}

#[test]
fn nobody_speaks_before_its_turn_or_of_another_place() {
    let mut exchange = exchange(r#"[{"leg":"kit-before"},{"leg":"boat"}]"#);
    kit(&mut exchange, 1, FactBody::Requested);
    leg(&mut exchange, 11, 1, released(1));
    assert_eq!(broken(&exchange), ["waits-its-turn"]);
    let mut exchange = asked_and_held();
    exchange.words[1].subject = "trips.boat.reserved.booking".into();
    assert_eq!(broken(&exchange), ["envelope"]);
    exchange.words[1].fact = Err("no JSON".into());
    assert_eq!(broken(&exchange), ["envelope"]);
}

#[test]
fn what_is_relayed_stays_as_it_is() {
    let mut said = asked_and_held();
    let respelt = r#"[{"leg":"boat"}, {"leg":"kit-after"}]"#;
    said.plan.itinerary = Itinerary::parse(respelt).unwrap();
    assert_eq!(broken(&said), ["relays-byte-for-byte"]);
}

#[test]
fn an_answer_has_an_id_that_was_not_there_before() {
    let mut exchange = asked_and_held();
    kit(&mut exchange, 2, FactBody::Requested);
    let questions = [Uuid::from_u128(2)];
    let look =
        |exchange: &Exchange, wanted: &str| match answer(exchange, 2, &questions, 0, &[wanted]) {
            Answer::Right(_) => "right",
            Answer::Wrong(_) => "wrong",
            Answer::OldId(_) => "old id",
            Answer::Beside(_) => "beside",
            Answer::Silence => "silence",
        };
    assert_eq!(look(&exchange, "reserved"), "silence");
    leg(&mut exchange, 11, 2, held(0, 5, 5));
    assert_eq!(look(&exchange, "reserved"), "old id");
    // A late answer to what was asked before.
    leg(&mut exchange, 14, 1, held(0, 5, 5));
    assert_eq!(look(&exchange, "reserved"), "old id");
    // It asks again by itself: no answer to what wants another.
    word(&mut exchange, false, 12, None, held(0, 5, 5));
    assert_eq!(look(&exchange, "released"), "beside");
    assert_eq!(look(&exchange, "reserved"), "right");
    leg(&mut exchange, 13, 2, released(0));
    assert_eq!(look(&exchange, "rejected"), "wrong");
}

/// The page has every promise as the kit has it: `WRITE_DOCS=1` writes the table anew.
#[test]
fn the_page_has_every_promise() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance.md");
    let page = std::fs::read_to_string(path).unwrap();
    let header = "| promise | what it says | what breaks without it |\n|---|---|---|\n";
    let (before, rest) = page.split_once(header).unwrap();
    let rows: String = Promise::ALL
        .iter()
        .map(|it| {
            format!(
                "| `{}` | {} | {} |\n",
                it.name(),
                it.sentence(),
                it.reason()
            )
        })
        .collect();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let new = format!("{before}{header}{rows}\n{after}");
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(path, &new).unwrap();
    }
    assert!(page == new, "run it with WRITE_DOCS=1");
}
