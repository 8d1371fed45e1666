//! The rows of the payment service: one table. No SQL: the runtime makes that of the description here.

use choreography::{Plan, Position, TripId};
use participant::Kept;
use runtime::table::{Lock, Row, Table, int, text};

use crate::core::{Record, State};

/// The table `payment`.
pub const PAYMENT: &Table = &Table {
    name: "payment",
    key: &[text("trip"), int("position")],
    columns: &[
        text("state"),
        text("itinerary"),
        int("deadline_us"),
        int("budget_minor"),
        text("budget_currency"),
        int("amount_minor"),
        text("currency"),
        text("method"),
        text("intent"),
        text("asked"),
        int("refusals"),
        int("undo"),
        text("reason_code"),
        text("reason_message"),
        text("trouble"),
        int("due_us"),
        int("tries"),
        text("said_id"),
        text("traceparent"),
        text("tracestate"),
        int("changed_us"),
        int("attention_us"),
        int("forget_us"),
    ],
    lock: Lock::Claim,
};

/// The states that are not over, as the index `payment_open` has them.
pub const OPEN: [State; 7] = [
    State::Opening,
    State::Authorising,
    State::Held,
    State::Capturing,
    State::Unpaid,
    State::Voiding,
    State::Refunding,
];

impl Row for Record {
    const TABLE: &'static Table = PAYMENT;
    type Key = (TripId, Position);

    fn key(&self) -> Self::Key {
        (self.trip, self.position)
    }

    fn exists(&self) -> bool {
        self.state != State::None
    }
}

impl participant::Record for Record {
    fn trip(&self) -> TripId {
        self.trip
    }

    fn plan(&self) -> Option<Plan> {
        self.plan()
    }

    fn state(&self) -> &'static str {
        self.state.as_str()
    }

    fn kept(&mut self) -> Kept<'_> {
        Kept {
            said_id: &mut self.said_id,
            traceparent: &mut self.traceparent,
            tracestate: &mut self.tracestate,
        }
    }
}
