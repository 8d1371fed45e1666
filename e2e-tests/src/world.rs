//! A world: its processes, what can be done to them, and the end that every test comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::ops::Deref;
use std::path::PathBuf;

use async_nats::HeaderMap;
use choreography::TripId;
use futures::future::join_all;
use nix::sys::signal::Signal;
use roundtrip::audit::{self, Nats, Part, Parts, Verdict};
use roundtrip::local::broker::Broker;
use roundtrip::local::postgres::Cluster;
use roundtrip::local::service::{ServiceProcess, Spec};
use serde::Deserialize;
use sqlx::Connection as _;
use tempfile::TempDir;
use tokio::sync::SemaphorePermit;

use crate::desk::Desk;
use crate::story::{Story, Word};
use crate::{PATIENCE, eventually, ground};

/// A running house. It derefs to its [`Desk`], where travellers and operators ask.
#[derive(Debug)]
pub struct World {
    /// What is said in it.
    pub story: Story,
    test: String,
    desk: Desk,
    broker: Broker,
    services: BTreeMap<String, Vec<ServiceProcess>>,
    databases: BTreeMap<String, String>,
    gone: BTreeSet<String>,
    killed: BTreeSet<String>,
    cluster: Option<&'static Cluster>,
    settings: BTreeMap<String, String>,
    folder: Option<TempDir>,
    finished: bool,
    _room: SemaphorePermit<'static>,
}

/// What a world begins with: a broker, and nothing on it.
pub(crate) struct Beginning {
    pub(crate) test: String,
    pub(crate) folder: TempDir,
    pub(crate) broker: Broker,
    pub(crate) cluster: Option<&'static Cluster>,
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) room: SemaphorePermit<'static>,
}

impl Deref for World {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl World {
    pub(crate) async fn begin(beginning: Beginning) -> Self {
        Self {
            story: Story::listen(&beginning.broker.url()).await,
            test: beginning.test,
            desk: Desk::new(),
            broker: beginning.broker,
            services: BTreeMap::new(),
            databases: BTreeMap::new(),
            gone: BTreeSet::new(),
            killed: BTreeSet::new(),
            cluster: beginning.cluster,
            settings: beginning.settings,
            folder: Some(beginning.folder),
            finished: false,
            _room: beginning.room,
        }
    }

    /// Starts one more process of a service of the house. Does not wait until it is ready.
    pub(crate) async fn start(&mut self, service: &str) {
        let args = ["serve", service].map(OsString::from).to_vec();
        self.start_foreign(service, ground::program(), args, &[])
            .await;
    }

    /// Starts a service that is not of the house, from a program of its own and with settings of its own beside the world's. Does
    /// not wait until it is ready.
    pub async fn start_foreign(
        &mut self,
        service: &str,
        program: PathBuf,
        args: Vec<OsString>,
        settings: &[(&str, &str)],
    ) {
        let database = self.database(service).await;
        let replicas = self.services.entry(service.to_owned()).or_default();
        let name = format!("{service}-{}", replicas.len() + 1);
        let own = settings.iter().copied();
        let own = own.chain([("DATABASE_URL", database.as_str())]);
        let mut env = self.settings.clone();
        env.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let log = self
            .folder
            .as_ref()
            .unwrap()
            .path()
            .join(format!("{name}.log"));
        let process = ServiceProcess::start(Spec {
            name,
            program,
            args,
            env,
            log,
            port: None,
        })
        .unwrap();
        self.desk.opens(service, process.url());
        replicas.push(process);
    }

