//! What the small leg makes of what it hears: the table of a leg, and the faults in it.

use std::time::Instant;

use choreography::{
    Currency, Fact, FactBody, Itinerary, Money, Position, Price, Reason, Speaker, TripId,
};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::leg::{Leg, Memory, PAUSE, Record, State, event};
use crate::wrong::Fault;

const PRICE: i64 = 1_000;
/// After so many trips, whoever tires does.
const TIRED: usize = 100;

impl Leg {
    pub(crate) fn react(&self, memory: &mut Memory, fact: &Fact, position: Position, cause: Uuid) {
        let key = (fact.trip, position);
        let state = memory.records.get(&key).map(|record| record.state);
        match &fact.said {
            FactBody::Requested if position == 0 => self.turn(memory, fact, position, &[], cause),
            FactBody::Requested if self.is(Fault::BeforeItsTurn) => {
                self.turn(memory, fact, position, &[], cause)
            }
            FactBody::Reserved {
                position: before,
                price,
            } if before + 1 == position => {
                self.turn(memory, fact, position, &price.total, cause);
            }
            FactBody::Confirmed => {
                if let Some(record) = memory
                    .records
                    .get_mut(&key)
                    .filter(|record| record.state == State::Held)
                {
                    record.state = State::Confirmed;
                }
            }
            FactBody::Cancelled { .. }
                if self.is(Fault::IgnoresCancellation) && state == Some(State::Held) => {}
            FactBody::Cancelled { .. } if self.tired(memory, key) => {}
            FactBody::Cancelled { reason } => {
                if self.is(Fault::ForgetsTombstones) && state.is_none() {
                    self.let_go(memory, fact, position, reason, cause);
                    memory.records.remove(&key);
                } else if state == Some(State::Rejected) {
                    self.say(memory, key, Some(cause));
                } else {
                    self.let_go(memory, fact, position, reason, cause);
                }
            }
            FactBody::Rejected {
                position: refused,
                reason,
            } => {
                let later =
                    *refused > position || self.is(Fault::MindsTheEarlier) && *refused < position;
                let firm = state == Some(State::Confirmed) && !self.is(Fault::LetsGoOfTheFirm);
                let over = matches!(state, Some(State::Released | State::Rejected));
                if later && !firm && !over && !self.is(Fault::IgnoresTheLater) {
                    self.let_go(memory, fact, position, reason, cause);
                }
            }
            _ => {}
        }
    }

    fn turn(
        &self,
        memory: &mut Memory,
        fact: &Fact,
        position: Position,
        total: &[Money],
        cause: Uuid,
    ) {
        let key = (fact.trip, position);
        if memory.records.contains_key(&key) {
            return self.asked_again(memory, key, cause);
        }
        let price = Money::new(PRICE, Currency::EUR);
        let total = if self.is(Fault::CountsItselfAlone) {
            vec![price]
        } else {
            price.add_to(total).unwrap()
        };
        let details: Value =
            serde_json::from_str(fact.plan.itinerary.details(position).unwrap()).unwrap();
        let Some(kind) = details["kind"]
            .as_str()
            .map(str::to_owned)
            .or_else(|| (!self.is(Fault::DeafToNonsense)).then(String::new))
        else {
            return;
        };
        let late = Timestamp::now()
            .duration_since(fact.plan.deadline)
            .as_secs()
            > 3_600;
        let spent = total
            .iter()
            .find(|sum| sum.currency == Currency::EUR)
            .unwrap()
            .amount_minor;
        let budget = fact
            .plan
            .budget
            .filter(|_| !self.is(Fault::IgnoresTheBudget));
        let dear = budget
            .is_some_and(|budget| budget.currency != Currency::EUR || budget.amount_minor < spent);
        let left = memory.stock.get_mut(kind.as_str());
        let state = if late && !self.is(Fault::HoldsTooLate) {
            State::Released
        } else if let Some(left) =
            left.filter(|left| !dear && (**left > 0 || self.is(Fault::SellsTwice)))
        {
            *left -= 1;
            State::Held
        } else {
            State::Rejected
        };
        let record = Record {
            state,
            plan: fact.plan.clone(),
            kind,
            price: Price { price, total },
            reason: Reason::new("sold-out", "there is none"),
            asks: Instant::now() + PAUSE,
            said: None,
        };
        memory.records.insert(key, record);
        self.say(memory, key, Some(cause));
    }

