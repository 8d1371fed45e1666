//! What two replicas promise that meet on one row: the second waits for the first, and judges what the first left.

use std::sync::Arc;

use booking::service::{BookingService, Command, Reply};
use choreography::{Currency, Fact, FactBody, Money, Price, Reason, Speaker, TripId, WireFact};
use leg::service::{Only, SetStock, StockLevel, StockSet};
use runtime::batch::{Done, Step};
use runtime::{Input, TraceContext};
use uuid::Uuid;

use crate::place::*;

pub(crate) async fn two_replicas_meet_on_a_record_that_is_not_there_the_turn_first(place: Place) {
    let (one, two) = (place.flight().await, place.flight().await);
    one.stock(10).await;
    let trip = trip();
    let transactor = Arc::clone(&two.transactor);
    let second = async move {
        transactor
            .run(&[heard(fact(trip, 3, cancelled()))], &[])
            .await
    };
    let done = meet(&one, heard(fact(trip, 3, FactBody::Requested)), second)
        .await
        .unwrap();
    assert_eq!(done.said[0].kind, "flight.released.v1");
    assert_eq!(one.states().await, ["released"]);
    assert_eq!(one.counts().await, ["0 0 10"], "the seats came back");
}

pub(crate) async fn two_replicas_meet_on_a_record_that_is_not_there_the_cancellation_first(
    place: Place,
) {
    let (one, two) = (place.flight().await, place.flight().await);
    one.stock(10).await;
    let trip = trip();
    let transactor = Arc::clone(&two.transactor);
    let second = async move {
        transactor
            .run(&[heard(fact(trip, 3, FactBody::Requested))], &[])
            .await
    };
    let done = meet(&one, heard(fact(trip, 3, cancelled())), second)
        .await
        .unwrap();
    assert_eq!(
        done.said[0].kind, "flight.released.v1",
        "the late request finds the tombstone"
    );
    assert_eq!(one.states().await, ["released"]);
    assert_eq!(one.counts().await, ["0 0 10"], "and takes nothing");
}

pub(crate) async fn two_replicas_meet_on_one_capacity_row(place: Place) {
    let (one, two) = (place.flight().await, place.flight().await);
    one.stock(10).await;
    let transactor = Arc::clone(&two.transactor);
    let second = async move {
        transactor
            .run(&[heard(fact(trip(), 6, FactBody::Requested))], &[])
            .await
    };
    let done = meet(&one, heard(fact(trip(), 6, FactBody::Requested)), second)
        .await
        .unwrap();
    assert_eq!(
        done.said[0].kind, "flight.rejected.v1",
        "four are left, and six were asked for"
    );
    assert_eq!(one.counts().await, ["6 0 4"]);
}

pub(crate) async fn an_operator_and_a_trip_meet_on_one_capacity_row(place: Place) {
    let (one, two) = (place.flight().await, place.flight().await);
    one.stock(10).await;
    let transactor = Arc::clone(&two.transactor);
    let line = StockLevel {
        key: vec!["RT1".into(), DATE.into()],
        total: 5,
        price_minor: 100,
        currency: "EUR".into(),
    };
    let second = async move {
        transactor
            .run(
                &[command(SetStock {
                    levels: vec![line],
                    only: Only::default(),
                })],
                &[],
            )
            .await
    };
    let done = meet(&one, heard(fact(trip(), 6, FactBody::Requested)), second)
        .await
        .unwrap();
    assert!(
        matches!(&done.replies[0], Some(StockSet::Held(refused)) if *refused == [(0, 6)]),
        "six are held by now"
    );
    assert_eq!(one.counts().await, ["6 0 4"]);
}

pub(crate) async fn two_replicas_meet_on_one_idempotency_key(place: Place) {
    let (one, two) = (place.booking().await, place.booking().await);
    joined(&one).await;
    let (first, second) = (trip(), trip());
    let transactor = Arc::clone(&two.transactor);
    let second = async move {
        transactor
            .run(&[command(request(second, "same"))], &[])
            .await
    };
    let done = meet(&one, command(request(first, "same")), second)
        .await
        .unwrap();
    assert!(
        matches!(done.replies[0], Some(Reply::Trip(made)) if made == first),
        "the key stands for the first trip"
    );
    assert!(done.said.is_empty());
    let other = two
        .transactor
        .run(&[command(request(trip(), "other"))], &[])
        .await
        .unwrap();
    assert!(matches!(other.replies[0], Some(Reply::KeyReused)));
    assert_eq!(one.number("select count(*) from trip").await, 1);
}

