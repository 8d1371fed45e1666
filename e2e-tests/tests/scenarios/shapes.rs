//! Trips that go through, of every shape: a leg is a position on the itinerary and not a service.

use booking::core::{Outcome, Settled, State};
use e2e_tests::trip::{ROOM_PRICE, SEAT_PRICE, flight, stay, trip};
use e2e_tests::{Stock, World, everywhere};

everywhere![
    a_trip_goes_through,
    a_flight_alone_goes_through,
    a_hotel_alone_goes_through,
    two_flights_go_through,
    there_and_back_goes_through,
    the_same_seat_twice_is_two_seats,
    a_second_position_that_is_refused_gives_back_the_first,
];

async fn a_trip_goes_through(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 5).await;
    let view = world
        .book(&trip([flight("RT100", 2), stay("LIS", 2, 1)]))
        .await;
    assert_eq!(view.state, State::Confirmed);
    assert_eq!(view.outcome, Some(Outcome::Confirmed));
    assert_eq!(view.total[0].amount_minor, 2 * SEAT_PRICE + 2 * ROOM_PRICE);
    world
        .timeline
        .expect(
            view.trip,
            [
                "booking.requested",
                "flight.reserved",
                "hotel.reserved",
                "booking.confirmed",
            ],
        )
        .await;
    world.until_flight("RT100", Stock::of(0, 2, 8)).await;
    world.until_nights("LIS", 2, Stock::of(0, 1, 4)).await;
    assert_eq!(world.nights("LIS").await[2], Stock::all_free(5));
}

async fn a_flight_alone_goes_through(world: &mut World) {
    world.seats("RT100", 10).await;
    let view = world.book(&trip([flight("RT100", 1)])).await;
    assert_eq!(view.state, State::Confirmed);
    world
        .timeline
        .expect(
            view.trip,
            ["booking.requested", "flight.reserved", "booking.confirmed"],
        )
        .await;
    world.until_flight("RT100", Stock::of(0, 1, 9)).await;
}

async fn a_hotel_alone_goes_through(world: &mut World) {
    world.rooms("LIS", 5).await;
    let view = world.book(&trip([stay("LIS", 3, 2)])).await;
    assert_eq!(view.state, State::Confirmed);
    world
        .timeline
        .expect(
            view.trip,
            ["booking.requested", "hotel.reserved", "booking.confirmed"],
        )
        .await;
    world.until_nights("LIS", 3, Stock::of(0, 2, 3)).await;
}

async fn two_flights_go_through(world: &mut World) {
    world.seats("RT100", 10).await;
    world.seats("RT200", 10).await;
    let view = world
        .book(&trip([flight("RT100", 1), flight("RT200", 1)]))
        .await;
    assert_eq!(view.state, State::Confirmed);
    let reserved = world.timeline.of(view.trip);
    let positions: Vec<u64> = reserved
        .iter()
        .filter(|word| word.fact() == "flight.reserved")
        .filter_map(|word| word.data()["position"].as_u64())
        .collect();
    assert!(
        positions.contains(&0) && positions.contains(&1),
        "{positions:?}"
    );
    world.until_flight("RT100", Stock::of(0, 1, 9)).await;
    world.until_flight("RT200", Stock::of(0, 1, 9)).await;
}

async fn there_and_back_goes_through(world: &mut World) {
    world.seats("RT100", 10).await;
    world.seats("RT101", 10).await;
    world.rooms("LIS", 5).await;
    let there_and_back = trip([flight("RT100", 2), stay("LIS", 3, 1), flight("RT101", 2)]);
    let view = world.book(&there_and_back).await;
    assert_eq!(view.state, State::Confirmed);
    assert_eq!(view.total[0].amount_minor, 4 * SEAT_PRICE + 3 * ROOM_PRICE);
    world.until_flight("RT100", Stock::of(0, 2, 8)).await;
    world.until_flight("RT101", Stock::of(0, 2, 8)).await;
    world.until_nights("LIS", 3, Stock::of(0, 1, 4)).await;
    // And all of it comes back.
    let view = world.cancel(view.trip).await;
    assert_eq!(view.settled, [Some(Settled::Released); 3]);
    assert_eq!(world.flight("RT100").await, Stock::all_free(10));
    assert_eq!(world.flight("RT101").await, Stock::all_free(10));
    assert_eq!(world.nights("LIS").await, [Stock::all_free(5); 3]);
}

async fn the_same_seat_twice_is_two_seats(world: &mut World) {
    world.seats("RT100", 3).await;
    let asked = trip([flight("RT100", 1), stay("LIS", 1, 1), flight("RT100", 2)]);
    world.rooms("LIS", 5).await;
    let view = world.book(&asked).await;
    assert_eq!(view.state, State::Confirmed);
    world.until_flight("RT100", Stock::of(0, 3, 0)).await;
}

async fn a_second_position_that_is_refused_gives_back_the_first(world: &mut World) {
    world.seats("RT100", 1).await;
    let view = world
        .book(&trip([flight("RT100", 1), flight("RT100", 1)]))
        .await;
    assert_eq!(view.state, State::Closed);
    assert_eq!(
        view.settled,
        [Some(Settled::Released), Some(Settled::Rejected)]
    );
    assert_eq!(world.flight("RT100").await, Stock::all_free(1));
}
