//! The local stack as a library: a broker, a database for each service, and every service as a process of its own.
//!
//! `up`, `demo`, `bench` and tests start it with different [`Options`]. It is a means to run everything on one machine, and no way to run
//! it in production: that is what images and an orchestrator are for.
//!
//! - [`Stack`]: start, reach, stop; `supervise`: starts again what crashed; [`state`]: what others find in the folder.
//! - [`catalogue`]: which services there are, the one list of them; [`legs`]: programs that are started beside them;
//!   [`inventory`]: something to book on the first day; [`paying`]: the payment leg, and a provider for it.
//! - [`broker`], [`postgres`], [`service`]: servers and services as [child processes](child), found on this machine or
//!   [fetched](fetch) as verified packages; [`skip`]: what a test does where they cannot be had.
//! - [`databases`], [`disk`], [`logs`], [`port`], [`private`], [`process`]: what the name says.

pub mod broker;
pub mod catalogue;
pub mod child;
pub mod databases;
pub mod disk;
pub mod fetch;
pub mod inventory;
mod launch;
pub mod legs;
pub mod logs;
pub mod paying;
pub mod port;
pub mod postgres;
mod postgres_programs;
pub mod private;
pub mod process;
pub mod service;
pub mod skip;
pub mod state;
mod supervise;
mod wanted;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

pub use catalogue::SERVICES;
pub use databases::DatabaseChoice;
pub use launch::program;
pub use legs::LegProgram;
pub use state::{Lock, State};

use broker::Broker;
use databases::OnServer;
use paying::Sandbox;
use postgres::Cluster;
use service::ServiceProcess;
use state::{Process, ProviderState, ServiceState};

/// Where a line of progress goes.
pub type Say<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Where the first service listens unless told otherwise; the others follow.
pub const FIRST_PORT: u16 = 8080;
/// From one replica of a service to the next.
pub const REPLICA_PORTS: u16 = 100;
/// The most replicas of each service.
pub const REPLICAS_MAX: u16 = 9;

/// Where a stack keeps its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// In this folder, until it is reset.
    Kept(PathBuf),
    /// In a new folder that is gone afterwards.
    Temporary,
}

/// How a stack is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its data are.
    pub home: Home,
    /// Processes of each service.
    pub replicas: u16,
    /// Where the services keep their data.
    pub database: DatabaseChoice,
    /// Settings of a PostgreSQL server of the stack's own, beside its usual ones.
    pub server_settings: Vec<String>,
    /// Services whose database has a PostgreSQL server of its own, where the stack starts one.
    pub apart: Vec<String>,
    /// A broker that is there; its own when None.
    pub nats_url: Option<String>,
    /// The port of the first service; free ports when None.
    pub first_port: Option<u16>,
    /// Settings of every service, as environment variables.
    pub settings: Vec<(String, String)>,
    /// Legs that are started beside the services, a process each.
    pub legs: Vec<LegProgram>,
    /// Whether there is a payment leg, and a provider for it on this machine.
    pub payment: bool,
    /// Whether the sample inventory is loaded where there is none.
    pub sample: bool,
    /// The program that serves; `ROUNDTRIP_BIN` or this very one when None.
    pub program: Option<PathBuf>,
}

impl Options {
    /// A stack on free ports that leaves nothing behind: one process a service, on SQLite, with the sample inventory.
    #[must_use]
    pub fn temporary() -> Self {
        Self {
            home: Home::Temporary,
            replicas: 1,
            database: DatabaseChoice::Sqlite,
            server_settings: Vec::new(),
            apart: Vec::new(),
            nats_url: None,
            first_port: None,
            settings: Vec::new(),
            legs: Vec::new(),
            payment: false,
            sample: true,
            program: None,
        }
    }

    /// A stack that keeps its data in this folder, on the usual ports.
    #[must_use]
    pub fn kept(folder: PathBuf) -> Self {
        Self {
            home: Home::Kept(folder),
            first_port: Some(FIRST_PORT),
            ..Self::temporary()
        }
    }

