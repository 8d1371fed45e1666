//! A world: its stack, what can be done to it, and the end that every test comes to.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Mutex;

use async_nats::HeaderMap;
use choreography::TripId;
use futures::future::join_all;
use inspect::audit::{self, Verdict};
use payment::provider::ProviderSettings;
use runtime::faults::CrashPoint;
use serde::Deserialize;

use crate::client::Client;
use crate::containers::Containers;
use crate::contract;
use crate::processes::{Lock, Processes};
use crate::sandbox::Sandbox;
use crate::timeline::{self, Published, Timeline};
use crate::{PATIENCE, eventually};
use stack::SERVICES;

/// A running stack. It derefs to its [`Client`], where travellers and operators ask.
#[derive(Debug)]
pub struct World {
    /// What is said in it.
    pub timeline: Timeline,
    test: String,
    client: Client,
    stack: Deployment,
    /// What the test itself published, by what tells it from others.
    made_up: Mutex<BTreeSet<Vec<u8>>>,
    finished: bool,
}

/// What a world's services are.
#[derive(Debug)]
pub(crate) enum Deployment {
    Processes(Box<Processes>),
    Containers(Containers),
}

/// Does the same in either kind of stack.
macro_rules! either {
    ($stack:expr, $either:ident => $done:expr) => {
        match $stack {
            Deployment::Processes($either) => $done,
            Deployment::Containers($either) => $done,
        }
    };
}

impl Deref for World {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl World {
    pub(crate) async fn begin(test: &str, stack: Deployment, client: Client) -> Self {
        Self {
            timeline: Timeline::listen(&either!(&stack, stack => stack.nats())).await,
            test: test.to_owned(),
            client,
            stack,
            made_up: Mutex::default(),
            finished: false,
        }
    }

    fn processes(&mut self) -> &mut Processes {
        match &mut self.stack {
            Deployment::Processes(processes) => processes,
            Deployment::Containers(_) => panic!("{}: only processes can be added", self.test),
        }
    }

    /// Starts a service that is not of the stack, from a program of its own and with settings of its own beside the world's. Does
    /// not wait until it is ready.
    pub async fn start_foreign(
        &mut self,
        service: &str,
        program: PathBuf,
        args: Vec<OsString>,
        settings: &[(&str, &str)],
    ) {
        let processes = self.processes();
        let url = processes
            .start_foreign(service, program, args, settings)
            .await;
        self.client.opens(service, &url);
    }

    /// A service is gone for good: its processes, its database, and what the broker keeps for it.
    pub async fn leave(&mut self, service: &str) {
        self.processes().leave(service).await;
        let stream = self.jetstream().get_stream("TRIPS").await.unwrap();
        stream.delete_consumer(service).await.unwrap();
    }

    /// A leg that only the test speaks for: it has no database to look at.
    pub fn is_played(&mut self, leg: &str) {
        self.processes().is_played(leg);
    }

    /// Where a service's database is.
    #[must_use]
    pub fn database_url(&self, service: &str) -> &str {
        match &self.stack {
            Deployment::Processes(processes) => processes.database_url(service),
            Deployment::Containers(_) => panic!("{}: its databases are its own", self.test),
        }
    }

    /// Changes a service's database by hand, behind the service's back.
    pub async fn by_hand(&mut self, service: &str, statement: &'static str) {
        self.processes().by_hand(service, statement).await;
    }

    /// The single number that a statement answers in a service's database.
    pub async fn number(&self, service: &str, statement: &'static str) -> i64 {
        match &self.stack {
            Deployment::Processes(processes) => processes.number(service, statement).await,
            Deployment::Containers(_) => panic!("{}: its databases are its own", self.test),
        }
    }

    /// Takes what every transaction of a service needs, and keeps it until that is dropped.
    pub async fn lock(&mut self, service: &str) -> Lock {
        self.processes().lock(service).await
    }

    /// Makes one replica die the `time`-th time from now that it passes a crash point.
    pub fn arm(&mut self, service: &str, replica: usize, point: CrashPoint, time: u32) {
        self.processes().arm(service, replica, point, time);
    }

