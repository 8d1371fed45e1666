//! The loop's view of the payment leg: reads facts, names the rows they need, lets the core judge, and performs what it asks for. Which state
//! follows which is the core's; how the provider is spoken to, the provider module's.

use std::sync::Arc;
use std::time::Duration;

use choreography::{Backoff, Fact, Joined, LegName, Position, Speaker, TripId};
use runtime::{
    Attempt, Call, Context, Entity, Input, Message, ReadError, Rows, ServiceInput, Settings, Table,
    Working,
};
use sqlx::migrate::Migrator;

use crate::core::{self, Answer, Record, Request, Standing, State};
use crate::provider::Provider;
use crate::store::PAYMENT;

/// How long a call rests whose row was damaged by hand: somebody has to mend it.
const DAMAGED_PAUSE: Duration = Duration::from_secs(3_600);

/// The payment leg's tables, beside the runtime's own.
#[must_use]
pub fn migrations() -> Migrator {
    let payment = (
        1001,
        "payment",
        include_str!("../migrations/1001_payment.sql"),
    );
    runtime::database::migrations([runtime::database::calls_migration(), payment])
}

/// News of the provider that nobody asked for, its signature checked.
#[derive(Debug)]
pub struct Heard {
    /// Of which trip.
    pub trip: TripId,
    /// Of which place on its itinerary.
    pub position: Position,
    /// Of which of the provider's payments.
    pub intent: String,
    /// What it says of it.
    pub answer: Answer,
}

/// The payment leg as the runtime runs it.
pub struct PaymentService {
    name: LegName,
    speaker: Speaker,
    backoff: Backoff,
    provider: Arc<Provider>,
}

impl PaymentService {
    /// The leg with the pauses that the settings say, at that provider.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a constant: with a wrong one the leg does not even start"
    )]
    pub fn new(provider: Arc<Provider>, settings: &Settings) -> Self {
        let name: LegName = crate::NAME.parse().expect("the name of a leg");
        Self {
            speaker: Speaker::Leg(name.clone()),
            name,
            backoff: participant::backoff(settings),
            provider,
        }
    }

    /// Whom it asks for money.
    #[must_use]
    pub fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    fn standing(&self) -> Standing {
        if self.provider.is_down() {
            Standing::Down
        } else {
            Standing::Up
        }
    }

    /// One position hears something.
    fn judge(
        &self,
        (trip, position): (TripId, Position),
        heard: core::Input<'_>,
        rows: &mut Rows<Record>,
        context: &mut Context,
    ) {
        let record = match rows.get(&(trip, position)) {
            Some(record) => record.clone(),
            None => Record::none(trip, position),
        };
        let now = participant::now(context, self.backoff);
        let (before, unsent) = (record.state, record.unsent == 1);
        let reaction = core::react(&self.name, record, heard, &now);
        let mut record = reaction.record;
        context.anomalies.extend(reaction.anomaly);
        participant::join_trace(&mut record, context);
        let answered = unsent && core::is_answered(before, heard, &record);
        if let Some(said) = reaction.said.filter(|_| !answered)
            && participant::say(&mut record, &self.speaker, said, context)
        {
            record.unsent = 1;
        }
        if let Some(request) = reaction.call {
            context.call(call(&request));
        }
        if record.state != State::None {
            rows.put(record);
        }
    }
}

/// What is asked for, as the runtime keeps it.
fn call(request: &Request) -> Call {
    Call {
        id: request.key.clone(),
        purpose: request.purpose.as_str().to_owned(),
        about: request.trip.to_string(),
        // Strings and numbers: it does not fail.
        request: serde_json::to_string(request).unwrap_or_default(),
        first: request.purpose.goes_first(),
    }
}

/// None for a row that was damaged by hand.
fn request(call: &Call) -> Option<Request> {
    serde_json::from_str(&call.request).ok()
}

impl runtime::Service for PaymentService {
    type Fact = Fact;
    type Command = Heard;
    type Reply = ();
    type Timer = (TripId, Position);
    type Rows = Rows<Record>;
    type Answer = Answer;

