//! The row of one payment: flat, text and integers only, one field a column, so that an operator can read it and both databases can keep
//! it. What the core works with (the plan, the price, the next call) are methods. Of what is paid with, there is the provider's id alone.

use choreography::{
    Currency, FactBody, Itinerary, Money, Now, Plan, Position, Price, Reason, TripId, instant,
};
use leg::core::KEPT_US;
use serde::{Deserialize, Serialize};

use super::call::{Purpose, Request};

/// How long a payment may be on its way to its end before somebody should look: an hour, as with trips.
pub const ATTENTION_US: i64 = 3_600 * 1_000_000;

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing was heard of the trip yet (a row only while it is claimed).
    None,
    /// The provider is asked for a payment to work on; no money moves.
    Opening,
    /// The provider is asked to hold the money.
    Authorising,
    /// The money is held and the trip's outcome awaited.
    Held,
    /// The trip is confirmed, and the provider is asked for the money.
    Capturing,
    /// The money is taken.
    Captured,
    /// The trip is confirmed and its money can't be had: a person has to decide.
    Unpaid,
    /// The provider is asked to let go of the money.
    Voiding,
    /// The provider is asked to give the money back.
    Refunding,
    /// Nothing is held or taken any more, or never was and never will be.
    Released,
    /// Never held, and never will be.
    Rejected,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::None,
        Self::Opening,
        Self::Authorising,
        Self::Held,
        Self::Capturing,
        Self::Captured,
        Self::Unpaid,
        Self::Voiding,
        Self::Refunding,
        Self::Released,
        Self::Rejected,
    ];

    /// As the column has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Opening => "opening",
            Self::Authorising => "authorising",
            Self::Held => "held",
            Self::Capturing => "capturing",
            Self::Captured => "captured",
            Self::Unpaid => "unpaid",
            Self::Voiding => "voiding",
            Self::Refunding => "refunding",
            Self::Released => "released",
            Self::Rejected => "rejected",
        }
    }

    /// Whether it waits for a fact, and so says again what it has to say. Of an unpaid trip booking may have heard long ago that it comes back:
    /// then the answer is `cancelled`.
    #[must_use]
    pub fn waits(self) -> bool {
        matches!(self, Self::Held | Self::Unpaid)
    }

    /// What the provider is asked in this state. Of what is over it is asked to let go, if something may be left there; and what it took of that, to
    /// give back.
    #[must_use]
    pub fn asks(self) -> Option<Purpose> {
        match self {
            Self::Opening => Some(Purpose::Open),
            Self::Authorising => Some(Purpose::Authorise),
            Self::Capturing => Some(Purpose::Capture),
            // A declined payment is closed at the provider too, so that no request that comes late can hold anything.
            Self::Voiding | Self::Rejected | Self::Released => Some(Purpose::Void),
            Self::Refunding => Some(Purpose::Refund),
            Self::None | Self::Held | Self::Captured | Self::Unpaid => None,
        }
    }
}

/// One row of table `payment`. Times are microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Of which trip.
    pub trip: TripId,
    /// Its place on the itinerary.
    pub position: Position,
    /// Where it stands.
    pub state: State,
    /// The trip's itinerary, byte for byte, since an answer has no fact to take it from.
    pub itinerary: String,
    /// The trip's deadline.
    pub deadline_us: i64,
    /// The trip's budget.
    pub budget_minor: Option<i64>,
    /// The budget's currency, ISO 4217.
    pub budget_currency: Option<String>,
    /// How much is paid: the running total when its turn came.
    pub amount_minor: Option<i64>,
    /// In which currency, ISO 4217.
    pub currency: Option<String>,
    /// The provider's id of what it is paid with.
    pub method: Option<String>,
    /// The provider's id of the payment.
    pub intent: Option<String>,
    /// The purpose of the call that is under way.
    pub asked: Option<Purpose>,
    /// How often something was asked anew: what was refused and has to be granted, and what news put in doubt. Each time under a key of its own.
    pub refusals: i64,
    /// 1 once the trip is known to be off.
    pub undo: i64,
    /// Why it was rejected or released, or is to be.
    pub reason_code: Option<String>,
    /// The same for people.
    pub reason_message: Option<String>,
    /// What the provider refused last, in our words: for whoever looks.
    pub trouble: Option<String>,
    /// When to announce again, or to ask the provider again.
    pub due_us: Option<i64>,
    /// How often it did since its state changed.
    pub tries: i64,
    /// The id of what it said last (the loop's to set).
    pub said_id: Option<String>,
    /// The trace it belongs to (the loop's to set).
    pub traceparent: Option<String>,
    /// The rest of the trace that `traceparent` names (the loop's to set).
    pub tracestate: Option<String>,
    /// When its state changed last.
    pub changed_us: i64,
    /// From when on somebody should look at it.
    pub attention_us: Option<i64>,
    /// When it may be dropped.
    pub forget_us: Option<i64>,
    /// 1 while what it said last still lies in the outbox. No column: it is looked up when the row is loaded.
    #[serde(default, skip_serializing)]
    pub unsent: i64,
}

