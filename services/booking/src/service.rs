//! The loop's view of booking: reads facts, takes commands, names the rows they need, and lets the core decide.

use std::sync::Arc;

use choreography::{
    Backoff, Fact, Joined, LegName, Plan, Position, Reason, Speaker, TripId, WireFact,
};
use runtime::{Context, Entity, Input, Message, ReadError, ServiceInput, Settings, Table, Working};
use sqlx::migrate::Migrator;

use crate::core::{self, Reaction, Trip};
use crate::legs;
use crate::outcomes::Outcomes;
use crate::schema;
use crate::store::{self, IDEMPOTENCY, JoinedLeg, Key, RetiredLeg, TRIP, Work};
use crate::waiters::Waiters;

/// How long an idempotency key stands for its trip.
pub const KEY_KEPT_US: i64 = 24 * 3_600 * 1_000_000;

/// What a traveller or an operator asks of booking.
#[derive(Debug)]
pub enum Command {
    /// A trip.
    Request(Box<Request>),
    /// That a trip be cancelled.
    Cancel {
        /// The trip's id.
        trip: TripId,
        /// Why it happened, for programs and for people.
        reason: Reason,
    },
    /// That a position be taken as settled, for a leg that nobody answers for.
    Settle {
        /// Of which trip.
        trip: TripId,
        /// Which place on its itinerary.
        position: Position,
        /// Why it happened, for programs and for people.
        reason: Reason,
    },
    /// That no new trip be taken with a leg.
    Retire {
        /// Which leg.
        leg: LegName,
        /// The operator's word.
        reason: String,
    },
    /// That trips with a retired leg be taken again.
    Restore {
        /// Which leg.
        leg: LegName,
    },
}

/// A trip as it was asked for. It has its id before it is taken, so that trying again makes no second one.
#[derive(Debug)]
pub struct Request {
    /// Its id.
    pub trip: TripId,
    /// What is asked for.
    pub plan: Plan,
    /// For whom the trip is, in the caller's own words.
    pub traveller: Option<String>,
    /// The caller's own name for the request, and what it stands for.
    pub key: Option<(String, String)>,
}

/// What became of a [`Command`].
#[derive(Debug)]
pub enum Reply {
    /// This is the trip: a new one, or the one that the key stands for.
    Trip(TripId),
    /// The trip as it is now.
    Changed(Box<Trip>),
    /// The key stands for something else.
    KeyReused,
    /// Legs that never joined.
    UnknownLegs(Vec<LegName>),
    /// Legs that an operator has retired.
    RetiredLegs(Vec<RetiredLeg>),
    /// The leg as it is now.
    Leg(JoinedLeg, Option<RetiredLeg>),
    /// No such leg has joined.
    NoSuchLeg,
    /// Details that no leg would take.
    Unacceptable(Reason),
    /// There is no such trip.
    NoSuchTrip,
    /// It does not fit the trip as it stands.
    Refused(&'static str),
}

/// Booking as the runtime runs it.
pub struct BookingService {
    backoff: Backoff,
    /// Who waits for news of one trip.
    pub waiters: Arc<Waiters>,
    /// Who hears of every outcome.
    pub outcomes: Arc<Outcomes>,
}

impl BookingService {
    /// Booking with the pauses that the settings say.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            backoff: participant::backoff(settings),
            waiters: Arc::default(),
            outcomes: Arc::default(),
        }
    }

    fn request(&self, request: &Request, rows: &mut Work, context: &mut Context) -> Reply {
        if let Some((key, fingerprint)) = &request.key
            && let Some(known) = rows.keys.get(&(key.clone(),))
            && known
                .forget_us
                .is_none_or(|forget_us| forget_us > context.now_us)
        {
            let trip = known.trip.parse().unwrap_or(request.trip);
            context.about = Some(participant::about(trip));
            return if known.fingerprint == *fingerprint {
                Reply::Trip(trip)
            } else {
                Reply::KeyReused
            };
        }
        let itinerary = &request.plan.itinerary;
        if let Some(refusal) = legs::refusal(itinerary.legs(), rows) {
            return refusal;
        }
        for (position, leg) in (0..).zip(itinerary.legs()) {
            let joined = rows.legs.get(&(leg.clone(),));
            let shape = joined.and_then(|row| serde_json::from_str::<Joined>(&row.shape).ok());
            let details = itinerary.details(position).unwrap_or_default();
            if let Some(Err(reason)) =
                shape.map(|shape| shape.check(details, choreography::instant(context.now_us)))
            {
                return Reply::Unacceptable(reason);
            }
        }
        let reaction = core::request(
            request.trip,
            &request.plan,
            request.traveller.clone(),
            &participant::now(context, self.backoff),
        );
        context.about = Some(participant::about(request.trip));
        if let Some((key, fingerprint)) = &request.key {
            rows.keys.put(Key {
                key: key.clone(),
                fingerprint: fingerprint.clone(),
                trip: request.trip.to_string(),
                forget_us: Some(context.now_us + KEY_KEPT_US),
            });
        }
        keep(reaction, rows, context);
        Reply::Trip(request.trip)
    }

    fn change(
        &self,
        trip: TripId,
        heard: core::Input<'_>,
        rows: &mut Work,
        context: &mut Context,
    ) -> Reply {
        let Some(row) = rows.trips.get(&(trip,)) else {
            return Reply::NoSuchTrip;
        };
        let reaction = core::react(row.clone(), heard, &participant::now(context, self.backoff));
        if let Some(why) = reaction.refused {
            return Reply::Refused(why);
        }
        let trip = keep(reaction, rows, context);
        Reply::Changed(Box::new(trip))
    }
}

