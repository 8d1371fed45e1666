//! What goes wrong between the payment leg and its provider: deaths in the middle of a call, a provider that is away or does not know the key
//! any more. Each trip ends all the same, and is paid once or not at all.

use booking::core::State;
use e2e_tests::{World, eventually, on_one_database};
use payment::provider::Stage;
use reqwest::Method;
use runtime::faults::CrashPoint;
use serde_json::{Value, json};

use super::{agrees, flight, house, paid, payments_of, record, trip, until_record};

mod sqlite {
    use std::time::Duration;

    use e2e_tests::Engine::Sqlite;

    super::on_one_database!(
        killed_at_every_point_of_a_call_it_pays_once,
        Sqlite,
        |setup| setup.within(Duration::from_secs(900))
    );
    super::on_one_database!(a_provider_that_is_killed_costs_time_and_no_trip, Sqlite);
    super::on_one_database!(a_key_is_rotated_without_a_restart, Sqlite);
    super::on_one_database!(the_key_is_written_nowhere, Sqlite);
}

/// It dies at every point of a call and of the transaction that takes its answer, over and over; each trip is paid once all the same.
async fn killed_at_every_point_of_a_call_it_pays_once(world: &mut World) {
    let mut provider = house(world).await;
    let points = [
        CrashPoint::OF_CALLS.to_vec(),
        vec![
            CrashPoint::Loaded,
            CrashPoint::BeforeCommit,
            CrashPoint::AfterCommit,
        ],
    ];
    for point in points.concat() {
        // The first call opens, the second authorises, the third captures.
        for time in 1..=3 {
            world.arm("payment", 0, point, time);
            let asked = world.ask(&paid("pm_card_visa")).await;
            eventually("it dies", async || {
                world.has_crashed("payment", 0).await.then_some(())
            })
            .await;
            world.restart("payment", 0).await;
            world.until_state(asked.trip, State::Confirmed).await;
            until_record(world, asked.trip, "captured").await;
            let listed = payments_of(&provider, asked.trip).await;
            let held = listed.iter().filter(|it| !matches!(it.stage, Stage::Open));
            assert_eq!(held.count(), 1, "{point:?} {time}: {listed:?}");
        }
    }
    agrees(world, &provider).await;
    provider.stop().await;
}

/// Forty trips while the provider dies, hangs and comes back. New ones are refused early once it is known to be down, and say so; whatever was
/// under way ends.
async fn a_provider_that_is_killed_costs_time_and_no_trip(world: &mut World) {
    let mut provider = house(world).await;
    let mut trips = world.ask_many(&paid("pm_card_visa"), 20).await;
    provider.kill().await;
    trips.extend(world.ask_many(&paid("pm_card_visa"), 10).await);
    let refused = eventually("new payments are refused early", async || {
        // One that is let in when a try is due knows nothing until the provider is back.
        let asked = world.ask(&paid("pm_card_visa").deadline_s(5)).await.trip;
        let view = world
            .until(asked, "it is refused, or too late", |view| {
                view.outcome.is_some()
            })
            .await;
        let code = view.reason.map(|reason| reason.code);
        (code.as_deref() == Some("payment-unavailable")).then_some(view.trip)
    })
    .await;
    assert_eq!(record(world, refused).await["state"], "rejected");
    // Whoever pays nothing notices nothing.
    let other = world.book(&trip([flight("RT100", 1)])).await;
    assert_eq!(other.state, State::Confirmed);
    provider.restart().await;
    eventually("it takes new payments again", async || {
        let view = world.book(&paid("pm_card_visa")).await;
        (view.state == State::Confirmed).then_some(())
    })
    .await;
    provider.pause();
    trips.extend(
        world
            .ask_many(&paid("pm_card_visa").deadline_s(3), 10)
            .await,
    );
    provider.resume();
    for trip in trips {
        world
            .until(trip, "it ends", |view| {
                matches!(view.state, State::Confirmed | State::Closed)
            })
            .await;
    }
    agrees(world, &provider).await;
    provider.stop().await;
}

