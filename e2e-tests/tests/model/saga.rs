//! The model: three databases, and a network that may do as it likes.
//!
//! The network is the set of everything ever said: any of it may be heard any number of times, at any moment, or never. So a process
//! that dies between commit and publish, or before it acknowledged, needs no act of its own: its fact is never heard, or twice. A new
//! id is a question, so hearing a fact again is what a re-announcement does; ids and inboxes come in only where the bug is about
//! them. Every step has a clock of its own, so that the deadline passes at any moment, and clocks disagree.
//!
//! So the inbox and the outbox carry nothing here, except where a saga is said to go without both: then `unkept.rs` says what becomes of
//! what was committed and is in the memory of its process alone.
//!
//! Where a service has two replicas, each fact that it hears may open a transaction that is committed later, or dies: the other
//! replica waits for its rows, as the databases make it. A trip that is over may be forgotten, an age after its deadline: row by row.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Mutex;

use booking::core::{self as b, Trip};
use choreography::{Fact, Plan, Position};
use leg::core::{Record, Stock};
use stateright::{Model, Property};

use crate::judge::{Bug, Heard, Judged};
use crate::properties::{self, back, firm, flips};
use crate::unkept::{self, Hand, Kept, alive, is_set};
use crate::words::{
    Clock, EVERYBODY, Who, Word, everything, fact, hearers, moment, plain_record, plain_trip, plan,
    timers, trip_id,
};

/// Rounds of timers after which everything is at rest, when every message in flight was lost and none is after that.
const ROUNDS: usize = 2;

/// One trip, as the three databases have it; `legs` by position.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rows {
    pub(crate) trip: Trip,
    pub(crate) legs: Vec<Record>,
    /// So long after its deadline that rows are forgotten: every clock says so.
    pub(crate) old: bool,
}

/// A transaction of one replica, not yet committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Open {
    who: Who,
    trip: usize,
    judged: Judged,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) trips: Vec<Rows>,
    pub(crate) stocks: Vec<Stock>,
    /// Everything ever said.
    pub(crate) said: BTreeSet<(usize, Word)>,
    /// Who has heard the id under which something was said last. Stays empty where ids are not in the model.
    pub(crate) inbox: BTreeSet<(Who, usize, Word)>,
    pub(crate) open: Option<Open>,
    /// Committed, and in the memory of its speaker alone. Stays empty where there is an outbox.
    pub(crate) hand: Hand,
    /// A core met something that it says cannot happen.
    pub(crate) odd: bool,
    /// An act undid what was decided of a trip.
    pub(crate) flipped: bool,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Hear(Who, usize, Word, Clock),
    Due(Who, usize, Position, Clock),
    Cancel(usize),
    /// One of two replicas opens a transaction about a fact.
    Open(Who, usize, Word, Clock),
    Commit,
    Die,
    /// What is in its speaker's memory gets out, or is lost with it.
    Publish(usize, Word),
    Lose(usize, Word),
    /// The command that asked for the trip is judged once more.
    Ask(usize),
    /// The trip's row is forgotten, or the record of a position.
    Forget(usize, Option<Position>),
}

pub(crate) struct Saga {
    pub(crate) plans: Vec<Plan>,
    pub(crate) stocks: Vec<Stock>,
    ids: bool,
    forgets: bool,
    /// There is neither inbox nor outbox.
    pub(crate) unkept: bool,
    /// Somebody listens who can ask nobody.
    pub(crate) listened: bool,
    /// Who has two replicas.
    replicas: Option<Who>,
    pub(crate) bug: Option<Bug>,
    /// Every word as a fact, and who hears it.
    pub(crate) facts: BTreeMap<(usize, Word), (Fact, Vec<Who>)>,
    /// Rest depends on the rows alone, so it is worked out once for all that may be in flight.
    rests: Mutex<HashMap<World, bool>>,
}

impl Saga {
    /// One trip per itinerary, all asked for at once, on what there is.
    pub(crate) fn new(itineraries: &[&[&str]], stocks: &[Stock]) -> Self {
        let plans: Vec<_> = itineraries.iter().map(|legs| plan(legs)).collect();
        let facts = plans.iter().enumerate().flat_map(|(trip, plan)| {
            everything(plan).map(move |word| {
                let fact = fact(trip, plan, word);
                let hearers = hearers(&fact);
                ((trip, word), (fact, hearers))
            })
        });
        let facts = facts.collect();
        Self {
            plans,
            stocks: stocks.to_vec(),
            ids: false,
            forgets: false,
            unkept: false,
            listened: false,
            replicas: None,
            bug: None,
            facts,
            rests: Mutex::default(),
        }
    }

    pub(crate) fn with(mut self, bug: Bug) -> Self {
        self.bug = Some(bug);
        if bug == Bug::EarlyPivot {
            for (word, (_, hearers)) in &mut self.facts {
                if matches!(word, (_, Word::Reserved(_))) && !hearers.contains(&Who::Booking) {
                    hearers.push(Who::Booking);
                }
            }
        }
        self
    }

