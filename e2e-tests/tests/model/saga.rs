//! The model: three databases, and a network that may do as it likes.
//!
//! The network is the set of everything ever said: any of it may be heard any number of times, at any moment, or never. A new id is a
//! question, so hearing a fact again is what a re-announcement does; ids and inboxes come in only where the bug is about them. Every
//! step has a clock of its own, so that the deadline passes at any moment, and clocks disagree.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Mutex;

use booking::core::{self as b, Trip};
use choreography::{Fact, LegName, Plan, Said};
use flight::core::Flight;
use hotel::core::Hotel;
use leg::core::{self as l, Record, Shelf, Stock, Trade};
use stateright::{Model, Property};

use crate::words::{
    Clock, EVERYBODY, Who, Word, everything, fact, hearers, holds, moment, plain_record,
    plain_trip, plan, reason, stock, trip_id, word,
};

/// Rounds of timers after which everything is at rest, when every message in flight was lost and none is after that.
const ROUNDS: usize = 2;

/// Mistakes that the rules of the protocol exclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Rule 3: an answer that was given before repeats its id.
    AnswerUnderTheRecordedId,
    /// Rule 2: a trip that is undoing asks as if it were pending.
    UndoingSaysRequested,
    /// Rule 5: a turn that comes to a tombstone or far too late is refused as if nothing had ever been held.
    LateTurnIsRejected,
}

/// One trip, as the three databases have it; `legs` by position.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rows {
    trip: Trip,
    legs: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    trips: Vec<Rows>,
    seats: Stock,
    rooms: Stock,
    /// Everything ever said.
    said: BTreeSet<(usize, Word)>,
    /// Who has heard the id under which something was said last. Stays empty where ids are not in the model.
    inbox: BTreeSet<(Who, usize, Word)>,
    /// A core met something that it says cannot happen.
    odd: bool,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Hear(Who, usize, Word, Clock),
    Due(Who, usize, Clock),
    Cancel(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Fact(Word),
    Due,
    Cancel,
}

/// Something said, and whether under a new id.
type Saying = (Word, bool);

pub(crate) struct Saga {
    plans: Vec<Plan>,
    seats: i64,
    rooms: i64,
    ids: bool,
    bug: Option<Bug>,
    /// Every word as a fact, and who hears it.
    facts: BTreeMap<(usize, Word), (Fact, Vec<Who>)>,
    /// Rest depends on the rows alone, so it is worked out once for all that may be in flight.
    rests: Mutex<HashMap<World, bool>>,
}

impl Saga {
    /// One trip per itinerary, all asked for at once, on so many seats and rooms.
    pub(crate) fn new(itineraries: &[[&str; 2]], seats: i64, rooms: i64) -> Self {
        let plans: Vec<_> = itineraries.iter().map(|legs| plan(legs)).collect();
        let facts = plans.iter().enumerate().flat_map(|(trip, plan)| {
            everything().map(move |word| {
                let fact = fact(trip, plan, word);
                let hearers = hearers(&fact);
                ((trip, word), (fact, hearers))
            })
        });
        let facts = facts.collect();
        Self {
            plans,
            seats,
            rooms,
            ids: false,
            bug: None,
            facts,
            rests: Mutex::default(),
        }
    }

    pub(crate) fn with(self, bug: Bug) -> Self {
        Self {
            bug: Some(bug),
            ..self
        }
    }

    /// What was heard under an id is not heard under it again.
    pub(crate) fn with_ids(self) -> Self {
        Self { ids: true, ..self }
    }

    /// Lets one service hear one thing, and gives back what it says.
    fn apply(
        &self,
        world: &mut World,
        who: Who,
        trip: usize,
        heard: Heard,
        clock: Clock,
    ) -> Vec<Saying> {
        let fact = match heard {
            Heard::Fact(word) => self.facts.get(&(trip, word)).map(|(fact, _)| fact),
            Heard::Due | Heard::Cancel => None,
        };
        let (said, again) = match who {
            Who::Booking => self.booking(world, trip, fact, heard, clock),
            Who::Flight => self.leg(world, (flight::core::name(), &Flight), trip, fact, clock),
            Who::Hotel => self.leg(world, (hotel::core::name(), &Hotel), trip, fact, clock),
        };
        // Under a new id each time, unless the bug is planted and this answer was given before.
        let recorded = again && fact.is_some() && self.bug == Some(Bug::AnswerUnderTheRecordedId);
        let known = |word: &Word| world.said.contains(&(trip, *word));
        said.iter()
            .map(word)
            .map(|word| (word, !(recorded && known(&word))))
            .collect()
    }

