//! The loop's view of a leg: reads facts, names the rows they need, and lets the core judge.
//!
//! What a leg service brings is a [`Leg`]: what it is, as data, and its [`LegPolicy`]. Everything else is here, the same
//! for every leg, so that a new one joins by existing.

use std::convert::Infallible;

use choreography::{Backoff, Fact, Joined, LegName, Position, Speaker, TripId};
use headers::{ETag, IfMatch, IfNoneMatch};
use runtime::http::About;
use runtime::{Context, Entity, Input, Message, ReadError, ServiceInput, Settings, Table, Working};
use sqlx::migrate::Migrator;

use crate::core::{self, LegPolicy, Record, Stock};
use crate::store::{LEG, StockRows, Work};

/// What one leg service is, as data: its consumer, its paths over HTTP, its CSV and its OpenAPI document come from this.
#[derive(Debug)]
pub struct LegSpec {
    /// Its name on itineraries and its consumer's, such as `flight`.
    pub name: &'static str,
    /// What its HTTP API says of itself.
    pub about: About,
    /// Where its inventory is over HTTP, in the plural, such as `flights`.
    pub path: &'static str,
    /// What is sold, in the plural, such as `seats`: a count in its details and in its inventory. Booking refuses less than 1 at the door.
    pub unit: &'static str,
    /// Fields of its details that are local calendar dates: booking refuses those in the past at the door.
    pub dates: &'static [&'static str],
    /// Its stock: a key of its own, of which the last column is a local calendar date, and [`crate::store::STOCK_COLUMNS`].
    pub stock: &'static Table,
    /// What each column of that key is, for people.
    pub key: &'static [&'static str],
    /// The migrations of its stock table, with versions above 1000, each by name: [`runtime::database::migrations`].
    pub migrations: fn() -> Migrator,
}

/// What one leg service brings: what it is, and its rule.
pub trait Leg: LegPolicy + Send + Sync + 'static {
    /// What it is.
    const SPEC: &'static LegSpec;

    /// Its name on itineraries.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a constant: with a wrong one the leg does not even start"
    )]
    fn name() -> LegName {
        Self::SPEC.name.parse().expect("the name of a leg")
    }
}

/// A stock row as an operator wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockLevel {
    /// The row's key.
    pub key: Vec<String>,
    /// How many there are in all.
    pub total: i64,
    /// What one costs, in minor units.
    pub price_minor: i64,
    /// In which currency.
    pub currency: String,
}

/// Sets stock rows: all of them or none.
#[derive(Debug)]
pub struct SetStock {
    /// What there shall be.
    pub levels: Vec<StockLevel>,
    /// What has to be there for it.
    pub only: Only,
}

/// What a stock row has to be before it is set: a caller's `If-Match` and `If-None-Match`, judged in the transaction that sets it.
#[derive(Clone, Debug, Default)]
pub struct Only {
    /// It is as the caller saw it.
    pub as_seen: Option<IfMatch>,
    /// It is not there, or not as the caller saw it.
    pub not_as_seen: Option<IfNoneMatch>,
}

impl Only {
    fn allows(&self, row: Option<&Stock>) -> bool {
        let tag: Option<ETag> = row.and_then(|row| etag(row).parse().ok());
        let as_seen = self.as_seen.as_ref().is_none_or(|seen| {
            tag.as_ref()
                .is_some_and(|tag| seen.precondition_passes(tag))
        });
        let not_as_seen = self
            .not_as_seen
            .as_ref()
            .is_none_or(|seen| tag.as_ref().is_none_or(|tag| seen.precondition_passes(tag)));
        as_seen && not_as_seen
    }
}

/// A row's `ETag`: all that is shown of it.
#[must_use]
pub fn etag(row: &Stock) -> String {
    let Stock {
        total,
        held,
        confirmed,
        price_minor,
        currency,
        ..
    } = row;
    format!("\"{total}-{held}-{confirmed}-{price_minor}-{currency}\"")
}

/// What became of a [`SetStock`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StockSet {
    /// The rows as they are now.
    Set {
        /// Each of them.
        rows: Vec<Stock>,
        /// Whether the first one was not there before.
        created: bool,
    },
    /// The index of each line that is below what is held and confirmed, with that number.
    Held(Vec<(usize, i64)>),
    /// This one is not what [`Only`] wants; how it is, if it is there.
    Other(Option<Stock>),
}

/// A leg as the runtime runs it.
pub struct LegService<L: Leg> {
    leg: L,
    name: LegName,
    speaker: Speaker,
    backoff: Backoff,
}

impl<L: Leg> LegService<L> {
    /// A leg with the pauses that the settings say.
    pub fn new(leg: L, settings: &Settings) -> Self {
        Self {
            speaker: Speaker::Leg(L::name()),
            name: L::name(),
            backoff: participant::backoff(settings),
            leg,
        }
    }

    /// One position hears something.
    fn judge(
        &self,
        trip: TripId,
        position: Position,
        heard: core::Input<'_>,
        rows: &mut Work,
        context: &mut Context,
    ) {
        let record = match rows.legs.get(&(trip, position)) {
            Some(record) => record.clone(),
            None => Record::none(trip, position),
        };
        let now = participant::now(context, self.backoff);
        let (before, unsent) = (record.state, record.unsent == 1);
        let shelf = &mut rows.stock.shelf;
        let reaction = core::react(&self.name, &self.leg, record, heard, shelf, &now);
        let mut record = reaction.record;
        context.anomalies.extend(reaction.anomaly);
        participant::join_trace(&mut record, context);
        let answered = unsent && core::is_answered(before, heard, &record);
        for said in reaction.said.into_iter().filter(|_| !answered) {
            if participant::say(&mut record, &self.speaker, said, context) {
                record.unsent = 1;
            }
        }
        if record.state != core::State::None {
            rows.legs.put(record);
        }
    }
}

