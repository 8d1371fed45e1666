//! The key is nowhere but in its file: not in a log at its most talkative, not in what any route says, not in a database, not in a process list.

use e2e_tests::{Engine, Setup, World, play};
use reqwest::Method;
use serde_json::json;

use super::{finals, open_with, paid, reconcile};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_is_in_nothing_that_a_service_says_or_keeps() {
    let test = "the_key_is_in_nothing_that_a_service_says_or_keeps";
    play(test, Setup::on(Engine::Sqlite), scene).await;
}

async fn scene(world: &mut World) {
    // Of every crate, its HTTP client's and TLS' too.
    let sandbox = open_with(world, &[("LOG", "trace")]).await;
    let key = std::fs::read_to_string(sandbox.key_file()).unwrap();
    let key = key.trim().to_owned();
    let mut trips = Vec::new();
    for failure in ["refuse-key", "forbid-key", "down", "html", "cut", "broken"] {
        sandbox.throw(json!({"failure": failure, "count": 1})).await;
        trips.extend(world.ask_many(&paid("pm_card_visa"), 2).await);
        trips.push(world.ask(&paid("pm_card_chargeDeclined")).await.trip);
    }
    let all = finals(world, &trips).await;
    reconcile(&sandbox, &all).await;
    let mut said = vec![world.log("payment", 0), sandbox.log()];
    for path in [
        "/metrics",
        "/calls",
        "/letters",
        "/payments",
        "/readyz",
        "/openapi.json",
        "/",
    ] {
        let request = world.request(Method::GET, "payment", path);
        said.push(world.send(request).await.text);
    }
    let file = world
        .database_url("payment")
        .trim_start_matches("sqlite://")
        .to_owned();
    for ending in ["", "-wal"] {
        let bytes = std::fs::read(format!("{file}{ending}")).unwrap_or_default();
        said.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        for what in ["cmdline", "environ"] {
            let bytes = std::fs::read(process.path().join(what)).unwrap_or_default();
            said.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    assert!(said[0].len() > 10_000, "its log says too little to tell");
    for text in said {
        assert!(
            !text.contains(&key),
            "the key is in: {:.2000}",
            text.replace(&key, "…")
        );
    }
}
