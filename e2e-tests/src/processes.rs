//! A stack of processes on this machine: a broker, a database for each service, and one process or more of each. Nothing in it is
//! shared with another world but the PostgreSQL server. What is done to a stack is told in [`World`](crate::World).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use futures::future::join_all;
use inspect::audit::{Nats, Part, Parts};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime::faults::{self, CrashPoint};
use sqlx::Connection as _;
use stack::broker::Broker;
use stack::postgres::Cluster;
use stack::service::{ServiceProcess, Spec};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::prerequisites::{self, Engine};
use crate::{PATIENCE, eventually};

/// As many stacks at a time as the machine bears; one with replicas counts for each of them.
static ROOM: Semaphore = Semaphore::const_new(4);

/// A lock on a service's database; dropped, or its process killed, it is gone.
#[derive(Debug)]
pub enum Lock {
    /// The whole file.
    Sqlite(sqlx::SqliteConnection),
    /// A table that every transaction writes to.
    Postgres(sqlx::PgConnection),
}

#[derive(Debug)]
pub(crate) struct Processes {
    broker: Broker,
    services: BTreeMap<String, Vec<ServiceProcess>>,
    databases: BTreeMap<String, String>,
    gone: BTreeSet<String>,
    killed: BTreeSet<String>,
    cluster: Option<&'static Cluster>,
    settings: BTreeMap<String, String>,
    folder: Option<TempDir>,
    http: reqwest::Client,
    _room: SemaphorePermit<'static>,
}

impl Processes {
    /// A broker, and nothing on it yet. None where what it stands on cannot be obtained, which is said.
    pub(crate) async fn begin(
        test: &str,
        engine: Engine,
        replicas: u32,
        mut settings: BTreeMap<String, String>,
    ) -> Option<Self> {
        let program = prerequisites::nats(test).await?;
        let cluster = match engine {
            Engine::Postgres => Some(prerequisites::postgres(test).await?),
            Engine::Sqlite | Engine::Containers => None,
        };
        let room = ROOM.acquire_many(replicas.min(4)).await.unwrap();
        let folder = tempfile::Builder::new()
            .prefix("roundtrip-world-")
            .tempdir()
            .unwrap();
        let broker = Broker::start(&program, &folder.path().join("nats"), None)
            .await
            .unwrap();
        settings.insert(String::from("NATS_URL"), broker.url());
        Some(Self {
            broker,
            services: BTreeMap::new(),
            databases: BTreeMap::new(),
            gone: BTreeSet::new(),
            killed: BTreeSet::new(),
            cluster,
            settings,
            folder: Some(folder),
            http: ::client::http::local().unwrap().build().unwrap(),
            _room: room,
        })
    }

    pub(crate) fn nats(&self) -> Nats {
        Nats::at(self.broker.url())
    }

    /// One more process of a service of the stack, and where it is. It is not ready yet.
    pub(crate) async fn start(&mut self, service: &str) -> String {
        let args = ["serve", service].map(OsString::from).to_vec();
        self.start_foreign(service, prerequisites::program(), args, &[])
            .await
    }

    /// The same for a service that is not of the stack. PORT among its settings says where it listens.
    pub(crate) async fn start_foreign(
        &mut self,
        service: &str,
        program: PathBuf,
        args: Vec<OsString>,
        settings: &[(&str, &str)],
    ) -> String {
        let database = self.database(service).await;
        let replicas = self.services.entry(service.to_owned()).or_default();
        let name = format!("{service}-{}", replicas.len() + 1);
        let folder = self.folder.as_ref().unwrap().path();
        let crash = folder.join(format!("{name}.crash"));
        let own = settings.iter().copied();
        let own = own.chain([
            ("DATABASE_URL", database.as_str()),
            (faults::CRASH_FILE, crash.to_str().unwrap()),
        ]);
        let mut env = self.settings.clone();
        env.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let port = env.remove("PORT").map(|port| port.parse().unwrap());
        let process = ServiceProcess::start(Spec {
            log: folder.join(format!("{name}.log")),
            name,
            program,
            args,
            env,
            port,
            folder: None,
        })
        .unwrap();
        let url = process.url();
        replicas.push(process);
        url
    }

    pub(crate) async fn database(&mut self, service: &str) -> String {
        if let Some(url) = self.databases.get(service) {
            return url.clone();
        }
        let folder = self.folder.as_ref().unwrap().path();
        let url = match self.cluster {
            None => format!(
                "sqlite://{}",
                folder.join(format!("{service}.db")).display()
            ),
            Some(cluster) => {
                let name = format!("w{}_{service}", uuid::Uuid::now_v7().simple());
                cluster.database(&name).await.unwrap()
            }
        };
        self.databases.insert(service.to_owned(), url.clone());
        url
    }

