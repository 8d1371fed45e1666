//! The rows of booking: trips, idempotency keys, and the legs that have joined. No SQL: the runtime makes that of the
//! descriptions here.

use choreography::{LegName, Plan, TripId};
use participant::Kept;
use runtime::table::{Lock, Row, Rows, Table, int, text};
use serde::{Deserialize, Serialize};
use sqlx::migrate::Migrator;

use crate::core::{State, Trip};

/// The table `trip`.
pub const TRIP: &Table = &Table {
    name: "trip",
    key: &[text("trip")],
    columns: &[
        text("state"),
        text("outcome"),
        text("reason_code"),
        text("reason_message"),
        text("itinerary"),
        int("deadline_us"),
        int("budget_minor"),
        text("budget_currency"),
        text("traveller"),
        text("settled"),
        text("total"),
        int("due_us"),
        int("tries"),
        text("said_id"),
        text("traceparent"),
        text("tracestate"),
        int("created_us"),
        int("changed_us"),
        int("undoing_since_us"),
        int("forget_us"),
    ],
    lock: Lock::Update,
};

impl Row for Trip {
    const TABLE: &'static Table = TRIP;
    type Key = (TripId,);

    fn key(&self) -> Self::Key {
        (self.trip,)
    }

    fn exists(&self) -> bool {
        self.state != State::None
    }
}

impl participant::Record for Trip {
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

/// A caller's own name for a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// As the caller sent it.
    pub key: String,
    /// SHA-256 of what was asked, whatever its spelling.
    pub fingerprint: String,
    /// The trip that was made; empty in a row that is only claimed.
    pub trip: String,
    /// When it may be used anew.
    pub forget_us: Option<i64>,
}

/// The table `idempotency`. Two replicas may be asked under one key at once, so it is claimed.
pub const IDEMPOTENCY: &Table = &Table {
    name: "idempotency",
    key: &[text("key")],
    columns: &[text("fingerprint"), text("trip"), int("forget_us")],
    lock: Lock::Claim,
};

impl Row for Key {
    const TABLE: &'static Table = IDEMPOTENCY;
    type Key = (String,);

    fn key(&self) -> Self::Key {
        (self.key.clone(),)
    }

    fn exists(&self) -> bool {
        !self.trip.is_empty()
    }
}

/// A leg that said that it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedLeg {
    /// Its name.
    pub leg: LegName,
    /// When it last said so.
    pub seen_us: i64,
    /// What it said, JSON: among it which fields of its details are counts, and which are dates.
    pub shape: String,
}

/// The table `joined_leg`.
pub const JOINED_LEG: &Table = &Table {
    name: "joined_leg",
    key: &[text("leg")],
    columns: &[int("seen_us"), text("shape")],
    // Every request looks at it, and a leg that has joined stays joined.
    lock: Lock::None,
};

impl Row for JoinedLeg {
    const TABLE: &'static Table = JOINED_LEG;
    type Key = (LegName,);

    fn key(&self) -> Self::Key {
        (self.leg.clone(),)
    }
}

/// What an operator has said of a leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredLeg {
    /// Its name.
    pub leg: LegName,
    /// Since when no new trip is taken with it; None once it has been restored.
    pub retired_us: Option<i64>,
    /// The operator's word.
    pub reason: String,
}

/// The table `retired_leg`.
pub const RETIRED_LEG: &Table = &Table {
    name: "retired_leg",
    key: &[text("leg")],
    columns: &[int("retired_us"), text("reason")],
    // As `joined_leg`: a trip that was asked for before the operator had an answer is under way.
    lock: Lock::None,
};

impl Row for RetiredLeg {
    const TABLE: &'static Table = RETIRED_LEG;
    type Key = (LegName,);

    fn key(&self) -> Self::Key {
        (self.leg.clone(),)
    }
}

/// The rows of one batch.
#[derive(Default)]
pub struct Work {
    /// Keys; locked first, for whoever meets on one meets before there is a trip.
    pub keys: Rows<Key>,
    /// Trips.
    pub trips: Rows<Trip>,
    /// What has joined.
    pub legs: Rows<JoinedLeg>,
    /// What of it can't be booked.
    pub retired: Rows<RetiredLeg>,
}

/// What makes these tables, in order.
pub(crate) fn migrations() -> Migrator {
    runtime::database::migrations([
        (
            1001,
            "booking",
            include_str!("../migrations/1001_booking.sql"),
        ),
        (
            1002,
            "lookups",
            include_str!("../migrations/1002_lookups.sql"),
        ),
        (
            1003,
            "retired leg",
            include_str!("../migrations/1003_retired_leg.sql"),
        ),
    ])
}
