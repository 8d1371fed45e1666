//! Two legs as others would bring them, each a program that this test program becomes: a car, made with `shared/leg`, and a boat, made with
//! a NATS client alone, without HTTP and without a database. As ordinary tests they have nothing to do.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::{self, consumer::pull};
use choreography::{LegName, Reason};
use clap::{Args as _, FromArgMatches as _};
use futures::StreamExt as _;
use jiff::{Timestamp, civil::Date};
use leg::core::details;
use leg::{Hold, Leg, LegPolicy, LegSpec};
use runtime::Settings;
use runtime::http::About;
use serde::Deserialize;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Set where a program is wanted, and no test.
pub(crate) const WANTED: &str = "LEG_PROGRAM";

const SPEC: LegSpec = LegSpec {
    name: "car",
    about: About {
        title: "Cars",
        description: "Cars by model and day.",
        version: "7",
    },
    path: "cars",
    unit: "cars",
    dates: &["day"],
    stock: &leg::stock_table("car", &[leg::text("model"), leg::text("day")]),
    key: &["The model, such as `compact`.", "The local calendar date."],
    migrations: || {
        let sql = "create table car (
            model text not null, day text not null, total bigint not null, held bigint not null, confirmed bigint not null,
            free bigint not null, price_minor bigint not null, currency text not null, primary key (model, day))";
        let sql = sql.into_sql_str();
        let table = Migration::new(1001, "car".into(), MigrationType::Simple, sql, false);
        Migrator::with_migrations(vec![table])
    },
};

#[derive(Deserialize)]
struct Details {
    model: String,
    day: Date,
    cars: i64,
}

struct Car;

impl Leg for Car {
    const SPEC: &'static LegSpec = &SPEC;
}

impl LegPolicy for Car {
    fn needs(&self, text: &str, now: Timestamp) -> Result<Vec<Hold>, Reason> {
        let Details { model, day, cars } = details::read(text)?;
        let key = vec![
            details::key("model", model)?,
            details::not_past("day", day, now)?.to_string(),
        ];
        let quantity = details::quantity("cars", cars)?;
        Ok(vec![Hold { key, quantity }])
    }
}

#[test]
fn car_program() {
    if std::env::var_os(WANTED).is_none() {
        return;
    }
    let command = Settings::augment_args(clap::Command::new("car"));
    let settings = Settings::from_arg_matches(&command.get_matches_from(["car"])).unwrap();
    let car = runtime::boot::run(SPEC.name, "7", settings, |settings| {
        leg::start(Car, settings)
    });
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(car)
        .unwrap();
}

#[tokio::test]
async fn boat_program() {
    if std::env::var_os(WANTED).is_none() {
        return;
    }
    let name: LegName = "boat".parse().unwrap();
    let client = async_nats::connect(std::env::var("NATS_URL").unwrap()).await;
    let context = jetstream::new(client.unwrap());
    let stream = loop {
        match context.get_stream(choreography::STREAM).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let config = pull::Config {
        durable_name: Some(name.to_string()),
        filter_subjects: choreography::filters_for_leg(&name),
        ..Default::default()
    };
    let consumer = stream.get_or_create_consumer("boat", config).await.unwrap();
    let joined = choreography::Joined {
        leg: name,
        counts: vec![],
        dates: vec![],
    };
    let id = uuid();
    let said = BTreeMap::from([
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", id.clone()),
        ("ce-source", "/boat".to_owned()),
        ("ce-type", joined.kind()),
        ("ce-subject", "boat".to_owned()),
        ("ce-time", Timestamp::now().to_string()),
        ("ce-datacontenttype", "application/json".to_owned()),
        ("ce-correlationid", "boat".to_owned()),
        ("Nats-Msg-Id", id),
    ]);
    let mut headers = async_nats::HeaderMap::new();
    for (name, value) in said {
        headers.insert(name, value);
    }
    let said = context.publish_with_headers(joined.subject(), headers, joined.to_json().into());
    said.await.unwrap().await.unwrap();
    loop {
        let mut batch = consumer.batch().expires(Duration::from_secs(1));
        batch = batch.max_messages(10);
        let mut heard = batch.messages().await.unwrap();
        while let Some(fact) = heard.next().await {
            fact.unwrap().ack().await.unwrap();
        }
    }
}

fn uuid() -> String {
    format!(
        "{:08x}-0000-7000-8000-{:012x}",
        fastrand::u32(..),
        fastrand::u64(..1 << 48)
    )
}
