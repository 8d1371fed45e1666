//! The row that a trip is: flat, text and integers only, one field a column, so that an operator can read it and both databases can
//! keep it.

use choreography::{
    Currency, Itinerary, Money, Now, Plan, Position, Price, Reason, TripId, instant,
};
use serde::{Deserialize, Serialize};

use super::{ATTENTION_US, KEPT_US};

/// Where a trip stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No trip: never a row, for trips are not claimed.
    None,
    /// Asked for; the legs are at work.
    Pending,
    /// Confirmed: it goes through.
    Confirmed,
    /// Off, and not everything is back yet.
    Undoing,
    /// Off, and everything is back.
    Closed,
}

impl State {
    /// Those in which something is still to happen: the words, and their order, of the index `trip_open`.
    pub const OPEN: [Self; 2] = [Self::Pending, Self::Undoing];
    /// Those in which everything has happened: the words, and their order, of the index `trip_final`.
    pub const FINAL: [Self; 2] = [Self::Confirmed, Self::Closed];

    /// As the column has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Undoing => "undoing",
            Self::Closed => "closed",
        }
    }
}

/// How it ended, for the traveller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It goes through.
    Confirmed,
    /// A leg refused it.
    Rejected,
    /// The traveller cancelled it.
    Cancelled,
    /// Its deadline passed.
    Expired,
}

impl Outcome {
    /// As the column has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

/// How booking knows that a position holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settled {
    /// It refused.
    Rejected,
    /// It gave back, or left a tombstone.
    Released,
    /// It comes after one that refused, so its turn never came.
    Behind,
    /// An operator said so.
    ByHand,
}

/// One row of table `trip`. Times are microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trip {
    /// Its id.
    pub trip: TripId,
    /// Where it stands.
    pub state: State,
    /// How the trip ended; set at the pivot and when it turns back.
    pub outcome: Option<Outcome>,
    /// Why it is off.
    pub reason_code: Option<String>,
    /// The same for people.
    pub reason_message: Option<String>,
    /// What was asked for, byte for byte.
    pub itinerary: String,
    /// When booking gives up waiting.
    pub deadline_us: i64,
    /// What it may cost.
    pub budget_minor: Option<i64>,
    /// In which currency.
    pub budget_currency: Option<String>,
    /// For whom, in the caller's own words.
    pub traveller: Option<String>,
    /// What is back: a JSON list, one [`Settled`] or null per position.
    pub settled: String,
    /// What it costs, once it is confirmed: a JSON list of money.
    pub total: Option<String>,
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
    /// When it was asked for.
    pub created_us: i64,
    /// When its state changed last.
    pub changed_us: i64,
    /// Since when it has been undoing; kept when it is closed.
    pub undoing_since_us: Option<i64>,
    /// When it may be dropped.
    pub forget_us: Option<i64>,
}

/// How far a trip has come; see [`Trip::progress`].
pub type Progress = (State, usize);

impl Trip {
    /// No trip yet: what a new one is made from.
    pub fn none(trip: TripId) -> Self {
        Self {
            trip,
            state: State::None,
            outcome: None,
            reason_code: None,
            reason_message: None,
            itinerary: String::new(),
            deadline_us: 0,
            budget_minor: None,
            budget_currency: None,
            traveller: None,
            settled: "[]".into(),
            total: None,
            due_us: None,
            tries: 0,
            said_id: None,
            traceparent: None,
            tracestate: None,
            created_us: 0,
            changed_us: 0,
            undoing_since_us: None,
            forget_us: None,
        }
    }

    pub(super) fn new(trip: TripId, plan: &Plan, traveller: Option<String>, now: &Now) -> Self {
        let nothing: Vec<Option<Settled>> = vec![None; plan.itinerary.len()];
        Self {
            state: State::Pending,
            itinerary: plan.itinerary.raw().into(),
            deadline_us: plan.deadline.as_microsecond(),
            budget_minor: plan.budget.map(|budget| budget.amount_minor),
            budget_currency: plan.budget.map(|budget| budget.currency.code().into()),
            traveller,
            settled: write(&nothing),
            created_us: now.now_us(),
            changed_us: now.now_us(),
            ..Self::none(trip)
        }
    }

