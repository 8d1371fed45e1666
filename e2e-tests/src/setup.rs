//! What a world is made of, and how it comes to be.

use std::collections::BTreeMap;
use std::time::Duration;

use stack::SERVICES;

use crate::client::Client;
use crate::compose;
use crate::containers::Containers;
use crate::fixtures;
use crate::prerequisites::Engine;
use crate::processes::Processes;
use crate::world::{Deployment, World};

/// Small intervals, so that nothing waits for a timer in a test; and everything that a failure may need in the logs.
const SETTINGS: &[(&str, &str)] = &[
    ("REANNOUNCE_FIRST_MS", "1000"),
    ("REANNOUNCE_MAX_MS", "2000"),
    ("TIMER_INTERVAL_MS", "20"),
    ("SWEEP_INTERVAL_MS", "50"),
    ("OUTBOX_LEASE_MS", "500"),
    ("ACK_WAIT_MS", "1000"),
    ("JOIN_INTERVAL_MS", "5000"),
    ("DRAIN_TIMEOUT_MS", "10000"),
    ("DRAIN_NOTICE_MS", "0"),
    (
        "LOG",
        "info,booking=debug,leg=debug,runtime=debug,runtime::http=info",
    ),
    ("LOG_FORMAT", "human"),
];

/// What a world is to be made of.
#[derive(Debug, Clone)]
pub struct Setup {
    engine: Engine,
    replicas: u32,
    settings: BTreeMap<String, String>,
    past: Option<String>,
    pub(crate) scenario_max: Duration,
}

impl Setup {
    /// One replica of each service, on that kind of database.
    #[must_use]
    pub fn on(engine: Engine) -> Self {
        let settings = SETTINGS.iter();
        Self {
            engine,
            replicas: 1,
            settings: settings
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            past: None,
            scenario_max: Duration::from_secs(300),
        }
    }

    /// So many replicas of each service.
    #[must_use]
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// A setting of every service.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Default re-announcement, outbox lease and ack wait times.
    #[must_use]
    pub fn at_default_pace(self) -> Self {
        self.setting("REANNOUNCE_FIRST_MS", "30000")
            .setting("REANNOUNCE_MAX_MS", "300000")
            .setting("OUTBOX_LEASE_MS", "10000")
            .setting("ACK_WAIT_MS", "30000")
    }

    /// As long as a scenario may take in all.
    #[must_use]
    pub fn within(mut self, max: Duration) -> Self {
        self.scenario_max = max;
        self
    }

    /// On databases as a version left them, such as `v1`.
    #[must_use]
    pub fn upon(mut self, version: &str) -> Self {
        self.past = Some(version.to_owned());
        self
    }

    /// A world that is ready for travellers; None where what it stands on cannot be obtained, which is said.
    pub async fn start(self, test: &str) -> Option<World> {
        let mut client = Client::new();
        let stack = if self.engine == Engine::Containers {
            if !compose::are_asked_for(test) {
                return None;
            }
            let containers = Containers::begin(self.replicas, &self.settings).await;
            client = containers.client();
            Deployment::Containers(containers)
        } else {
            let (engine, replicas) = (self.engine, self.replicas);
            let mut processes = Processes::begin(test, engine, replicas, self.settings).await?;
            for service in SERVICES {
                if let Some(version) = &self.past {
                    let copy = fixtures::read(version, &format!("{service}.sql"));
                    fixtures::lay(&processes.database(service).await, &copy).await;
                }
                for _ in 0..replicas {
                    client.opens(service, &processes.start(service).await);
                }
            }
            Deployment::Processes(Box::new(processes))
        };
        let mut world = World::begin(test, stack, client).await;
        world.until_open(&["flight", "hotel"]).await;
        Some(world)
    }
}
