//! What one replica's transaction promises.

use booking::service::Reply;
use choreography::FactBody;
use runtime::batch::Step;
use runtime::database::Failure;
use runtime::{Input, TraceContext};
use uuid::Uuid;

use crate::place::*;

pub(crate) async fn a_fact_is_applied_once_however_often_it_comes(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let (id, trip) = (Uuid::now_v7(), trip());
    let requested = || heard_as(id, fact(trip, 2, FactBody::Requested));
    let done = flight
        .transactor
        .run(&[requested(), requested()], &[])
        .await
        .unwrap();
    assert_eq!(
        done.said.len(),
        1,
        "one id twice in a batch is applied once"
    );
    let again = flight.transactor.run(&[requested()], &[]).await.unwrap();
    assert!(again.said.is_empty(), "the same id is an echo");
    assert_eq!(flight.counts().await, ["2 0 8"]);
    let question = || [heard(fact(trip, 2, FactBody::Requested))];
    let early = flight.transactor.run(&question(), &[]).await.unwrap();
    assert!(
        early.said.is_empty(),
        "the answer that lies in the outbox will do"
    );
    let sent = [done.said[0].id];
    flight.transactor.run(&[], &sent).await.unwrap();
    // Now the inbox alone tells an echo from a question.
    let again = flight.transactor.run(&[requested()], &[]).await.unwrap();
    assert!(
        again.said.is_empty(),
        "the same id is an echo, however late"
    );
    let question = flight.transactor.run(&question(), &[]).await.unwrap();
    assert_eq!(question.said.len(), 1, "a new id is a question");
    assert_eq!(flight.counts().await, ["2 0 8"], "and asking takes nothing");
}

pub(crate) async fn what_is_said_stays_in_the_outbox_until_it_is_published(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let done = flight
        .transactor
        .run(&[heard(fact(trip(), 1, FactBody::Requested))], &[])
        .await
        .unwrap();
    let ids: Vec<Uuid> = done.said.iter().map(|event| event.id).collect();
    assert_eq!(
        flight.texts("select id from outbox").await,
        [ids[0].to_string()]
    );
    flight.transactor.run(&[], &ids).await.unwrap();
    assert_eq!(flight.number("select count(*) from outbox").await, 0);
}

pub(crate) async fn a_transaction_that_is_not_committed_leaves_no_trace(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let steps = [heard(fact(trip(), 1, FactBody::Requested))];
    drop(flight.transactor.open(&steps, &[]).await.unwrap());
    flight.transactor.run(&[], &[]).await.unwrap();
    for table in ["leg", "outbox"] {
        assert_eq!(
            flight
                .number(&format!("select count(*) from {table}"))
                .await,
            0,
            "{table}"
        );
    }
    assert_eq!(flight.counts().await, ["0 0 10"]);
    let done = flight.transactor.run(&steps, &[]).await.unwrap();
    assert_eq!(done.said.len(), 1, "the inbox did not keep it either");
}

pub(crate) async fn hearing_what_writes_nothing_leaves_no_row_behind(place: Place) {
    let flight = place.flight().await;
    let done = flight
        .transactor
        .run(&[heard(fact(trip(), 1, FactBody::Confirmed))], &[])
        .await
        .unwrap();
    assert_eq!(done.anomalies.len(), 1);
    assert_eq!(flight.number("select count(*) from leg").await, 0);
}

pub(crate) async fn a_command_done_again_makes_no_second_trip(place: Place) {
    let booking = place.booking().await;
    joined(&booking).await;
    let made = trip();
    // As after a COMMIT whose outcome is unknown: the same batch, with the same ids.
    let id = Uuid::now_v7();
    let step = || Step::Command {
        id,
        trace: TraceContext::default(),
        input: Input::Command(request(made, "meaning")),
    };
    for _ in 0..2 {
        let done = booking.transactor.run(&[step()], &[]).await.unwrap();
        assert!(matches!(done.replies[0], Some(Reply::Trip(trip)) if trip == made));
    }
    assert_eq!(booking.number("select count(*) from trip").await, 1);
    assert_eq!(booking.number("select count(*) from outbox").await, 1);
    // One that was refused for its key is refused again, and not answered with somebody else's trip.
    let id = Uuid::now_v7();
    for _ in 0..2 {
        let step = Step::Command {
            id,
            trace: TraceContext::default(),
            input: Input::Command(request(trip(), "another meaning")),
        };
        let done = booking.transactor.run(&[step], &[]).await.unwrap();
        assert!(matches!(done.replies[0], Some(Reply::KeyReused)));
    }
}

pub(crate) async fn what_the_database_refuses_for_the_datas_sake_is_told_apart(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let (good, bad) = (trip(), trip());
    flight
        .transactor
        .run(&[heard(fact(bad, 4, FactBody::Requested))], &[])
        .await
        .unwrap();
    // Somebody meddled: the seats that the trip holds are not counted as held any more.
    let mut writer = flight.database.writer().await.unwrap();
    writer
        .run("update seat set held = 0, free = 10", vec![])
        .await
        .unwrap();
    drop(writer);
    let both = [
        heard(fact(good, 1, FactBody::Requested)),
        heard(fact(bad, 4, cancelled())),
    ];
    let failure = flight
        .transactor
        .run(&both, &[])
        .await
        .err()
        .expect("held would fall below zero");
    assert!(matches!(failure, Failure::Poison(_)), "{failure:?}");
    assert_eq!(
        flight.states().await,
        ["held"],
        "nothing of the batch was saved"
    );
    flight
        .transactor
        .run(&both[..1], &[])
        .await
        .expect("the connection is as good as new");
}

pub(crate) async fn whoever_waits_too_long_for_a_lock_tries_again(place: Place) {
    let (one, two) = (place.flight().await, place.flight().await);
    one.stock(10).await;
    let trip = trip();
    let steps = [heard(fact(trip, 1, FactBody::Requested))];
    let stopped = one.transactor.open(&steps, &[]).await.unwrap();
    let failure = two
        .transactor
        .run(&[heard(fact(trip, 1, cancelled()))], &[])
        .await
        .err()
        .expect("the first never commits");
    assert!(matches!(failure, Failure::Retry(_)), "{failure:?}");
    drop(stopped);
    one.transactor.run(&[], &[]).await.unwrap();
    two.transactor
        .run(&[heard(fact(trip, 1, cancelled()))], &[])
        .await
        .unwrap();
    assert_eq!(two.states().await, ["released"]);
}