/// Another key is taken from one moment to the next, and is in the file a while later. Meanwhile new payments are refused early, and what was
/// under way waits; no process is started again.
async fn a_key_is_rotated_without_a_restart(world: &mut World) {
    let mut provider = house(world).await;
    let first = world.book(&paid("pm_card_visa")).await;
    assert_eq!(first.state, State::Confirmed);
    until_record(world, first.trip, "captured").await;
    provider.rotate(3_600_000).await;
    let waits = world.ask(&paid("pm_card_visa")).await.trip;
    eventually("it is known that the key is refused", async || {
        let told: Value = world.get("payment", "/provider").await;
        (told["problems"][0]["kind"] == "provider-key-refused").then_some(())
    })
    .await;
    let refused = world.book(&paid("pm_card_visa")).await;
    assert_eq!(refused.reason.unwrap().code, "payment-unavailable");
    let told: Value = world.get("payment", "/provider").await;
    assert_eq!(
        told["problems"][0]["kind"], "provider-key-refused",
        "{told}"
    );
    provider.rotate(0).await;
    eventually("it is paid again", async || {
        let view = world.book(&paid("pm_card_visa")).await;
        (view.state == State::Confirmed).then_some(())
    })
    .await;
    world.until_state(waits, State::Confirmed).await;
    let told: Value = world.get("payment", "/provider").await;
    assert_eq!(told, json!({"down": false, "problems": []}));
    agrees(world, &provider).await;
    provider.stop().await;
}

/// Logs, database, API, metrics and what the process list shows: the key is in none of them.
async fn the_key_is_written_nowhere(world: &mut World) {
    let mut provider = house(world).await;
    let echo = json!({"failure": "echo", "count": 1, "only": ["authorise"]});
    provider.throw(echo).await;
    let echoed = world.book(&paid("pm_card_visa")).await;
    assert_eq!(echoed.state, State::Confirmed, "{echoed:?}");
    assert_eq!(world.letters("payment").await.len(), 1, "it is kept");
    provider
        .throw(json!({"failure": "refuse-key", "count": 1}))
        .await;
    let garbage = json!({"failure": "garbage", "count": 1, "only": ["authorise"]});
    provider.throw(garbage).await;
    let asked = world.ask(&paid("pm_card_visa")).await.trip;
    eventually("it is known that the key is refused", async || {
        let told: Value = world.get("payment", "/provider").await;
        (told["problems"][0]["kind"] == "provider-key-refused").then_some(())
    })
    .await;
    let key = std::fs::read_to_string(provider.key_file()).unwrap();
    let key = key.trim();
    assert!(key.len() > 16, "a key that can be looked for");
    // What waits for another key goes on with it at once, and meets the garbage.
    provider.rotate(0).await;
    let next = std::fs::read_to_string(provider.key_file()).unwrap();
    assert_ne!(next.trim(), key);
    world.until_state(asked, State::Confirmed).await;
    until_record(world, asked, "captured").await;
    assert_eq!(world.letters("payment").await.len(), 2, "it is kept");
    let webhook = std::fs::read_to_string(provider.webhook_file()).unwrap();
    let mut told = vec![world.log("payment", 0)];
    for path in ["/metrics", "/payments", "/calls", "/letters", "/readyz"] {
        let asked = world.request(Method::GET, "payment", path);
        told.push(world.send(asked).await.text);
    }
    let database = world
        .database_url("payment")
        .trim_start_matches("sqlite://");
    for ending in ["", "-wal"] {
        let file = std::fs::read(format!("{database}{ending}")).unwrap_or_default();
        told.push(String::from_utf8_lossy(&file).into_owned());
    }
    let pid = world.pid("payment", 0);
    for file in ["cmdline", "environ"] {
        let read = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        told.push(String::from_utf8_lossy(&read).into_owned());
    }
    assert!(
        told.iter().any(|text| text.contains("payment")),
        "something was read"
    );
    for text in told {
        assert!(!text.contains(key), "the key is in: {text}");
        for secret in [&next, &webhook] {
            assert!(!text.contains(secret.trim()), "a secret is in: {text}");
        }
    }
    agrees(world, &provider).await;
    provider.stop().await;
}
