//! What trips make of each failure: dead letters, refusals, what needs attention, and what is undone.

use booking::core::{Outcome, State};
use e2e_tests::{Engine, Setup, World, eventually, play};
use serde_json::{Value, json};

use super::{finals, open, paid, reconcile, until_measure};

macro_rules! scenes {
    ($($name:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let test = concat!(module_path!(), "::", stringify!($name));
            play(test, Setup::on(Engine::Sqlite), scenes::$name).await;
        }
    )+};
}

scenes![
    what_cannot_be_read_becomes_a_letter_and_the_trip_goes_on
    a_refused_key_waits_for_another_one_and_loses_no_trip
    an_authorisation_that_expired_undoes_the_trip
    a_capture_that_is_refused_undoes_the_trip
    a_void_that_fails_is_done_in_the_end
    a_refund_that_fails_is_done_in_the_end
];

mod scenes {
    use super::*;

    pub(super) async fn what_cannot_be_read_becomes_a_letter_and_the_trip_goes_on(
        world: &mut World,
    ) {
        let sandbox = open(world).await;
        sandbox
            .throw(json!({"failure": "html", "only": ["authorise"], "count": 2}))
            .await;
        let view = world.book(&paid("pm_card_visa")).await;
        assert_eq!(view.state, State::Confirmed);
        reconcile(&sandbox, &[view]).await;
        let letters = world.letters("payment").await;
        assert!(!letters.is_empty());
        assert_eq!(letters[0]["type"], "call.authorise");
    }

    pub(super) async fn a_refused_key_waits_for_another_one_and_loses_no_trip(world: &mut World) {
        let sandbox = open(world).await;
        sandbox.rotate(3_600_000).await;
        let trips = world.ask_many(&paid("pm_card_visa"), 5).await;
        until_measure(world, "roundtrip_provider_key_refused", 1.0).await;
        sandbox.rotate(0).await;
        let all = finals(world, &trips).await;
        reconcile(&sandbox, &all).await;
        until_measure(world, "roundtrip_provider_key_refused", 0.0).await;
        assert_eq!(
            world.book(&paid("pm_card_visa")).await.state,
            State::Confirmed
        );
    }

    pub(super) async fn an_authorisation_that_expired_undoes_the_trip(world: &mut World) {
        let sandbox = open(world).await;
        sandbox
            .throw(json!({"failure": "down", "only": ["capture"]}))
            .await;
        let trip = world.ask(&paid("pm_card_visa")).await.trip;
        world.until_state(trip, State::Confirmed).await;
        sandbox.expire().await;
        sandbox.mend().await;
        eventually("it needs attention, or is undone", async || {
            let payments: Value = world.get("payment", "/payments").await;
            let its = &payments["items"][0];
            (its["state"] != "capturing").then_some(())
        })
        .await;
        let listed = sandbox.payments().await;
        assert!(listed.iter().all(|it| it.captured_minor == 0));
    }

    pub(super) async fn a_capture_that_is_refused_undoes_the_trip(world: &mut World) {
        let sandbox = open(world).await;
        sandbox
            .throw(json!({"failure": "refuse-capture", "count": 1}))
            .await;
        let trip = world.ask(&paid("pm_card_visa")).await.trip;
        world.until_state(trip, State::Confirmed).await;
        eventually("it is settled one way or the other", async || {
            let listed = sandbox.payments().await;
            (listed[0].stage != payment::provider::Stage::Authorised).then_some(())
        })
        .await;
    }

    pub(super) async fn a_void_that_fails_is_done_in_the_end(world: &mut World) {
        let sandbox = open(world).await;
        world.rooms("LIS", 0).await;
        let _ = sandbox
            .throw(json!({"failure": "refuse-void", "count": 4}))
            .await;
        sandbox
            .throw(json!({"failure": "slow", "ms": 800, "only": ["authorise"]}))
            .await;
        world.rooms("LIS", 10).await;
        let trip = world.ask(&paid("pm_card_visa")).await.trip;
        eventually("its payment is under way", async || {
            (!sandbox.payments().await.is_empty()).then_some(())
        })
        .await;
        world.cancel_soon(trip).await;
        let view = world.until_state(trip, State::Closed).await;
        assert!(view.outcome == Some(Outcome::Cancelled) || view.outcome.is_some());
        reconcile(&sandbox, &[view]).await;
    }

    pub(super) async fn a_refund_that_fails_is_done_in_the_end(world: &mut World) {
        let sandbox = open(world).await;
        let view = world.book(&paid("pm_card_visa")).await;
        reconcile(&sandbox, &[view.clone()]).await;
        sandbox
            .throw(json!({"failure": "refuse-refund", "count": 3}))
            .await;
        let view = world.cancel(view.trip).await;
        reconcile(&sandbox, &[view]).await;
    }
}