    /// Whether it has died there. That it died of anything else fails the test.
    pub async fn has_crashed(&mut self, service: &str, replica: usize) -> bool {
        self.processes().has_crashed(service, replica).await
    }

    /// Has it live on; answers how many more times it would have had to pass.
    pub fn disarm(&mut self, service: &str, replica: usize) -> u32 {
        self.processes().disarm(service, replica)
    }

    /// Waits until every replica is ready and these legs can be booked.
    pub async fn until_open(&mut self, legs: &[&str]) {
        #[derive(Deserialize)]
        struct Leg {
            leg: String,
        }
        either!(&mut self.stack, stack => stack.until_ready().await);
        eventually("the legs have joined", async || {
            let joined: Vec<Leg> = self.client.get("booking", "/legs").await;
            let there = |leg: &&str| joined.iter().any(|joined| joined.leg == **leg);
            legs.iter().all(there).then_some(())
        })
        .await;
    }

    /// SIGKILL to one replica of a service, the first being 0.
    pub async fn kill(&mut self, service: &str, replica: usize) {
        either!(&mut self.stack, stack => stack.kill(service, replica).await);
    }

    /// SIGTERM to one replica: it drains and ends, and says that all is well.
    pub async fn stop(&mut self, service: &str, replica: usize) {
        either!(&mut self.stack, stack => stack.stop(service, replica).await);
    }

    /// Waits until one replica has ended by itself.
    pub async fn until_ended(&mut self, service: &str, replica: usize) {
        self.processes().until_ended(service, replica).await;
    }

    /// Starts one replica again, with the database that it had, and waits until it is ready.
    pub async fn restart(&mut self, service: &str, replica: usize) {
        either!(&mut self.stack, stack => stack.restart(service, replica).await);
    }

    /// Stops a replica's clock: it neither answers nor ends.
    pub async fn pause(&mut self, service: &str, replica: usize) {
        either!(&mut self.stack, stack => stack.pause(service, replica).await);
    }

    /// Lets it go on.
    pub async fn resume(&mut self, service: &str, replica: usize) {
        either!(&mut self.stack, stack => stack.resume(service, replica).await);
    }

    /// Stops the broker's clock: it takes nothing more from its connections, and keeps them.
    pub fn pause_broker(&mut self) {
        self.processes().pause_broker();
    }

    /// Lets it go on.
    pub fn resume_broker(&mut self) {
        self.processes().resume_broker();
    }

    /// SIGKILL to the broker.
    pub async fn kill_broker(&mut self) {
        either!(&mut self.stack, stack => stack.kill_broker().await);
    }

    /// A replica's process.
    pub fn pid(&mut self, service: &str, replica: usize) -> u32 {
        self.processes().pid(service, replica).expect("it runs")
    }