    /// What was heard under an id is not heard under it again.
    pub(crate) fn with_ids(self) -> Self {
        Self { ids: true, ..self }
    }

    /// What is over is forgotten.
    pub(crate) fn that_forgets(self) -> Self {
        Self {
            forgets: true,
            ..self
        }
    }

    /// There is neither inbox nor outbox.
    pub(crate) fn unkept(self) -> Self {
        Self {
            unkept: true,
            ..self
        }
    }

    /// Somebody listens who can ask nobody.
    pub(crate) fn listened(self) -> Self {
        Self {
            listened: true,
            ..self
        }
    }

    /// This service has two replicas.
    pub(crate) fn with_two(self, who: Who) -> Self {
        Self {
            replicas: Some(who),
            ..self
        }
    }

    /// Liveness: every message in flight is lost, and none after that. Timers go off round by round, whatever the clocks say of the
    /// deadline, and all that is said is heard.
    pub(crate) fn comes_to_rest(&self, world: &World) -> bool {
        let wiped = if self.ids {
            world.clone()
        } else {
            self.wiped(world)
        };
        self.rests_from(wiped) && (world.hand.is_empty() || self.rests_from(alive(world)))
    }

    fn rests_from(&self, world: World) -> bool {
        if let Some(known) = self.rests.lock().unwrap().get(&world) {
            return *known;
        }
        let clocks = [Clock::Before, Clock::Behind, Clock::Late];
        let rests = clocks
            .into_iter()
            .all(|clock| self.rounds(world.clone(), clock));
        self.rests.lock().unwrap().insert(world, rests);
        rests
    }

    /// The same rows after the broker lost everything and every process died.
    pub(crate) fn wiped(&self, world: &World) -> World {
        World {
            said: BTreeSet::new(),
            open: None,
            hand: self.after_death(&world.hand),
            ..world.clone()
        }
    }

    fn rounds(&self, mut world: World, clock: Clock) -> bool {
        world.open = None;
        let old: Vec<bool> = world.trips.iter().map(|rows| rows.old).collect();
        let clock_of = |trip: usize| if old[trip] { Clock::Late } else { clock };
        let mut flying: VecDeque<_> = unkept::publish_all(&mut world.hand).collect();
        for _ in 0..ROUNDS {
            for (trip, plan) in self.plans.iter().enumerate() {
                for (who, position) in timers(plan) {
                    if !is_set(&world.trips[trip], who, position) {
                        continue;
                    }
                    let judged =
                        self.judge(&world, who, trip, Heard::Due(position), clock_of(trip));
                    let said = judged.write(&mut world, trip);
                    flying.extend(said.into_iter().map(|saying| (trip, saying)));
                }
            }
            let mut heard = 0;
            while let Some((trip, (word, new))) = flying.pop_front() {
                world.said.insert((trip, word));
                for who in &self.facts[&(trip, word)].1 {
                    let first = world.inbox.insert((*who, trip, word));
                    if self.ids && !first && !new {
                        continue; // a duplicate
                    }
                    let judged = self.judge(&world, *who, trip, Heard::Fact(word), clock_of(trip));
                    let said = judged.write(&mut world, trip);
                    flying.extend(said.into_iter().map(|saying| (trip, saying)));
                    heard += 1;
                }
                if heard > 1_000 {
                    return false; // they talk for ever
                }
            }
        }
        self.at_rest(&world)
    }

    /// Every trip went through or came all the way back.
    pub(crate) fn at_rest(&self, world: &World) -> bool {
        !world.odd
            && world.open.is_none()
            && world.trips.iter().all(|rows| firm(rows) || back(rows))
    }

    fn publish(&self, world: &mut World, trip: usize, said: Vec<(Word, bool)>) {
        for (word, new) in said {
            if self.unkept && world.said.contains(&(trip, word)) {
                continue; // it may be heard again anyway
            }
            if self.unkept {
                world.hand.insert((trip, word), Kept::InMemory);
                continue;
            }
            world.said.insert((trip, word));
            if new {
                world
                    .inbox
                    .retain(|(_, of, heard)| (*of, *heard) != (trip, word));
            }
        }
    }

    /// A trip that has just been asked for.
    fn asked_for(&self, trip: usize) -> Trip {
        let now = moment(Clock::Before);
        let asked = b::request(trip_id(trip), &self.plans[trip], None, &now);
        self.noted(plain_trip(asked.record), &asked.said)
    }

    fn asked(&self) -> impl Iterator<Item = (usize, Word)> {
        (0..self.plans.len()).map(|trip| (trip, Word::Requested))
    }

    fn forget(&self, world: &mut World, trip: usize, position: Option<Position>) {
        let rows = &mut world.trips[trip];
        rows.old = self.bug != Some(Bug::ForgetsTooEarly);
        match position {
            None => rows.trip = plain_trip(Trip::none(trip_id(trip))),
            Some(position) => {
                rows.legs[usize::from(position)] =
                    plain_record(Record::none(trip_id(trip), position));
            }
        }
    }

