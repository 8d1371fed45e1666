//! A stack under a schedule of faults, and whether it comes to rest: real processes, a real broker, real databases, travellers who keep a
//! book of their own, and a judge at the end.
//!
//! Safety is asked of the databases ([`inspect::audit`]) and of the travellers' ledger; liveness by a rule: from the last fault on every trip is
//! final within a bound. A seed gives the whole schedule, though not every interleaving: processes and disks have a will of their own.
//!
//! - pure: `plan` (what goes wrong, and when), `wish` (what travellers ask for), `ledger` and `judge` (what has to hold);
//! - with processes: `stage`, `faults`, `proxy`, `load`, `wire`, `gauges`, `verdict`; `report`: what came of it.

mod fault;
mod faults;
mod gauges;
mod judge;
mod ledger;
mod load;
mod plan;
mod proxy;
mod report;
mod sometimes;
mod stage;
mod verdict;
mod wire;
mod wish;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use runtime::Database;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use fault::Fault;
pub use plan::{Plan, Shape, Step};
pub use report::Report;
pub use sometimes::never_happened;

use faults::Saboteur;
use gauges::Gauges;
use inspect::audit;
use load::Crowd;
use sometimes::Sometimes;
use stack::Say;
use stage::Stage;
use wire::Wire;

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long the audit may take beyond the time to rest.
const AUDIT_WITHIN: Duration = Duration::from_secs(30);

/// How the services are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settings {
    /// As they come.
    Default,
    /// With short timers, so that a short run says much. They fit each other as the longer ones do.
    Quick,
}

impl Settings {
    fn variables(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        const QUICK: &[(&str, &str)] = &[
            ("REANNOUNCE_FIRST_MS", "2000"),
            ("REANNOUNCE_MAX_MS", "4000"),
            ("ACK_WAIT_MS", "1500"),
            ("OUTBOX_LEASE_MS", "1000"),
            ("SWEEP_INTERVAL_MS", "100"),
            ("TIMER_INTERVAL_MS", "50"),
            ("JOIN_INTERVAL_MS", "5000"),
        ];
        let all = match self {
            Self::Default => &[],
            Self::Quick => QUICK,
        };
        all.iter().copied()
    }
}

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the schedule is drawn from.
    pub seed: u64,
    /// How long faults strike and travellers set out.
    pub time: Duration,
    /// A PostgreSQL of its own, and not a SQLite file for each service.
    pub postgres: bool,
    /// Processes of each service.
    pub replicas: u16,
    /// Nodes of the broker: 1 or 3.
    pub nodes: u16,
    /// New travellers a second.
    pub rate: u32,
    /// How soon after the last fault every trip has to be final.
    pub rest_within: Duration,
    /// The services' timers.
    pub settings: Settings,
    /// More settings of the services; they win.
    pub env: BTreeMap<String, String>,
    /// The program whose `serve NAME` is a service.
    pub program: PathBuf,
    /// Whether logs and databases are left behind.
    pub keep: bool,
}

impl Options {
    /// A minute on SQLite with one process of everything, at default settings.
    #[must_use]
    pub fn of(seed: u64, program: PathBuf) -> Self {
        Self {
            seed,
            time: Duration::from_secs(60),
            postgres: false,
            replicas: 1,
            nodes: 1,
            rate: 30,
            rest_within: Duration::from_secs(60),
            settings: Settings::Default,
            env: BTreeMap::new(),
            program,
            keep: false,
        }
    }

    /// What there is to break.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            replicas: self.replicas,
            nodes: self.nodes,
            postgres: self.postgres,
            time: self.time,
        }
    }

    /// What does the same again, as it is typed.
    fn command(&self) -> String {
        let me = client::invocation();
        let set = self
            .env
            .iter()
            .map(|(name, value)| format!(" --set {name}={value}"));
        let database = if self.postgres { "postgres" } else { "sqlite" };
        let settings = match self.settings {
            Settings::Default => "default",
            Settings::Quick => "quick",
        };
        format!(
            "{me} chaos --seed {} --for {}s --database {database} --replicas {} --nodes {} --rate {} --rest-within {}s --settings {settings}{}",
            self.seed,
            self.time.as_secs(),
            self.replicas,
            self.nodes,
            self.rate,
            self.rest_within.as_secs(),
            set.collect::<String>(),
        )
    }
}

