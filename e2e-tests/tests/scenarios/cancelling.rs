//! Cancellations: at any time, and in any order with what they cancel.

use booking::core::{Outcome, Settled, State};
use e2e_tests::trip::{flight, stay, trip};
use e2e_tests::{Stock, World, eventually, everywhere};

everywhere![
    a_pending_trip_is_cancelled,
    a_confirmed_trip_is_cancelled,
    cancelling_again_is_no_news_and_no_error,
    a_request_that_comes_after_its_cancellation_holds_nothing,
];

async fn a_pending_trip_is_cancelled(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    world.pause("hotel", 0).await;
    let trip = world
        .ask(&trip([flight("RT100", 2), stay("LIS", 2, 1)]))
        .await
        .trip;
    world.until_flight("RT100", Stock::of(2, 0, 8)).await;
    let view = world.cancel_soon(trip).await;
    assert_eq!(view.state, State::Undoing);
    assert_eq!(view.outcome, Some(Outcome::Cancelled));
    world.resume("hotel", 0).await;
    let view = world.until_state(trip, State::Closed).await;
    assert_eq!(view.settled, [Some(Settled::Released); 2]);
    assert_eq!(view.reason.unwrap().code, "cancelled-by-traveller");
    assert_eq!(world.flight("RT100").await, Stock::all_free(10));
    assert_eq!(world.nights("LIS").await, [Stock::all_free(5); 3]);
}

async fn a_confirmed_trip_is_cancelled(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    let view = world
        .book(&trip([flight("RT100", 2), stay("LIS", 2, 1)]))
        .await;
    assert_eq!(view.state, State::Confirmed);
    let view = world.cancel(view.trip).await;
    assert_eq!(view.state, State::Closed);
    assert_eq!(view.outcome, Some(Outcome::Cancelled));
    assert_eq!(view.settled, [Some(Settled::Released); 2]);
    assert_eq!(world.flight("RT100").await, Stock::all_free(10));
    assert_eq!(world.nights("LIS").await, [Stock::all_free(5); 3]);
}

async fn cancelling_again_is_no_news_and_no_error(world: &mut World) {
    world.seats("RT100", 10).await;
    let trip = world.book(&trip([flight("RT100", 1)])).await.trip;
    let first = world.cancel(trip).await;
    let again = world.cancel(trip).await;
    assert_eq!(
        (again.state, again.changed),
        (State::Closed, first.changed),
        "nothing happened"
    );
}

/// The leg is down while a trip is asked for and cancelled. The broker then loses the request, so that the leg hears the cancellation
/// alone; and last the request is found again, and comes after all.
async fn a_request_that_comes_after_its_cancellation_holds_nothing(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    world.kill("flight", 0).await;
    let trip = world
        .ask(&trip([flight("RT100", 2), stay("LIS", 2, 1)]))
        .await
        .trip;
    let request = eventually("the request is said", async || {
        world.timeline.of(trip).into_iter().next()
    })
    .await;
    assert_eq!(request.fact(), "booking.requested");
    world.cancel_soon(trip).await;
    let stream = world.jetstream().get_stream("TRIPS").await.unwrap();
    stream.purge().filter(&request.subject).await.unwrap();
    world.restart("flight", 0).await;
    let view = world.until_state(trip, State::Closed).await;
    assert_eq!(view.settled, [Some(Settled::Released); 2]);

    let answers = || {
        let words = world.timeline.of(trip);
        let because =
            |word: &&e2e_tests::Published| word.header("ce-causationid") == request.header("ce-id");
        words
            .iter()
            .filter(because)
            .map(e2e_tests::Published::fact)
            .collect::<Vec<_>>()
    };
    assert!(answers().is_empty());
    world.say_again(&request).await;
    eventually("the late request is answered", async || {
        (!answers().is_empty()).then_some(())
    })
    .await;
    // The same id once more is an echo, and met with silence.
    world.say_again(&request).await;
    world.until_heard("flight").await;
    assert_eq!(answers(), ["flight.released"]);
    assert_eq!(world.flight("RT100").await, Stock::all_free(10));
}
