//! A database for one test, replicas on it, and the steps that they are given. Two replicas are two connections to one database, each
//! with a transactor of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use booking::service::{BookingService, Command, Request};
use choreography::{Fact, FactBody, Itinerary, LegName, Plan, Reason, Speaker, TripId};
use clap::Parser;
use flight::Flight;
use hotel::Hotel;
use leg::Leg;
use leg::service::{LegService, Only, SetStock, StockLevel, StockSet};
use runtime::batch::{Step, Transactor};
use runtime::{Database, Input, Service, Settings, TraceContext};
use stack::postgres::{Cluster, Programs};
use stack::skip::{self, Need};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(crate) const DATE: &str = "2030-06-03";

/// A place for one test's database, empty when it begins.
pub(crate) struct Place {
    pub(crate) url: String,
    _folder: tempfile::TempDir,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

static CLUSTER: OnceCell<Option<Cluster>> = OnceCell::const_new();

impl Place {
    pub(crate) async fn new(engine: Engine, test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => format!("sqlite://{}/{test}.db", folder.path().display()),
            Engine::Postgres => CLUSTER
                .get_or_init(cluster)
                .await
                .as_ref()?
                .database(test)
                .await
                .unwrap(),
        };
        Some(Self {
            url,
            _folder: folder,
        })
    }

    /// One more replica.
    pub(crate) async fn replica<S: Service>(&self, service: S) -> Replica<S> {
        let database = Database::open(&self.url, &service.migrations())
            .await
            .unwrap();
        let transactor = Transactor::new(Arc::new(service), Arc::clone(&database), 10_000);
        Replica {
            transactor: Arc::new(transactor),
            database,
        }
    }

    pub(crate) async fn flight(&self) -> Replica<LegService<Flight>> {
        self.replica(LegService::new(Flight, &settings())).await
    }

    pub(crate) async fn hotel(&self) -> Replica<LegService<Hotel>> {
        self.replica(LegService::new(Hotel, &settings())).await
    }

    pub(crate) async fn booking(&self) -> Replica<BookingService> {
        self.replica(BookingService::new(&settings())).await
    }
}

pub(crate) async fn cluster() -> Option<Cluster> {
    let programs = tokio::task::spawn_blocking(|| Programs::find(&|_| {}))
        .await
        .unwrap();
    let programs = skip::unless(Need::Postgres, "conformance on PostgreSQL", programs)?;
    let folder = std::env::temp_dir().join(format!("roundtrip-conformance-{}", Uuid::now_v7()));
    let started = Cluster::start(&programs, Path::new(&folder), true).await;
    skip::unless(Need::Postgres, "conformance on PostgreSQL", started)
}

pub(crate) fn settings() -> Settings {
    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        settings: Settings,
    }
    Only::parse_from(["test", "--database-url", "sqlite://unused"]).settings
}

/// One process's view of a database.
pub(crate) struct Replica<S: Service> {
    pub(crate) transactor: Arc<Transactor<S>>,
    pub(crate) database: Arc<Database>,
}

impl<S: Service> Replica<S> {
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.database.number(sql, vec![]).await.unwrap()
    }

    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        self.database.texts(sql, vec![]).await.unwrap()
    }
}

impl<L: Leg> Replica<LegService<L>> {
    /// So many on each of these rows.
    pub(crate) async fn offer(&self, keys: &[&[&str]], total: i64) {
        let line = |key: &&[&str]| StockLevel {
            key: key.iter().map(ToString::to_string).collect(),
            total,
            price_minor: 100,
            currency: "EUR".into(),
        };
        let lines = keys.iter().map(line).collect();
        let done = self
            .transactor
            .run(
                &[command(SetStock {
                    levels: lines,
                    only: Only::default(),
                })],
                &[],
            )
            .await
            .unwrap();
        assert!(
            done.replies
                .into_iter()
                .flatten()
                .all(|reply| matches!(reply, StockSet::Set { .. }))
        );
    }