    /// Adds a setting of every service.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// One service process of a stack.
#[derive(Debug)]
pub struct Member {
    /// Which service it is, such as `flight`.
    pub service: String,
    /// Whether it answers HTTP.
    pub http: bool,
    /// Its log file.
    pub log: PathBuf,
    /// The process.
    pub process: ServiceProcess,
}

/// A running stack. Dropped, everything in it is killed; [`Stack::stop`] ends it in order.
#[derive(Debug)]
pub struct Stack {
    // In the order in which they have to go.
    services: Vec<Member>,
    sandbox: Option<Sandbox>,
    cluster: Option<Cluster>,
    apart: BTreeMap<String, Cluster>,
    broker: Option<Broker>,
    on_server: Option<OnServer>,
    nats_url: String,
    databases: BTreeMap<String, String>,
    http: reqwest::Client,
    up: bool,
    _lock: Lock,
    folder: Folder,
}

impl Stack {
    /// Starts everything, and waits until it is ready and every leg has joined.
    ///
    /// # Errors
    /// When something is missing, taken or does not start: what, and what to do. What was started is stopped again.
    pub async fn start(options: &Options, say: Say<'_>) -> Result<Self> {
        let folder = Folder::open(&options.home)?;
        let mut stack = Self {
            services: Vec::new(),
            sandbox: None,
            cluster: None,
            apart: BTreeMap::new(),
            broker: None,
            on_server: None,
            nats_url: options.nats_url.clone().unwrap_or_default(),
            databases: BTreeMap::new(),
            http: client::http::local()?
                .connect_timeout(Duration::from_secs(5))
                .timeout(Duration::from_secs(120))
                .build()?,
            up: false,
            _lock: Lock::take(&folder.path)?,
            folder,
        };
        match stack.launch(options, say).await {
            Ok(()) => Ok(stack),
            Err(error) => {
                // The first error is the one to tell.
                let _ = stack.stop().await;
                Err(error)
            }
        }
    }

    /// Drains the services, then stops the database server and the broker. Of a temporary stack nothing is left.
    ///
    /// # Errors
    /// When something could not be signalled; the rest is stopped all the same.
    pub async fn stop(mut self) -> Result<()> {
        self.up = false;
        let drained = self.services.iter_mut().map(|member| member.process.stop());
        let mut results = futures::future::join_all(drained).await;
        if let Some(sandbox) = &mut self.sandbox {
            results.push(sandbox.stop().await);
        }
        if let Some(on_server) = self.on_server.take().filter(|_| self.folder.temporary) {
            results.push(on_server.drop().await);
        }
        for cluster in self.cluster.iter_mut().chain(self.apart.values_mut()) {
            results.push(cluster.stop().await);
        }
        if let Some(broker) = &mut self.broker {
            results.push(broker.stop().await);
        }
        results.push(self.write_state());
        results.into_iter().collect()
    }

    /// Where its data are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// Where clients reach the broker.
    #[must_use]
    pub fn nats_url(&self) -> &str {
        &self.nats_url
    }

    /// Each service's database.
    #[must_use]
    pub fn databases(&self) -> &BTreeMap<String, String> {
        &self.databases
    }

    /// The payment provider on this machine, where there is one.
    #[must_use]
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandbox.as_ref()
    }

