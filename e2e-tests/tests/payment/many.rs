//! Two hundred trips at once, every fifth with a card that is declined and some of them canceled, while the provider is killed, hangs, is slow, answers
//! garbage, or has its key rotated. All are final afterwards, and the provider has what they cost, to the cent.

use choreography::TripId;
use e2e_tests::{Engine, Sandbox, Setup, World, eventually, play};
use futures::future::join;
use serde_json::json;

use super::{finals, open, paid, reconcile};

const TRIPS: usize = 200;

/// All of them, while something is done to the provider; `done` says how many payments the provider has.
async fn while_it_is(world: &mut World, broken: impl AsyncFnOnce(&mut Sandbox)) {
    let mut sandbox = open(world).await;
    let begun = &*world;
    let asking = async {
        let (good, bad) = join(
            begun.ask_many(&paid("pm_card_visa"), TRIPS / 5 * 4),
            begun.ask_many(&paid("pm_card_chargeDeclined"), TRIPS / 5),
        )
        .await;
        begun.cancel_many(&good[..20]).await;
        [good, bad].concat()
    };
    let (trips, ()) = join(asking, broken(&mut sandbox)).await;
    sandbox.mend().await;
    check(world, &sandbox, &trips).await;
}

async fn check(world: &World, sandbox: &Sandbox, trips: &[TripId]) {
    assert_eq!(trips.len(), TRIPS);
    let all = finals(world, trips).await;
    reconcile(sandbox, &all).await;
    let confirmed = all
        .iter()
        .filter(|it| it.state == booking::core::State::Confirmed);
    // Whatever the provider did: those whose card is good and that nobody canceled are not lost to it, but for whom it was down at their turn.
    eprintln!("{TRIPS} trips, {} confirmed", confirmed.count());
}

async fn until_it_has(sandbox: &Sandbox, payments: usize) {
    eventually("payments are made", async || {
        (sandbox.payments().await.len() >= payments).then_some(())
    })
    .await;
}

macro_rules! two_hundred {
    ($($name:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let test = concat!(module_path!(), "::", stringify!($name));
            play(test, Setup::on(Engine::Sqlite), scenes::$name).await;
        }
    )+};
}

two_hundred![
    two_hundred_trips_while_the_provider_is_killed
    two_hundred_trips_while_the_provider_hangs
    two_hundred_trips_while_the_provider_is_slow
    two_hundred_trips_while_the_provider_answers_garbage
    two_hundred_trips_while_the_key_is_rotated
    two_hundred_trips_while_the_payment_leg_is_killed
];

mod scenes {
    use super::*;

    pub(super) async fn two_hundred_trips_while_the_provider_is_killed(world: &mut World) {
        while_it_is(world, async |sandbox| {
            for payments in [20, 60, 100] {
                until_it_has(sandbox, payments).await;
                sandbox.kill().await;
                sandbox.restart().await;
            }
        })
        .await;
    }

    pub(super) async fn two_hundred_trips_while_the_provider_hangs(world: &mut World) {
        while_it_is(world, async |sandbox| {
            until_it_has(sandbox, 20).await;
            let only = json!(["open", "authorise", "capture", "void", "refund"]);
            for when in ["after", "before"] {
                sandbox
                    .throw(json!({"failure": "hang", "when": when, "count": 25, "only": only}))
                    .await;
            }
            until_it_has(sandbox, 60).await;
            sandbox.pause();
            tokio::time::sleep(std::time::Duration::from_secs(3)).await;
            sandbox.resume();
        })
        .await;
    }

    pub(super) async fn two_hundred_trips_while_the_provider_is_slow(world: &mut World) {
        while_it_is(world, async |sandbox| {
            let only = json!(["open", "authorise", "capture", "void", "refund"]);
            sandbox
                .throw(json!({"failure": "slow", "ms": 1_500, "count": 200, "only": only}))
                .await;
            until_it_has(sandbox, 60).await;
        })
        .await;
    }

    pub(super) async fn two_hundred_trips_while_the_provider_answers_garbage(world: &mut World) {
        while_it_is(world, async |sandbox| {
            let only = json!(["open", "authorise", "capture", "void", "refund"]);
            for failure in [
                "garbage",
                "html",
                "other-shape",
                "truncated",
                "cut",
                "broken",
            ] {
                sandbox
                    .throw(json!({"failure": failure, "count": 8, "only": only}))
                    .await;
            }
            until_it_has(sandbox, 60).await;
        })
        .await;
    }

    pub(super) async fn two_hundred_trips_while_the_key_is_rotated(world: &mut World) {
        while_it_is(world, async |sandbox| {
            let has = async |sandbox: &Sandbox, payments| {
                eventually("payments are made", async || {
                    // The key may be between two files.
                    let provider = payment::provider::Provider::new(&sandbox.settings()).unwrap();
                    let listed = provider.all().await.ok()?;
                    (listed.len() >= payments).then_some(())
                })
                .await;
            };
            has(sandbox, 20).await;
            sandbox.rotate(300).await;
            has(sandbox, 60).await;
            sandbox.rotate(0).await;
        })
        .await;
    }

    pub(super) async fn two_hundred_trips_while_the_payment_leg_is_killed(world: &mut World) {
        let sandbox = open(world).await;
        let mut trips = Vec::new();
        for _ in 0..4 {
            trips.extend(world.ask_many(&paid("pm_card_visa"), TRIPS / 4).await);
            until_it_has(&sandbox, trips.len() - TRIPS / 8).await;
            world.kill("payment", 0).await;
            world.restart("payment", 0).await;
        }
        check(world, &sandbox, &trips).await;
    }
}