    pub(crate) fn database_url(&self, service: &str) -> &str {
        &self.databases[service]
    }

    pub(crate) async fn until_ready(&mut self) {
        for process in self.services.values_mut().flatten() {
            process.wait_ready(&self.http, PATIENCE).await.unwrap();
        }
    }

    fn process(&mut self, service: &str, replica: usize) -> &mut ServiceProcess {
        &mut self.services.get_mut(service).unwrap()[replica]
    }

    pub(crate) async fn kill(&mut self, service: &str, replica: usize) {
        self.process(service, replica).kill().await.unwrap();
        let name = self.process(service, replica).name().to_owned();
        self.killed.insert(name);
    }

    /// A service is gone for good, with its database.
    pub(crate) async fn leave(&mut self, service: &str) {
        for mut process in self.services.remove(service).unwrap() {
            process.kill().await.unwrap();
        }
        self.databases.remove(service);
        self.gone.insert(service.to_owned());
    }

    /// Somebody outside speaks for a leg: it has no database to look at.
    pub(crate) fn is_played(&mut self, leg: &str) {
        self.gone.insert(leg.to_owned());
    }

    /// Changes a service's database behind the service's back.
    pub(crate) async fn by_hand(&self, service: &str, statement: &'static str) {
        let url = &self.databases[service];
        let changed = if self.cluster.is_some() {
            let mut database = sqlx::PgConnection::connect(url).await.unwrap();
            let done = sqlx::query(statement).execute(&mut database).await;
            done.unwrap().rows_affected()
        } else {
            let mut database = sqlx::SqliteConnection::connect(url).await.unwrap();
            let done = sqlx::query(statement).execute(&mut database).await;
            done.unwrap().rows_affected()
        };
        assert!(changed > 0, "{statement:?} changed nothing");
    }

    /// The single number that a statement answers, read past the service.
    pub(crate) async fn number(&self, service: &str, statement: &'static str) -> i64 {
        let url = &self.databases[service];
        if self.cluster.is_some() {
            let mut database = sqlx::PgConnection::connect(url).await.unwrap();
            let number = sqlx::query_scalar(statement).fetch_one(&mut database).await;
            number.unwrap()
        } else {
            let mut database = sqlx::SqliteConnection::connect(url).await.unwrap();
            let number = sqlx::query_scalar(statement).fetch_one(&mut database).await;
            number.unwrap()
        }
    }

    /// Takes what every transaction of a service needs, as somebody outside who does not let go.
    pub(crate) async fn lock(&self, service: &str) -> Lock {
        let url = &self.databases[service];
        if self.cluster.is_some() {
            let mut database = sqlx::PgConnection::connect(url).await.unwrap();
            let lock = "begin; lock table inbox in access exclusive mode";
            sqlx::raw_sql(lock).execute(&mut database).await.unwrap();
            Lock::Postgres(database)
        } else {
            let mut database = sqlx::SqliteConnection::connect(url).await.unwrap();
            let lock = "begin immediate";
            sqlx::raw_sql(lock).execute(&mut database).await.unwrap();
            Lock::Sqlite(database)
        }
    }

    fn crash_file(&mut self, service: &str, replica: usize) -> PathBuf {
        let name = self.process(service, replica).name().to_owned();
        let folder = self.folder.as_ref().unwrap().path();
        folder.join(format!("{name}.crash"))
    }

    pub(crate) fn arm(&mut self, service: &str, replica: usize, point: CrashPoint, time: u32) {
        let file = self.crash_file(service, replica);
        let _ = std::fs::remove_file(file.with_extension("fired"));
        std::fs::write(file, format!("{} {time}", point.as_str())).unwrap();
    }

