//! The toy: wallets that are paid into by facts and out of by commands, and that ask to be looked at some time after. No HTTP of its own.

use std::convert::Infallible;

use runtime::service::{Context, Input, ReadError, Service, ServiceInput};
use runtime::table::{Lock, Row, Rows, Table, Working, int, text};
use runtime::{Message, System};
use serde::{Deserialize, Serialize};
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

const SCHEMA: &str = "create table wallet (
    wallet text not null primary key,
    cents bigint not null default 0 check (cents < 1000000),
    due_us bigint,
    said_id text,
    forget_us bigint
)";

/// A wallet that was changed asks to be looked at so much later.
pub(crate) const LOOKED_AT_AFTER_US: i64 = 200_000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Wallet {
    wallet: String,
    pub(crate) cents: i64,
    due_us: Option<i64>,
    said_id: Option<String>,
    /// Empty ones may be forgotten at once.
    forget_us: Option<i64>,
}

impl Row for Wallet {
    const TABLE: &'static Table = WALLET;
    type Key = (String,);

    fn key(&self) -> (String,) {
        (self.wallet.clone(),)
    }
}

pub(crate) const WALLET: &Table = &Table {
    name: "wallet",
    key: &[text("wallet")],
    columns: &[
        int("cents"),
        int("due_us"),
        text("said_id"),
        int("forget_us"),
    ],
    lock: Lock::Claim,
};

/// So much is paid in.
#[derive(Clone, Debug)]
pub(crate) struct Paid {
    pub(crate) wallet: String,
    pub(crate) cents: i64,
}

/// So much is to be paid out; answered with what is left, or refused when there is not as much.
#[derive(Clone, Debug)]
pub(crate) struct PayOut {
    pub(crate) wallet: String,
    pub(crate) cents: i64,
}

/// One wallet service of a system; systems side by side have streams of their own.
pub(crate) struct Wallets {
    pub(crate) system: System,
}

impl Wallets {
    fn say(&self, what: &str, wallet: &mut Wallet, context: &mut Context) {
        let (kind, subject) = (
            format!("wallet.{what}.v1"),
            format!("{}.{what}", self.system.namespace),
        );
        let cents = format!(r#"{{"cents":{}}}"#, wallet.cents);
        let id = context.say("wallet", wallet.wallet.clone(), kind, subject, cents);
        wallet.said_id = Some(id.to_string());
    }
}

impl Service for Wallets {
    type Fact = Paid;
    type Command = PayOut;
    type Reply = Option<i64>;
    type Timer = (String,);
    type Answer = Infallible;
    type Rows = Rows<Wallet>;

    fn name(&self) -> &str {
        "wallets"
    }

    fn filters(&self) -> Vec<String> {
        vec![format!("{}.paid", self.system.namespace)]
    }

    fn migrations(&self) -> Migrator {
        let kind = MigrationType::Simple;
        let first = Migration::new(1001, "".into(), kind, SCHEMA.into_sql_str(), false);
        Migrator::with_migrations(vec![first])
    }

    fn timers(&self) -> Option<&'static Table> {
        Some(WALLET)
    }

    fn forgettable(&self) -> &'static [&'static Table] {
        &[WALLET]
    }

    fn read(&self, message: &Message) -> Result<Paid, ReadError> {
        let cents = std::str::from_utf8(&message.payload)
            .ok()
            .and_then(|it| it.parse().ok());
        cents
            .map(|cents| Paid {
                wallet: message.entity.clone(),
                cents,
            })
            .ok_or_else(|| ReadError::Malformed(String::from("no number of cents")))
    }

    fn rows(&self) -> Rows<Wallet> {
        Rows::default()
    }

    fn tables<'a>(&self, rows: &'a mut Rows<Wallet>) -> Vec<&'a mut dyn Working> {
        vec![rows]
    }

    fn need(&self, input: &ServiceInput<Self>, rows: &mut Rows<Wallet>) {
        rows.want(match input {
            Input::Fact(paid) => (paid.wallet.clone(),),
            Input::Command(pay_out) => (pay_out.wallet.clone(),),
            Input::Due { key, .. } => key.clone(),
            Input::Answer { answer, .. } => match *answer {},
        });
    }

    fn react(
        &self,
        input: &ServiceInput<Self>,
        rows: &mut Rows<Wallet>,
        context: &mut Context,
    ) -> Option<Option<i64>> {
        let (key, change) = match input {
            Input::Fact(paid) => (&paid.wallet, paid.cents),
            Input::Command(pay_out) => (&pay_out.wallet, -pay_out.cents),
            Input::Due { key, .. } => (&key.0, 0),
            Input::Answer { answer, .. } => match *answer {},
        };
        let known = rows.get(&(key.clone(),)).cloned();
        let mut wallet = known.unwrap_or_else(|| Wallet {
            wallet: key.clone(),
            ..Wallet::default()
        });
        if wallet.cents + change < 0 {
            return Some(None);
        }
        wallet.cents += change;
        wallet.forget_us = (wallet.cents == 0).then_some(context.now_us);
        wallet.due_us = match input {
            Input::Due { .. } => None,
            _ => Some(context.now_us + LOOKED_AT_AFTER_US),
        };
        let what = match input {
            Input::Due { .. } => "looked-at",
            _ => "changed",
        };
        self.say(what, &mut wallet, context);
        let left = wallet.cents;
        rows.put(wallet);
        Some(Some(left))
    }

    fn echo(&self, command: &PayOut, rows: &Rows<Wallet>) -> Option<i64> {
        rows.get(&(command.wallet.clone(),))
            .map(|wallet| wallet.cents)
    }
}
