//! How much is said. With nobody who remembers what was heard, every delivery is a question; here it is counted what one can bring about.
//!
//! Two searches over the production functions, from every state that a saga reaches. [`Echo::at_most`] takes each fact by itself and
//! lets each hearer answer from whichever state makes it say most: a bound whatever else goes on at the same time, and none where two can
//! answer each other. [`Talk::most`] plays it out, in every order of deliveries, so that it is known to be reached. What is heard when, and
//! whether it is safe, `saga.rs` says.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use stateright::Model;

use crate::graph::Graph;
use crate::judge::Heard;
use crate::saga::{Saga, World};
use crate::unkept::{Hand, is_set};
use crate::words::{Clock, Who, Word, timers};

/// What is said of the only trip that a saga has here.
const TRIP: usize = 0;

/// What each fact can make each of its hearers say, over all states.
pub(crate) struct Echo<'a> {
    saga: &'a Saga,
    /// Every state, and which facts it may hear.
    worlds: Vec<World>,
    answers: BTreeMap<Word, BTreeMap<Who, BTreeSet<Vec<Word>>>>,
}

impl<'a> Echo<'a> {
    pub(crate) fn of(saga: &'a Saga) -> Self {
        let reached = Graph::explore(saga, saga.init_states(), |_| true);
        let worlds = reached.states;
        let mut answers: BTreeMap<_, BTreeMap<_, BTreeSet<_>>> = BTreeMap::new();
        for world in &worlds {
            for (trip, word) in &world.said {
                let hearers = &saga.facts[&(*trip, *word)].1;
                for (who, clock) in hearers
                    .iter()
                    .flat_map(|who| moments(world).map(move |at| (who, at)))
                {
                    let judged = saga.judge(world, *who, *trip, Heard::Fact(*word), clock);
                    let said = judged.said.iter().map(|(word, _)| *word).collect();
                    answers
                        .entry(*word)
                        .or_default()
                        .entry(*who)
                        .or_default()
                        .insert(said);
                }
            }
        }
        Self {
            saga,
            worlds,
            answers,
        }
    }

    /// How many facts one delivered fact brings about at most, its answers' answers included. None: they can answer each other for ever.
    pub(crate) fn at_most(&self, word: Word) -> Option<usize> {
        self.bound(word, &mut Vec::new())
    }

    /// The same, the worst fact of all.
    pub(crate) fn worst(&self) -> Option<usize> {
        let all = self.answers.keys().map(|word| self.at_most(*word));
        all.reduce(|a, b| Some(a?.max(b?))).flatten()
    }

    fn bound(&self, word: Word, above: &mut Vec<Word>) -> Option<usize> {
        if above.contains(&word) {
            return None;
        }
        above.push(word);
        let mut sum = 0;
        for said in self.answers.get(&word).into_iter().flatten() {
            let mut most = 0;
            for said in said.1 {
                let mut all = 0;
                for word in said {
                    all += 1 + self.bound(*word, above)?;
                }
                most = most.max(all);
            }
            sum += most;
        }
        above.pop();
        Some(sum)
    }

    /// The most that one delivered fact ever brings about when it is played out, and which one does.
    pub(crate) fn played(&self) -> (usize, Word) {
        let mut talk = Talk::new(self.saga);
        let mut most = (0, Word::Requested);
        for world in &self.worlds {
            for (_, word) in &world.said {
                let scene = talk.scene(world, [*word], Budget::default());
                most = most.max((talk.most(&scene), *word));
            }
        }
        most
    }
}

/// What may still go otherwise than planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// Deliveries that come once more.
    pub(crate) repeats: u8,
    /// Timers that go off.
    pub(crate) timers: u8,
    /// Times that the traveller cancels.
    pub(crate) cancels: u8,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scene {
    world: World,
    /// Deliveries under way, in order.
    flying: Vec<(Who, Word)>,
    budget: Budget,
}

/// Plays conversations out to their end.
pub(crate) struct Talk<'a> {
    saga: &'a Saga,
    known: HashMap<Scene, usize>,
}

impl<'a> Talk<'a> {
    pub(crate) fn new(saga: &'a Saga) -> Self {
        Self {
            saga,
            known: HashMap::new(),
        }
    }

    /// How many facts are said of a trip in all, at most, where so much goes otherwise.
    pub(crate) fn of_a_trip(&mut self, budget: Budget) -> usize {
        let start = self.saga.init_states().remove(0);
        let scene = self.scene(&start, [Word::Requested], budget);
        1 + self.most(&scene)
    }

    fn scene(&self, world: &World, said: impl IntoIterator<Item = Word>, budget: Budget) -> Scene {
        let world = World {
            said: BTreeSet::new(),
            hand: Hand::new(),
            open: None,
            ..world.clone()
        };
        let mut scene = Scene {
            world,
            flying: Vec::new(),
            budget,
        };
        self.fly(&mut scene, said);
        scene
    }

    fn fly(&self, scene: &mut Scene, said: impl IntoIterator<Item = Word>) {
        for word in said {
            let hearers = self.saga.facts[&(TRIP, word)].1.iter();
            scene.flying.extend(hearers.map(|who| (*who, word)));
        }
        scene.flying.sort_unstable();
    }

    /// Ends, because what is heard is answered with something higher only: [`Echo::at_most`] is asked first.
    fn most(&mut self, scene: &Scene) -> usize {
        if let Some(known) = self.known.get(scene) {
            return *known;
        }
        let mut most = 0;
        let mut delivered = None;
        for (n, (who, word)) in scene.flying.iter().enumerate() {
            if delivered.replace((who, word)) == Some((who, word)) {
                continue; // one like it came before
            }
            let mut next = scene.clone();
            next.flying.remove(n);
            most = most.max(self.after(&next, *who, Heard::Fact(*word)));
            if scene.budget.repeats > 0 {
                let mut next = scene.clone();
                next.budget.repeats -= 1;
                most = most.max(self.after(&next, *who, Heard::Fact(*word)));
            }
        }
        if scene.budget.timers > 0 {
            let mut next = scene.clone();
            next.budget.timers -= 1;
            for (who, position) in timers(&self.saga.plans[TRIP]) {
                if is_set(&scene.world.trips[TRIP], who, position) {
                    most = most.max(self.after(&next, who, Heard::Due(position)));
                }
            }
        }
        if scene.budget.cancels > 0 {
            let mut next = scene.clone();
            next.budget.cancels -= 1;
            most = most.max(self.after(&next, Who::Booking, Heard::Cancel));
        }
        self.known.insert(scene.clone(), most);
        most
    }

    fn after(&mut self, scene: &Scene, who: Who, heard: Heard) -> usize {
        let mut most = 0;
        for clock in moments(&scene.world) {
            let mut next = scene.clone();
            let judged = self.saga.judge(&scene.world, who, TRIP, heard, clock);
            let said = judged.write(&mut next.world, TRIP);
            self.fly(&mut next, said.iter().map(|(word, _)| *word));
            most = most.max(said.len() + self.most(&next));
        }
        most
    }
}

/// What clocks may say. Once a trip is old, all say so.
fn moments(world: &World) -> impl Iterator<Item = Clock> + use<> {
    let old = world.trips[TRIP].old;
    let all = [Clock::Before, Clock::Behind, Clock::Late];
    all.into_iter()
        .filter(move |clock| !old || *clock == Clock::Late)
}
