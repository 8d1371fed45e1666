//! Trips that do not go through, and so come all the way back.

use booking::core::{Outcome, Settled, State};
use booking::view::TripView;
use choreography::TripId;
use e2e_tests::trip::{ROOM_PRICE, SEAT_PRICE, flight, stay, trip};
use e2e_tests::{Stock, World, eventually, everywhere};
use serde_json::json;

everywhere![
    the_flight_refuses_and_the_hotel_never_hears_of_it,
    the_hotel_refuses_and_the_flight_is_given_back,
    one_full_night_refuses_the_whole_stay,
    what_is_not_on_offer_is_refused,
    a_leg_that_would_exceed_the_budget_refuses_and_an_equal_one_passes,
    the_deadline_passes_while_the_hotel_is_down_and_everything_comes_back_once_it_is_up;
    // A load balancer takes its time to believe again in who was paused, and two are here, one after the other.
    only as processes: a_leg_that_is_slow_to_give_back_is_asked_again,
];

fn refused(view: &TripView, code: &str, settled: &[Settled]) {
    assert_eq!(view.state, State::Closed);
    assert_eq!(view.outcome, Some(Outcome::Rejected));
    assert_eq!(view.reason.as_ref().unwrap().code, code);
    let all: Vec<Option<Settled>> = settled.iter().copied().map(Some).collect();
    assert_eq!(view.settled, all);
    assert!(view.waiting_for.is_empty());
}

async fn the_flight_refuses_and_the_hotel_never_hears_of_it(world: &mut World) {
    world.seats("RT100", 1).await;
    world.rooms("LIS", 5).await;
    let view = world
        .book(&trip([flight("RT100", 2), stay("LIS", 2, 1)]))
        .await;
    refused(&view, "sold-out", &[Settled::Rejected, Settled::Behind]);
    world
        .timeline
        .expect(view.trip, ["booking.requested", "flight.rejected"])
        .await;
    assert_eq!(world.flight("RT100").await, Stock::all_free(1));
    assert_eq!(world.nights("LIS").await, [Stock::all_free(5); 3]);
}

async fn the_hotel_refuses_and_the_flight_is_given_back(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 1).await;
    let view = world
        .book(&trip([flight("RT100", 2), stay("LIS", 2, 2)]))
        .await;
    refused(&view, "sold-out", &[Settled::Released, Settled::Rejected]);
    world
        .timeline
        .expect(
            view.trip,
            [
                "booking.requested",
                "flight.reserved",
                "hotel.rejected",
                "flight.released",
            ],
        )
        .await;
    assert_eq!(world.flight("RT100").await, Stock::all_free(10));
    assert_eq!(world.nights("LIS").await, [Stock::all_free(1); 3]);
}

/// The flight holds, and does not hear that the hotel refused: booking asks it, in a word that was not said before.
async fn a_leg_that_is_slow_to_give_back_is_asked_again(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 1).await;
    world.pause("hotel", 0).await;
    let asked = trip([flight("RT100", 2), stay("LIS", 2, 2)]);
    let trip = world.ask(&asked).await.trip;
    world.until_flight("RT100", Stock::of(2, 0, 8)).await;
    // It holds before it says so.
    until_said(world, trip, "flight.reserved").await;
    world.pause("flight", 0).await;
    world.resume("hotel", 0).await;
    until_said(world, trip, "booking.cancelled").await;
    world.resume("flight", 0).await;
    let view = world.until_state(trip, State::Closed).await;
    refused(&view, "sold-out", &[Settled::Released, Settled::Rejected]);
    world
        .timeline
        .expect(
            trip,
            [
                "booking.requested",
                "flight.reserved",
                "hotel.rejected",
                "flight.released",
            ],
        )
        .await;
    assert_eq!(world.flight("RT100").await, Stock::all_free(10));
}

async fn until_said(world: &World, trip: TripId, fact: &str) {
    eventually(fact, async || {
        let said = world.timeline.facts(trip);
        said.iter().any(|said| said == fact).then_some(())
    })
    .await;
}

async fn one_full_night_refuses_the_whole_stay(world: &mut World) {
    world.rooms("LIS", 1).await;
    let first_night = world.book(&trip([stay("LIS", 1, 1)])).await;
    assert_eq!(first_night.state, State::Confirmed);
    let view = world.book(&trip([stay("LIS", 3, 1)])).await;
    refused(&view, "sold-out", &[Settled::Rejected]);
    world.until_nights("LIS", 1, Stock::of(0, 1, 0)).await;
    assert_eq!(world.nights("LIS").await[1..], [Stock::all_free(1); 2]);
}

async fn what_is_not_on_offer_is_refused(world: &mut World) {
    world.seats("RT100", 10).await;
    let view = world.book(&trip([flight("RT999", 1)])).await;
    refused(&view, "unknown-stock", &[Settled::Rejected]);
    // Details that the leg cannot read are an answer too, and not a dead letter.
    let odd = json!({"leg": "flight", "flight": ["RT100"], "date": "2039-06-03"});
    let view = world.book(&trip([odd])).await;
    refused(&view, "unreadable-details", &[Settled::Rejected]);
    assert!(world.letters("flight").await.is_empty());
}

async fn a_leg_that_would_exceed_the_budget_refuses_and_an_equal_one_passes(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    let asked = trip([flight("RT100", 1), stay("LIS", 2, 1)]);
    let costs = SEAT_PRICE + 2 * ROOM_PRICE;
    let view = world.book(&asked.clone().budget(costs - 1)).await;
    refused(&view, "budget", &[Settled::Released, Settled::Rejected]);
    let view = world.book(&asked.clone().budget(SEAT_PRICE - 1)).await;
    refused(&view, "budget", &[Settled::Rejected, Settled::Behind]);
    let dollars = json!({"amount_minor": 10 * costs, "currency": "USD"});
    let view = world.book(&asked.clone().with("budget", dollars)).await;
    refused(&view, "currency", &[Settled::Rejected, Settled::Behind]);
    assert_eq!(world.flight("RT100").await, Stock::all_free(10));
    let view = world.book(&asked.budget(costs)).await;
    assert_eq!(view.state, State::Confirmed);
    assert_eq!(view.total[0].amount_minor, costs);
}

async fn the_deadline_passes_while_the_hotel_is_down_and_everything_comes_back_once_it_is_up(
    world: &mut World,
) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    world.kill("hotel", 0).await;
    let asked = trip([flight("RT100", 2), stay("LIS", 2, 1)]).deadline_s(1);
    let trip = world.ask(&asked).await.trip;
    let view = world
        .until(trip, "the flight is back", |view| view.settled[0].is_some())
        .await;
    assert_eq!(view.state, State::Undoing);
    assert_eq!(view.outcome, Some(Outcome::Expired));
    assert_eq!(view.waiting_for[0].leg, "hotel");
    assert_eq!(view.waiting_for[0].position, 1);
    assert_eq!(world.flight("RT100").await, Stock::all_free(10));
    world.restart("hotel", 0).await;
    let view = world.until_state(trip, State::Closed).await;
    assert_eq!(view.settled, [Some(Settled::Released); 2]);
    assert_eq!(view.reason.unwrap().code, "deadline");
    assert_eq!(world.nights("LIS").await, [Stock::all_free(5); 3]);
}