    fn booking(
        &self,
        world: &mut World,
        trip: usize,
        fact: Option<&Fact>,
        heard: Heard,
        clock: Clock,
    ) -> (Vec<Said>, bool) {
        let row = &mut world.trips[trip].trip;
        let (before, why) = (row.state, reason());
        let event = match fact {
            Some(fact) => b::Heard::Fact(fact),
            None if heard == Heard::Cancel => b::Heard::Cancel { reason: &why },
            None => b::Heard::Due { waiting: false },
        };
        let mut reaction = b::react(row.clone(), event, &moment(clock));
        let asks = heard == Heard::Due && before == b::State::Undoing;
        if asks && self.bug == Some(Bug::UndoingSaysRequested) {
            reaction.said = vec![Said::Requested];
        }
        let again = before == reaction.record.state;
        *row = plain_trip(reaction.record);
        world.odd |= reaction.anomaly.is_some();
        (reaction.said, again)
    }

    fn leg(
        &self,
        world: &mut World,
        (name, trade): (LegName, &dyn Trade),
        trip: usize,
        fact: Option<&Fact>,
        clock: Clock,
    ) -> (Vec<Said>, bool) {
        let stock = if name == flight::core::name() {
            &mut world.seats
        } else {
            &mut world.rooms
        };
        let position = self.plans[trip]
            .itinerary
            .positions_of(&name)
            .next()
            .unwrap();
        let row = &mut world.trips[trip].legs[usize::from(position)];
        let event = fact.map_or(l::Heard::Due { waiting: false }, l::Heard::Fact);
        let mut shelf = Shelf::new([stock.clone()]);
        let mut reaction = l::react(&name, trade, row.clone(), event, &mut shelf, &moment(clock));
        let turn =
            fact.is_some_and(|fact| matches!(fact.said, Said::Requested | Said::Reserved { .. }));
        let late = turn && reaction.record.state == l::State::Released;
        if late && self.bug == Some(Bug::LateTurnIsRejected) {
            reaction.said = vec![Said::Rejected {
                position,
                reason: reason(),
            }];
        }
        let again = row.state == reaction.record.state;
        *stock = shelf.get(&stock.key).unwrap().clone();
        *row = plain_record(reaction.record);
        world.odd |= reaction.anomaly.is_some();
        (reaction.said, again)
    }

    /// Liveness: every message in flight is lost, and none after that. Timers go off round by round, whatever the clocks say of the
    /// deadline, and all that is said is heard.
    fn comes_to_rest(&self, world: &World) -> bool {
        let mut wiped = world.clone();
        if !self.ids {
            wiped.said.clear();
        }
        if let Some(known) = self.rests.lock().unwrap().get(&wiped) {
            return *known;
        }
        let clocks = [Clock::Before, Clock::Behind, Clock::Late];
        let rests = clocks
            .into_iter()
            .all(|clock| self.rounds(wiped.clone(), clock));
        self.rests.lock().unwrap().insert(wiped, rests);
        rests
    }

    fn rounds(&self, mut world: World, clock: Clock) -> bool {
        for _ in 0..ROUNDS {
            let mut flying = VecDeque::new();
            for (trip, who) in
                (0..world.trips.len()).flat_map(|trip| EVERYBODY.map(|who| (trip, who)))
            {
                let said = self.apply(&mut world, who, trip, Heard::Due, clock);
                flying.extend(said.into_iter().map(|saying| (trip, saying)));
            }
            let mut heard = 0;
            while let Some((trip, (word, new))) = flying.pop_front() {
                world.said.insert((trip, word));
                for who in &self.facts[&(trip, word)].1 {
                    let first = world.inbox.insert((*who, trip, word));
                    if self.ids && !first && !new {
                        continue; // an echo
                    }
                    let said = self.apply(&mut world, *who, trip, Heard::Fact(word), clock);
                    flying.extend(said.into_iter().map(|saying| (trip, saying)));
                    heard += 1;
                }
                if heard > 1_000 {
                    return false; // they talk for ever
                }
            }
        }
        !world.odd && world.trips.iter().all(at_rest)
    }
}

impl Model for Saga {
    type State = World;
    type Action = Act;

