//! A stack of containers: the stack of `docker-compose.yml`, asked over its load balancer. The scenarios of one test process play on
//! one stack, one after the other, each on empty databases, an empty broker and containers with the settings that it asks for; what a
//! scenario that failed leaves is thrown away. What is done to a stack is told in [`World`](crate::World).

use std::collections::{BTreeMap, BTreeSet};

use inspect::audit::{Nats, Parts};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::{Mutex, MutexGuard};

use crate::client::Client;
use crate::compose::{SERVICES, Stack};

/// Found by whoever plays next; taken down when this process ends.
static STACK: Mutex<Option<Stack>> = Mutex::const_new(None);

/// Empties what a service and its migrations made, and leaves the migrations' own books.
const EMPTY: &str = "do $$ begin execute (select 'truncate ' || string_agg(format('%I', tablename), ', ') from pg_tables \
    where schemaname = 'public' and tablename not like '%\\_migration'); end $$";

#[derive(Debug)]
pub(crate) struct Containers {
    stack: MutexGuard<'static, Option<Stack>>,
    replicas: usize,
    /// Containers that do not run, or do not answer.
    down: BTreeSet<String>,
}

impl Containers {
    /// Everything from the beginning, with so many replicas and these settings.
    pub(crate) async fn begin(replicas: u32, settings: &BTreeMap<String, String>) -> Self {
        let mut held = STACK.lock().await;
        let stack = match held.take() {
            Some(stack) => stack,
            None => Stack::up("").await,
        };
        stack.stop_services();
        for service in SERVICES {
            let url = stack.database("postgres", service);
            let mut database = PgConnection::connect(&url).await.unwrap();
            sqlx::query(EMPTY).execute(&mut database).await.unwrap();
        }
        let jetstream = async_nats::jetstream::new(stack.nats_as("operator").await);
        jetstream.delete_stream("TRIPS").await.unwrap();
        stack.start_services(replicas, settings);
        *held = Some(stack);
        Self {
            stack: held,
            replicas: usize::try_from(replicas).unwrap(),
            down: BTreeSet::new(),
        }
    }

    fn stack(&self) -> &Stack {
        self.stack.as_ref().expect("it is there until the end")
    }

    fn container(&self, service: &str, replica: usize) -> String {
        self.stack().containers(service)[replica].clone()
    }

    pub(crate) fn nats(&self) -> Nats {
        self.stack().operator()
    }

    pub(crate) fn client(&self) -> Client {
        self.stack().client()
    }

    pub(crate) async fn until_ready(&mut self) {
        for service in SERVICES {
            self.stack().until_serving(service, self.replicas).await;
        }
    }

    /// Waits until all that should run answers, and the load balancer knows.
    async fn until_back(&self, service: &str) {
        let up = self.stack().containers(service);
        let up = up.iter().filter(|up| !self.down.contains(*up)).count();
        self.stack().until_serving(service, up).await;
    }

    /// Nothing is ready without the broker.
    async fn until_all_back(&self) {
        for service in SERVICES {
            self.until_back(service).await;
        }
    }

    pub(crate) async fn kill(&mut self, service: &str, replica: usize) {
        let container = self.container(service, replica);
        self.stack().docker(&["kill", &container]);
        self.down.insert(container);
    }

    pub(crate) async fn stop(&mut self, service: &str, replica: usize) {
        let container = self.container(service, replica);
        let complaints = self.stack().stop(std::slice::from_ref(&container));
        assert!(
            complaints.is_empty(),
            "{service} was asked to stop: {complaints:?}"
        );
        self.down.insert(container);
    }

    pub(crate) async fn restart(&mut self, service: &str, replica: usize) {
        let container = self.container(service, replica);
        self.stack().docker(&["start", &container]);
        self.down.remove(&container);
        self.until_back(service).await;
    }

    pub(crate) async fn pause(&mut self, service: &str, replica: usize) {
        let container = self.container(service, replica);
        self.stack().docker(&["pause", &container]);
        self.down.insert(container);
    }

    pub(crate) async fn resume(&mut self, service: &str, replica: usize) {
        let container = self.container(service, replica);
        self.stack().docker(&["unpause", &container]);
        self.down.remove(&container);
        self.until_back(service).await;
    }

    pub(crate) async fn kill_broker(&mut self) {
        let broker = self.container("nats", 0);
        self.stack().docker(&["kill", &broker]);
    }

    pub(crate) async fn restart_broker(&mut self) {
        let broker = self.container("nats", 0);
        self.stack().docker(&["restart", &broker]);
        self.until_all_back().await;
    }

    pub(crate) async fn wipe_broker(&mut self) {
        self.stack().replace_with_its_volume("nats");
        self.until_all_back().await;
    }

    pub(crate) fn replicas(&self, _service: &str) -> usize {
        self.replicas
    }

    pub(crate) fn parts(&self) -> Parts {
        self.stack().parts()
    }

    /// Stops the services. What did not end well, with its last words.
    pub(crate) async fn stop_all(&mut self) -> Vec<String> {
        let all = SERVICES.map(|service| self.stack().containers(service));
        let mut all = all.concat();
        all.retain(|container| !self.down.contains(container));
        let mut complaints = self.stack().stop(&all);
        let said = self.stack().logs("all");
        complaints.extend(
            said.lines()
                .filter(|line| line.contains("panicked at"))
                .map(str::to_owned),
        );
        complaints
    }

    /// What each said last, for the reader of a test that failed. The stack has seen its last test.
    pub(crate) fn last_words(&mut self) -> String {
        self.stack
            .take()
            .map(|stack| stack.logs("60"))
            .unwrap_or_default()
    }
}
