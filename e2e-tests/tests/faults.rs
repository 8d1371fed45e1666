//! What goes down comes up again and goes on: `kill -9` of every process in turn, restarts in the middle of the work, a broker that is
//! gone for a while and one that forgets everything. The databases are the truth; whatever is lost costs time, never a trip.
//!
//! A [`Load`] books all the while, so that every fault strikes in the middle: some trips are decided, and some are not.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use booking::core::State;
use e2e_tests::load::{PLENTY, usual};
use e2e_tests::{Load, Stock, World, eventually, everywhere};

everywhere![
    each_process_is_killed_in_turn_during_two_hundred_trips,
    replicas_take_over_from_those_that_are_killed with |setup| setup.replicas(2),
    everything_is_restarted_in_the_middle,
    the_broker_forgets_everything_in_the_middle;
    // Behind a load balancer nobody reaches a service that is not ready.
    only as processes: the_broker_is_down_for_a_while,
];

/// Everybody gets what was to be had, all that they asked for or all of it back, and nobody gets it twice.
async fn until_content(world: &World, crowd: Load) {
    let tally = crowd.go_home().await;
    let confirmed = i64::try_from(tally.confirmed).unwrap();
    let sold = Stock::of(0, confirmed, PLENTY - confirmed);
    world.until_flight("RT100", sold).await;
    world.until_nights("LIS", 1, sold).await;
}

async fn each_process_is_killed_in_turn_during_two_hundred_trips(world: &mut World) {
    let crowd = Load::gather(world).await;
    for victim in ["booking", "flight", "hotel", "broker"] {
        crowd.until_more_are_decided(10).await;
        if victim == "broker" {
            world.kill_broker().await;
            world.restart_broker().await;
        } else {
            world.kill(victim, 0).await;
            world.restart(victim, 0).await;
        }
        crowd.until_more_are_decided(40).await;
    }
    until_content(world, crowd).await;
}

/// What a killed replica was about to publish, and what it had fetched and not acknowledged, is the others' now.
async fn replicas_take_over_from_those_that_are_killed(world: &mut World) {
    let crowd = Load::gather(world).await;
    for victim in ["booking", "flight", "hotel"] {
        crowd.until_more_are_decided(10).await;
        world.kill(victim, 0).await;
        crowd.until_more_are_decided(20).await;
    }
    until_content(world, crowd).await;
}

async fn everything_is_restarted_in_the_middle(world: &mut World) {
    let crowd = Load::gather(world).await;
    crowd.until_more_are_decided(10).await;
    for service in ["booking", "flight", "hotel"] {
        world.stop(service, 0).await;
    }
    world.restart_broker().await;
    for service in ["hotel", "flight", "booking"] {
        world.restart(service, 0).await;
    }
    crowd.until_more_are_decided(40).await;
    until_content(world, crowd).await;
}

async fn the_broker_is_down_for_a_while(world: &mut World) {
    let crowd = Load::gather(world).await;
    crowd.until_more_are_decided(10).await;
    let client = (**world).clone();
    let ready = async || {
        let ready = client.request(reqwest::Method::GET, "booking", "/readyz");
        client.send(ready).await.status
    };
    assert_eq!(ready().await, 200);
    world.kill_broker().await;
    assert_eq!(ready().await, 200, "it may be back in a moment");
    // Booking takes trips all the same, and says after a while that it is not ready for more.
    let held = world.ask(&usual()).await;
    eventually("booking says that it is not ready", async || {
        (ready().await == 503).then_some(())
    })
    .await;
    assert_eq!(world.show(held.trip).await.state, State::Pending);
    world.cancel_soon(held.trip).await;
    world.restart_broker().await;
    world.until_state(held.trip, State::Closed).await;
    crowd.until_more_are_decided(20).await;
    until_content(world, crowd).await;
}

async fn the_broker_forgets_everything_in_the_middle(world: &mut World) {
    let crowd = Load::gather(world).await;
    crowd.until_more_are_decided(10).await;
    world.wipe_broker().await;
    crowd.until_more_are_decided(30).await;
    // And once more, without a restart: an operator deletes the stream under everybody's feet.
    world.jetstream().delete_stream("TRIPS").await.unwrap();
    crowd.until_more_are_decided(30).await;
    until_content(world, crowd).await;
}