impl Record {
    /// No record yet.
    #[must_use]
    pub fn none(trip: TripId, position: Position) -> Self {
        Self {
            trip,
            position,
            state: State::None,
            itinerary: String::new(),
            deadline_us: 0,
            budget_minor: None,
            budget_currency: None,
            amount_minor: None,
            currency: None,
            method: None,
            intent: None,
            asked: None,
            refusals: 0,
            undo: 0,
            reason_code: None,
            reason_message: None,
            trouble: None,
            due_us: None,
            tries: 0,
            said_id: None,
            traceparent: None,
            tracestate: None,
            changed_us: 0,
            attention_us: None,
            forget_us: None,
            unsent: 0,
        }
    }

    /// The trip's plan, to be said with every fact. `None` for a row without one.
    #[must_use]
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

    /// What is paid.
    #[must_use]
    pub fn amount(&self) -> Option<Money> {
        let currency = Currency::from_code(self.currency.as_deref()?)?;
        Some(Money::new(self.amount_minor?, currency))
    }

    /// Why it was rejected or released, or is to be.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        Some(Reason::new(
            self.reason_code.as_deref()?,
            self.reason_message.as_deref().unwrap_or_default(),
        ))
    }

    /// Whether the trip is known to be off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.undo != 0
    }

    /// Whether somebody should look at it.
    #[must_use]
    pub fn needs_attention(&self, now_us: i64) -> bool {
        self.attention_us
            .is_some_and(|attention_us| attention_us <= now_us)
    }

    /// What the state has to say; `None` has nothing, nor has a row that was damaged by hand.
    #[must_use]
    pub fn announcement(&self) -> Option<FactBody> {
        let position = self.position;
        match self.state {
            State::Held | State::Capturing | State::Captured | State::Unpaid => {
                let amount = self.amount()?;
                let price = Price {
                    price: Money::new(0, amount.currency),
                    total: vec![amount],
                };
                Some(FactBody::Reserved { position, price })
            }
            State::Released => Some(FactBody::Released {
                position,
                reason: self.reason()?,
            }),
            State::Rejected => Some(FactBody::Rejected {
                position,
                reason: self.reason()?,
            }),
            State::None
            | State::Opening
            | State::Authorising
            | State::Voiding
            | State::Refunding => None,
        }
    }

    /// The provider's idempotency key of what this state asks. What was refused is asked under a new one, for providers answer a known key
    /// with what they said before; but never an opening or an authorisation: of those there is one.
    #[must_use]
    pub fn key(&self, purpose: Purpose) -> String {
        let key = format!("{}-{}-{}", self.trip, self.position, purpose.as_str());
        match purpose {
            Purpose::Capture | Purpose::Void | Purpose::Refund if self.refusals > 0 => {
                format!("{key}-{}", self.refusals)
            }
            _ => key,
        }
    }

    /// A call that is under way from now on. `None` for a row that was damaged by hand.
    pub(super) fn ask(&mut self, purpose: Purpose) -> Option<Request> {
        if purpose != Purpose::Open && self.intent.is_none() {
            return None;
        }
        let request = Request {
            purpose,
            key: self.key(purpose),
            trip: self.trip,
            position: self.position,
            intent: self.intent.clone(),
            amount_minor: self.amount_minor?,
            currency: self.currency.clone()?,
            method: self.method.clone()?,
        };
        self.asked = Some(purpose);
        self.due_us = None;
        self.forget_us = None;
        Some(request)
    }

    /// Takes over what was asked for.
    pub(super) fn adopt(&mut self, plan: &Plan) {
        self.itinerary = plan.itinerary.raw().into();
        self.deadline_us = plan.deadline.as_microsecond();
        self.budget_minor = plan.budget.map(|budget| budget.amount_minor);
        self.budget_currency = plan.budget.map(|budget| budget.currency.code().into());
    }

    /// Remembers why it is over, or is to be.
    pub(super) fn because(&mut self, reason: &Reason) {
        self.reason_code = Some(reason.code.clone());
        self.reason_message = Some(reason.message.clone());
    }

    /// The trip is off: to be acted on at once, or when the answer to what is under way has come.
    pub(super) fn call_off(&mut self, reason: &Reason, now: &Now) {
        self.undo = 1;
        self.because(reason);
        if self.asked.is_some() {
            self.attention_us = Some(now.now_us().saturating_add(ATTENTION_US));
        }
    }

    /// Changes state.
    pub(super) fn enter(&mut self, state: State, now: &Now) {
        self.state = state;
        self.asked = None;
        self.tries = 0;
        self.changed_us = now.now_us();
        self.due_us = state.waits().then(|| now.wake_us(0));
        self.attention_us = match state {
            State::Unpaid => Some(self.changed_us),
            State::Capturing | State::Voiding | State::Refunding => {
                Some(self.changed_us.saturating_add(ATTENTION_US))
            }
            // It lapsed, and booking may have confirmed the trip just then: what became of the trip has to be heard.
            State::Released if !self.is_off() => Some(
                self.deadline_us
                    .max(self.changed_us)
                    .saturating_add(ATTENTION_US),
            ),
            _ => None,
        };
        self.keep_for_a_while();
    }

    /// What is over and asks nothing any more may be dropped, so long after everybody else forgot it.
    pub(super) fn keep_for_a_while(&mut self) {
        let over = match self.state {
            State::Released => self.is_off(),
            State::Rejected => true,
            _ => false,
        };
        let over = over && self.asked.is_none() && self.due_us.is_none();
        self.forget_us = over.then(|| {
            self.deadline_us
                .max(self.changed_us)
                .saturating_add(KEPT_US)
        });
    }
}