    /// What an act makes of the world; `None` when it changes nothing.
    fn step(&self, world: &World, act: Act) -> Option<World> {
        let mut next = world.clone();
        let (who, trip, heard, clock) = match act {
            Act::Hear(who, trip, word, clock) => (who, trip, Heard::Fact(word), clock),
            Act::Due(who, trip, position, clock) => (who, trip, Heard::Due(position), clock),
            Act::Cancel(trip) => (Who::Booking, trip, Heard::Cancel, Clock::Before),
            Act::Open(who, trip, word, clock) => {
                let other = unkept::of_another_process(world);
                let judged = self.judge(&other, who, trip, Heard::Fact(word), clock);
                if self.bug == Some(Bug::SaysBeforeTheCommit) {
                    self.publish(&mut next, trip, judged.said.clone());
                }
                next.open = Some(Open { who, trip, judged });
                return Some(next);
            }
            Act::Commit => {
                let open = next.open.take()?;
                let said = open.judged.write(&mut next, open.trip);
                self.publish(&mut next, open.trip, said);
                return Some(next);
            }
            Act::Die => {
                next.open = None;
                return Some(next);
            }
            Act::Publish(trip, word) => {
                next.hand.remove(&(trip, word));
                next.said.insert((trip, word));
                return Some(next);
            }
            Act::Lose(trip, word) => {
                self.lose(&mut next.hand, (trip, word));
                return Some(next);
            }
            Act::Ask(trip) => {
                next.trips[trip].trip = self.asked_for(trip);
                self.publish(&mut next, trip, vec![(Word::Requested, true)]);
                return Some(next);
            }
            Act::Forget(trip, position) => {
                self.forget(&mut next, trip, position);
                return Some(next);
            }
        };
        if let Heard::Fact(word) = heard
            && self.ids
            && !next.inbox.insert((who, trip, word))
        {
            return None; // a duplicate
        }
        let said = self
            .judge(&next, who, trip, heard, clock)
            .write(&mut next, trip);
        self.publish(&mut next, trip, said);
        (next != *world).then_some(next)
    }
}

impl Model for Saga {
    type State = World;
    type Action = Act;

    /// Every trip has just been asked for.
    fn init_states(&self) -> Vec<World> {
        let row = |(trip, plan): (usize, &Plan)| {
            let legs = plan
                .itinerary
                .positions()
                .map(|position| Record::none(trip_id(trip), position));
            Rows {
                trip: self.asked_for(trip),
                legs: legs.collect(),
                old: false,
            }
        };
        vec![World {
            trips: self.plans.iter().enumerate().map(row).collect(),
            stocks: self.stocks.clone(),
            said: self.asked().filter(|_| !self.unkept).collect(),
            hand: self
                .asked()
                .filter(|_| self.unkept)
                .map(|said| (said, Kept::InMemory))
                .collect(),
            inbox: BTreeSet::new(),
            open: None,
            odd: false,
            flipped: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Act>) {
        let locked = |who: Who| {
            world.open.as_ref().is_some_and(|open| open.who == who) && self.bug != Some(Bug::NoLock)
        };
        let free = EVERYBODY.map(|who| (who, !locked(who)));
        let may = |who: Who| free.contains(&(who, true));
        for (trip, rows) in world.trips.iter().enumerate() {
            if may(Who::Booking) {
                actions.push(Act::Cancel(trip));
            }
            let clocks: &[Clock] = if rows.old {
                &[Clock::Late]
            } else {
                &[Clock::Before, Clock::Behind]
            };
            let set = timers(&self.plans[trip]).filter(|(who, at)| is_set(rows, *who, *at));
            for (who, position) in set.filter(|(who, _)| may(*who)) {
                actions.extend(
                    clocks
                        .iter()
                        .map(|clock| Act::Due(who, trip, position, *clock)),
                );
            }
            if self.forgets && world.open.is_none() {
                let over = |record: &&Record| record.forget_us.is_some();
                let records = rows
                    .legs
                    .iter()
                    .filter(over)
                    .map(|record| Some(record.position));
                let row = rows.trip.forget_us.map(|_| None);
                actions.extend(
                    row.into_iter()
                        .chain(records)
                        .map(|at| Act::Forget(trip, at)),
                );
            }
        }
        if world.open.is_some() {
            actions.extend([Act::Commit, Act::Die]);
        }
        self.unkept_actions(world, actions);
        for (trip, word) in &world.said {
            let clocks: &[Clock] = if world.trips[*trip].old {
                &[Clock::Late]
            } else {
                &[Clock::Before, Clock::Late]
            };
            for who in self.facts[&(*trip, *word)]
                .1
                .iter()
                .filter(|who| may(**who))
            {
                for clock in clocks {
                    actions.push(Act::Hear(*who, *trip, *word, *clock));
                    if self.replicas == Some(*who) && world.open.is_none() {
                        actions.push(Act::Open(*who, *trip, *word, *clock));
                    }
                }
            }
        }
    }

    /// `None` when it changes nothing.
    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let mut next = self.step(world, act)?;
        let mut trips = world.trips.iter().zip(&next.trips);
        next.flipped |= trips.any(|(before, after)| flips(&before.trip, act, &after.trip));
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
