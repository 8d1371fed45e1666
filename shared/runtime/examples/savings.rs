//! A durable service in one file: hears what is paid into accounts, keeps their balances, and says when a goal is reached. Killed at any
//! moment and started again, it counts every payment once. How to run it is in the README beside this folder.
use axum::{Json, extract::State, routing::get};
use runtime::http::{About, Path};
use runtime::table::{Lock, Row, Table, int, text};
use runtime::{Context, Handle, Keyed, Problem, System};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;

const GOAL_CENTS: i64 = 10_000;
const BANK: System = System {
    namespace: "bank",
    stream: "BANK",
    subjects: "bank.>",
};
const SCHEMA: &str =
    "create table account (account text not null primary key, cents bigint not null default 0)";

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Account {
    account: String,
    cents: i64,
}

impl Row for Account {
    const TABLE: &'static Table = &Table {
        name: "account",
        key: &[text("account")],
        columns: &[int("cents")],
        lock: Lock::Claim,
    };
    type Key = (String,);

    fn key(&self) -> (String,) {
        (self.account.clone(),)
    }
}

#[derive(Deserialize)]
struct Paid {
    cents: u32,
}

/// What a payment makes of an account. Pure: a test needs neither broker nor database.
fn paid(
    key: &(String,),
    known: Option<&Account>,
    paid: &Paid,
    context: &mut Context,
) -> Option<Account> {
    let account = key.0.clone();
    let before = known.map_or(0, |known| known.cents);
    let cents = before + i64::from(paid.cents);
    if before < GOAL_CENTS && cents >= GOAL_CENTS {
        let (kind, subject) = ("bank.reached.v1".into(), "bank.reached".into());
        let data = format!(r#"{{"cents":{cents}}}"#);
        context.say("account", account.clone(), kind, subject, data);
    }
    Some(Account { account, cents })
}

type Savings = Handle<Keyed<Account, Paid>>;

/// The account as last committed, or null.
async fn show(
    State(savings): State<Savings>,
    Path(account): Path<String>,
) -> Result<Json<Option<Account>>, Problem> {
    Ok(Json(savings.database().find(&(account,)).await?))
}

fn main() -> std::process::ExitCode {
    let about = About {
        title: "Savings",
        description: "Balances, and goals reached.",
        version: "1.0.0",
    };
    let service = Keyed::new("savings", &["bank.paid"], &[(1001, SCHEMA)], paid);
    runtime::boot::main("savings", about.version, |settings| {
        let routes = OpenApiRouter::new().route("/accounts/{account}", get(show));
        runtime::start(service, BANK, about, settings, |savings| {
            routes.with_state(savings)
        })
    })
}