    /// The HTTP of a service's first replica.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn url(&self, service: &str) -> Result<String> {
        let mut members = self.services.iter().filter(|m| m.service == service);
        let member = members
            .next()
            .with_context(|| format!("no {service} in this stack"))?;
        Ok(member.process.url())
    }

    /// The HTTP of every replica of a service.
    #[must_use]
    pub fn urls(&self, service: &str) -> Vec<String> {
        let members = self.services.iter().filter(|m| m.service == service);
        members.map(|member| member.process.url()).collect()
    }

    /// A client for its HTTP.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The service processes, to kill, stop and restart.
    pub fn services_mut(&mut self) -> &mut [Member] {
        &mut self.services
    }

    /// The server that a service's database has for itself, to stop, kill and restart.
    pub fn server_of(&mut self, service: &str) -> Option<&mut Cluster> {
        self.apart.get_mut(service)
    }

    /// Where everything is.
    #[must_use]
    pub fn state(&self) -> State {
        let process = |pid: Option<u32>| pid.and_then(Process::of);
        let services = self.services.iter().map(|member| ServiceState {
            name: member.process.name().to_owned(),
            service: member.service.clone(),
            url: member.process.url(),
            http: member.http,
            log: member.log.clone(),
            process: process(member.process.pid()),
        });
        State {
            up: self.up,
            nats_url: self.nats_url.clone(),
            nats: process(self.broker.as_ref().and_then(Broker::pid)),
            postgres: process(self.cluster.as_ref().and_then(Cluster::pid)),
            databases: self.databases.clone(),
            services: services.collect(),
            provider: self.sandbox.as_ref().map(|sandbox| ProviderState {
                url: sandbox.url(),
                key_file: sandbox.key_file(),
                log: sandbox.log().to_owned(),
                process: process(Some(sandbox.pid())),
            }),
        }
    }

    fn write_state(&self) -> Result<()> {
        self.state().write(&self.folder.path)
    }
}

/// The data folder. Dropped, a temporary one is removed.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    temporary: bool,
    /// It is new, or a stack kept its data in it before.
    ours: bool,
}

impl Folder {
    fn open(home: &Home) -> Result<Self> {
        let (path, temporary) = match home {
            Home::Kept(path) => (path.clone(), false),
            Home::Temporary => (temporary_folder(), true),
        };
        let ours = !path.exists() || is_ours(&path);
        private::make(&path)?;
        private::make(&path.join("logs"))?;
        let path = path.canonicalize()?;
        Ok(Self {
            path,
            temporary,
            ours,
        })
    }

    /// For us alone, with what an older version left open in it. A folder that was somebody's before keeps its mode.
    fn close(&self, database: &DatabaseChoice) -> Result<()> {
        if !self.ours {
            return Ok(());
        }
        let kept = SERVICES.iter().flat_map(|service| {
            ["db", "db-wal", "db-shm", "migrate.lock"].map(|ending| format!("{service}.{ending}"))
        });
        // The lock last: it says that this is not done yet.
        let more = ["logs", "nats", "nats-postgres", "postgres", "lock"].map(String::from);
        for name in kept.chain(more) {
            private::take_from_others(&self.path.join(name))?;
        }
        if *database == DatabaseChoice::Local {
            return private::let_the_server_through(&self.path);
        }
        private::close(&self.path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Whether a stack made this folder. One that has our lock may be somebody's all the same, who keeps it open to others; an older version
/// left its lock open too.
fn is_ours(folder: &Path) -> bool {
    let mode = |path: &Path| fs::metadata(path).map_or(0, |found| found.mode());
    let by_an_older_version = mode(&folder.join("lock")) & 0o077 != 0;
    Lock::lies_in(folder) && (by_an_older_version || mode(folder) & 0o066 == 0)
}

/// On a disk, not in memory as `/tmp` often is: a bench would measure a wonder.
fn temporary_folder() -> PathBuf {
    let disk = PathBuf::from("/var/tmp");
    let above = match std::env::var_os("TMPDIR").filter(|value| !value.is_empty()) {
        Some(set) => PathBuf::from(set),
        None if disk.is_dir() => disk,
        None => std::env::temp_dir(),
    };
    let name = format!("roundtrip-{}-{:08x}", std::process::id(), fastrand::u32(..));
    above.join(name)
}

/// The first file of that name in the folders of PATH.
fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
