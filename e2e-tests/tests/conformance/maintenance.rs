//! What is asked of a database between batches, and what becomes of what cannot be read or saved.

use std::sync::Arc;

use choreography::{FactBody, Position, TripId};
use flight::Flight;
use leg::service::LegService;
use runtime::batch::Step;
use runtime::database::queries;
use runtime::dead_letters::DeadLetter;
use runtime::{Database, Service};
use uuid::Uuid;

use crate::place::*;

pub(crate) async fn dead_letters_alike_are_one_row_with_a_count(place: Place) {
    let flight = place.flight().await;
    let letter = |about: &str, id: &str| {
        Step::<LegService<Flight>>::DeadLetter(Box::new(DeadLetter {
            id: Uuid::now_v7().to_string(),
            aggregateid: about.into(),
            kind: "flight.lost.v1".into(),
            reason: "no such fact".into(),
            subject: "trips.flight.lost".into(),
            headers: "{}".into(),
            payload: "{\u{fffd}}".into(),
            last_id: id.into(),
            count: 1,
            first_us: 0,
            last_us: 0,
        }))
    };
    flight
        .transactor
        .run(&[letter("a", "1"), letter("b", "2")], &[])
        .await
        .unwrap();
    flight
        .transactor
        .run(&[letter("a", "3")], &[])
        .await
        .unwrap();
    flight
        .transactor
        .run(&[letter("a", "3")], &[])
        .await
        .unwrap();
    let rows = flight
        .texts("select aggregateid || ' ' || cast(count as text) from dead_letter order by 1")
        .await;
    assert_eq!(
        rows,
        ["a 2", "b 1"],
        "one message delivered twice counts once"
    );
    assert_eq!(
        flight.number("select count(*) from inbox").await,
        0,
        "so that a replay is heard"
    );
}

pub(crate) async fn a_dead_letter_is_kept_however_long_its_headers_are(place: Place) {
    let flight = place.flight().await;
    // Little that could be compressed: an index is then asked for nearly the whole of it.
    let long = |length| -> String {
        let ids = (0..length).map(|_| Uuid::now_v7().simple().to_string());
        ids.flat_map(|id| id[12..].chars().collect::<Vec<_>>())
            .take(length)
            .collect()
    };
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("ce-subject", format!("\0{}é", long(799)));
    headers.insert("ce-type", long(100_000));
    headers.insert("ce-id", long(100_000));
    let message = async_nats::Message {
        subject: "trips.flight.lost".into(),
        reply: None,
        payload: "\0".into(),
        headers: Some(headers),
        status: None,
        description: None,
        length: 0,
    };
    let letter = DeadLetter::of(&message, &long(100_000));
    assert!(letter.headers.len() > 200_000, "whole");
    flight
        .transactor
        .run(&[Step::DeadLetter(Box::new(letter))], &[])
        .await
        .unwrap();
    assert_eq!(flight.number("select count(*) from dead_letter").await, 1);
}

pub(crate) async fn a_row_that_somebody_damaged_stops_no_other(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let (good, bad) = (trip(), trip());
    let requested = |trip| heard(fact(trip, 1, FactBody::Requested));
    let said = flight
        .transactor
        .run(&[requested(good), requested(bad)], &[])
        .await
        .unwrap()
        .said;
    let mut writer = flight.database.writer().await.unwrap();
    for sql in [
        format!("update leg set trip = 'damaged' where trip = '{bad}'"),
        format!("update outbox set id = 'damaged' where aggregateid = '{bad}'"),
        String::from("update outbox set lease_us = 0"),
    ] {
        writer.run(&sql, vec![]).await.unwrap();
    }
    drop(writer);
    let due =
        queries::due::<(TripId, Position)>(&flight.database, leg::store::LEG, i64::MAX, i64::MAX);
    assert_eq!(due.await.unwrap(), [((good, 0), true)]);
    let swept = queries::sweep(&flight.database, 1_000_000, 512)
        .await
        .unwrap();
    let swept: Vec<Uuid> = swept.iter().map(|event| event.id).collect();
    assert_eq!(swept, [said[0].id]);
}

