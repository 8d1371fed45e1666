//! The second model: how facts get from one outbox to the broker, over the production [`Outgoing`].
//!
//! Around that pure core it plays the shell: replicas that commit, sweep, hand over, delete and die; a broker that stores what it is
//! handed at any moment or never, and whose word comes in time, late or not at all. Time goes by in ticks. What a healthy process does
//! at once is done before the next tick; each exception is one of a few faults. Not in it: what the facts mean (see `saga.rs`).

use std::collections::{BTreeMap, HashSet};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use runtime::outgoing::{Limits, Outgoing};
use stateright::{Model, Property};

use crate::replica::{Bug, Replica};

/// How long a row belongs to the replica that has its lease, in ticks.
pub(crate) const LEASE: u8 = 3;
/// How long the broker's word is waited for.
pub(crate) const ACK_WITHIN: u8 = 1;
/// How long a word that is late is still of use.
pub(crate) const LATE: u8 = 2;
/// Ticks after which everything is at rest once nothing goes wrong any more.
const REST: u8 = 4 * LEASE;

pub(crate) const LIMITS: Limits = Limits {
    waiting_max: 2,
    window_min: 1,
    window_max: 2,
    bounded: true,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) tick: u8,
    /// Facts to be said, by the first replica in one transaction.
    pub(crate) unsaid: u8,
    /// The outbox: until when each row is leased.
    pub(crate) rows: BTreeMap<u8, u8>,
    /// How often the broker has stored each fact.
    pub(crate) copies: BTreeMap<u8, u8>,
    pub(crate) replicas: Vec<Replica>,
    /// How much went wrong.
    pub(crate) faults: u8,
    /// A rule that was broken on the way here.
    pub(crate) broken: Option<&'static str>,
}

/// What may happen next; the first number is the replica's, the second its handed fact's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Say,
    HandOver(usize),
    /// The broker stores a fact.
    Store(usize, usize),
    /// Its word comes, late or in time.
    Hear(usize, usize),
    /// The wait for it is over.
    GiveUp(usize, usize),
    Sweep(usize),
    TakeSwept(usize),
    Delete(usize),
    Commit(usize),
    /// The transaction that deletes fails; or it was committed all the same, and nobody knows.
    Fail(usize, bool),
    Die(usize),
    Tick,
    /// Time goes by although somebody had something to do at once.
    Hang,
}

/// Two replicas on one outbox.
pub(crate) struct Outbox {
    /// Facts that are said, in one transaction.
    facts: u8,
    /// How much may go wrong, and until when.
    faults: u8,
    ticks: u8,
    bug: Option<Bug>,
    /// States from which it is known to come to rest.
    rests: Mutex<HashSet<World>>,
}

pub(crate) fn at(tick: u8) -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_secs(u64::from(tick))
}

impl Outbox {
    pub(crate) fn new(facts: u8, faults: u8, ticks: u8) -> Self {
        Self {
            facts,
            faults,
            ticks,
            bug: None,
            rests: Mutex::default(),
        }
    }

