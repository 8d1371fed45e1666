//! What a world is made of, and how it comes to be.

use std::collections::BTreeMap;

use roundtrip::local::broker::Broker;
use tokio::sync::Semaphore;

use crate::ground::{self, Engine};
use crate::world::{Beginning, World};

/// Small intervals, so that nothing waits for a timer in a test; and everything that a failure may need in the logs.
const SETTINGS: &[(&str, &str)] = &[
    ("REANNOUNCE_FIRST_MS", "300"),
    ("REANNOUNCE_MAX_MS", "1000"),
    ("TIMER_INTERVAL_MS", "20"),
    ("SWEEP_INTERVAL_MS", "50"),
    ("OUTBOX_LEASE_MS", "500"),
    ("ACK_WAIT_MS", "1000"),
    ("JOIN_INTERVAL_MS", "5000"),
    ("DRAIN_TIMEOUT_MS", "10000"),
    (
        "LOG",
        "info,booking=debug,leg=debug,runtime=debug,runtime::http=info",
    ),
    ("LOG_FORMAT", "human"),
];

/// The services of the house.
const HOUSE: [&str; 3] = ["booking", "flight", "hotel"];

/// As many worlds at a time as the machine bears; one with replicas counts for each of them.
static ROOM: Semaphore = Semaphore::const_new(4);

/// What a world is to be made of.
#[derive(Debug, Clone)]
pub struct Setup {
    engine: Engine,
    replicas: u32,
    settings: BTreeMap<String, String>,
}

impl Setup {
    /// One process of each service on that kind of database.
    #[must_use]
    pub fn on(engine: Engine) -> Self {
        let settings = SETTINGS.iter();
        Self {
            engine,
            replicas: 1,
            settings: settings
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    /// So many processes of each service.
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

    /// A world that is ready for travellers; None where what it stands on cannot be obtained, which is said.
    pub async fn start(self, test: &str) -> Option<World> {
        let program = ground::nats(test).await?;
        let cluster = match self.engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(ground::postgres(test).await?),
        };
        let room = ROOM.acquire_many(self.replicas.min(4)).await.unwrap();
        let folder = tempfile::Builder::new()
            .prefix("roundtrip-world-")
            .tempdir()
            .unwrap();
        let broker = Broker::start(&program, &folder.path().join("nats"), None)
            .await
            .unwrap();
        let mut settings = self.settings;
        settings.insert(String::from("NATS_URL"), broker.url());
        let mut world = World::begin(Beginning {
            test: test.to_owned(),
            folder,
            broker,
            cluster,
            settings,
            room,
        })
        .await;
        for service in HOUSE {
            for _ in 0..self.replicas {
                world.start(service).await;
            }
        }
        world.until_open(&["flight", "hotel"]).await;
        Some(world)
    }
}
