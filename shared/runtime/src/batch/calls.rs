//! The calls of one batch: which of them still wait for the answers that it judges, and which it asks for. What they are for is the service's.

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::Step;
use crate::call::{Call, WAITING};
use crate::database::Failure;
use crate::database::calls::Changed;
use crate::service::{Input, Service};
use crate::table::{Cell, Table, cells};
use crate::telemetry::TraceContext;

/// A call that was asked for, when and where in the trace.
struct Asked {
    call: Call,
    asked_us: i64,
    trace: TraceContext,
}

/// Calls, by id.
#[derive(Default)]
pub(super) struct Calls {
    /// Those whose answers may be judged, and when each was asked for.
    waiting: BTreeMap<String, i64>,
    /// Those whose answers were judged.
    answered: BTreeMap<String, i64>,
    asked: BTreeMap<String, Asked>,
}

/// The calls whose answers these steps are, as keys of a table to load.
pub(super) fn wanted<S: Service>(steps: &[Step<S>]) -> (&'static Table, Vec<Vec<Cell>>) {
    let answered = steps.iter().filter_map(|step| match step {
        Step::Answer {
            input: Input::Answer { call, .. },
            ..
        } => Some(call.id.as_str()),
        _ => None,
    });
    // Once each and in order, as locks are taken.
    let ids: BTreeSet<&str> = answered.collect();
    (WAITING, ids.into_iter().map(|id| vec![id.into()]).collect())
}

impl Calls {
    /// Those that were loaded.
    pub(super) fn read(loaded: &str) -> Result<Self, Failure> {
        let rows: Vec<Vec<Cell>> = serde_json::from_str(loaded).map_err(Failure::unreadable)?;
        let names = WAITING.all().map(|column| column.name);
        let waiting = rows.into_iter().map(|row| {
            let row: BTreeMap<String, Cell> = cells::read(names.clone(), row)?;
            match (row.get("id"), row.get("asked_us")) {
                (Some(Cell::Text(id)), Some(Cell::Int(asked_us))) => Ok((id.clone(), *asked_us)),
                _ => Err(Failure::unreadable("a call without an id")),
            }
        });
        Ok(Self {
            waiting: waiting.collect::<Result<_, _>>()?,
            ..Self::default()
        })
    }

    /// Whether an answer may be judged: its call, as it was asked for then, waits. It does so no more.
    pub(super) fn answer(&mut self, id: &str, asked_us: i64) -> bool {
        let waits = self.waiting.get(id) == Some(&asked_us);
        if waits {
            self.waiting.remove(id);
            self.answered.insert(id.to_owned(), asked_us);
        }
        waits
    }

    /// Asks for a call; one that waits or was asked for before stays as it is.
    pub(super) fn ask(&mut self, call: Call, now_us: i64, trace: &TraceContext) {
        if self.waiting.contains_key(&call.id) || self.asked.contains_key(&call.id) {
            return;
        }
        // Whatever the clock does: an answer to what was asked before is none to this.
        let before = self.answered.get(&call.id);
        let asked_us = before.map_or(now_us, |before| now_us.max(before.saturating_add(1)));
        let trace = trace.clone();
        let id = call.id.clone();
        let asked = Asked {
            call,
            asked_us,
            trace,
        };
        self.asked.insert(id, asked);
    }

    /// Whether any was asked for.
    pub(super) fn is_asking(&self) -> bool {
        !self.asked.is_empty()
    }

    /// What to save of them.
    pub(super) fn changed(self) -> Changed {
        let (renewed, gone) = self
            .answered
            .into_keys()
            .partition(|id| self.asked.contains_key(id));
        let asked = self.asked.into_values().map(|asked| {
            let Asked {
                call,
                asked_us,
                trace,
            } = asked;
            vec![
                call.id.into(),
                call.purpose.into(),
                call.about.into(),
                call.request.into(),
                i64::from(call.first).into(),
                asked_us.into(),
                trace.traceparent.into(),
                trace.tracestate.into(),
            ]
        });
        Changed {
            asked: asked.collect(),
            renewed,
            gone,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn call(id: &str, request: &str) -> Call {
        Call {
            id: id.to_owned(),
            purpose: String::from("ship"),
            about: String::from("o-17"),
            request: request.to_owned(),
            first: true,
        }
    }

    fn waiting(rows: &str) -> Calls {
        Calls::read(rows).unwrap()
    }

    #[test]
    fn an_answer_is_judged_once_and_only_to_what_was_asked_then() {
        let mut calls = waiting(r#"[["a", 7], ["b", 8]]"#);
        assert!(!calls.answer("a", 6), "of an earlier asking");
        assert!(!calls.answer("c", 7), "nobody asked for it");
        assert!(calls.answer("a", 7));
        assert!(!calls.answer("a", 7), "a second one in the same batch");
        let changed = calls.changed();
        assert_eq!((changed.gone, changed.renewed.len()), (vec!["a".into()], 0));
    }

    #[test]
    fn what_is_asked_for_again_while_it_waits_is_one_call() {
        let mut calls = waiting(r#"[["a", 7]]"#);
        let nowhere = TraceContext::default();
        for id in ["a", "b", "b"] {
            calls.ask(call(id, id), 9, &nowhere);
        }
        calls.ask(call("b", "other"), 9, &nowhere);
        let changed = calls.changed();
        assert_eq!(changed.asked.len(), 1);
        assert_eq!(changed.asked[0][0], "b".into());
        assert_eq!(changed.asked[0][3], "b".into(), "the first stays as it is");
    }

    #[test]
    fn what_is_asked_for_anew_by_its_answer_begins_anew_whatever_the_clock_says() {
        let mut calls = waiting(r#"[["a", 7]]"#);
        assert!(calls.answer("a", 7));
        calls.ask(call("a", "{}"), 3, &TraceContext::default());
        assert!(calls.is_asking());
        let changed = calls.changed();
        assert_eq!(changed.asked[0][5], 8.into());
        assert_eq!((changed.renewed, changed.gone.len()), (vec!["a".into()], 0));
    }
}
