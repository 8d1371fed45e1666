//! What becomes of a batch that the database did not take: what went wrong is told apart by its consequence, and the next batch finds
//! nothing of it. What only a server can do to its clients is shown on PostgreSQL alone.

use choreography::FactBody;
use flight::Flight;
use leg::service::LegService;
use runtime::database::Failure;

use crate::place::*;

type Flights = Replica<LegService<Flight>>;

async fn run(flight: &Flights, sql: &str) -> Result<Vec<String>, Failure> {
    flight.database.writer().await?.run(sql, vec![]).await
}

/// Two replicas that make one row at once: the second finds it there when it tries again. A row that breaks a rule of the data does
/// not get better.
pub(crate) async fn a_row_that_another_made_first_is_tried_again(place: Place) {
    let flight = place.flight().await;
    let letter = "insert into dead_letter (id, aggregateid, type, reason, subject, headers, payload, count, last_id, first_us, last_us) \
                  values ('ID', 'a', 't', 'r', 's', '{}', '', COUNT, '1', 0, 0)";
    let letter = |id: &str, count: &str| letter.replace("ID", id).replace("COUNT", count);
    for (sql, again) in [
        (
            String::from("insert into inbox (id, seen_us) values ('a', 0)"),
            None,
        ),
        (letter("1", "1"), Some(letter("2", "1"))),
    ] {
        run(&flight, &sql).await.unwrap();
        let failure = run(&flight, &again.unwrap_or(sql)).await.unwrap_err();
        assert!(matches!(failure, Failure::Retry(_)), "{failure:?}");
    }
    for sql in [
        letter("3", "0").replace("'a'", "'b'"),
        letter("3", "null").replace("'a'", "'b'"),
    ] {
        let failure = run(&flight, &sql).await.unwrap_err();
        assert!(matches!(failure, Failure::Poison(_)), "{failure:?}");
    }
}

/// The server takes all statements of a batch and refuses its commit. On SQLite the commit is part of the last statement.
pub(crate) async fn a_batch_whose_commit_fails_was_not_saved(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    for sql in [
        "create function refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$",
        "create constraint trigger refused after insert on outbox deferrable initially deferred for each row execute function refuse()",
    ] {
        run(&flight, sql).await.unwrap();
    }
    let steps = [heard(fact(trip(), 4, FactBody::Requested))];
    let failure = flight.transactor.run(&steps, &[]).await.err();
    let failure = failure.expect("whoever hears that it is saved acknowledges it and publishes it");
    assert!(matches!(failure, Failure::Retry(_)), "{failure:?}");
    assert_eq!(flight.counts().await, ["0 0 10"]);
    run(&flight, "drop trigger refused on outbox")
        .await
        .unwrap();
    let done = flight.transactor.run(&steps, &[]).await.unwrap();
    assert_eq!(done.said.len(), 1, "its ids were not kept either");
    assert_eq!(flight.counts().await, ["4 0 6"]);
}

pub(crate) async fn a_connection_that_ends_in_the_middle_is_opened_anew(place: Place) {
    let (flight, other) = (place.flight().await, place.flight().await);
    flight.stock(10).await;
    let pid = run(&flight, "select pg_backend_pid()::text").await.unwrap();
    let steps = [heard(fact(trip(), 4, FactBody::Requested))];
    let open = flight.transactor.open(&steps, &[]).await.unwrap();
    let ended = format!("select pg_terminate_backend({}, 5000)::text", pid[0]);
    assert_eq!(run(&other, &ended).await.unwrap(), ["true"]);
    let failure = open.commit().await.err().expect("nobody is there");
    assert!(matches!(failure, Failure::Retry(_)), "{failure:?}");
    let done = flight.transactor.run(&steps, &[]).await.unwrap();
    assert_eq!(done.said.len(), 1);
    assert_eq!(flight.counts().await, ["4 0 6"]);
}

/// A former primary lets nobody write, and says so on that connection for ever.
pub(crate) async fn a_connection_that_may_not_write_any_more_is_opened_anew(place: Place) {
    let flight = place.flight().await;
    run(&flight, "set default_transaction_read_only = on")
        .await
        .unwrap();
    let steps = [heard(fact(trip(), 1, cancelled()))];
    let failure = flight.transactor.run(&steps, &[]).await.err();
    let failure = failure.expect("it may not write");
    assert!(matches!(failure, Failure::Retry(_)), "{failure:?}");
    flight.transactor.run(&steps, &[]).await.unwrap();
    assert_eq!(flight.states().await, ["released"]);
}