    /// Every trip has just been asked for.
    fn init_states(&self) -> Vec<World> {
        let row = |(trip, plan): (usize, &Plan)| {
            let request = b::request(trip_id(trip), plan, None, &moment(Clock::Before));
            let legs = plan
                .itinerary
                .positions()
                .map(|position| Record::none(trip_id(trip), position));
            Rows {
                trip: plain_trip(request.record),
                legs: legs.collect(),
            }
        };
        vec![World {
            trips: self.plans.iter().enumerate().map(row).collect(),
            seats: stock(&["RT100", "2026-12-24"], self.seats),
            rooms: stock(&["LIS", "double", "2026-12-24"], self.rooms),
            said: (0..self.plans.len())
                .map(|trip| (trip, Word::Requested))
                .collect(),
            inbox: BTreeSet::new(),
            odd: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Act>) {
        for trip in 0..world.trips.len() {
            actions.push(Act::Cancel(trip));
            actions.push(Act::Due(Who::Booking, trip, Clock::Behind));
            actions.extend(EVERYBODY.map(|who| Act::Due(who, trip, Clock::Before)));
        }
        for (trip, word) in &world.said {
            for who in &self.facts[&(*trip, *word)].1 {
                actions.push(Act::Hear(*who, *trip, *word, Clock::Before));
                actions.push(Act::Hear(*who, *trip, *word, Clock::Late));
            }
        }
    }

    /// `None` when it changes nothing.
    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let mut next = world.clone();
        let (who, trip, heard, clock) = match act {
            Act::Hear(who, trip, word, clock) => (who, trip, Heard::Fact(word), clock),
            Act::Due(who, trip, clock) => (who, trip, Heard::Due, clock),
            Act::Cancel(trip) => (Who::Booking, trip, Heard::Cancel, Clock::Before),
        };
        if let Heard::Fact(word) = heard
            && self.ids
            && !next.inbox.insert((who, trip, word))
        {
            return None; // an echo
        }
        for (word, new) in self.apply(&mut next, who, trip, heard, clock) {
            next.said.insert((trip, word));
            if new {
                next.inbox
                    .retain(|(_, of, heard)| (*of, *heard) != (trip, word));
            }
        }
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a confirmed trip lacks no leg", |_, world: &World| {
                let lacks = |rows: &Rows| {
                    rows.trip.state == b::State::Confirmed && !rows.legs.iter().all(holds)
                };
                !world.trips.iter().any(lacks)
            }),
            Property::always("a closed trip holds nothing", |_, world: &World| {
                let kept = |rows: &Rows| {
                    rows.trip.state == b::State::Closed && rows.legs.iter().any(holds)
                };
                !world.trips.iter().any(kept)
            }),
            Property::always("capacity adds up", adds_up),
            Property::always(
                "a trip has an outcome once it has turned",
                |_, world: &World| {
                    world.trips.iter().all(|rows| {
                        rows.trip.outcome.is_none() == (rows.trip.state == b::State::Pending)
                    })
                },
            ),
            Property::always("nothing impossible happens", |_, world: &World| !world.odd),
            Property::always("it comes to rest", Saga::comes_to_rest),
            Property::sometimes("a trip comes back", |_, world: &World| {
                world
                    .trips
                    .iter()
                    .any(|rows| rows.trip.state == b::State::Closed)
            }),
            Property::sometimes(
                "a trip goes through, or there is no room for it",
                |saga: &Saga, world: &World| {
                    saga.seats * saga.rooms == 0 || world.trips.iter().any(firm)
                },
            ),
        ]
    }
}

fn firm(rows: &Rows) -> bool {
    rows.trip.state == b::State::Confirmed
        && rows.legs.iter().all(|leg| leg.state == l::State::Confirmed)
}

fn at_rest(rows: &Rows) -> bool {
    firm(rows) || (rows.trip.state == b::State::Closed && !rows.legs.iter().any(holds))
}

/// Nothing is oversold, nothing is lost, and each stock row counts exactly what the trips' records hold of it.
fn adds_up(saga: &Saga, world: &World) -> bool {
    let count = |stock: &Stock, state| {
        let rows = world
            .trips
            .iter()
            .flat_map(|rows| &rows.legs)
            .filter(|leg| leg.state == state);
        let held = rows
            .flat_map(Record::holds)
            .filter(|hold| hold.key == stock.key);
        held.map(|hold| hold.quantity).sum::<i64>()
    };
    [(&world.seats, saga.seats), (&world.rooms, saga.rooms)]
        .into_iter()
        .all(|(stock, total)| {
            stock.free >= 0
                && stock.held == count(stock, l::State::Held)
                && stock.confirmed == count(stock, l::State::Confirmed)
                && stock.held + stock.confirmed + stock.free == total
        })
}