    /// held, confirmed and free of each row.
    pub(crate) async fn counts(&self) -> Vec<String> {
        let table = L::SPEC.stock;
        let key: Vec<&str> = table.key.iter().map(|column| column.name).collect();
        let counts = ["held", "confirmed", "free"].map(|name| format!("cast({name} as text)"));
        self.texts(&format!(
            "select {} from {} order by {}",
            counts.join(" || ' ' || "),
            table.name,
            key.join(", ")
        ))
        .await
    }

    pub(crate) async fn states(&self) -> Vec<String> {
        self.texts("select state from leg order by trip, position")
            .await
    }
}

impl Replica<LegService<Flight>> {
    pub(crate) async fn stock(&self, seats: i64) {
        self.offer(&[&["RT1", DATE]], seats).await;
    }
}

pub(crate) fn plan(seats: i64) -> Plan {
    plan_of(&format!(
        r#"[{{"leg":"flight","flight":"RT1","date":"{DATE}","seats":{seats}}}]"#
    ))
}

pub(crate) fn plan_of(itinerary: &str) -> Plan {
    Plan {
        itinerary: Itinerary::parse(itinerary).unwrap(),
        deadline: jiff::Timestamp::now() + jiff::SignedDuration::from_secs(120),
        budget: None,
    }
}

pub(crate) fn fact(trip: TripId, seats: i64, said: FactBody) -> Fact {
    Fact {
        speaker: Speaker::Booking,
        trip,
        plan: plan(seats),
        said,
    }
}

pub(crate) fn cancelled() -> FactBody {
    FactBody::Cancelled {
        reason: Reason::new("test", ""),
    }
}

pub(crate) fn heard<S: Service<Fact = Fact>>(fact: Fact) -> Step<S> {
    heard_as(Uuid::now_v7(), fact)
}

pub(crate) fn heard_as<S: Service<Fact = Fact>>(id: Uuid, fact: Fact) -> Step<S> {
    Step::Fact {
        id,
        kind: fact.kind(),
        subject: fact.subject(),
        trace: TraceContext::default(),
        input: Input::Fact(fact),
    }
}

pub(crate) fn command<S: Service>(command: S::Command) -> Step<S> {
    Step::Command {
        id: Uuid::now_v7(),
        trace: TraceContext::default(),
        input: Input::Command(command),
    }
}

pub(crate) fn trip() -> TripId {
    TripId::from(Uuid::now_v7())
}

/// Lets `second` run into the transaction that `first` holds open, then lets `first` commit. Fails when `second` did not wait.
pub(crate) async fn meet<S: Service, R: Send + 'static>(
    first: &Replica<S>,
    first_step: Step<S>,
    second: impl Future<Output = R> + Send + 'static,
) -> R {
    let steps = [first_step];
    let open = first.transactor.open(&steps, &[]).await.unwrap();
    let second = tokio::spawn(second);
    until_it_waits(&first.database, &second).await;
    open.commit().await.unwrap();
    second.await.unwrap()
}

/// PostgreSQL says who waits for a lock, and ends that wait after a while. Who waits for a SQLite file is seen by nobody: there it has to
/// be enough that nothing came of it in a time in which much could have.
async fn until_it_waits<R>(database: &Database, second: &JoinHandle<R>) {
    let went_on = "the second replica did not wait for the first";
    if database.engine() == runtime::database::Engine::Sqlite {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!second.is_finished(), "{went_on}");
        return;
    }
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while database.number(waiting, vec![]).await.unwrap() == 0 {
        assert!(!second.is_finished(), "{went_on}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn joined(booking: &Replica<BookingService>) {
    let leg: LegName = "flight".parse().unwrap();
    let joined = choreography::Joined {
        leg,
        counts: vec![],
        dates: vec![],
    };
    let step = Step::Fact {
        id: Uuid::now_v7(),
        kind: joined.kind(),
        subject: joined.subject(),
        trace: TraceContext::default(),
        input: Input::Fact(choreography::WireFact::Joined(joined)),
    };
    booking.transactor.run(&[step], &[]).await.unwrap();
}

pub(crate) fn request(trip: TripId, meaning: &str) -> Command {
    let key = Some((String::from("key"), meaning.to_owned()));
    Command::Request(Box::new(Request {
        trip,
        plan: plan(1),
        traveller: None,
        key,
    }))
}
