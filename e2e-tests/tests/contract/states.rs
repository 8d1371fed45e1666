//! The state tables, told by the cores themselves: each state hears each thing, and the cell is what came of it.

use booking::core::{self as decider, Trip};
use choreography::{
    Backoff, Currency, Fact, FactBody, Itinerary, LegName, Money, Now, Plan, Position, Price,
    Reason, Speaker, TripId, instant,
};
use leg::core::{self as part, Hold, LegPolicy, Record, Stock, StockView};
use uuid::Uuid;

/// One of whatever is sold.
struct One;

impl LegPolicy for One {
    fn needs(&self, _details: &str, _now: jiff::Timestamp) -> Result<Vec<Hold>, Reason> {
        Ok(vec![Hold {
            key: vec![String::from("it")],
            quantity: 1,
        }])
    }
}

fn now(seconds: i64) -> Now {
    Now {
        at: instant((1_800_000_000 + seconds) * 1_000_000),
        jitter: 0.5,
        backoff: Backoff::default(),
    }
}

const MINE: Position = 1;

fn trip() -> TripId {
    Uuid::from_u128(7).into()
}

fn plan() -> Plan {
    let itinerary = r#"[{"leg":"before"},{"leg":"mine"},{"leg":"after"}]"#;
    Plan {
        itinerary: Itinerary::parse(itinerary).unwrap(),
        deadline: now(120).at,
        budget: None,
    }
}

fn said_by(position: Option<Position>, said: FactBody) -> Fact {
    let plan = plan();
    let leg = position.map(|position| plan.itinerary.name_at(position).unwrap().clone());
    Fact {
        speaker: leg.map_or(Speaker::Booking, Speaker::Leg),
        trip: trip(),
        plan,
        said,
    }
}

fn reserved(position: Position) -> Fact {
    let price = Money::new(100, Currency::EUR);
    let total = vec![price];
    let price = Price { price, total };
    said_by(Some(position), FactBody::Reserved { position, price })
}

fn rejected(position: Position) -> Fact {
    let reason = Reason::new("sold-out", "");
    said_by(Some(position), FactBody::Rejected { position, reason })
}

fn released(position: Position) -> Fact {
    let reason = Reason::new("sold-out", "");
    said_by(Some(position), FactBody::Released { position, reason })
}

fn confirmed() -> Fact {
    said_by(None, FactBody::Confirmed)
}

fn cancelled() -> Fact {
    let reason = Reason::new("deadline", "");
    said_by(None, FactBody::Cancelled { reason })
}

/// A cell, in the words of the tables that the cores' own documentation has.
fn cell<R>(before: &str, after: &str, reaction: &choreography::Reaction<R>) -> String {
    let changed = before != after;
    let mut parts: Vec<String> = Vec::new();
    if changed {
        parts.push(format!("`{after}`"));
    }
    for said in &reaction.said {
        let again = if changed { "" } else { " again" };
        parts.push(format!("say {}{again}", said.name()));
    }
    if parts.is_empty() {
        parts.push(String::from("–"));
    }
    let mut cell = parts.join(", ");
    if reaction.anomaly.is_some() {
        cell.push_str(" and an alarm");
    }
    cell
}

// ---- a leg's ---------------------------------------------------------------------------------------------------------------------

fn shelf(free: i64) -> StockView {
    StockView::new([Stock {
        key: vec![String::from("it")],
        total: free,
        held: 0,
        confirmed: 0,
        free,
        price_minor: 100,
        currency: String::from("EUR"),
    }])
}

fn hear(record: Record, heard: &Fact, shelf: &mut StockView, at: i64) -> part::Reaction {
    let mine: LegName = "mine".parse().unwrap();
    part::react(
        &mine,
        &One,
        record,
        part::Input::Fact(heard),
        shelf,
        &now(at),
    )
}