    pub(crate) fn disarm(&mut self, service: &str, replica: usize) -> u32 {
        let file = self.crash_file(service, replica);
        let left = std::fs::read_to_string(&file).expect("it is armed, and did not die");
        std::fs::remove_file(file).unwrap();
        left.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub(crate) async fn has_crashed(&mut self, service: &str, replica: usize) -> bool {
        let fired = self.crash_file(service, replica).with_extension("fired");
        let ended = self.process(service, replica).ended();
        if !fired.exists() {
            let process = self.process(service, replica);
            let words = || process.last_words();
            assert!(ended.is_none(), "{service}: {ended:?}\n{}", words());
            return false;
        }
        self.until_ended(service, replica).await;
        true
    }

    pub(crate) async fn stop(&mut self, service: &str, replica: usize) {
        let process = self.process(service, replica);
        process.stop().await.unwrap();
        let status = process.ended().expect("it was stopped");
        assert!(
            status.success(),
            "{service} was asked to stop and ended with {status}:\n{}",
            process.last_words()
        );
    }

    pub(crate) async fn until_ended(&mut self, service: &str, replica: usize) {
        let process = self.process(service, replica);
        eventually("it ends by itself", async || process.ended()).await;
    }

    /// On the port and the database that it had.
    pub(crate) async fn restart(&mut self, service: &str, replica: usize) {
        let http = self.http.clone();
        let process = self.process(service, replica);
        let name = process.name().to_owned();
        process.restart(&[]).await.unwrap();
        process.wait_ready(&http, PATIENCE).await.unwrap();
        self.killed.remove(&name);
    }

    pub(crate) async fn pause(&mut self, service: &str, replica: usize) {
        let process = self.process(service, replica);
        process.signal(Signal::SIGSTOP).unwrap();
    }

    pub(crate) async fn resume(&mut self, service: &str, replica: usize) {
        let process = self.process(service, replica);
        process.signal(Signal::SIGCONT).unwrap();
    }

    pub(crate) fn pause_broker(&mut self) {
        let pid = i32::try_from(self.broker.pid().expect("it runs")).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    }

    pub(crate) fn resume_broker(&mut self) {
        let pid = i32::try_from(self.broker.pid().expect("it runs")).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
    }

    pub(crate) async fn kill_broker(&mut self) {
        self.broker.kill().await.unwrap();
    }

    /// Its process id, while it runs.
    pub(crate) fn pid(&self, service: &str, replica: usize) -> Option<u32> {
        self.services[service][replica].pid()
    }

    /// All that a process has logged since it was first started.
    pub(crate) fn log(&self, service: &str, replica: usize) -> String {
        let folder = self.folder.as_ref().unwrap().path();
        let name = self.services[service][replica].name();
        std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap()
    }

    pub(crate) async fn restart_broker(&mut self) {
        self.broker.restart().await.unwrap();
    }

    pub(crate) async fn wipe_broker(&mut self) {
        self.broker.kill().await.unwrap();
        self.broker.wipe().unwrap();
        self.broker.restart().await.unwrap();
    }

    pub(crate) fn replicas(&self, service: &str) -> usize {
        self.services[service].len()
    }

    pub(crate) fn parts(&self) -> Parts {
        let part = |(name, url): (&String, &String)| Part {
            name: Some(name.clone()),
            url: url.clone(),
        };
        Parts {
            databases: self.databases.iter().map(part).collect(),
            nats: Some(self.nats()),
            without: self.gone.clone(),
            provider: None,
        }
    }

    /// Stops everything, in order. What did not end well, with its last words.
    pub(crate) async fn stop_all(&mut self) -> Vec<String> {
        let folder = self.folder.as_ref().unwrap().path().to_owned();
        let running = |process: &&mut ServiceProcess| !self.killed.contains(process.name());
        let ending = self.services.values_mut().flatten().filter(running);
        let ended = join_all(ending.map(|process| async {
            process.stop().await.unwrap();
            let log = folder.join(format!("{}.log", process.name()));
            let log = std::fs::read_to_string(log).unwrap_or_default();
            // The client's own panic is seen in how the process ended, unless the test was about that.
            let ours = |line: &str| line.contains("panicked at") && !line.contains("/async-nats-");
            let panicked = log.lines().any(ours);
            let fine = process.ended().is_some_and(|status| status.success()) && !panicked;
            let ended = process.ended();
            (!fine).then(|| format!("{}: {ended:?}\n{}", process.name(), process.last_words()))
        }))
        .await;
        self.broker.stop().await.unwrap();
        ended.into_iter().flatten().collect()
    }

    /// What each said last, for the reader of a test that failed.
    pub(crate) fn last_words(&mut self) -> String {
        let mut words = String::new();
        for process in self.services.values_mut().flatten() {
            let ended = process.ended();
            words.push_str(&format!(
                "-- {} {}\n{}\n",
                process.name(),
                ended.map_or(String::from("runs"), |status| status.to_string()),
                process.last_words()
            ));
        }
        if let Some(folder) = self.folder.take() {
            words.push_str(&format!(
                "logs and databases are kept in {}\n",
                folder.keep().display()
            ));
        }
        words
    }
}
