//! Booking's half of the protocol, held to its table: every state hears everything, and each cell is one line below.
#![expect(clippy::unwrap_used, reason = "tests")]

mod row;
mod table;

use booking::core::{Input, Outcome, Reaction, Settled, State, Trip, react, request};
use choreography::{
    Backoff, Currency, Fact, FactBody, Itinerary, Money, Now, Plan, Position, Price, Reason,
    Speaker, TripId, instant,
};
use uuid::Uuid;

fn moment(seconds: i64) -> Now {
    Now {
        at: instant((1_800_000_000 + seconds) * 1_000_000),
        jitter: 0.5,
        backoff: Backoff::default(),
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
        deadline: moment(120).at,
        budget: Some(Money::new(5_000, Currency::EUR)),
    }
}

fn trip() -> TripId {
    Uuid::from_u128(1).into()
}

fn fact(said: FactBody) -> Fact {
    let name = |position: Position| plan().itinerary.name_at(position).unwrap().clone();
    let speaker = match said {
        FactBody::Reserved { position, .. }
        | FactBody::Rejected { position, .. }
        | FactBody::Released { position, .. } => Speaker::Leg(name(position)),
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
    fact(FactBody::Reserved {
        position,
        price: Price {
            price: Money::new(1_000, Currency::EUR),
            total,
        },
    })
}

fn rejected(position: Position) -> Fact {
    fact(FactBody::Rejected {
        position,
        reason: reason("sold-out"),
    })
}

fn released(position: Position, code: &str) -> Fact {
    fact(FactBody::Released {
        position,
        reason: reason(code),
    })
}

fn hear(trip: Trip, fact: &Fact) -> Reaction {
    react(trip, Input::Fact(fact), &moment(1))
}

fn cancel(trip: Trip) -> Reaction {
    react(
        trip,
        Input::Cancel {
            reason: &reason("cancelled-by-traveller"),
        },
        &moment(1),
    )
}

fn due(trip: Trip, waiting: bool, seconds: i64) -> Reaction {
    react(trip, Input::Due { waiting }, &moment(seconds))
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
        .map(FactBody::name)
        .collect::<Vec<_>>()
        .join(",")
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

/// What is back: r: rejected, l: released, b: behind, h: by hand, -: not.
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
