//! The coordinator dies between a trip's first prepare and its last commit, at each step; and without what keeps trips whole then, these tests
//! are red.

use e2e_tests::eventually;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use two_phase::audit::{PREFIX, Watch};
use two_phase::faults::{CrashPoint, Guard, WITHOUT};

use crate::place::{Place, fill};

/// How often a coordinator dies at most until a death is seen to matter.
const DEATHS_MAX: u32 = 60;

#[tokio::test]
async fn a_coordinator_that_dies_at_any_step_leaves_no_half_trip() {
    let test = "a_coordinator_that_dies_at_any_step_leaves_no_half_trip";
    let Some(mut place) = Place::open(test).await else {
        return;
    };
    place.start(&[]).await;
    for point in CrashPoint::ALL {
        let (load, told) = place.load();
        place.until_more_are_told(&told, 10).await;
        place.die_at(point).await;
        if point != CrashPoint::OneCommitted {
            let left = place.in_doubt().await;
            assert!(left > 0, "{}: nothing was in doubt", point.as_str());
        }
        place.restart(&[]).await;
        place.until_more_are_told(&told, 10).await;
        load.abort();
        place.adds_up(&told).await;
    }
}

/// In the middle of many trips, wherever each of them is.
#[tokio::test]
async fn a_coordinator_that_is_killed_again_and_again_leaves_no_half_trip() {
    let test = "a_coordinator_that_is_killed_again_and_again_leaves_no_half_trip";
    let Some(mut place) = Place::open(test).await else {
        return;
    };
    place.start(&[]).await;
    let (load, told) = place.load();
    for _ in 0..5 {
        place.until_more_are_told(&told, 15).await;
        place.kill().await;
        place.restart(&[]).await;
    }
    place.until_more_are_told(&told, 15).await;
    load.abort();
    place.adds_up(&told).await;
}

/// The proof that the decision has to be on disk before anything is committed.
#[tokio::test]
async fn without_a_decision_a_crash_leaves_half_trips() {
    let Some(mut place) = Place::open("without_a_decision_a_crash_leaves_half_trips").await else {
        return;
    };
    place.start(&[(WITHOUT, Guard::Decision.as_str())]).await;
    // Trips that nobody decided for there are in any case. A half one is there once the dead coordinator had told one database and not the
    // other: the other rolls back then. Both may have heard it, so it dies more than once.
    for _ in 0..DEATHS_MAX {
        let (load, told) = place.load();
        place.until_more_are_told(&told, 10).await;
        place.die_at(CrashPoint::OneCommitted).await;
        load.abort();
        place.restart(&[]).await;
        if place.half_trips().await > 0 {
            return;
        }
    }
    panic!(
        "{DEATHS_MAX} deaths, and no half trip: {}",
        place.audit().await
    );
}

/// Another coordinator that lives ends what a dead one left, and nothing of one that still has its name.
#[tokio::test]
async fn a_living_coordinator_ends_what_a_dead_one_left() {
    let test = "a_living_coordinator_ends_what_a_dead_one_left";
    let Some(mut place) = Place::open(test).await else {
        return;
    };
    place.start(&[("COORDINATOR", "two")]).await;
    let (load, told) = place.load();
    place.until_more_are_told(&told, 10).await;
    place.die_at(CrashPoint::Decided).await;
    load.abort();
    let left = place.in_doubt().await;
    assert!(left > 0, "nothing was in doubt");
    let booking = &place.databases.booking_database_url;
    let mut alive = PgConnection::connect(booking).await.unwrap();
    eventually("the server notices that it is dead", async || {
        let lock = "select pg_try_advisory_lock(hashtextextended($1, 0))";
        let lock = sqlx::query_scalar::<_, bool>(lock).bind(format!("{PREFIX}two/"));
        lock.fetch_one(&mut alive).await.unwrap().then_some(())
    })
    .await;
    // It answers once it has looked everywhere.
    place.start(&[("COORDINATOR", "one")]).await;
    assert_eq!(place.in_doubt().await, left, "another has the name");
    alive.close().await.unwrap();
    place.adds_up(&told).await;
}

/// The proof that what is in doubt has to be ended by somebody.
#[tokio::test]
async fn without_recovery_seats_stay_locked() {
    let Some(mut place) = Place::open("without_recovery_seats_stay_locked").await else {
        return;
    };
    place.start(&[]).await;
    let (load, told) = place.load();
    place.until_more_are_told(&told, 10).await;
    place.die_at(CrashPoint::Decided).await;
    load.abort();
    place.restart(&[(WITHOUT, Guard::Recovery.as_str())]).await;
    let report = place.audit().await;
    assert!(report.in_doubt > 0 && !report.is_clean(), "{report}");
    // And with it, everything ends.
    place.kill().await;
    place.restart(&[(WITHOUT, "")]).await;
    place.adds_up(&told).await;
}

/// A coordinator died as its decision was on its way: the next one waits for it, and does not take it for none.
#[tokio::test]
async fn a_decision_that_is_still_being_written_is_waited_for() {
    let test = "a_decision_that_is_still_being_written_is_waited_for";
    let Some(mut place) = Place::open(test).await else {
        return;
    };
    let id = uuid::Uuid::now_v7();
    for (url, site, take) in [
        (
            &place.databases.flight_database_url,
            "flight",
            format!("two_phase.take_seats('{id}', 0, 'B0', '2039-06-03', 1)"),
        ),
        (
            &place.databases.hotel_database_url,
            "hotel",
            format!(
                "two_phase.take_rooms('{id}', 1, 'H0', 'double', array['2039-06-03', '2039-06-04'], 1)"
            ),
        ),
    ] {
        let prepare =
            format!("begin; select {take}; prepare transaction '{PREFIX}one/{id}/{site}'");
        fill(url, prepare).await;
    }
    let booking = &place.databases.booking_database_url;
    let mut dying = PgConnection::connect(booking).await.unwrap();
    let decide =
        format!("begin; insert into two_phase.trip values ('{id}', 'confirmed', '[]', 2, 1)");
    let decide = sqlx::raw_sql(AssertSqlSafe(decide));
    decide.execute(&mut dying).await.unwrap();
    place.begin(&[]);
    let mut watch = Watch::new(&place.databases.booking_database_url);
    eventually("it waits for the decision", async || {
        let locks = watch.look(PREFIX).await.unwrap();
        (locks.waiting > 0).then_some(())
    })
    .await;
    assert_eq!(place.in_doubt().await, 2);
    sqlx::raw_sql("commit").execute(&mut dying).await.unwrap();
    let report = place.settled().await;
    assert_eq!((report.confirmed, report.seats_taken), (1, 1), "{report}");
}
