//! What one replica of the outbox's model does, with the production `Outgoing` in its hand; and the mistakes that can be planted in it.
//! When it may do what, `outbox.rs` says.

use runtime::Event;
use runtime::outgoing::Outgoing;
use uuid::Uuid;

use crate::outbox::{ACK_WITHIN, LATE, LEASE, Outbox, World, at};

/// Mistakes in the shell or in the core's rules. The first two were made, and stalled trips for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The publisher waits for room in the window while it goes through a batch, and only it could make some.
    AwaitsRoomInsideABatch,
    /// The sweeper brings whatever it finds, known or not, and nothing that waits is ever dropped.
    NoBounds,
    /// What a batch deletes is forgotten when the batch begins, not when it is committed.
    ForgetsBeforeTheCommit,
    /// An acknowledgement that comes late is thrown away.
    IgnoresLateWords,
    /// A fact is handed over until the very end of its lease, so that its acknowledgement comes after it.
    HandsOverToTheLastMoment,
    /// A lease counts from when the database answered, not from when it was asked.
    CountsTheLeaseFromTheAnswer,
    /// A row is deleted once its fact was handed over.
    DeletesBeforeItIsStored,
    /// What a failed transaction did not delete is not put back.
    LosesWhatWasNotDeleted,
    /// Nobody takes up what a dead replica left.
    SweepsNothing,
}

/// A fact that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Handed {
    pub(crate) fact: u8,
    /// Until when its word is waited for.
    pub(crate) until: u8,
    pub(crate) late: bool,
    pub(crate) stored: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Replica {
    pub(crate) outgoing: Outgoing,
    /// In order, so that equal states are equal.
    pub(crate) handed: Vec<Handed>,
    /// Swept rows on their way from the database, and when they were asked for.
    pub(crate) swept: Option<(Vec<u8>, u8)>,
    /// What a transaction deletes right now.
    pub(crate) deleting: Vec<Uuid>,
    /// What it was told is stored, until it is deleted.
    pub(crate) known: Vec<u8>,
}

fn fact(number: u8) -> Event {
    Event {
        id: Uuid::from_u128(u128::from(number)),
        aggregatetype: String::from("thing"),
        aggregateid: String::new(),
        kind: String::new(),
        payload: String::new(),
        subject: String::new(),
        causation_id: None,
        time_us: 0,
        traceparent: None,
        tracestate: None,
        attempt: 0,
    }
}

fn number(id: &Uuid) -> u8 {
    u8::try_from(id.as_u128()).unwrap()
}

impl Outbox {
    /// Hands rows that were leased at `leased` to a replica.
    pub(crate) fn offer(&self, world: &mut World, r: usize, rows: Vec<u8>, leased: u8) {
        let early = if self.has(Bug::HandsOverToTheLastMoment) {
            0
        } else {
            ACK_WITHIN
        };
        let facts = rows.into_iter().map(fact);
        let outgoing = &mut world.replicas[r].outgoing;
        outgoing.take(facts, at(leased + LEASE - early), at(world.tick));
    }

    pub(crate) fn hand_over(&self, world: &mut World, r: usize) {
        let tick = world.tick;
        let replica = &mut world.replicas[r];
        let Some(event) = replica.outgoing.next(at(tick)) else {
            return;
        };
        let fact = number(&event.id);
        if replica.known.contains(&fact) {
            world.broken = Some("it is told that a fact is stored, and hands it over again");
        }
        if replica
            .handed
            .iter()
            .any(|other| other.fact == fact && !other.late)
        {
            world.broken = Some("a fact is under way twice from one replica");
        }
        let ends = world.rows.get(&fact).copied();
        if ends.is_some_and(|ends| ends <= tick + ACK_WITHIN) {
            world.broken =
                Some("a fact is handed over that may be another's before its word comes");
        }
        let replica = &mut world.replicas[r];
        replica.handed.push(Handed {
            fact,
            until: tick + ACK_WITHIN,
            late: false,
            stored: false,
        });
        replica.handed.sort_unstable();
        if self.has(Bug::DeletesBeforeItIsStored) {
            world.rows.remove(&fact);
        }
    }

    pub(crate) fn hear(&self, world: &mut World, r: usize, n: usize) {
        let tick = world.tick;
        let replica = &mut world.replicas[r];
        let handed = replica.handed.remove(n);
        let id = fact(handed.fact).id;
        if !handed.late {
            replica.outgoing.stored(id, at(tick));
        } else if !self.has(Bug::IgnoresLateWords) {
            replica.outgoing.stored_late(id);
        }
        if world.rows.contains_key(&handed.fact) && !replica.known.contains(&handed.fact) {
            replica.known.push(handed.fact);
            replica.known.sort_unstable();
        }
    }

    pub(crate) fn give_up(world: &mut World, r: usize, n: usize) {
        let tick = world.tick;
        let replica = &mut world.replicas[r];
        let handed = replica.handed.remove(n);
        if handed.late {
            return;
        }
        world.faults += 1;
        let id = fact(handed.fact).id;
        replica.outgoing.failed(id, false, "", at(tick));
        replica.handed.push(Handed {
            until: tick + LATE,
            late: true,
            ..handed
        });
        replica.handed.sort_unstable();
    }

    pub(crate) fn sweep(world: &mut World, r: usize) {
        let room = world.replicas[r].outgoing.room();
        let mut found: Vec<(u8, u8)> = world
            .rows
            .iter()
            .filter(|(_, ends)| **ends <= world.tick)
            .map(|(fact, ends)| (*ends, *fact))
            .collect();
        found.sort_unstable();
        let found: Vec<u8> = found.into_iter().take(room).map(|(_, fact)| fact).collect();
        for fact in &found {
            world.rows.insert(*fact, world.tick + LEASE);
        }
        if !found.is_empty() {
            world.replicas[r].swept = Some((found, world.tick));
        }
    }

    /// The end of the transaction that deletes: whether the rows are gone, and whether the replica knows.
    pub(crate) fn end(&self, world: &mut World, r: usize, gone: bool, known: bool) {
        let ids = std::mem::take(&mut world.replicas[r].deleting);
        let facts: Vec<u8> = ids.iter().map(number).collect();
        if gone {
            world.rows.retain(|fact, _| !facts.contains(fact));
        }
        let replica = &mut world.replicas[r];
        if known {
            replica.outgoing.deleted(&ids);
            replica.known.retain(|fact| !facts.contains(fact));
        } else if !self.has(Bug::LosesWhatWasNotDeleted) {
            replica.outgoing.put_back(ids);
        }
    }
}
