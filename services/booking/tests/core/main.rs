//! Booking's half of the protocol, held to its table: every state hears everything, and each cell is one line below.
#![expect(clippy::unwrap_used, reason = "tests")]

mod row;
mod table;

use booking::core::{Heard, Outcome, Reaction, Settled, State, Trip, react, request};
use choreography::{
    Currency, Fact, Itinerary, Moment, Money, Pace, Plan, Position, Price, Reason, Said, Speaker,
    TripId, instant,
};
use uuid::Uuid;

fn moment(seconds: i64) -> Moment {
    Moment {
        now: instant((1_800_000_000 + seconds) * 1_000_000),
        jitter: 0.5,
        pace: Pace::default(),
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
        deadline: moment(120).now,
        budget: Some(Money::new(5_000, Currency::EUR)),
    }
}

fn trip() -> TripId {
    Uuid::from_u128(1).into()
}

fn fact(said: Said) -> Fact {
    let name = |position: Position| plan().itinerary.name_at(position).unwrap().clone();
    let speaker = match said {
        Said::Reserved { position, .. }
        | Said::Rejected { position, .. }
        | Said::Released { position, .. } => Speaker::Leg(name(position)),
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
    fact(Said::Reserved {
        position,
        price: Price {
            price: Money::new(1_000, Currency::EUR),
            total,
        },
    })
}

fn rejected(position: Position) -> Fact {
    fact(Said::Rejected {
        position,
        reason: reason("sold-out"),
    })
}

fn released(position: Position, code: &str) -> Fact {
    fact(Said::Released {
        position,
        reason: reason(code),
    })
}

fn hear(trip: Trip, fact: &Fact) -> Reaction {
    react(trip, Heard::Fact(fact), &moment(1))
}

fn cancel(trip: Trip) -> Reaction {
    react(
        trip,
        Heard::Cancel {
            reason: &reason("cancelled-by-traveller"),
        },
        &moment(1),
    )
}

fn due(trip: Trip, waiting: bool, seconds: i64) -> Reaction {
    react(trip, Heard::Due { waiting }, &moment(seconds))
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
        .map(Said::name)
        .collect::<Vec<_>>()
        .join(",")
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
