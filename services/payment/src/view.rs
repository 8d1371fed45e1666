//! A payment as an operator sees it: where it stands, what it waits for and what went wrong. No card data: there is none.

use choreography::{Money, Position, Reason, TripId, instant};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::core::{Purpose, Record, State};
use crate::schema;

/// A payment as an operator sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Payment)]
pub struct PaymentView {
    /// For which trip.
    #[schema(value_type = Uuid)]
    pub trip: TripId,
    /// Its place on the itinerary, from 0.
    pub position: Position,
    /// Where it stands.
    #[schema(value_type = schema::PaymentState)]
    pub state: State,
    /// What is paid: the price of all legs before it. Null where its turn never came, or was not accepted.
    #[schema(value_type = Option<schema::Money>)]
    pub amount: Option<Money>,
    /// The provider's id of what it is paid with.
    pub method: Option<String>,
    /// The provider's id of the payment.
    pub intent: Option<String>,
    /// What the provider is asked and has not answered.
    #[schema(value_type = Option<schema::Purpose>)]
    pub asked: Option<Purpose>,
    /// Whether the trip is known to be off.
    pub off: bool,
    /// Why it was rejected or released, or is to be.
    #[schema(value_type = Option<schema::Reason>)]
    pub reason: Option<Reason>,
    /// What the provider refused last, in plain words.
    pub trouble: Option<String>,
    /// A person should look: its trip is confirmed and unpaid, or it has been on its way to its end for over an hour.
    pub needs_attention: bool,
    /// Since when it does, or from when on it would.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub attention: Option<Timestamp>,
    /// How often it asked again since its state changed last.
    #[schema(minimum = 0)]
    pub tries: i64,
    /// The trip's deadline.
    #[schema(value_type = String, format = DateTime)]
    pub deadline: Timestamp,
    /// When its state changed last.
    #[schema(value_type = String, format = DateTime)]
    pub changed: Timestamp,
}

impl PaymentView {
    /// What there is to see of it now.
    #[must_use]
    pub fn of(record: &Record, now: Timestamp) -> Self {
        Self {
            trip: record.trip,
            position: record.position,
            state: record.state,
            amount: record.amount(),
            method: record.method.clone(),
            intent: record.intent.clone(),
            asked: record.asked,
            off: record.is_off(),
            reason: record.reason(),
            trouble: record.trouble.clone(),
            needs_attention: record.needs_attention(now.as_microsecond()),
            attention: record.attention_us.map(instant),
            tries: record.tries,
            deadline: instant(record.deadline_us),
            changed: instant(record.changed_us),
        }
    }
}
