//! A leg from outside: cars, defined in this one file on the shared crates alone, as another team would. Tests here and of the commands become
//! it; what is promised of it is theirs.

use choreography::Reason;
use clap::{Args as _, FromArgMatches as _};
use jiff::{Timestamp, civil::Date};
use leg::core::details;
use leg::{Hold, Leg, LegPolicy, LegSpec};
use runtime::Settings;
use runtime::http::About;
use serde::Deserialize;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

const SPEC: LegSpec = LegSpec {
    name: "car",
    about: About {
        title: "Cars",
        description: "Cars by model and day.",
        version: "1",
    },
    path: "cars",
    unit: "cars",
    dates: &["day"],
    stock: &leg::stock_table("car", &[leg::text("model"), leg::text("day")]),
    key: &["The model, such as `compact`.", "The local calendar date."],
    migrations: || {
        let sql = CAR_SQL.into_sql_str();
        let table = Migration::new(1001, "car".into(), MigrationType::Simple, sql, false);
        Migrator::with_migrations(vec![table])
    },
};

const CAR_SQL: &str = "create table car (
    model text not null, day text not null,
    total bigint not null,
    held bigint not null check (held >= 0),
    confirmed bigint not null check (confirmed >= 0),
    free bigint not null check (free >= 0),
    price_minor bigint not null, currency text not null,
    primary key (model, day), check (held + confirmed + free = total))";

/// `{"leg":"car","model":"compact","day":"2039-06-03","cars":1}`
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
        let model = details::key("model", model)?;
        let day = details::not_past("day", day, now)?.to_string();
        let quantity = details::quantity("cars", cars)?;
        let key = vec![model, day];
        Ok(vec![Hold { key, quantity }])
    }
}

/// The service's `main`.
pub(crate) fn serve() {
    let command = Settings::augment_args(clap::Command::new("car"));
    let settings = Settings::from_arg_matches(&command.get_matches_from(["car"])).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime
        .block_on(runtime::boot::run(
            SPEC.name,
            SPEC.about.version,
            settings,
            |settings| leg::start(Car, settings),
        ))
        .unwrap();
}
