//! What two replicas promise that meet on one row: the second waits for the first, and judges what the first left.

use std::sync::Arc;

use booking::service::Reply;
use choreography::Said;
use leg::service::{Line, SetStock};

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
    let done = meet(&one, heard(fact(trip, 3, Said::Requested)), second)
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
            .run(&[heard(fact(trip, 3, Said::Requested))], &[])
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
            .run(&[heard(fact(trip(), 6, Said::Requested))], &[])
            .await
    };
    let done = meet(&one, heard(fact(trip(), 6, Said::Requested)), second)
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
    let line = Line {
        key: vec!["RT1".into(), DATE.into()],
        total: 5,
        price_minor: 100,
        currency: "EUR".into(),
    };
    let second = async move { transactor.run(&[command(SetStock(vec![line]))], &[]).await };
    let done = meet(&one, heard(fact(trip(), 6, Said::Requested)), second)
        .await
        .unwrap();
    assert!(
        matches!(&done.replies[0], Some(Err(refused)) if *refused == [(0, 6)]),
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
