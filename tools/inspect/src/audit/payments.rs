//! The payment leg's records as the audit compares them: where each stands in the words that all legs share, and what is paid.

use choreography::TripId;
use leg::core::State as LegState;
use payment::core::State;
use payment::store::PAYMENT;
use runtime::Database;
use runtime::database::{Failure, Is};
use serde::Deserialize;

use super::judge::Record;

#[derive(Deserialize)]
struct Row {
    trip: TripId,
    position: i64,
    state: State,
    amount_minor: Option<i64>,
    currency: Option<String>,
}

/// The records of trips behind `after`, up to and with `upto`.
pub(super) async fn rows(
    database: &Database,
    after: &str,
    upto: Option<&str>,
) -> Result<Vec<Record>, Failure> {
    let mut records = database
        .select(PAYMENT)
        .only("trip", Is::Greater, after)
        .order(&["trip", "position"]);
    if let Some(upto) = upto {
        records = records.only("trip", Is::AtMost, upto);
    }
    let record = |row: Row| Record {
        trip: row.trip,
        position: row.position,
        state: stands(row.state),
        word: row.state.as_str(),
        // It adds nothing to what the others cost.
        price_minor: row.amount_minor.map(|_| 0),
        currency: row.currency,
        paid_minor: row.amount_minor.filter(|_| row.state == State::Captured),
    };
    Ok(records.rows().await?.into_iter().map(record).collect())
}

/// Whatever is with the provider counts as held, until it is taken or let go. A confirmed trip that is unpaid so lacks a leg.
fn stands(state: State) -> LegState {
    match state {
        State::None => LegState::None,
        State::Captured => LegState::Confirmed,
        State::Released => LegState::Released,
        State::Rejected => LegState::Rejected,
        State::Opening
        | State::Authorising
        | State::Held
        | State::Capturing
        | State::Unpaid
        | State::Voiding
        | State::Refunding => LegState::Held,
    }
}