    fn asked_again(&self, memory: &mut Memory, key: (TripId, Position), cause: Uuid) {
        let record = memory.records.get_mut(&key).unwrap();
        let again = match record.state {
            State::Rejected => self.is(Fault::RefusesThenReserves),
            State::Released => self.is(Fault::HoldsAgain),
            State::Held | State::Confirmed => false,
        };
        if again {
            record.state = State::Held;
        }
        if self.is(Fault::HoldsTwice) && record.state == State::Held {
            let kind = record.kind.clone();
            *memory.stock.entry(kind).or_default() -= 1;
        }
        if !self.is(Fault::SilentOnRepeat) {
            self.say(memory, key, Some(cause));
        }
    }

    fn let_go(
        &self,
        memory: &mut Memory,
        fact: &Fact,
        position: Position,
        reason: &Reason,
        cause: Uuid,
    ) {
        let key = (fact.trip, position);
        let record = memory.records.entry(key).or_insert_with(|| Record {
            state: State::Released,
            plan: fact.plan.clone(),
            kind: String::new(),
            price: Price {
                price: Money::new(PRICE, Currency::EUR),
                total: vec![],
            },
            reason: reason.clone(),
            asks: Instant::now(),
            said: None,
        });
        let held = matches!(record.state, State::Held | State::Confirmed);
        record.state = if held && self.is(Fault::RejectsWhatItHeld) {
            State::Rejected
        } else {
            State::Released
        };
        let kind = record.kind.clone();
        if held && !self.is(Fault::KeepsTheStock) {
            *memory.stock.entry(kind).or_default() += 1;
        }
        self.say(memory, key, Some(cause));
    }

    /// Of every fourth trip, once there were many.
    fn tired(&self, memory: &Memory, (trip, _): (TripId, Position)) -> bool {
        self.is(Fault::TiresOfTrips)
            && memory.records.len() > TIRED
            && trip.uuid().as_u128() % 4 == 0
    }

    /// Says what the record has to say, under a new id.
    fn say(&self, memory: &mut Memory, key: (TripId, Position), cause: Option<Uuid>) {
        memory.sayings += 1;
        let sayings = memory.sayings;
        let record = memory.records.get_mut(&key).unwrap();
        record.asks = Instant::now() + PAUSE;
        if record.state == State::Held && self.is(Fault::SaysNothing) {
            return;
        }
        let (trip, mut position) = key;
        let mut plan = record.plan.clone();
        if self.is(Fault::WrongPosition) {
            position = plan.itinerary.positions_of(&self.name).next().unwrap();
        }
        if self.is(Fault::RewritesTheItinerary) {
            let anew: Value = serde_json::from_str(plan.itinerary.raw()).unwrap();
            plan.itinerary = Itinerary::parse(&anew.to_string()).unwrap();
        }
        if self.is(Fault::PricesAnew) {
            record.price.price.amount_minor += sayings;
        }
        let reason = record.reason.clone();
        let said = match record.state {
            State::Held | State::Confirmed => FactBody::Reserved {
                position,
                price: record.price.clone(),
            },
            State::Released => FactBody::Released { position, reason },
            State::Rejected => FactBody::Rejected { position, reason },
        };
        let fact = Fact {
            speaker: Speaker::Leg(self.name.clone()),
            trip,
            plan,
            said,
        };
        let mut subject = fact.subject();
        if self.is(Fault::WrongSubject) && fact.said.name() == "reserved" {
            subject = format!("trips.{}.reserved.nobody", self.name);
        }
        let mut event = event(
            "trip",
            trip.to_string(),
            fact.kind(),
            subject,
            fact.to_json(),
            cause,
        );
        if let Some(before) = record
            .said
            .take()
            .filter(|said| self.is(Fault::OldIds) && said.kind == event.kind)
        {
            event.id = before.id;
            event.attempt = 1;
        }
        record.said = Some(event.clone());
        memory.outbox.push(event);
    }

    /// Who waits asks again.
    pub(crate) fn ticks(&self) {
        let mut memory = self.memory.lock().unwrap();
        let mut due = Vec::new();
        for (key, record) in &mut memory.records {
            let held = record.state == State::Held;
            if held && self.is(Fault::LetsGoByItsClock) && Timestamp::now() > record.plan.deadline {
                record.state = State::Released;
                due.push(*key);
            } else if held && record.asks <= Instant::now() && !self.is(Fault::NeverAsksAgain) {
                due.push(*key);
            }
        }
        for key in due {
            self.say(&mut memory, key, None);
        }
    }
}