    /// The most memory that a replica had since it was started, in kibibytes; None where the system does not show it.
    pub fn memory_peak_kb(&mut self, service: &str, replica: usize) -> Option<u64> {
        let pid = self.processes().pid(service, replica)?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// What a replica's process has read so far, from files and from others, in bytes. Only Linux counts it.
    pub fn bytes_read(&mut self, service: &str, replica: usize) -> i64 {
        let pid = self.processes().pid(service, replica).expect("it runs");
        let read = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
        let read = read.lines().find_map(|line| line.strip_prefix("rchar: "));
        read.expect("Linux counts it").parse().unwrap()
    }

    /// All that a replica has logged since it was first started.
    pub fn log(&mut self, service: &str, replica: usize) -> String {
        self.processes().log(service, replica)
    }

    /// Starts the broker again, with what it stored.
    pub async fn restart_broker(&mut self) {
        either!(&mut self.stack, stack => stack.restart_broker().await);
    }

    /// The broker loses all that it stored: streams, consumers, messages.
    pub async fn wipe_broker(&mut self) {
        either!(&mut self.stack, stack => stack.wipe_broker().await);
    }

    /// How many replicas a service has.
    #[must_use]
    pub fn replicas(&self, service: &str) -> usize {
        either!(&self.stack, stack => stack.replicas(service))
    }

    /// JetStream, as an operator sees it.
    #[must_use]
    pub fn jetstream(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(self.timeline.client().clone())
    }

    /// Publishes whatever to the stream, and has it stored.
    pub async fn publish(&self, subject: &str, headers: HeaderMap, payload: impl Into<Vec<u8>>) {
        let payload = payload.into();
        self.is_made_up(subject, &headers, &payload);
        self.store(subject, headers, payload).await;
    }

    /// A message that a test publishes by itself: it is not held to the contract.
    pub fn is_made_up(&self, subject: &str, headers: &HeaderMap, payload: &[u8]) {
        let key = timeline::key(subject, headers, payload);
        self.made_up.lock().unwrap().insert(key);
    }

    async fn store(&self, subject: &str, headers: HeaderMap, payload: Vec<u8>) {
        let stored = self
            .jetstream()
            .publish_with_headers(subject.to_owned(), headers, payload.into())
            .await
            .unwrap();
        let acknowledgement = stored.await.unwrap();
        assert!(!acknowledgement.duplicate, "the broker dropped it");
    }

    /// Publishes once more what was said: the same event under the same id, but, as every repeat, a message of its own.
    pub async fn say_again(&self, word: &Published) {
        let mut headers = word.headers.clone();
        headers.insert("Nats-Msg-Id", uuid::Uuid::now_v7().to_string());
        self.store(&word.subject, headers, word.payload.clone())
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

    /// Whether nobody of the stack has anything to do: everything was heard, every outbox is empty, and nothing was said meanwhile.
    pub async fn is_at_rest(&self) -> bool {
        let mut stream = self.jetstream().get_stream("TRIPS").await.unwrap();
        let said = stream.cached_info().state.last_sequence;
        let rests = join_all(SERVICES.map(async |service| {
            let heard = stream.consumer_info(service).await;
            heard.is_ok_and(|heard| heard.num_pending == 0 && heard.num_ack_pending == 0)
                && self.number(service, "select count(*) from outbox").await == 0
        }));
        rests.await.iter().all(|rests| *rests)
            && stream.info().await.unwrap().state.last_sequence == said
    }

    /// Waits until nobody of the stack has anything to do.
    pub async fn until_at_rest(&self) {
        eventually("everybody is at rest", async || {
            self.is_at_rest().await.then_some(())
        })
        .await;
    }

    /// Every test's end: what must always hold is looked for in the databases themselves and at the broker; then everything stops,
    /// in order and without complaint.
    pub async fn finish(mut self) {
        self.audit(None).await;
        self.hold_to_the_contract();
        let complaints = either!(&mut self.stack, stack => stack.stop_all().await);
        assert!(
            complaints.is_empty(),
            "ended badly: {}",
            complaints.join("\n")
        );
        self.finished = true;
    }

    /// The audit is clean, of which the provider's own list is a part.
    pub async fn agrees_with(&self, provider: &Sandbox) {
        self.audit(Some(provider.settings())).await;
    }

    /// Looks at the stack as an auditor does, until it is clean or it is plain that it will not be.
    async fn audit(&self, provider: Option<ProviderSettings>) {
        let mut parts = either!(&self.stack, stack => stack.parts());
        parts.provider = provider;
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
            .map(|trip| self.timeline.tell(*trip))
            .collect();
        assert!(fine, "{}: the audit\n{report}\n{stories}", self.test);
    }

    /// All that the stack published, and whoever else took part, is what the repository's schemas say.
    fn hold_to_the_contract(&self) {
        let made_up = self.made_up.lock().unwrap();
        let broken = contract::judge(&self.timeline.all(), &made_up);
        let told: Vec<&str> = broken.iter().map(String::as_str).collect();
        assert!(broken.is_empty(), "{}: {}", self.test, told.join("\n"));
    }

    fn tell_what_happened(&mut self) {
        let mut words = format!("{}: what happened\n", self.test);
        if let Some(trip) = self.client.focus() {
            words.push_str(&self.timeline.tell(trip));
        }
        words.push_str(&either!(&mut self.stack, stack => stack.last_words()));
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