    /// The plan, to be said with every fact. `None` for a row without one.
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

    /// Confirmed, or off with everything back. (A confirmed trip may still be cancelled.)
    pub fn is_final(&self) -> bool {
        matches!(self.state, State::Confirmed | State::Closed)
    }

    /// How far it has come: its state, and how many positions are back. It only grows, whatever the clocks of replicas say.
    pub fn progress(&self) -> Progress {
        let back = self.settled().iter().flatten().count();
        (self.state, back)
    }

    /// Why it is off.
    pub fn reason(&self) -> Option<Reason> {
        Some(Reason::new(
            self.reason_code.as_deref()?,
            self.reason_message.as_deref().unwrap_or_default(),
        ))
    }

    /// What it costs, once it is confirmed.
    pub fn total(&self) -> Vec<Money> {
        self.total
            .as_deref()
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }

    /// What is back, one entry per position.
    pub fn settled(&self) -> Vec<Option<Settled>> {
        serde_json::from_str(&self.settled).unwrap_or_default()
    }

    /// The positions that it waits for: while it is pending all of them, for booking hears only of the last one that all hold; while it is
    /// undoing those that may still hold something.
    pub fn waiting_for(&self) -> Vec<Position> {
        if !matches!(self.state, State::Pending | State::Undoing) {
            return Vec::new();
        }
        (0..)
            .zip(self.settled())
            .filter(|(_, how)| how.is_none())
            .map(|(position, _)| position)
            .collect()
    }

    /// Undoing for over an hour: a leg is down, or nobody owns it.
    pub fn needs_attention(&self, now_us: i64) -> bool {
        let since_us = self.undoing_since_us.unwrap_or(now_us);
        self.state == State::Undoing && now_us.saturating_sub(since_us) > ATTENTION_US
    }

    /// Its positions, in order.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> + use<> {
        (0..).take(self.settled().len())
    }

    /// Marks a position as back, unless it was; says whether that was news.
    pub(super) fn settle(&mut self, position: Position, how: Settled) -> bool {
        let mut settled = self.settled();
        match settled.get_mut(usize::from(position)) {
            Some(entry @ None) => *entry = Some(how),
            _ => return false,
        }
        self.settled = write(&settled);
        true
    }

    /// The pivot.
    pub(super) fn confirm(&mut self, price: &Price, now: &Now) {
        self.outcome = Some(Outcome::Confirmed);
        self.total = serde_json::to_string(&price.total).ok();
        self.enter(State::Confirmed, now);
    }

    /// Turns back, and decides what the traveller is told.
    pub(super) fn undo(&mut self, outcome: Outcome, reason: &Reason, now: &Now) {
        self.outcome = Some(outcome);
        self.reason_code = Some(reason.code.clone());
        self.reason_message = Some(reason.message.clone());
        self.undoing_since_us = Some(now.now_us());
        self.enter(State::Undoing, now);
        self.wait(now);
    }

    /// Everything is back.
    pub(super) fn close(&mut self, now: &Now) {
        self.enter(State::Closed, now);
        self.forget_us = Some(
            self.deadline_us
                .max(self.changed_us)
                .saturating_add(KEPT_US),
        );
    }

    /// Sets the timer to the next question.
    pub(super) fn wait(&mut self, now: &Now) {
        self.wake_at(now.wake_us(self.tries));
    }

    /// Sets the timer to the next look, where the next question may not be needed.
    pub(super) fn put_off(&mut self, now: &Now) {
        self.wake_at(now.look_again_us(self.tries));
    }

    /// A pending trip looks up at its deadline at the latest.
    fn wake_at(&mut self, wake_us: i64) {
        let latest_us = if self.state == State::Pending {
            self.deadline_us
        } else {
            i64::MAX
        };
        self.due_us = Some(wake_us.min(latest_us));
    }

    fn enter(&mut self, state: State, now: &Now) {
        self.state = state;
        self.tries = 0;
        self.due_us = None;
        self.changed_us = now.now_us();
    }
}

/// A list of small words always has a JSON form.
fn write(settled: &[Option<Settled>]) -> String {
    serde_json::to_string(settled).unwrap_or_default()
}
