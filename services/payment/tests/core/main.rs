//! The payment's half of the protocol, held to its table: every state hears everything, and each cell is one line below.
#![expect(clippy::unwrap_used, reason = "tests")]

mod answers;
mod row;
mod table;
mod turn;

use choreography::{
    Backoff, Currency, Fact, FactBody, Itinerary, LegName, Money, Now, Plan, Price, Reason,
    Speaker, TripId,
};
use payment::core::{Answer, Input, Purpose, Reaction, Record, Standing, State, positions, react};
use uuid::Uuid;

/// Behind a flight and a hotel.
const MINE: u16 = 2;
const INTENT: &str = "pi_1";

fn payment() -> LegName {
    "payment".parse().unwrap()
}

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

fn later(seconds: i64) -> Now {
    let start = "2026-11-22T12:00:00Z".parse::<jiff::Timestamp>().unwrap();
    Now {
        at: choreography::instant(start.as_microsecond() + seconds * 1_000_000),
        jitter: 0.5,
        backoff: Backoff::default(),
    }
}

fn now() -> Now {
    later(0)
}

fn reason(code: &str) -> Reason {
    Reason::new(code, "because")
}

fn plan() -> Plan {
    plan_for(r#"{"leg":"payment","method":"pm_card_visa"}"#, None)
}

fn plan_for(own: &str, budget: Option<Money>) -> Plan {
    let raw = format!(r#"[{{"leg":"flight"}},{{"leg":"hotel"}},{own}]"#);
    Plan {
        itinerary: Itinerary::parse(&raw).unwrap(),
        deadline: later(120).at,
        budget,
    }
}

fn trip() -> TripId {
    Uuid::from_u128(1).into()
}

fn fact(speaker: &str, plan: Plan, said: FactBody) -> Fact {
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

/// The hotel holds, and all costs so much.
fn turn_of(plan: Plan, total: Vec<Money>) -> Fact {
    let (position, price) = (MINE - 1, eur(100));
    let price = Price { price, total };
    fact("hotel", plan, FactBody::Reserved { position, price })
}

fn turn() -> Fact {
    turn_of(plan(), vec![eur(700)])
}

fn confirmed() -> Fact {
    fact("booking", plan(), FactBody::Confirmed)
}

fn cancelled() -> Fact {
    let reason = reason("cancelled");
    fact("booking", plan(), FactBody::Cancelled { reason })
}

fn hear(record: Record, fact: &Fact) -> Reaction {
    react(
        &payment(),
        record,
        Input::Fact(fact, Standing::Up),
        &later(1),
    )
}

fn due(record: Record, moment: &Now) -> Reaction {
    react(&payment(), record, Input::Due { waiting: false }, moment)
}

/// The answer to the call that is under way.
fn answer(record: Record, answer: &Answer) -> Reaction {
    let key = record
        .asked
        .map_or(String::new(), |asked| record.key(asked));
    let heard = Input::Answered { key: &key, answer };
    react(&payment(), record, heard, &later(1))
}

fn told(record: Record, answer: &Answer) -> Reaction {
    let heard = Input::Told {
        intent: INTENT,
        answer,
    };
    react(&payment(), record, heard, &later(1))
}

fn opened() -> Answer {
    let intent = INTENT.to_owned();
    Answer::Opened { intent }
}

fn declined() -> Answer {
    let reason = reason("declined");
    Answer::Declined { reason }
}

fn refused() -> Answer {
    let reason = reason("refused");
    Answer::Refused { reason }
}

/// A record in this state, by the shortest way there.
fn in_state(state: State) -> Record {
    let after = |before, said: &Answer| answer(in_state(before), said).record;
    match state {
        State::None => Record::none(trip(), MINE),
        State::Opening => {
            react(
                &payment(),
                in_state(State::None),
                Input::Fact(&turn(), Standing::Up),
                &now(),
            )
            .record
        }
        State::Authorising => after(State::Opening, &opened()),
        State::Held => after(State::Authorising, &Answer::Authorised),
        State::Capturing => hear(in_state(State::Held), &confirmed()).record,
        State::Captured => after(State::Capturing, &Answer::Captured),
        State::Unpaid => after(State::Capturing, &refused()),
        State::Voiding => hear(in_state(State::Held), &cancelled()).record,
        State::Refunding => hear(in_state(State::Captured), &cancelled()).record,
        State::Released => after(State::Voiding, &Answer::Voided),
        State::Rejected => {
            let rejected = after(State::Authorising, &declined());
            answer(rejected, &Answer::Voided).record
        }
    }
}

/// The same once it is known that the trip is off.
fn off(state: State) -> Record {
    let record = hear(in_state(state), &cancelled()).record;
    assert_eq!(record.state, state, "the answer is waited for");
    record
}

/// What a reaction says and asks, in words.
fn words(reaction: &Reaction) -> String {
    let said = reaction.said.as_ref().map(FactBody::name);
    let asked = reaction.call.as_ref().map(|call| call.purpose.as_str());
    let words: Vec<&str> = said.into_iter().chain(asked).collect();
    words.join(", ")
}

/// Rule 7's order.
fn height(said: &FactBody) -> u32 {
    match said {
        FactBody::Requested => 0,
        FactBody::Reserved { position, .. } => 1 + u32::from(*position),
        FactBody::Confirmed | FactBody::Cancelled { .. } | FactBody::Settled { .. } => 100,
        FactBody::Rejected { .. } => 200,
        FactBody::Released { .. } => 300,
    }
}

/// What holds of every record, whatever it heard.
fn is_sound(reaction: &Reaction, cell: &str) {
    let record = &reaction.record;
    let asks = record.state.asks();
    let is_over = matches!(record.state, State::Released | State::Rejected);
    assert!(
        record.asked.is_none()
            || record.asked == asks
            || (is_over && record.asked == Some(Purpose::Refund)),
        "{cell}: the state says which call is under way"
    );
    if let Some(call) = &reaction.call {
        assert_eq!(Some(call.purpose), record.asked, "{cell}");
        assert_eq!(call.key, record.key(call.purpose), "{cell}");
        assert_eq!((call.amount_minor, call.currency.as_str()), (700, "EUR"));
        assert_eq!(call.method, "pm_card_visa");
        let opens = call.purpose == Purpose::Open;
        assert_eq!(call.intent.is_none(), opens, "{cell}: it has its id");
    }
    let quiet = match record.state {
        State::Released => record.is_off(),
        State::Rejected => true,
        _ => false,
    };
    let quiet = quiet && record.asked.is_none() && record.due_us.is_none();
    assert_eq!(
        record.forget_us.is_some(),
        quiet,
        "{cell}: only what is over and asks nothing is forgotten"
    );
    let asks_later = asks.is_some() && record.asked.is_none() && !is_over;
    let waits = record.state.waits() || asks_later;
    assert!(
        is_over || record.due_us.is_some() == waits,
        "{cell}: who waits has a timer"
    );
}