fn record_in(state: part::State) -> (Record, StockView) {
    let mut room = shelf(5);
    let none = Record::none(trip(), MINE);
    let held = hear(none.clone(), &reserved(0), &mut room, 0).record;
    let record = match state {
        part::State::None => none,
        part::State::Held => held,
        part::State::Confirmed => hear(held, &confirmed(), &mut room, 0).record,
        part::State::Released => hear(held, &cancelled(), &mut room, 0).record,
        part::State::Rejected => hear(none, &reserved(0), &mut shelf(0), 0).record,
    };
    assert_eq!(record.state, state);
    (record, room)
}

/// The record's states, and what each makes of what it hears.
pub(crate) fn of_a_leg() -> String {
    let mut table = String::from(
        "| record | its turn has come | `confirmed` | `cancelled` | a later leg `rejected` |\n|---|---|---|---|---|\n",
    );
    let hears = [reserved(0), confirmed(), cancelled(), rejected(2)];
    use part::State::{Confirmed, Held, None, Rejected, Released};
    for state in [None, Held, Confirmed, Released, Rejected] {
        let mut line = format!("| {} ", state.as_str());
        for heard in &hears {
            let answer = |shelf: Option<StockView>, at| {
                let (before, own) = record_in(state);
                let mut shelf = shelf.unwrap_or(own);
                let reaction = hear(before, heard, &mut shelf, at);
                cell(state.as_str(), reaction.record.state.as_str(), &reaction)
            };
            let cell = if state == None && matches!(heard.said, FactBody::Reserved { .. }) {
                let late = 120 + part::LATE_US / 1_000_000 + 1;
                [
                    ("there is room", answer(Some(shelf(5)), 1)),
                    ("there is none", answer(Some(shelf(0)), 1)),
                    (
                        "over an hour past the deadline",
                        answer(Some(shelf(5)), late),
                    ),
                ]
                .map(|(when, cell)| format!("{when}: {cell}"))
                .join("; ")
            } else {
                answer(Option::None, 1)
            };
            line += &format!("| {cell} ");
        }
        table += &(line + "|\n");
    }
    table
}

// ---- booking's -------------------------------------------------------------------------------------------------------------------

fn decide(trip: Trip, heard: decider::Input<'_>, at: i64) -> decider::Reaction {
    decider::react(trip, heard, &now(at))
}

fn cancel(trip: Trip) -> decider::Reaction {
    let reason = Reason::new("cancelled-by-traveller", "");
    decide(trip, decider::Input::Cancel { reason: &reason }, 1)
}

fn trip_in(state: decider::State) -> Trip {
    let pending = decider::request(trip(), &plan(), None, &now(0)).record;
    let trip = match state {
        decider::State::None => Trip::none(trip()),
        decider::State::Pending => pending,
        decider::State::Confirmed => decide(pending, decider::Input::Fact(&reserved(2)), 1).record,
        decider::State::Undoing => cancel(pending).record,
        decider::State::Closed => {
            let undoing = cancel(pending).record;
            decide(undoing, decider::Input::Fact(&rejected(0)), 1).record
        }
    };
    assert_eq!(trip.state, state);
    trip
}

/// The trip's states, and what each makes of what it hears. What is settled, and that the last one closes it, stands below the table.
pub(crate) fn of_booking() -> String {
    let mut table = String::from(
        "| trip | last leg `reserved` | a leg `rejected` | a leg `released` | its deadline | the traveller cancels |\n|---|---|---|---|---|---|\n",
    );
    use decider::State::{Closed, Confirmed, Pending, Undoing};
    for state in [Pending, Confirmed, Undoing, Closed] {
        let fact = |heard: Fact| decide(trip_in(state), decider::Input::Fact(&heard), 1);
        let deadline = decide(trip_in(state), decider::Input::Due { waiting: true }, 121);
        let cells = [
            fact(reserved(2)),
            fact(rejected(1)),
            fact(released(1)),
            deadline,
            cancel(trip_in(state)),
        ];
        let mut line = format!("| {} ", state.as_str());
        for reaction in &cells {
            let cell = cell(state.as_str(), reaction.record.state.as_str(), reaction);
            line += &format!("| {cell} ");
        }
        table += &(line + "|\n");
    }
    table
}