impl<L: Leg> runtime::Service for LegService<L> {
    type Fact = Fact;
    type Command = SetStock;
    type Reply = StockSet;
    type Timer = (TripId, Position);
    type Answer = Infallible;
    type Rows = Work;

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
        let leg = (1, "leg", include_str!("../migrations/0001_leg.sql"));
        let shared = runtime::database::migrations([leg]);
        let own = (L::SPEC.migrations)();
        Migrator::with_migrations(shared.iter().chain(own.iter()).cloned().collect())
    }

    fn timers(&self) -> Option<&'static Table> {
        Some(LEG)
    }

    fn forgettable(&self) -> &'static [&'static Table] {
        &[LEG]
    }

    fn read(&self, message: &Message) -> Result<Fact, ReadError> {
        participant::read_trip(message)
    }

    fn rows(&self) -> Work {
        Work {
            legs: runtime::Rows::default(),
            stock: StockRows::new(L::SPEC.stock),
        }
    }

    fn tables<'a>(&self, rows: &'a mut Work) -> Vec<&'a mut dyn Working> {
        vec![&mut rows.legs, &mut rows.stock]
    }

    fn need(&self, input: &ServiceInput<Self>, rows: &mut Work) {
        match input {
            Input::Fact(fact) => {
                for position in core::positions(&self.name, fact) {
                    rows.legs.want((fact.trip, position));
                    // Stock that is only given back is wanted too: its lock is then taken in the order of keys.
                    let details = fact.plan.itinerary.details(position).unwrap_or_default();
                    let now = choreography::instant(0);
                    for hold in self.leg.needs(details, now).unwrap_or_default() {
                        rows.stock.want(hold.key);
                    }
                }
            }
            Input::Command(SetStock { levels, .. }) => {
                for level in levels {
                    rows.stock.want(level.key.clone());
                }
            }
            Input::Due { key, .. } => rows.legs.want(*key),
            Input::Answer { answer, .. } => match *answer {},
        }
    }

    fn react(
        &self,
        input: &ServiceInput<Self>,
        rows: &mut Work,
        context: &mut Context,
    ) -> Option<StockSet> {
        match input {
            Input::Fact(fact) => {
                for position in core::positions(&self.name, fact) {
                    self.judge(fact.trip, position, core::Input::Fact(fact), rows, context);
                }
                None
            }
            Input::Command(set) => Some(set_stock(set, rows)),
            Input::Due { key, waiting } => {
                if rows.legs.get(key).is_some() {
                    let (trip, position) = *key;
                    self.judge(
                        trip,
                        position,
                        core::Input::Due { waiting: *waiting },
                        rows,
                        context,
                    );
                }
                None
            }
            Input::Answer { answer, .. } => match *answer {},
        }
    }

    fn about(&self, input: &ServiceInput<Self>) -> Option<Entity> {
        match input {
            Input::Fact(Fact { trip, .. }) | Input::Due { key: (trip, _), .. } => {
                Some(participant::about(*trip))
            }
            Input::Command(_) => None,
            Input::Answer { answer, .. } => match *answer {},
        }
    }

    fn log_span(&self, id: &str) -> tracing::Span {
        participant::log_span(id)
    }

    fn echo(&self, set: &SetStock, rows: &Work) -> StockSet {
        // It may have been refused then: only what is there now tells.
        let mut now = Vec::with_capacity(set.levels.len());
        for level in &set.levels {
            match rows.stock.get(&level.key) {
                Some(row) if is_at(row, level) => now.push(row.clone()),
                other => return StockSet::Other(other.cloned()),
            }
        }
        StockSet::Set {
            rows: now,
            created: false,
        }
    }

    fn announcement(&self, context: &mut Context) {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let joined = Joined {
            leg: self.name.clone(),
            counts: own(&[L::SPEC.unit]),
            dates: own(L::SPEC.dates),
        };
        participant::announce(&joined, context);
    }
}

fn is_at(row: &Stock, level: &StockLevel) -> bool {
    row.total == level.total
        && row.price_minor == level.price_minor
        && row.currency == level.currency
}

/// All levels or none: a total below what is held and confirmed is refused.
fn set_stock(SetStock { levels, only }: &SetStock, rows: &mut Work) -> StockSet {
    for level in levels {
        let row = rows.stock.get(&level.key);
        if !only.allows(row) {
            return StockSet::Other(row.cloned());
        }
    }
    let taken = |level: &StockLevel| {
        let row = rows.stock.get(&level.key);
        row.map_or(0, |row| row.held + row.confirmed)
    };
    let refused: Vec<(usize, i64)> = levels
        .iter()
        .enumerate()
        .map(|(index, level)| (index, taken(level)))
        .filter(|(index, taken)| levels[*index].total < *taken)
        .collect();
    if !refused.is_empty() {
        return StockSet::Held(refused);
    }
    let first = levels.first().and_then(|level| rows.stock.get(&level.key));
    let created = first.is_none();
    let mut set = Vec::with_capacity(levels.len());
    for level in levels {
        let (held, confirmed) = rows
            .stock
            .get(&level.key)
            .map_or((0, 0), |row| (row.held, row.confirmed));
        let row = Stock {
            key: level.key.clone(),
            total: level.total,
            held,
            confirmed,
            free: level.total - held - confirmed,
            price_minor: level.price_minor,
            currency: level.currency.clone(),
        };
        rows.stock.set(row.clone());
        set.push(row);
    }
    StockSet::Set { rows: set, created }
}