    fn name(&self) -> &str {
        self.name.as_str()
    }

    fn filters(&self) -> Vec<String> {
        choreography::filters_for_leg(&self.name)
    }

    fn kinds(&self) -> Vec<String> {
        let said = [&Speaker::Booking, &self.speaker].map(choreography::kinds_of);
        said.concat()
    }

    fn migrations(&self) -> Migrator {
        migrations()
    }

    fn timers(&self) -> Option<&'static Table> {
        Some(PAYMENT)
    }

    fn forgettable(&self) -> &'static [&'static Table] {
        &[PAYMENT]
    }

    fn read(&self, message: &Message) -> Result<Fact, ReadError> {
        participant::read_trip(message)
    }

    fn rows(&self) -> Rows<Record> {
        Rows::default()
    }

    fn tables<'a>(&self, rows: &'a mut Rows<Record>) -> Vec<&'a mut dyn Working> {
        vec![rows]
    }

    fn need(&self, input: &ServiceInput<Self>, rows: &mut Rows<Record>) {
        match input {
            Input::Fact(fact) => {
                for position in core::positions(&self.name, fact) {
                    rows.want((fact.trip, position));
                }
            }
            Input::Command(heard) => rows.want((heard.trip, heard.position)),
            Input::Due { key, .. } => rows.want(*key),
            Input::Answer { call, .. } => {
                if let Some(request) = request(call) {
                    rows.want((request.trip, request.position));
                }
            }
        }
    }

    fn react(
        &self,
        input: &ServiceInput<Self>,
        rows: &mut Rows<Record>,
        context: &mut Context,
    ) -> Option<()> {
        match input {
            Input::Fact(fact) => {
                let standing = self.standing();
                for position in core::positions(&self.name, fact) {
                    let heard = core::Input::Fact(fact, standing);
                    self.judge((fact.trip, position), heard, rows, context);
                }
                None
            }
            Input::Command(heard) => {
                let key = (heard.trip, heard.position);
                let (intent, answer) = (heard.intent.as_str(), &heard.answer);
                // Of somebody else's payment, or of one that was forgotten, there is no row and nothing to judge.
                if rows.get(&key).is_some() {
                    self.judge(key, core::Input::Told { intent, answer }, rows, context);
                }
                Some(())
            }
            Input::Due { key, waiting } => {
                if rows.get(key).is_some() {
                    let due = core::Input::Due { waiting: *waiting };
                    self.judge(*key, due, rows, context);
                }
                None
            }
            Input::Answer { call, answer } => {
                let asked = request(call)?;
                let key = (asked.trip, asked.position);
                if rows.get(&key).is_some() {
                    let heard = core::Input::Answered {
                        key: &call.id,
                        answer,
                    };
                    self.judge(key, heard, rows, context);
                }
                None
            }
        }
    }

    async fn perform(&self, call: &Call) -> Attempt<Answer> {
        match request(call) {
            Some(request) => self.provider.perform(&request).await,
            None => Attempt::Again {
                why: String::from("damaged: the request in its row cannot be read"),
                after: Some(DAMAGED_PAUSE),
            },
        }
    }

    fn calls_now(&self) -> usize {
        self.provider.calls_now()
    }

    fn about(&self, input: &ServiceInput<Self>) -> Option<Entity> {
        match input {
            Input::Fact(Fact { trip, .. })
            | Input::Due { key: (trip, _), .. }
            | Input::Command(Heard { trip, .. }) => Some(participant::about(*trip)),
            Input::Answer { call, .. } => {
                request(call).map(|request| participant::about(request.trip))
            }
        }
    }

    fn log_span(&self, id: &str) -> tracing::Span {
        participant::log_span(id)
    }

    fn echo(&self, _heard: &Heard, _rows: &Rows<Record>) {}

    fn announcement(&self, context: &mut Context) {
        let joined = Joined {
            leg: self.name.clone(),
            counts: Vec::new(),
            dates: Vec::new(),
        };
        participant::announce(&joined, context);
    }
}
