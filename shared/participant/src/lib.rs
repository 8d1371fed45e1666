//! What booking and every leg have in common: both take part in the saga, each with a record per trip, on the runtime.
//!
//! It joins the two crates that do not know each other: `choreography` says what a fact is, `runtime` how a service lives. What a
//! participant makes of a fact is its own core's.

use choreography::{Backoff, Fact, FactBody, Joined, Now, Plan, Speaker, TripId};
use runtime::{Context, Entity, Message, ReadError, Settings, System, TraceContext};

/// What all services of the saga have in common.
pub const SYSTEM: System = System {
    namespace: "roundtrip",
    stream: choreography::STREAM,
    subjects: choreography::STREAM_SUBJECTS,
};

/// What facts, spans and log lines call a trip.
const TRIP: &str = "trip";

/// A row that a participant keeps of a trip.
pub trait Record {
    /// Of which trip.
    fn trip(&self) -> TripId;
    /// What was asked for; none in a row that was damaged by hand.
    fn plan(&self) -> Option<Plan>;
    /// Its state, as the column has it.
    fn state(&self) -> &'static str;
    /// The columns that are the loop's to set.
    fn kept(&mut self) -> Kept<'_>;
}

/// The columns of a record that are the loop's to set.
#[derive(Debug)]
pub struct Kept<'a> {
    /// The id of what it said last.
    pub said_id: &'a mut Option<String>,
    /// The trace that it belongs to.
    pub traceparent: &'a mut Option<String>,
    /// The rest of the trace context.
    pub tracestate: &'a mut Option<String>,
}

/// How long a waiting record pauses before it asks again, by the settings.
#[must_use]
pub fn backoff(settings: &Settings) -> Backoff {
    let ms = |value| i64::try_from(value).unwrap_or(i64::MAX);
    Backoff {
        first_ms: ms(settings.reannounce_first_ms),
        max_ms: ms(settings.reannounce_max_ms),
    }
}

/// The moment in which a core judges.
#[must_use]
pub fn now(context: &Context, backoff: Backoff) -> Now {
    Now {
        at: choreography::instant(context.now_us),
        jitter: context.jitter,
        backoff,
    }
}

/// Reads a message as a fact of the saga.
///
/// # Errors
/// Says what to do with the message: wait for a newer program that can read it, or make it a dead letter.
pub fn read(message: &Message) -> Result<choreography::WireFact, ReadError> {
    use choreography::WireError as Illegible;
    choreography::read(&message.kind, &message.entity, &message.payload).map_err(
        |error| match error {
            Illegible::UnknownVersion { .. } => ReadError::NewerVersion(error.to_string()),
            error => ReadError::Malformed(error.to_string()),
        },
    )
}

/// Reads a message as a leg does: what is said of a trip. That others join is booking's to hear.
///
/// # Errors
/// As [`read`].
pub fn read_trip(message: &Message) -> Result<Fact, ReadError> {
    match read(message)? {
        choreography::WireFact::Trip(fact) => Ok(fact),
        choreography::WireFact::Joined(joined) => Err(ReadError::Malformed(format!(
            "a leg does not listen for {} joining",
            joined.leg
        ))),
    }
}

/// A leg says that it is there.
pub fn announce(joined: &Joined, context: &mut Context) {
    context.say(
        "leg",
        joined.leg.to_string(),
        joined.kind(),
        joined.subject(),
        joined.to_json(),
    );
}

/// A trip, as spans and log lines name it.
#[must_use]
pub fn about(trip: TripId) -> Entity {
    Entity {
        kind: TRIP,
        id: trip.to_string(),
    }
}

/// What log lines about this trip are in, as loud as the loudest of them, so that a filter that takes the line takes the span; or about something else, such as a leg that joins.
#[must_use]
pub fn log_span(id: &str) -> tracing::Span {
    match id.parse::<TripId>() {
        Ok(trip) => tracing::error_span!("about", %trip),
        Err(_) => tracing::error_span!("about", entity = id),
    }
}

/// Puts a record and what is judged into one trace: the one that made the record. A timer goes on with it, and so does a request of its
/// own, such as a traveller's to cancel: what it brings about is in the trip's trace.
pub fn join_trace(record: &mut impl Record, context: &mut Context) {
    let kept = record.kept();
    let belongs = TraceContext {
        traceparent: kept.traceparent.clone(),
        tracestate: kept.tracestate.clone(),
    };
    if belongs.traceparent.is_none() {
        kept.traceparent.clone_from(&context.trace.traceparent);
        kept.tracestate.clone_from(&context.trace.tracestate);
    } else if belongs.trace_id() != context.trace.trace_id() {
        context.trace = belongs;
    }
}

/// Says something about a record's trip, under a new id. False for a row whose plan was damaged by hand: it has nothing to say.
pub fn say(
    record: &mut impl Record,
    speaker: &Speaker,
    said: FactBody,
    context: &mut Context,
) -> bool {
    let Some(plan) = record.plan() else {
        return false;
    };
    let (trip, state) = (record.trip(), record.state());
    let fact = Fact {
        speaker: speaker.clone(),
        trip,
        plan,
        said,
    };
    let id = context.say(
        TRIP,
        trip.to_string(),
        fact.kind(),
        fact.subject(),
        fact.to_json(),
    );
    tracing::debug!(%trip, fact = %id, cause = ?context.cause, state, "{trip}: {}", fact.said.name());
    *record.kept().said_id = Some(id.to_string());
    true
}
