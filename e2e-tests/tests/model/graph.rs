//! Convergence by reverse reachability: every state of a graph can reach a final one. It visits; what a state is, the model says.

use std::collections::HashMap;
use std::hash::Hash;

use stateright::Model;

/// All states that can be reached from some, by some of a model's acts.
pub(crate) struct Graph<S> {
    pub(crate) states: Vec<S>,
    /// Where each state can be reached from in one step.
    before: Vec<Vec<usize>>,
}

impl<S: Clone + Eq + Hash> Graph<S> {
    pub(crate) fn explore<M: Model<State = S>>(
        model: &M,
        starts: impl IntoIterator<Item = S>,
        may: impl Fn(&M::Action) -> bool,
    ) -> Self {
        let mut graph = Self {
            states: Vec::new(),
            before: Vec::new(),
        };
        let mut known = HashMap::new();
        for start in starts {
            graph.number(&mut known, start);
        }
        let mut next = 0;
        while let Some(state) = graph.states.get(next).cloned() {
            let mut acts = Vec::new();
            model.actions(&state, &mut acts);
            for act in acts.into_iter().filter(|act| may(act)) {
                if let Some(after) = model.next_state(&state, act) {
                    let after = graph.number(&mut known, after);
                    graph.before[after].push(next);
                }
            }
            next += 1;
        }
        graph
    }

    fn number(&mut self, known: &mut HashMap<S, usize>, state: S) -> usize {
        if let Some(number) = known.get(&state) {
            return *number;
        }
        let number = self.states.len();
        known.insert(state.clone(), number);
        self.states.push(state);
        self.before.push(Vec::new());
        number
    }

    /// A state from which no final one can be reached.
    pub(crate) fn dead_end(&self, is_final: impl Fn(&S) -> bool) -> Option<&S> {
        let mut reaches = vec![false; self.states.len()];
        let mut open: Vec<usize> = (0..self.states.len())
            .filter(|number| is_final(&self.states[*number]))
            .collect();
        while let Some(number) = open.pop() {
            if !std::mem::replace(&mut reaches[number], true) {
                open.extend(&self.before[number]);
            }
        }
        let stuck = reaches.iter().position(|reaches| !reaches)?;
        self.states.get(stuck)
    }
}
