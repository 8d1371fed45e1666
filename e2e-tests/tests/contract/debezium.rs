//! The way in for who has an outbox that Debezium reads: the configuration in `docs/wire.md` names columns that the table `outbox` has, as
//! PostgreSQL has it after the migrations, and each header that a reader needs. Debezium itself is not run.

use std::collections::BTreeMap;

use e2e_tests::{Engine, Setup, World, play};
use sqlx::Connection as _;

/// The configuration that stands in the page.
fn configuration() -> BTreeMap<String, String> {
    let page = crate::read("docs/wire.md");
    let block = page.split("```properties\n").nth(1).expect("a block");
    let block = block.split("```").next().unwrap();
    let lines = block.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// Which column is what, by the router's settings.
fn columns(configuration: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let router = "debezium.transforms.outbox.";
    let setting = |name: &str| {
        let value = configuration.get(&format!("{router}{name}"));
        value.unwrap_or_else(|| panic!("{name} is not set")).clone()
    };
    let mut columns: BTreeMap<String, String> = ["id", "key", "payload"]
        .map(|what| {
            (
                what.to_owned(),
                setting(&format!("table.field.event.{what}")),
            )
        })
        .into();
    columns.insert(String::from("subject"), setting("route.by.field"));
    for placed in setting("table.fields.additional.placement").split(',') {
        let [column, place, header] = placed.split(':').collect::<Vec<_>>()[..] else {
            panic!("{placed} is column:header:name");
        };
        assert_eq!(place, "header");
        columns.insert(header.to_owned(), column.to_owned());
    }
    columns
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_debezium_is_told_of_the_outbox_is_so() {
    let test = "what_debezium_is_told_of_the_outbox_is_so";
    play(test, Setup::on(Engine::Postgres), async |world: &mut World| {
        let url = world.database_url("flight");
        let mut database = sqlx::PgConnection::connect(url).await.unwrap();
        let there = "select column_name::text, data_type::text from information_schema.columns where table_name = 'outbox'";
        let there: Vec<(String, String)> = sqlx::query_as(there).fetch_all(&mut database).await.unwrap();
        let there: BTreeMap<String, String> = there.into_iter().collect();
        let configuration = configuration();
        let columns = columns(&configuration);
        for (what, column) in &columns {
            assert_eq!(there.get(column).map(String::as_str), Some("text"), "{what} is {column}");
        }
        let expected = [("id", "id"), ("payload", "payload"), ("subject", "subject"), ("ce-id", "id"), ("ce-type", "type"), ("ce-subject", "aggregateid")];
        for (what, column) in expected {
            assert_eq!(columns.get(what).map(String::as_str), Some(column), "{what}");
        }
        let version = "debezium.transforms.version.value.literal";
        assert_eq!(configuration.get(version).map(String::as_str), Some("1.0"));
        // What Debezium is to leave alone: it hears inserts, and rows are deleted once they are published.
        let table = configuration.get("debezium.source.table.include.list");
        assert_eq!(table.map(String::as_str), Some("public.outbox"));
    })
    .await;
}
