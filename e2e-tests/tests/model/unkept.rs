//! The saga without inbox and outbox: what is committed lies in the memory of its speaker's process until it is published, or is lost.
//!
//! Losing one fact is what a full queue does, losing all of them one after the other what a death does; any of both at any moment. That
//! memory also says whether an answer is on its way already, as the outbox's rows did; another process knows nothing of it. Only what a
//! row said last is asked for, as the timers do: what was said before it may still lie there. Ids of what was heard are not remembered at
//! all, which is the most forgetful memory that there can be: whatever is heard is judged.

use std::collections::{BTreeMap, BTreeSet};

use booking::core::{State, Trip};
use choreography::{FactBody, Position};

use crate::judge::Bug;
use crate::saga::{Act, Rows, Saga, World};
use crate::words::{Who, Word, said_id, word};

/// What is committed and not published.
pub(crate) type Hand = BTreeMap<(usize, Word), Kept>;

/// How it is known of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kept {
    /// The fact itself, in the memory of its process.
    InMemory,
    /// Only that it was to be published, which somebody wrote down; a planted bug.
    Marked,
}

impl Saga {
    pub(crate) fn unkept_actions(&self, world: &World, actions: &mut Vec<Act>) {
        let in_memory = world
            .hand
            .iter()
            .filter(|(_, kept)| **kept == Kept::InMemory);
        for ((trip, word), _) in in_memory {
            actions.extend([Act::Publish(*trip, *word), Act::Lose(*trip, *word)]);
        }
        if self.bug == Some(Bug::RequestIsJudgedAgain) {
            actions.extend((0..world.trips.len()).map(Act::Ask));
        }
    }

    pub(crate) fn lose(&self, hand: &mut Hand, what: (usize, Word)) {
        if self.bug == Some(Bug::WordOutlivesItsProcess) {
            hand.insert(what, Kept::Marked);
        } else {
            hand.remove(&what);
        }
    }

    /// The trip with what it said last, which the loop writes into its row. Only where somebody will ask for it: while the trip waits, and
    /// where there is no outbox. Elsewhere it would make two states of one.
    pub(crate) fn noted(&self, trip: Trip, said: &[FactBody]) -> Trip {
        let asks = self.unkept && matches!(trip.state, State::Pending | State::Undoing);
        let last = said.last().map(|said| said_id(word(said)));
        let said_id = last.or(trip.said_id).filter(|_| asks);
        Trip { said_id, ..trip }
    }

    /// What is left of it when every process has died.
    pub(crate) fn after_death(&self, hand: &Hand) -> Hand {
        let mut left = hand.clone();
        for what in hand.keys() {
            self.lose(&mut left, *what);
        }
        left
    }
}

/// The same rows after the broker lost everything, and no process died.
pub(crate) fn alive(world: &World) -> World {
    World {
        said: BTreeSet::new(),
        open: None,
        ..world.clone()
    }
}

/// What another process of the same service sees: the rows, and nothing of that memory.
pub(crate) fn of_another_process(world: &World) -> World {
    World {
        hand: Hand::new(),
        ..world.clone()
    }
}

/// Publishes all that is in memory.
pub(crate) fn publish_all(hand: &mut Hand) -> impl Iterator<Item = (usize, (Word, bool))> + use<> {
    let out = hand.extract_if(.., |_, kept| *kept == Kept::InMemory);
    let out: Vec<_> = out.map(|((trip, word), _)| (trip, (word, true))).collect();
    out.into_iter()
}

/// Whether any of these is on its way, as far as its speaker knows.
pub(crate) fn is_on_its_way(world: &World, trip: usize, words: &[Word]) -> bool {
    words
        .iter()
        .any(|word| world.hand.contains_key(&(trip, *word)))
}

/// The same of what a trip said last.
pub(crate) fn last_is_on_its_way(world: &World, trip: usize) -> bool {
    let last = world.trips[trip].trip.said_id.as_deref();
    let mut own = world.hand.keys().filter(|(of, _)| *of == trip);
    own.any(|(_, word)| last == Some(&said_id(*word)))
}

/// Whether a row has a timer that is set: others are never found.
pub(crate) fn is_set(rows: &Rows, who: Who, position: Position) -> bool {
    match who {
        Who::Booking => rows.trip.due_us.is_some(),
        Who::Flight | Who::Hotel => rows.legs[usize::from(position)].due_us.is_some(),
    }
}
