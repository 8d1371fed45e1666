//! Many travellers at once: nothing is oversold, and replicas share the work.

use booking::core::{Outcome, State};
use booking::view::TripView;
use e2e_tests::trip::{flight, stay, trip};
use e2e_tests::{Stock, World, eventually, everywhere};
use futures::future::join_all;
use reqwest::Method;

everywhere![
    of_fifty_at_once_for_ten_seats_ten_win,
    of_fifty_at_once_at_two_replicas_ten_win with |setup| setup.replicas(2),
    three_replicas_share_the_work_and_each_tells_the_outcome with |setup| setup.replicas(3),
    // Nothing is said again meanwhile: the outbox is to be empty.
    new_trips_are_refused_while_too_many_are_pending with |setup| setup
        .setting("PENDING_MAX", "5")
        .setting("REANNOUNCE_FIRST_MS", "60000")
        .setting("REANNOUNCE_MAX_MS", "60000");
    // Behind a load balancer nobody reaches a service that has been without its broker for long.
    only as processes:
    new_trips_are_refused_while_too_many_facts_wait_for_the_broker with |setup| setup.setting("PENDING_MAX", "5"),
];

async fn fifty_for_ten(world: &World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 50).await;
    let asked = trip([flight("RT100", 1), stay("LIS", 1, 1)]);
    let replicas = world.replicas("booking");
    let booked = join_all((0..50).map(|i| book_at(world, i % replicas, &asked))).await;
    let won = booked
        .iter()
        .filter(|view| view.state == State::Confirmed)
        .count();
    assert_eq!(won, 10);
    for lost in booked.iter().filter(|view| view.state != State::Confirmed) {
        assert_eq!(lost.outcome, Some(Outcome::Rejected));
        assert_eq!(lost.reason.as_ref().unwrap().code, "sold-out");
    }
    world.until_flight("RT100", Stock::of(0, 10, 0)).await;
    world.until_nights("LIS", 1, Stock::of(0, 10, 40)).await;
}

async fn of_fifty_at_once_for_ten_seats_ten_win(world: &mut World) {
    fifty_for_ten(world).await;
}

async fn of_fifty_at_once_at_two_replicas_ten_win(world: &mut World) {
    fifty_for_ten(world).await;
}

async fn book_at(world: &World, replica: usize, asked: &e2e_tests::trip::Asked) -> TripView {
    let request = world
        .request_at(replica, Method::POST, "booking", "/bookings")
        .json(&asked.body)
        .header("Prefer", "wait=45");
    let answer = world.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("preference-applied"), "wait=45");
    answer.json()
}

/// Whoever is asked answers with the outcome, although another replica may have decided it.
async fn three_replicas_share_the_work_and_each_tells_the_outcome(world: &mut World) {
    world.seats("RT100", 500).await;
    world.rooms("LIS", 500).await;
    let asked = trip([flight("RT100", 1), stay("LIS", 1, 1)]);
    let mut booked = 0;
    eventually("each replica has worked", async || {
        let views = join_all((0..30).map(|i| book_at(world, i % 3, &asked))).await;
        assert!(views.iter().all(|view| view.state == State::Confirmed));
        booked += 30;
        for service in ["booking", "flight", "hotel"] {
            let heard = world.metrics(service, "roundtrip_facts_in_total", "").await;
            if heard.len() < 3 || heard.iter().any(|facts| *facts < 1.0) {
                return None;
            }
        }
        Some(())
    })
    .await;
    world
        .until_flight("RT100", Stock::of(0, booked, 500 - booked))
        .await;
}

/// Overload is met where trips begin: a clear word and when to ask again, and no trip.
async fn new_trips_are_refused_while_too_many_are_pending(world: &mut World) {
    world.seats("RT100", 100).await;
    world.rooms("LIS", 100).await;
    world.pause("hotel", 0).await;
    let asked = trip([flight("RT100", 1), stay("LIS", 1, 1)]);
    let mut taken = 0;
    let refused = eventually("a trip is refused", async || {
        let answer = world.send(world.asking(&asked)).await;
        taken += usize::from(answer.status == 202);
        (answer.status != 202).then_some(answer)
    })
    .await;
    assert!(refused.problem(503).kind.contains("too-many-pending"));
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    assert!(taken > 5, "{taken}");
    // Also when everything that was said about them is out: they are pending.
    eventually("all is said", async || {
        let waiting = world.metrics("booking", "roundtrip_outbox_depth", "").await;
        waiting.iter().all(|depth| *depth == 0.0).then_some(())
    })
    .await;
    world.send(world.asking(&asked)).await.problem(503);
    world.resume("hotel", 0).await;
    eventually("trips are taken again", async || {
        let answer = world.send(world.asking(&asked)).await;
        (answer.status == 202).then_some(())
    })
    .await;
}

/// Nothing is pending, for each trip is cancelled at once; but what was said about them waits, since the broker is down.
async fn new_trips_are_refused_while_too_many_facts_wait_for_the_broker(world: &mut World) {
    world.seats("RT100", 100).await;
    world.kill_broker().await;
    let asked = trip([flight("RT100", 1)]);
    let mut taken = 0;
    let refused = eventually("a trip is refused", async || {
        let answer = world.send(world.asking(&asked)).await;
        if answer.status != 202 {
            return Some(answer);
        }
        taken += 1;
        assert!(taken < 500, "nobody minds");
        world.cancel_soon(answer.json::<TripView>().trip).await;
        None
    })
    .await;
    assert!(refused.problem(503).kind.contains("too-many-pending"));
    assert!(taken > 2, "two facts for each trip: {taken}");
    assert!(world.trips("/bookings?state=pending").await.is_empty());
    world.restart_broker().await;
    eventually("trips are taken again", async || {
        let answer = world.send(world.asking(&asked)).await;
        (answer.status == 202).then_some(())
    })
    .await;
}
