//! Makes the copy of a stack that [`crate::older`] begins with: plays a stack into every state that a database can be in, ends it
//! where it stands, and writes down what is there. Not a test of anything; it works only when it is asked to:
//!
//! ```sh
//! FREEZE_SCHEMA=v2 cargo test -p e2e-tests --test versions freeze
//! ```

use std::collections::BTreeMap;
use std::fs;

use booking::core::State;
use booking::view::TripView;
use choreography::TripId;
use e2e_tests::trip::{Asked, flight, stay, trip};
use e2e_tests::{Engine, Setup, Stock, World, eventually, fixtures, play};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const FREEZE: &str = "FREEZE_SCHEMA";

/// What to know of a copy: which trip is which.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Trips by what became of them; `pending` and `undoing` say what had not become of them yet.
    pub(crate) trips: BTreeMap<String, TripId>,
    /// The key that the confirmed one was asked for under.
    pub(crate) key: String,
    /// And in what words.
    pub(crate) asked: Value,
    /// The fact that was not published yet, of the trip `unpublished`.
    pub(crate) unpublished_fact: String,
}

impl Told {
    pub(crate) fn of(version: &str) -> Self {
        serde_json::from_str(&fixtures::read(version, "told.json")).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freeze() {
    let Ok(version) = std::env::var(FREEZE) else {
        return;
    };
    let folder = fixtures::folder(&version);
    assert!(!folder.exists(), "{version} is frozen already");
    play("freeze", Setup::on(Engine::Sqlite), async |world| {
        let told = live(world).await;
        fs::create_dir_all(&folder).unwrap();
        let text = serde_json::to_string_pretty(&told).unwrap();
        fs::write(folder.join("told.json"), text + "\n").unwrap();
        for service in ["booking", "flight", "hotel"] {
            let copy = fixtures::copy(world.database_url(service)).await;
            fs::write(folder.join(format!("{service}.sql")), copy).unwrap();
        }
        // What was copied is no invention: from here, too, everything comes to its end.
        world.restart_broker().await;
        for service in ["booking", "flight", "hotel"] {
            world.restart(service, 0).await;
        }
    })
    .await;
}

/// A life that ends in the middle: what is decided, what waits for somebody, what is on its way back, what is not said yet.
async fn live(world: &mut World) -> Told {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    world.rooms("FULL", 0).await;
    let key = String::from("kept over the upgrade");
    let asked = trip([flight("RT100", 2), stay("LIS", 2, 1)])
        .budget(100_000)
        .with("traveller", "Zoë O'Hara".into());
    let request = world.asking(&asked).header("Prefer", "wait=45");
    let request = request.header("Idempotency-Key", format!("\"{key}\""));
    let confirmed: TripView = world.send(request).await.json();
    assert_eq!(confirmed.state, State::Confirmed);
    let rejected = world
        .book(&trip([flight("RT100", 1), stay("FULL", 1, 1)]))
        .await;
    let cancelled = world.book(&small(1)).await;
    world.cancel(cancelled.trip).await;
    let unreadable = "trips.booking.requested.flight";
    world
        .publish(unreadable, async_nats::HeaderMap::new(), "hello")
        .await;
    eventually("a dead letter", async || {
        world.letters("flight").await.pop()
    })
    .await;
    world.until_flight("RT100", Stock::of(0, 2, 8)).await;

    world.kill("hotel", 0).await;
    let pending = world.ask(&small(3)).await;
    let undoing = world.ask(&small(4)).await;
    world.until_flight("RT100", Stock::of(7, 2, 1)).await;
    world.kill("flight", 0).await;
    let undoing = world.cancel_soon(undoing.trip).await;
    assert_eq!(undoing.state, State::Undoing);
    world.kill_broker().await;
    let unpublished = world.ask(&trip([flight("RT100", 1)])).await;
    world.kill("booking", 0).await;

    let said = format!(
        "select id from outbox where aggregateid = '{}' and type = 'booking.requested.v1'",
        unpublished.trip
    );
    let [unpublished_fact] = &fixtures::texts(world.database_url("booking"), &said).await[..]
    else {
        panic!("it is said once");
    };
    let trips = [
        ("confirmed", confirmed),
        ("rejected", rejected),
        ("cancelled", cancelled),
        ("pending", pending),
        ("undoing", undoing),
        ("unpublished", unpublished),
    ];
    Told {
        trips: trips
            .map(|(name, view)| (name.to_owned(), view.trip))
            .into(),
        key,
        asked: asked.body,
        unpublished_fact: unpublished_fact.clone(),
    }
}

fn small(seats: i64) -> Asked {
    trip([flight("RT100", seats), stay("LIS", 1, 1)])
}