/// Runs one seed to its end.
///
/// # Errors
/// When the stack cannot be started or looked at; what is wrong with it is in the report.
pub async fn run(options: &Options, say: Say<'_>) -> Result<Report> {
    let stage = Arc::new(Stage::start(options, say).await?);
    let run = Run::begin(options, stage).await?;
    let report = run.go(say).await;
    if options.keep {
        say(&format!(
            "logs and databases are kept in {}",
            run.stage.folder().display()
        ));
    }
    report
}

/// One run.
struct Run<'a> {
    options: &'a Options,
    stage: Arc<Stage>,
    wire: Arc<Wire>,
    gauges: Arc<Gauges>,
    sometimes: Arc<Sometimes>,
    crowd: Arc<Crowd>,
    /// Trips as they are in booking's own database.
    trips: Arc<Database>,
    /// Who watches and keeps running. Dropped, they end.
    _keepers: JoinSet<()>,
}

impl<'a> Run<'a> {
    async fn begin(options: &'a Options, stage: Arc<Stage>) -> Result<Self> {
        let wire = Wire::tap(stage.nats_url()).await?;
        let (gauges, sometimes) = (Arc::<Gauges>::default(), Arc::<Sometimes>::default());
        let mut keepers = JoinSet::new();
        let listening = Arc::clone(&wire);
        keepers.spawn(async move { drop(listening.listen().await) });
        keepers.spawn(Arc::clone(&stage).supervise(Arc::clone(&sometimes)));
        keepers.spawn(Arc::clone(&gauges).watch(Arc::clone(&stage), Arc::clone(&wire)));
        Ok(Self {
            crowd: Crowd::new(options.seed, options.rate, stage.urls(0))?,
            trips: Database::open_read_only(stage.booking_url()).await?,
            options,
            stage,
            wire,
            gauges,
            sometimes,
            _keepers: keepers,
        })
    }

    async fn go(&self, say: Say<'_>) -> Result<Report> {
        let plan = Plan::draw(self.options.seed, self.options.shape());
        let (errands, errands_in) = mpsc::channel(64);
        let mut load = JoinSet::new();
        load.spawn(Arc::clone(&self.crowd).run(errands_in));
        let saboteur = Arc::new(Saboteur {
            stage: Arc::clone(&self.stage),
            crowd: Arc::clone(&self.crowd),
            errands,
            wire: Arc::clone(&self.wire),
            sometimes: Arc::clone(&self.sometimes),
            done: std::sync::Mutex::default(),
        });
        let until = Instant::now() + self.options.time;
        Arc::clone(&saboteur).strike(&plan, say).await;
        tokio::time::sleep_until(until.into()).await;
        self.crowd.close();
        say("healing");
        self.stage.heal().await?;
        let healed = Timestamp::now();
        say("every fault is lifted; waiting until every trip is final");
        let late = self.until_final(&mut load, say).await?;
        say("the audit");
        let audit = audit::wait_until_clean(&self.stage.parts(), AUDIT_WITHIN).await;
        let done = saboteur
            .done
            .lock()
            .map(|done| done.clone())
            .unwrap_or_default();
        self.judge(healed, late, done, audit).await
    }

    /// Waits until everybody is home and every trip final. Those that are not in time get as long again, to tell what is late from what
    /// never comes; that is said by what it returns.
    async fn until_final(&self, load: &mut JoinSet<()>, say: Say<'_>) -> Result<bool> {
        let mut late = false;
        let mut until = Instant::now() + self.options.rest_within;
        loop {
            while load.try_join_next().is_some() {}
            let open: i64 = self.open().await?.values().sum();
            if load.is_empty() && open == 0 {
                return Ok(late);
            }
            if Instant::now() >= until {
                if late {
                    break;
                }
                say(&format!(
                    "in time they were not: {open} are open; as long again"
                ));
                late = true;
                until = Instant::now() + self.options.rest_within;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.crowd.give_up();
        Ok(late)
    }

    /// Trips that are not final, by state.
    async fn open(&self) -> Result<BTreeMap<String, i64>> {
        let mut open = BTreeMap::new();
        for state in ["pending", "undoing"] {
            let sql = "select count(*) from trip where state = $1";
            let many = self.trips.number(sql, vec![state.into()]).await?;
            open.extend((many > 0).then(|| (state.to_owned(), many)));
        }
        Ok(open)
    }
}