    pub(crate) fn with(self, bug: Bug) -> Self {
        Self {
            bug: Some(bug),
            ..self
        }
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn fresh(&self) -> Replica {
        let limits = Limits {
            bounded: !self.has(Bug::NoBounds),
            ..LIMITS
        };
        Replica {
            outgoing: Outgoing::new(limits),
            handed: Vec::new(),
            swept: None,
            deleting: Vec::new(),
            known: Vec::new(),
        }
    }

    /// Whether this replica's publisher waits for what only it could bring about.
    fn waits_for_itself(&self, replica: &Replica) -> bool {
        let in_flight = replica.handed.iter().filter(|handed| !handed.late).count();
        self.has(Bug::AwaitsRoomInsideABatch)
            && in_flight >= LIMITS.window_max
            && replica.outgoing.waiting() > 0
    }

    /// What a healthy replica does at once.
    fn urgent(&self, world: &World) -> bool {
        world.replicas.iter().any(|replica| {
            replica
                .handed
                .iter()
                .any(|handed| handed.until <= world.tick)
                || replica.swept.is_some()
                || replica.outgoing.has_published()
                || !replica.deleting.is_empty()
        })
    }

    fn acts_of(&self, world: &World, r: usize, acts: &mut Vec<Act>) {
        let replica = &world.replicas[r];
        if !self.waits_for_itself(replica) {
            acts.push(Act::HandOver(r));
            let stored = replica.handed.iter().enumerate();
            let stored = stored.filter(|(_, handed)| handed.stored);
            acts.extend(stored.map(|(n, _)| Act::Hear(r, n)));
        }
        let handed = replica.handed.iter().enumerate();
        let handed = handed.filter(|(_, handed)| !handed.stored);
        acts.extend(handed.map(|(n, _)| Act::Store(r, n)));
        if replica.swept.is_some() {
            acts.push(Act::TakeSwept(r));
        } else if !self.has(Bug::SweepsNothing) {
            acts.push(Act::Sweep(r));
        }
        if !replica.deleting.is_empty() {
            acts.push(Act::Commit(r));
        } else if replica.outgoing.has_published() {
            acts.push(Act::Delete(r));
        }
    }

    /// From here on nothing goes wrong: every replica does all that it has to do, in turn, and time goes by. Where that was seen to
    /// end well from a state, it is not looked at again.
    fn comes_to_rest(&self, world: &World) -> bool {
        let mut way = vec![world.clone()];
        let over = world.tick + REST;
        loop {
            let world = &way[way.len() - 1];
            if self.is_at_rest(world) || self.rests.lock().unwrap().contains(world) {
                self.rests.lock().unwrap().extend(way);
                return true;
            }
            if world.tick > over {
                return false;
            }
            way.push(self.healthy(world));
        }
    }

    fn is_at_rest(&self, world: &World) -> bool {
        let idle =
            |replica: &Replica| replica.outgoing.is_empty() && !self.waits_for_itself(replica);
        world.unsaid == 0 && world.rows.is_empty() && world.replicas.iter().all(idle)
    }

    /// What a healthy world does next; when there is nothing to do, time goes by.
    fn healthy(&self, world: &World) -> World {
        let mut acts = Vec::new();
        for r in 0..world.replicas.len() {
            self.acts_of(world, r, &mut acts);
        }
        if world.unsaid > 0 {
            acts.push(Act::Say);
        }
        let next = acts.into_iter().find_map(|act| self.next_state(world, act));
        next.unwrap_or_else(|| World {
            tick: world.tick + 1,
            ..world.clone()
        })
    }
}

impl Model for Outbox {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            tick: 0,
            unsaid: self.facts,
            rows: BTreeMap::new(),
            copies: BTreeMap::new(),
            replicas: vec![self.fresh(); 2],
            faults: 0,
            broken: None,
        }]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        if world.broken.is_some() {
            return;
        }
        if world.unsaid > 0 {
            acts.push(Act::Say);
        }
        for (r, replica) in world.replicas.iter().enumerate() {
            self.acts_of(world, r, acts);
            for (n, handed) in replica.handed.iter().enumerate() {
                // That an answer does not come in time is a fault; that a late one never comes is not another.
                let may = handed.late || world.faults < self.faults;
                if may && handed.until <= world.tick && !self.waits_for_itself(replica) {
                    acts.push(Act::GiveUp(r, n));
                }
            }
            if world.faults < self.faults {
                acts.push(Act::Die(r));
                if !replica.deleting.is_empty() {
                    acts.extend([Act::Fail(r, false), Act::Fail(r, true)]);
                }
            }
        }
        if world.tick < self.ticks {
            if !self.urgent(world) {
                acts.push(Act::Tick);
            } else if world.faults < self.faults {
                acts.push(Act::Hang);
            }
        }
    }

    /// `None` when it changes nothing.
    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let mut next = world.clone();
        match act {
            Act::Say => {
                let facts: Vec<u8> = (1..=std::mem::take(&mut next.unsaid)).collect();
                let leased = next.tick;
                next.rows
                    .extend(facts.iter().map(|fact| (*fact, leased + LEASE)));
                self.offer(&mut next, 0, facts, leased);
            }
            Act::HandOver(r) => self.hand_over(&mut next, r),
            Act::Store(r, n) => {
                let handed = &mut next.replicas[r].handed;
                handed[n].stored = true;
                *next.copies.entry(handed[n].fact).or_default() += 1;
                handed.sort_unstable();
            }
            Act::Hear(r, n) => self.hear(&mut next, r, n),
            Act::GiveUp(r, n) => Self::give_up(&mut next, r, n),
            Act::Sweep(r) => Self::sweep(&mut next, r),
            Act::TakeSwept(r) => {
                let (rows, asked) = next.replicas[r].swept.take()?;
                let late = self.has(Bug::CountsTheLeaseFromTheAnswer);
                let leased = if late { next.tick } else { asked };
                self.offer(&mut next, r, rows, leased);
            }
            Act::Delete(r) => {
                let replica = &mut next.replicas[r];
                replica.deleting = replica.outgoing.take_published();
                if self.has(Bug::ForgetsBeforeTheCommit) {
                    replica.outgoing.deleted(&replica.deleting);
                }
            }
            Act::Commit(r) => self.end(&mut next, r, true, true),
            Act::Fail(r, gone) => {
                next.faults += 1;
                self.end(&mut next, r, gone, false);
            }
            Act::Die(r) => {
                next.faults += 1;
                next.replicas[r] = self.fresh();
            }
            Act::Tick => next.tick += 1,
            Act::Hang => {
                next.faults += 1;
                next.tick += 1;
            }
        }
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is lost", |outbox: &Outbox, world: &World| {
                let safe =
                    |fact| world.rows.contains_key(&fact) || world.copies.contains_key(&fact);
                world.unsaid > 0 || (1..=outbox.facts).all(safe)
            }),
            Property::always("each fault costs a copy at most", |_, world: &World| {
                world
                    .copies
                    .values()
                    .all(|copies| *copies <= 1 + world.faults)
            }),
            Property::always("no rule is broken", |_, world: &World| {
                world.broken.is_none()
            }),
            Property::always("what is in hand is bounded", |_, world: &World| {
                world.replicas.iter().all(|replica| {
                    let under_way = replica.handed.iter().filter(|handed| !handed.late);
                    replica.outgoing.waiting() <= LIMITS.waiting_max
                        && under_way.count() <= LIMITS.window_max
                })
            }),
            Property::always("it comes to rest", Outbox::comes_to_rest),
            Property::sometimes(
                "a fact goes out twice, where something may fail",
                |outbox: &Outbox, world: &World| {
                    outbox.faults == 0 || world.copies.values().any(|copies| *copies > 1)
                },
            ),
            Property::sometimes("another replica takes over", |_, world: &World| {
                !world.replicas[1].known.is_empty()
            }),
        ]
    }
}
