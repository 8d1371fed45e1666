//! The row that a position of a trip is: flat, text and integers only, one field a column, so that an operator can read it and both
//! databases can keep it. The views of it that the core works with (plan, price, holds) are methods.

use choreography::{
    Currency, FactBody, Itinerary, Money, Now, Plan, Position, Price, Reason, TripId, instant,
};
use serde::{Deserialize, Serialize};

use super::{Hold, KEPT_US};

/// Where a position stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing was heard of the trip yet (a row only while it is claimed).
    None,
    /// Capacity is held and an answer awaited.
    Held,
    /// Capacity is firm.
    Confirmed,
    /// Nothing is held any more, or never was and never will be.
    Released,
    /// Never held, and never will be.
    Rejected,
}

impl State {
    /// As the column has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Held => "held",
            Self::Confirmed => "confirmed",
            Self::Released => "released",
            Self::Rejected => "rejected",
        }
    }
}

/// One row of table `leg`. Times are microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Of which trip,
    pub trip: TripId,
    /// and which place on its itinerary.
    pub position: Position,
    /// Where it stands.
    pub state: State,
    /// The trip's itinerary, byte for byte, since a timer has no fact to take it from.
    pub itinerary: String,
    /// The trip's deadline.
    pub deadline_us: i64,
    /// The trip's budget.
    pub budget_minor: Option<i64>,
    /// The budget's currency, ISO 4217.
    pub budget_currency: Option<String>,
    /// This leg's price, as it was at the hold.
    pub price_minor: Option<i64>,
    /// The price's currency, ISO 4217.
    pub currency: Option<String>,
    /// The running total at the hold: a JSON list of money.
    pub total: Option<String>,
    /// Why it was rejected or released.
    pub reason_code: Option<String>,
    /// The same for people.
    pub reason_message: Option<String>,
    /// What is or was held: a JSON list of [`Hold`], kept after the release for the reader.
    pub holds: Option<String>,
    /// When to ask again.
    pub due_us: Option<i64>,
    /// How often it asked again.
    pub tries: i64,
    /// The id of what it said last (the loop's to set).
    pub said_id: Option<String>,
    /// The trace it belongs to (the loop's to set).
    pub traceparent: Option<String>,
    /// The rest of the trace that `traceparent` names (the loop's to set).
    pub tracestate: Option<String>,
    /// When its state changed last.
    pub changed_us: i64,
    /// When it may be dropped.
    pub forget_us: Option<i64>,
    /// 1 while what it said last still lies in the outbox. No column: it is looked up when the row is loaded.
    #[serde(default, skip_serializing)]
    pub unsent: i64,
}

impl Record {
    /// No record yet.
    pub fn none(trip: TripId, position: Position) -> Self {
        Self {
            trip,
            position,
            state: State::None,
            itinerary: String::new(),
            deadline_us: 0,
            budget_minor: None,
            budget_currency: None,
            price_minor: None,
            currency: None,
            total: None,
            reason_code: None,
            reason_message: None,
            holds: None,
            due_us: None,
            tries: 0,
            said_id: None,
            traceparent: None,
            tracestate: None,
            changed_us: 0,
            forget_us: None,
            unsent: 0,
        }
    }

    /// The trip's plan, to be said with every fact. `None` for a row without one.
    pub fn plan(&self) -> Option<Plan> {
        let itinerary = Itinerary::parse(&self.itinerary).ok()?;
        let budget = match (self.budget_minor, &self.budget_currency) {
            (Some(amount), Some(code)) => Some(Money::new(amount, Currency::from_code(code)?)),
            _ => None,
        };
        Some(Plan {
            itinerary,
            deadline: instant(self.deadline_us),
            budget,
        })
    }

    /// What is or was held.
    pub fn holds(&self) -> Vec<Hold> {
        self.holds
            .as_deref()
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }

    /// The price as recorded at the hold.
    pub fn price(&self) -> Option<Price> {
        let price = Money::new(
            self.price_minor?,
            Currency::from_code(self.currency.as_deref()?)?,
        );
        let total = serde_json::from_str(self.total.as_deref()?).ok()?;
        Some(Price { price, total })
    }

    /// Why it was rejected or released.
    pub fn reason(&self) -> Option<Reason> {
        Some(Reason::new(
            self.reason_code.as_deref()?,
            self.reason_message.as_deref().unwrap_or_default(),
        ))
    }

    /// What the state has to say; `None` has nothing, nor has a row that was damaged by hand.
    pub fn announcement(&self) -> Option<FactBody> {
        let position = self.position;
        match self.state {
            State::None => None,
            State::Held | State::Confirmed => Some(FactBody::Reserved {
                position,
                price: self.price()?,
            }),
            State::Released => Some(FactBody::Released {
                position,
                reason: self.reason()?,
            }),
            State::Rejected => Some(FactBody::Rejected {
                position,
                reason: self.reason()?,
            }),
        }
    }

    /// Takes over what was asked for.
    pub(super) fn adopt(&mut self, plan: &Plan) {
        self.itinerary = plan.itinerary.raw().into();
        self.deadline_us = plan.deadline.as_microsecond();
        self.budget_minor = plan.budget.map(|budget| budget.amount_minor);
        self.budget_currency = plan.budget.map(|budget| budget.currency.code().into());
    }

    /// Records what is held and for how much, to be said again verbatim.
    pub(super) fn keep_offer(&mut self, holds: &[Hold], price: &Price) {
        self.price_minor = Some(price.price.amount_minor);
        self.currency = Some(price.price.currency.code().into());
        self.total = serde_json::to_string(&price.total).ok();
        self.holds = serde_json::to_string(holds).ok();
    }

    /// Changes state. Only a hold waits.
    pub(super) fn enter(&mut self, state: State, now: &Now) {
        self.state = state;
        self.tries = 0;
        self.changed_us = now.now_us();
        self.due_us = (state == State::Held).then(|| now.wake_us(0));
        let done = matches!(state, State::Released | State::Rejected);
        self.forget_us = done.then(|| {
            self.deadline_us
                .max(self.changed_us)
                .saturating_add(KEPT_US)
        });
    }

    /// Becomes released or rejected, and why.
    pub(super) fn refuse(&mut self, state: State, reason: &Reason, now: &Now) {
        self.reason_code = Some(reason.code.clone());
        self.reason_message = Some(reason.message.clone());
        self.enter(state, now);
    }
}