const HOTEL_NIGHTS: [&str; 3] = ["2030-06-03", "2030-06-04", "2030-06-05"];

/// Six rooms, from one night to the morning after another.
fn stay(check_in: &str, check_out: &str) -> Fact {
    let itinerary = format!(
        r#"[{{"leg":"hotel","hotel":"LIS","room_type":"double","check_in":"{check_in}","check_out":"{check_out}","rooms":6}}]"#
    );
    Fact {
        plan: plan_of(&itinerary),
        ..fact(trip(), 1, FactBody::Requested)
    }
}

/// The second stay shares one night with the first. Whoever had read that night before the first was saved would sell it twice.
pub(crate) async fn two_replicas_meet_on_one_night(place: Place) {
    let (one, two) = (place.hotel().await, place.hotel().await);
    let nights = HOTEL_NIGHTS.map(|night| ["LIS", "double", night]);
    one.offer(&nights.each_ref().map(|key| &key[..]), 10).await;
    let transactor = Arc::clone(&two.transactor);
    let second = async move {
        let shares_a_night = stay(HOTEL_NIGHTS[1], "2030-06-06");
        transactor.run(&[heard(shares_a_night)], &[]).await
    };
    let first = heard(stay(HOTEL_NIGHTS[0], HOTEL_NIGHTS[2]));
    let done = meet(&one, first, second).await.unwrap();
    assert_eq!(
        done.said[0].kind, "hotel.rejected.v1",
        "four are left, and six were asked for"
    );
    assert_eq!(
        one.counts().await,
        ["6 0 4", "6 0 4", "0 0 10"],
        "nor was the night taken that was free"
    );
}

/// A trip of one flight that booking waits for.
async fn pending(booking: &crate::place::Replica<BookingService>) -> TripId {
    joined(booking).await;
    let made = trip();
    let request = command(request(made, "meaning"));
    booking.transactor.run(&[request], &[]).await.unwrap();
    made
}

/// Every leg holds.
fn every_leg_holds(trip: TripId) -> Step<BookingService> {
    let price = Money::new(100, Currency::EUR);
    let said = FactBody::Reserved {
        position: 0,
        price: Price {
            price,
            total: vec![price],
        },
    };
    let fact = Fact {
        speaker: Speaker::Leg("flight".parse().unwrap()),
        ..fact(trip, 1, said)
    };
    Step::Fact {
        id: Uuid::now_v7(),
        kind: fact.kind(),
        subject: fact.subject(),
        trace: TraceContext::default(),
        input: Input::Fact(WireFact::Trip(fact)),
    }
}

fn cancel(trip: TripId) -> Step<BookingService> {
    command(Command::Cancel {
        trip,
        reason: Reason::new("cancelled-by-traveller", "plans changed"),
    })
}

fn said(done: &Done<BookingService>) -> Vec<&str> {
    done.said.iter().map(|event| event.kind.as_str()).collect()
}

pub(crate) async fn two_replicas_meet_on_one_trip_the_last_leg_first(place: Place) {
    let (one, two) = (place.booking().await, place.booking().await);
    let made = pending(&one).await;
    let transactor = Arc::clone(&two.transactor);
    let second = async move { transactor.run(&[cancel(made)], &[]).await };
    let done = meet(&one, every_leg_holds(made), second).await.unwrap();
    assert_eq!(said(&done), ["booking.cancelled.v1"]);
    let Some(Reply::Changed(trip)) = &done.replies[0] else {
        panic!("it is cancelled")
    };
    assert_eq!(
        trip.total(),
        [Money::new(100, Currency::EUR)],
        "it was confirmed when it was cancelled"
    );
    assert_eq!(one.texts("select state from trip").await, ["undoing"]);
}

pub(crate) async fn two_replicas_meet_on_one_trip_the_cancellation_first(place: Place) {
    let (one, two) = (place.booking().await, place.booking().await);
    let made = pending(&one).await;
    let transactor = Arc::clone(&two.transactor);
    let second = async move { transactor.run(&[every_leg_holds(made)], &[]).await };
    let done = meet(&one, cancel(made), second).await.unwrap();
    assert_eq!(
        said(&done),
        ["booking.cancelled.v1"],
        "nobody is told that it goes through"
    );
    assert_eq!(
        one.texts("select state || ' ' || outcome from trip").await,
        ["undoing cancelled"]
    );
}
