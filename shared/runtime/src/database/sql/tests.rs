//! That statements and what is bound to them fit each other, for both engines. What databases make of them is seen where databases are asked.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::super::calls::Changed;
use super::super::failure::Failure;
use super::super::parameters::Param;
use super::{Engine, OUTBOX, OUTBOX_ALL, Saving, load, load_params, outbox_row, save, save_params};
use crate::event::Event;
use crate::service::Context;
use crate::table::{Cell, Changes, Lock, Table, cells, counter, int, text};
use crate::telemetry::TraceContext;

const CLAIMED: &Table = &Table {
    name: "claimed",
    key: &[text("a"), int("b")],
    columns: &[int("c"), text("said_id")],
    lock: Lock::Claim,
};
const COUNTED: &Table = &Table {
    name: "counted",
    key: &[text("a")],
    columns: &[counter("b"), text("c")],
    lock: Lock::Update,
};
const TABLES: &[&Table] = &[CLAIMED, COUNTED];

fn said() -> Event {
    let mut context = Context::new(7, Some(uuid::Uuid::now_v7()), TraceContext::default());
    let [id, kind, subject] = ["o-1", "shop.sent.v1", "shop.sent"].map(String::from);
    context.say("order", id, kind, subject, r#"{"parcels":2}"#.into());
    context.said.remove(0)
}

fn saving(saved: Vec<Vec<Cell>>) -> Saving<'static> {
    let changes = Changes {
        saved,
        ..Changes::default()
    };
    Saving {
        changes: vec![(CLAIMED, changes), (COUNTED, Changes::default())],
        calls: None,
        said: &[],
        published: Vec::new(),
        lease_us: 1,
        letters: &[],
    }
}

/// The highest `$n` of a statement.
fn places(sql: &str) -> usize {
    let numbers = sql.split('$').skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    numbers.max().unwrap_or(0)
}

#[test]
fn as_many_parameters_are_bound_as_statements_have() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let wanted = TABLES.iter().map(|table| (*table, Vec::new())).collect();
        let bound = load_params(engine, Vec::new(), wanted).unwrap();
        assert_eq!(places(&load(engine, TABLES)), bound.len(), "{engine:?}");
        let bound = save_params(engine, saving(Vec::new())).unwrap();
        let statement = save(engine, TABLES, false);
        assert_eq!(places(&statement), bound.len(), "{engine:?}");
        assert!(!statement.contains("call"), "{statement}");
        let with_calls = Saving {
            calls: Some(Changed::default()),
            ..saving(Vec::new())
        };
        let bound = save_params(engine, with_calls).unwrap();
        let statement = save(engine, TABLES, true);
        assert_eq!(places(&statement), bound.len(), "{engine:?}");
    }
}

#[test]
fn a_fact_in_the_outbox_has_each_value_in_its_column() {
    let fact = said();
    let mut row = outbox_row(&fact);
    assert_eq!(row.len(), OUTBOX.len());
    row.push(0.into());
    let names = OUTBOX_ALL.iter().map(|column| column.name);
    assert_eq!(cells::read::<Event>(names, row).unwrap(), fact);
}

#[test]
fn a_row_of_another_shape_is_refused_whatever_the_engine() {
    let refused = |engine, row: Vec<Cell>| match save_params(engine, saving(vec![row])) {
        Err(Failure::Poison(word)) => word,
        other => panic!("{other:?}"),
    };
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let short = refused(engine, vec!["a".into(), 1.into(), 2.into()]);
        assert!(short.contains("3 cells is none for 4 columns"), "{short}");
        let kind = refused(engine, vec!["a".into(), 1.into(), "2".into(), Cell::Null]);
        assert!(
            kind.contains("text was to be stored in the column c"),
            "{kind}"
        );
    }
}

#[test]
fn postgres_takes_a_column_as_one_array() {
    let rows = vec![
        vec!["a".into(), 1.into(), Cell::Null, "x".into()],
        vec!["b".into(), 2.into(), 3.into(), Cell::Null],
    ];
    let bound = save_params(Engine::Postgres, saving(rows)).unwrap();
    let texts = |of: [Option<&str>; 2]| Param::Texts(of.map(|it| it.map(String::from)).into());
    let expected = [
        texts([Some("a"), Some("b")]),
        Param::Ints(vec![Some(1), Some(2)]),
        Param::Ints(vec![None, Some(3)]),
        texts([Some("x"), None]),
    ];
    assert_eq!(bound[..4], expected);
}
