//! A database for one test, replicas on it, and the steps that they are given.

use std::sync::Arc;
use std::time::Duration;

use runtime::batch::{Step, Transactor};
use runtime::database::Engine;
use runtime::{Database, Input, Service, System, TraceContext};
use uuid::Uuid;

use crate::wallet::{Paid, PayOut, Wallets};

/// Empty when the test begins. No other test's service meets this one's.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) system: System,
    _folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(url: impl FnOnce(&std::path::Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A namespace is a constant of the program, of which a test process has many.
        let name: &'static str = format!("toy{}", Uuid::now_v7().simple()).leak();
        Self {
            url: url(folder.path()),
            system: System {
                namespace: name,
                stream: name,
                subjects: format!("{name}.>").leak(),
            },
            _folder: folder,
        }
    }

    pub(crate) fn sqlite() -> Self {
        Self::new(|folder| format!("sqlite://{}/toy.db", folder.display()))
    }

    pub(crate) fn service(&self) -> Wallets {
        Wallets {
            system: self.system,
        }
    }

    /// One more replica's transactions, without its loop.
    pub(crate) async fn replica(&self) -> Replica {
        self.replica_of(self.service()).await
    }

    /// The same of another service.
    pub(crate) async fn replica_of<S: Service>(&self, service: S) -> Replica<S> {
        let database = Database::open(&self.url, &service.migrations()).await;
        let database = database.unwrap();
        let transactor = Transactor::new(Arc::new(service), Arc::clone(&database), 10_000);
        Replica {
            transactor: Arc::new(transactor),
            database,
        }
    }
}

/// One process's view of a database.
pub(crate) struct Replica<S: Service = Wallets> {
    pub(crate) transactor: Arc<Transactor<S>>,
    pub(crate) database: Arc<Database>,
}

impl<S: Service> Replica<S> {
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.database.number(sql, vec![]).await.unwrap()
    }

    pub(crate) async fn run(&self, steps: &[Step<S>]) -> Vec<runtime::Event> {
        self.transactor.run(steps, &[]).await.unwrap().said
    }

    /// Lets another replica's step run into the transaction that this one's holds open, then commits. Answers what the other said.
    pub(crate) async fn meet(
        &self,
        step: Step<S>,
        other: &Self,
        others: Step<S>,
    ) -> Vec<runtime::Event> {
        let steps = [step];
        let open = self.transactor.open(&steps, &[]).await.unwrap();
        let transactor = Arc::clone(&other.transactor);
        let second = tokio::spawn(async move { transactor.run(&[others], &[]).await });
        match self.database.engine() {
            // Who waits for a file is seen by nobody: that nothing came of it for so long has to be enough.
            Engine::Sqlite => tokio::time::sleep(Duration::from_millis(300)).await,
            Engine::Postgres => {
                let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
                eventually(async || self.number(waits).await > 0 || second.is_finished()).await;
            }
        }
        assert!(!second.is_finished(), "the second did not wait");
        open.commit().await.unwrap();
        second.await.unwrap().unwrap().said
    }
}

pub(crate) fn paid(wallet: &str, cents: i64) -> Step<Wallets> {
    paid_as(Uuid::now_v7(), wallet, cents)
}

pub(crate) fn paid_as(id: Uuid, wallet: &str, cents: i64) -> Step<Wallets> {
    let wallet = wallet.to_owned();
    Step::Fact {
        id,
        kind: String::from("wallet.paid.v1"),
        subject: String::from("wallet.paid"),
        trace: TraceContext::default(),
        input: Input::Fact(Paid { wallet, cents }),
    }
}

pub(crate) fn pay_out_as(id: Uuid, wallet: &str, cents: i64) -> Step<Wallets> {
    let wallet = wallet.to_owned();
    Step::Command {
        id,
        trace: TraceContext::default(),
        input: Input::Command(PayOut { wallet, cents }),
    }
}

/// Waits for a condition, and fails after a time in which it should long have come.
pub(crate) async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), wait).await;
    in_time.expect("what was waited for did not come");
}