/// Puts the trip in its place and says what is to be said about it.
fn keep(reaction: Reaction, rows: &mut Work, context: &mut Context) -> Trip {
    let mut trip = reaction.record;
    context.anomalies.extend(reaction.anomaly);
    participant::join_trace(&mut trip, context);
    for said in reaction.said {
        participant::say(&mut trip, &Speaker::Booking, said, context);
    }
    rows.trips.put(trip.clone());
    trip
}

impl runtime::Service for BookingService {
    type Fact = WireFact;
    type Command = Command;
    type Reply = Reply;
    type Timer = (TripId,);
    type Answer = std::convert::Infallible;
    type Rows = Work;

    fn name(&self) -> &str {
        crate::NAME
    }

    fn filters(&self) -> Vec<String> {
        choreography::filters_for_booking()
    }

    fn migrations(&self) -> Migrator {
        store::migrations()
    }

    fn timers(&self) -> Option<&'static Table> {
        Some(TRIP)
    }

    fn forgettable(&self) -> &'static [&'static Table] {
        &[TRIP, IDEMPOTENCY]
    }

    fn read(&self, message: &Message) -> Result<WireFact, ReadError> {
        participant::read(message)
    }

    fn rows(&self) -> Work {
        Work::default()
    }

    fn tables<'a>(&self, rows: &'a mut Work) -> Vec<&'a mut dyn Working> {
        vec![
            &mut rows.keys,
            &mut rows.trips,
            &mut rows.legs,
            &mut rows.retired,
        ]
    }

    fn need(&self, input: &ServiceInput<Self>, rows: &mut Work) {
        match input {
            Input::Fact(WireFact::Trip(fact)) => rows.trips.want((fact.trip,)),
            Input::Fact(WireFact::Joined(joined)) => rows.legs.want((joined.leg.clone(),)),
            Input::Command(Command::Request(request)) => {
                rows.trips.want((request.trip,));
                if let Some((key, _)) = &request.key {
                    rows.keys.want((key.clone(),));
                }
                for leg in request.plan.itinerary.legs() {
                    rows.legs.want((leg.clone(),));
                    rows.retired.want((leg.clone(),));
                }
            }
            Input::Command(Command::Retire { leg, .. } | Command::Restore { leg }) => {
                rows.legs.want((leg.clone(),));
                rows.retired.want((leg.clone(),));
            }
            Input::Command(Command::Cancel { trip, .. } | Command::Settle { trip, .. }) => {
                rows.trips.want((*trip,))
            }
            Input::Due { key, .. } => rows.trips.want(*key),
            Input::Answer { answer, .. } => match *answer {},
        }
    }

    fn react(
        &self,
        input: &ServiceInput<Self>,
        rows: &mut Work,
        context: &mut Context,
    ) -> Option<Reply> {
        match input {
            Input::Fact(WireFact::Trip(fact)) => {
                self.hear(fact, rows, context);
                None
            }
            Input::Fact(WireFact::Joined(joined)) => {
                rows.legs.put(JoinedLeg {
                    leg: joined.leg.clone(),
                    seen_us: context.now_us,
                    shape: joined.to_json(),
                });
                None
            }
            Input::Command(Command::Request(request)) => Some(self.request(request, rows, context)),
            Input::Command(Command::Cancel { trip, reason }) => {
                Some(self.change(*trip, core::Input::Cancel { reason }, rows, context))
            }
            Input::Command(Command::Settle {
                trip,
                position,
                reason,
            }) => Some(self.change(
                *trip,
                core::Input::Settle {
                    position: *position,
                    reason,
                },
                rows,
                context,
            )),
            Input::Command(Command::Retire { leg, reason }) => {
                Some(legs::change(leg, Some(reason), rows, context.now_us))
            }
            Input::Command(Command::Restore { leg }) => {
                Some(legs::change(leg, None, rows, context.now_us))
            }
            Input::Due {
                key: (trip,),
                waiting,
            } => {
                self.change(*trip, core::Input::Due { waiting: *waiting }, rows, context);
                None
            }
            Input::Answer { answer, .. } => match *answer {},
        }
    }

    fn about(&self, input: &ServiceInput<Self>) -> Option<Entity> {
        let trip = match input {
            Input::Fact(WireFact::Trip(fact)) => fact.trip,
            // Its id may be for nothing: refused, or its key stands for another trip.
            Input::Fact(WireFact::Joined(_))
            | Input::Command(
                Command::Request(_) | Command::Retire { .. } | Command::Restore { .. },
            ) => return None,
            Input::Command(Command::Cancel { trip, .. } | Command::Settle { trip, .. })
            | Input::Due { key: (trip,), .. } => *trip,
            Input::Answer { answer, .. } => match *answer {},
        };
        Some(participant::about(trip))
    }

    fn log_span(&self, id: &str) -> tracing::Span {
        participant::log_span(id)
    }

    fn echo(&self, command: &Command, rows: &Work) -> Reply {
        match command {
            Command::Request(request) => {
                let named = request.key.as_ref();
                let known = named
                    .and_then(|(key, meaning)| Some((meaning, rows.keys.get(&(key.clone(),))?)));
                match known {
                    Some((meaning, known)) if known.fingerprint != *meaning => Reply::KeyReused,
                    Some((_, known)) => Reply::Trip(known.trip.parse().unwrap_or(request.trip)),
                    None => Reply::Trip(request.trip),
                }
            }
            Command::Retire { leg, .. } | Command::Restore { leg } => legs::stands(leg, rows),
            Command::Cancel { trip, .. } | Command::Settle { trip, .. } => {
                match rows.trips.get(&(*trip,)) {
                    Some(trip) => Reply::Changed(Box::new(trip.clone())),
                    None => Reply::NoSuchTrip,
                }
            }
        }
    }

    fn committed(&self, rows: &Work) {
        for (before, trip) in rows.trips.changed() {
            // What is only said again is no news.
            if before.is_some_and(|before| before.progress() == trip.progress()) {
                continue;
            }
            self.waiters.wake(trip);
            if trip.is_final() && before.is_none_or(|before| before.state != trip.state) {
                tracing::info!(trip = %trip.trip, fact = trip.said_id, outcome = trip.outcome.map(core::Outcome::as_str), reason = trip.reason_code, "{} is {}", trip.trip, trip.state.as_str());
                self.outcomes.tell(trip);
            }
        }
    }

    async fn describe(
        &self,
        database: &runtime::Database,
        document: &mut serde_json::Value,
    ) -> Result<(), runtime::Problem> {
        let legs = legs::bookable(database).await?;
        let legs = legs.iter().map(|leg| serde_json::from_str(&leg.shape));
        let legs: Vec<Joined> = legs.filter_map(Result::ok).collect();
        schema::describe_legs(document, &legs);
        Ok(())
    }
}

impl BookingService {
    fn hear(&self, fact: &Fact, rows: &mut Work, context: &mut Context) {
        match rows.trips.get(&(fact.trip,)) {
            Some(trip) => {
                let reaction = core::react(
                    trip.clone(),
                    core::Input::Fact(fact),
                    &participant::now(context, self.backoff),
                );
                keep(reaction, rows, context);
            }
            // Long closed and forgotten, or another stack's.
            None => context.anomalies.push("unknown-trip"),
        }
    }
}