pub(crate) async fn a_record_that_waits_is_due_when_its_time_comes(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let (held, done) = (trip(), trip());
    let said = flight
        .transactor
        .run(&[heard(fact(held, 1, FactBody::Requested))], &[])
        .await
        .unwrap()
        .said;
    flight
        .transactor
        .run(&[heard(fact(done, 1, cancelled()))], &[])
        .await
        .unwrap();
    let due = async |now_us: i64, far_us: i64| {
        queries::due::<(TripId, Position)>(&flight.database, leg::store::LEG, now_us, far_us)
            .await
            .unwrap()
    };
    assert_eq!(due(0, i64::MAX).await, [], "nothing is due yet");
    assert_eq!(
        due(i64::MAX, i64::MAX).await,
        [((held, 0), true)],
        "only a hold waits, and its word is not out yet"
    );
    flight.transactor.run(&[], &[said[0].id]).await.unwrap();
    assert_eq!(due(i64::MAX, i64::MAX).await, [((held, 0), false)]);
    assert_eq!(
        due(0, 1).await,
        [((held, 0), false)],
        "further off than any pause: a clock went back"
    );
}

pub(crate) async fn an_outbox_row_whose_lease_ended_is_swept_by_one_replica_alone(place: Place) {
    let (one, two) = (place.flight().await, place.flight().await);
    one.stock(10).await;
    let trip = trip();
    let done = one
        .transactor
        .run(&[heard(fact(trip, 1, FactBody::Requested))], &[])
        .await
        .unwrap();
    assert_eq!(
        queries::sweep(&two.database, 60_000_000, 512)
            .await
            .unwrap(),
        [],
        "its publisher still has the lease"
    );
    let mut writer = one.database.writer().await.unwrap();
    writer
        .run("update outbox set lease_us = 0", vec![])
        .await
        .unwrap();
    drop(writer);
    let (first, second) = futures::join!(
        queries::sweep(&one.database, 60_000_000, 512),
        queries::sweep(&two.database, 60_000_000, 512)
    );
    let swept: Vec<runtime::Event> = first.unwrap().into_iter().chain(second.unwrap()).collect();
    let expected = runtime::Event {
        attempt: 1,
        ..done.said[0].clone()
    };
    assert_eq!(
        swept,
        [expected],
        "one of them took it, whole, and counts the attempt"
    );
}

/// Its clock was an hour ahead when it gave the lease, and was put right.
pub(crate) async fn a_lease_from_a_clock_that_went_back_has_ended(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    flight
        .transactor
        .run(&[heard(fact(trip(), 1, FactBody::Requested))], &[])
        .await
        .unwrap();
    let mut writer = flight.database.writer().await.unwrap();
    let ahead = "update outbox set lease_us = lease_us + 3600000000";
    writer.run(ahead, vec![]).await.unwrap();
    drop(writer);
    let sweep = async || {
        queries::sweep(&flight.database, 10_000_000, 512)
            .await
            .unwrap()
    };
    assert_eq!(sweep().await.len(), 1);
    assert_eq!(sweep().await.len(), 0, "it has a lease by the right clock");
}

pub(crate) async fn what_may_be_forgotten_goes_and_nothing_else(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let (held, released) = (trip(), trip());
    flight
        .transactor
        .run(
            &[
                heard(fact(held, 1, FactBody::Requested)),
                heard(fact(released, 1, cancelled())),
            ],
            &[],
        )
        .await
        .unwrap();
    assert_eq!(
        queries::forget_rows(&flight.database, leg::store::LEG, 0)
            .await
            .unwrap(),
        0,
        "not yet"
    );
    assert_eq!(
        queries::forget_rows(&flight.database, leg::store::LEG, i64::MAX)
            .await
            .unwrap(),
        1
    );
    assert_eq!(flight.states().await, ["held"], "a hold is never forgotten");
    assert_eq!(queries::forget_inbox(&flight.database, 0).await.unwrap(), 0);
    assert_eq!(
        queries::forget_inbox(&flight.database, i64::MAX)
            .await
            .unwrap(),
        3
    );
}

pub(crate) async fn eight_processes_that_start_together_make_one_schema(place: Place) {
    let url = Arc::new(place.url.clone());
    let open = |_| {
        let url = Arc::clone(&url);
        tokio::spawn(async move {
            let service = LegService::new(Flight, &settings());
            Database::open(&url, &service.migrations()).await.map(drop)
        })
    };
    for opened in futures::future::join_all((0..8).map(open)).await {
        opened.unwrap().unwrap();
    }
    assert_eq!(
        place
            .flight()
            .await
            .number("select count(*) from seat")
            .await,
        0
    );
}