    async fn database(&mut self, service: &str) -> String {
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

    /// Waits until every process is ready and these legs can be booked.
    pub async fn until_open(&mut self, legs: &[&str]) {
        #[derive(Deserialize)]
        struct Leg {
            leg: String,
        }
        let http = self.desk.http().clone();
        for process in self.services.values_mut().flatten() {
            process.wait_ready(&http, PATIENCE).await.unwrap();
        }
        eventually("the legs have joined", async || {
            let joined: Vec<Leg> = self.desk.get("booking", "/legs").await;
            let there = |leg: &&str| joined.iter().any(|joined| joined.leg == **leg);
            legs.iter().all(there).then_some(())
        })
        .await;
    }

    fn process(&mut self, service: &str, replica: usize) -> &mut ServiceProcess {
        &mut self.services.get_mut(service).unwrap()[replica]
    }

    /// SIGKILL to one replica of a service, the first being 0.
    pub async fn kill(&mut self, service: &str, replica: usize) {
        self.process(service, replica).kill().await.unwrap();
        let name = self.process(service, replica).name().to_owned();
        self.killed.insert(name);
    }

    /// A service is gone for good: its processes, its database, and what the broker keeps for it.
    pub async fn leave(&mut self, service: &str) {
        for mut process in self.services.remove(service).unwrap() {
            process.kill().await.unwrap();
        }
        self.databases.remove(service);
        self.gone.insert(service.to_owned());
        let stream = self.jetstream().get_stream("TRIPS").await.unwrap();
        stream.delete_consumer(service).await.unwrap();
    }

    /// SIGTERM to one replica: it drains and ends, and says that all is well.
    pub async fn stop(&mut self, service: &str, replica: usize) {
        let process = self.process(service, replica);
        process.stop().await.unwrap();
        let status = process.ended().expect("it was stopped");
        assert!(
            status.success(),
            "{service} was asked to stop and ended with {status}:\n{}",
            process.last_words()
        );
    }

    /// Starts one replica again, on the port and the database that it had, and waits until it is ready.
    pub async fn restart(&mut self, service: &str, replica: usize) {
        let http = self.desk.http().clone();
        let process = self.process(service, replica);
        let name = process.name().to_owned();
        process.restart(&[]).await.unwrap();
        process.wait_ready(&http, PATIENCE).await.unwrap();
        self.killed.remove(&name);
    }

    /// SIGSTOP: it neither answers nor ends.
    pub fn pause(&mut self, service: &str, replica: usize) {
        self.process(service, replica)
            .signal(Signal::SIGSTOP)
            .unwrap();
    }

    /// SIGCONT.
    pub fn resume(&mut self, service: &str, replica: usize) {
        self.process(service, replica)
            .signal(Signal::SIGCONT)
            .unwrap();
    }

    /// SIGKILL to the broker.
    pub async fn kill_broker(&mut self) {
        self.broker.kill().await.unwrap();
    }

    /// Starts the broker again, with what it stored.
    pub async fn restart_broker(&mut self) {
        self.broker.restart().await.unwrap();
    }

    /// The broker loses all that it stored: streams, consumers, messages.
    pub async fn wipe_broker(&mut self) {
        self.broker.kill().await.unwrap();
        self.broker.wipe().unwrap();
        self.broker.restart().await.unwrap();
    }

    /// JetStream, as an operator sees it.
    #[must_use]
    pub fn jetstream(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(self.story.client().clone())
    }

    /// Publishes whatever to the stream, and has it stored.
    pub async fn publish(&self, subject: &str, headers: HeaderMap, payload: impl Into<Vec<u8>>) {
        let stored = self
            .jetstream()
            .publish_with_headers(subject.to_owned(), headers, payload.into().into())
            .await
            .unwrap();
        let acknowledgement = stored.await.unwrap();
        assert!(!acknowledgement.duplicate, "the broker dropped it");
    }

    /// Publishes once more what was said: the same event under the same id, but, as every repeat, a message of its own.
    pub async fn say_again(&self, word: &Word) {
        let mut headers = word.headers.clone();
        headers.insert("Nats-Msg-Id", uuid::Uuid::now_v7().to_string());
        self.publish(&word.subject, headers, word.payload.clone())
            .await;
    }

    /// Waits until a service has nothing left to hear.
    pub async fn until_heard(&self, service: &str) {
        let stream = self.jetstream().get_stream("TRIPS").await.unwrap();
        eventually(&format!("{service} has heard everything"), async || {
            let info = stream.consumer_info(service).await.ok()?;
            (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
        })
        .await;
    }

    /// Changes a service's database by hand, behind the service's back.
    pub async fn by_hand(&self, service: &str, statement: &'static str) {
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

    /// How many processes a service has.
    #[must_use]
    pub fn replicas(&self, service: &str) -> usize {
        self.services[service].len()
    }

    /// Every test's end: what must always hold is looked for in the databases themselves and at the broker; then everything stops,
    /// in order and without complaint.
    pub async fn finish(mut self) {
        self.audit().await;
        let folder = self.folder.as_ref().unwrap().path().to_owned();
        let running = |process: &&mut ServiceProcess| !self.killed.contains(process.name());
        let ending = self.services.values_mut().flatten().filter(running);
        let ended = join_all(ending.map(|process| async {
            process.stop().await.unwrap();
            let log = folder.join(format!("{}.log", process.name()));
            let log = std::fs::read_to_string(log).unwrap_or_default();
            let panicked = log.lines().any(|line| line.contains("panicked at"));
            let fine = process.ended().is_some_and(|status| status.success()) && !panicked;
            let ended = process.ended();
            (!fine).then(|| format!("{}: {ended:?}\n{}", process.name(), process.last_words()))
        }))
        .await;
        let complaints: Vec<String> = ended.into_iter().flatten().collect();
        assert!(
            complaints.is_empty(),
            "ended badly: {}",
            complaints.join("\n")
        );
        self.broker.stop().await.unwrap();
        self.finished = true;
    }

    /// Looks at the house as an auditor does, until it is clean or it is plain that it will not be.
    async fn audit(&self) {
        let part = |(name, url): (&String, &String)| Part {
            name: Some(name.clone()),
            url: url.clone(),
        };
        let parts = Parts {
            databases: self.databases.iter().map(part).collect(),
            nats: Some(Nats::at(self.broker.url())),
            without: self.gone.clone(),
        };
        let report = audit::wait_until_clean(&parts, PATIENCE).await;
        // A world in which nobody asked for a trip has nothing wrong with it.
        let fine = match report.verdict {
            Verdict::Clean => true,
            Verdict::NothingToJudge => report.violations.is_empty() && report.moving.is_empty(),
            Verdict::Violated | Verdict::Unreachable => false,
        };
        let report = report.to_string();
        let named = report.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
        let trips: BTreeSet<TripId> = named.filter_map(|word| word.parse().ok()).collect();
        let stories: String = trips
            .iter()
            .take(3)
            .map(|trip| self.story.tell(*trip))
            .collect();
        assert!(fine, "{}: the audit\n{report}\n{stories}", self.test);
    }

    fn tell_what_happened(&mut self) {
        let mut words = format!("{}: what happened\n", self.test);
        if let Some(trip) = self.desk.focus() {
            words.push_str(&self.story.tell(trip));
        }
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
        eprintln!("{words}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.tell_what_happened();
        assert!(
            std::thread::panicking(),
            "{}: the world was left without its audit; end it with finish()",
            self.test
        );
    }
}
