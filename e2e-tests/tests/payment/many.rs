//! Many trips at once (fifty; `TRIPS=200` plays two hundred), every fifth with a card that is declined and some of them cancelled, while the
//! provider is killed, hangs, is slow, answers garbage, has its key rotated, or refuses to let go and to give back. All are final afterwards, and
//! the provider has what they cost, to the cent.

use std::time::Duration;

use booking::core::State;
use choreography::TripId;
use e2e_tests::{Engine, Sandbox, Setup, World, eventually, play};
use futures::future::join;
use futures::{StreamExt as _, stream};
use payment::provider::Provider;
use serde_json::{Value, json};

use super::{agrees, house, paid};

/// How many trips are asked for: `TRIPS`, or fifty.
fn trips_in_all() -> usize {
    let asked = std::env::var("TRIPS").map(|trips| trips.parse().unwrap());
    asked.unwrap_or(50)
}

/// All of them, while something is done to the provider.
async fn while_it_is(world: &mut World, broken: impl AsyncFnOnce(&mut Sandbox)) {
    let mut provider = house(world).await;
    let begun = &*world;
    let all = trips_in_all();
    let asking = async {
        let (good, bad) = join(
            begun.ask_many(&paid("pm_card_visa"), all / 5 * 4),
            begun.ask_many(&paid("pm_card_chargeDeclined"), all / 5),
        )
        .await;
        begun.cancel_many(&good[..all / 10]).await;
        [good, bad].concat()
    };
    let (trips, ()) = join(asking, broken(&mut provider)).await;
    provider.mend().await;
    are_final(world, &trips).await;
    agrees(world, &provider).await;
    provider.stop().await;
}

/// Each of them is final, and of those whose card is good some went through.
pub(super) async fn are_final(world: &World, trips: &[TripId]) {
    let looks = stream::iter(trips).map(|trip| async move {
        world
            .until(*trip, "it is final", |view| {
                matches!(view.state, State::Confirmed | State::Closed)
            })
            .await
    });
    let all: Vec<_> = looks.buffered(16).collect().await;
    let confirmed = all.iter().filter(|it| it.state == State::Confirmed).count();
    eprintln!("{} trips, {confirmed} went through", all.len());
    assert!(confirmed > 0);
}

/// Waits until the provider has so many payments. While its key is between two files nobody can ask.
async fn until_it_has(provider: &Sandbox, payments: usize) {
    let asked = Provider::new(&provider.settings()).unwrap();
    eventually("payments are made", async || {
        let listed = asked.all().await.ok()?;
        (listed.len() >= payments).then_some(())
    })
    .await;
}

/// Waits until so many requests have met a switch.
async fn until_it_met(provider: &Sandbox, requests: u64) {
    eventually("the trouble is met", async || {
        (provider.met().await >= requests).then_some(())
    })
    .await;
}

/// What a switch is about, without what tests read.
fn calls() -> Value {
    json!(["open", "authorise", "capture", "void", "refund"])
}

macro_rules! scenes {
    ($($name:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let test = concat!(module_path!(), "::", stringify!($name));
            let setup = Setup::on(Engine::Sqlite).within(Duration::from_secs(600));
            play(test, setup, scenes::$name).await;
        }
    )+};
}

scenes![
    many_trips_while_the_provider_is_killed
    many_trips_while_the_provider_hangs
    many_trips_while_the_provider_is_slow
    many_trips_while_the_provider_answers_garbage
    many_trips_while_the_key_is_rotated
    many_trips_while_nothing_is_let_go_or_given_back
];

mod scenes {
    use super::*;

    pub(super) async fn many_trips_while_the_provider_is_killed(world: &mut World) {
        while_it_is(world, async |provider| {
            for part in 1..=3 {
                until_it_has(provider, trips_in_all() * part / 10).await;
                provider.kill().await;
                provider.restart().await;
            }
        })
        .await;
    }

    pub(super) async fn many_trips_while_the_provider_hangs(world: &mut World) {
        while_it_is(world, async |provider| {
            until_it_has(provider, trips_in_all() / 10).await;
            for when in ["after", "before"] {
                let hang = json!({"failure": "hang", "when": when, "count": 25, "only": calls()});
                provider.throw(hang).await;
            }
            until_it_met(provider, 10).await;
            provider.pause();
            tokio::time::sleep(Duration::from_secs(3)).await;
            provider.resume();
        })
        .await;
    }

    pub(super) async fn many_trips_while_the_provider_is_slow(world: &mut World) {
        while_it_is(world, async |provider| {
            let slow = json!({"failure": "slow", "ms": 500, "count": 200, "only": calls()});
            provider.throw(slow).await;
            until_it_met(provider, 60).await;
        })
        .await;
    }

    /// What came is kept, and the trips go on.
    pub(super) async fn many_trips_while_the_provider_answers_garbage(world: &mut World) {
        while_it_is(world, async |provider| {
            for failure in [
                "garbage",
                "html",
                "other-shape",
                "truncated",
                "cut",
                "broken",
            ] {
                let spoilt = json!({"failure": failure, "count": 8, "only": calls()});
                provider.throw(spoilt).await;
            }
            until_it_met(provider, 10).await;
        })
        .await;
        let letters = world.letters("payment").await;
        assert!(!letters.is_empty());
        let of_calls = |it: &Value| it["type"].as_str().unwrap().starts_with("call.");
        assert!(letters.iter().all(of_calls), "{}", letters[0]);
    }

    pub(super) async fn many_trips_while_the_key_is_rotated(world: &mut World) {
        while_it_is(world, async |provider| {
            until_it_has(provider, trips_in_all() / 10).await;
            provider.rotate(300).await;
            until_it_has(provider, trips_in_all() / 5).await;
            provider.rotate(0).await;
        })
        .await;
    }

    /// It is asked again for as long as it takes.
    pub(super) async fn many_trips_while_nothing_is_let_go_or_given_back(world: &mut World) {
        while_it_is(world, async |provider| {
            for failure in ["refuse-void", "refuse-refund"] {
                provider
                    .throw(json!({"failure": failure, "count": 15}))
                    .await;
            }
            until_it_met(provider, 10).await;
        })
        .await;
    }
}
