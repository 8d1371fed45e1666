//! Two-phase commit as it is measured beside the saga: that a trip is in all three databases or in none, whenever its coordinator dies, a
//! database goes away, or another trip holds what it wants. On real PostgreSQL servers, with a coordinator that is a process of its own.
//!
//! Not how fast it is: that is `roundtrip bench --protocol saga,two-phase`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod crash;
mod place;

use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use e2e_tests::{eventually, prerequisites};
use place::{Place, double, trip};
use two_phase::audit::PREFIX;

#[tokio::test]
async fn a_trip_is_in_all_three_databases_or_in_none() {
    let Some(mut place) = Place::open("a_trip_is_in_all_three_databases_or_in_none").await else {
        return;
    };
    place.start(&[]).await;
    let (status, body) = place.book(&trip("B0", double(2))).await;
    assert_eq!(
        (status, &body["state"]),
        (200, &json!("confirmed")),
        "{body}"
    );
    // A seat at 123, and two rooms for two nights at 99.
    assert_eq!(body["price_minor"], 100 * (123 + 4 * 99));
    let there = place.settled().await;
    assert_eq!(
        (there.confirmed, there.seats_taken, there.rooms_taken),
        (1, 1, 4)
    );
    // The hotel has no suite, there is no such flight, and too few seats are left.
    let suite = json!({"leg": "hotel", "hotel": "H0", "room_type": "suite", "check_in": "2039-06-03", "check_out": "2039-06-05", "rooms": 1});
    let mut seats = trip("FULL", double(1));
    seats["itinerary"][0]["seats"] = json!(2);
    for refused in [trip("B0", suite), trip("NONE", double(1)), seats] {
        let (status, body) = place.book(&refused).await;
        assert_eq!(
            (status, &body["outcome"]),
            (200, &json!("rejected")),
            "{body}"
        );
        let asked = place.show(body["trip"].as_str().unwrap()).await;
        assert_eq!(asked, 404, "a refusal leaves nothing");
        let after = place.audit().await;
        assert_eq!(after, there, "everything is back when it is answered");
    }
    // A name with what means something to SQL is a name.
    let (status, _) = place
        .book(&trip("'); drop schema two_phase cascade; --", double(1)))
        .await;
    assert_eq!(status, 200);
    let flight = json!({"itinerary": [trip("B1", double(1))["itinerary"][0]]});
    let (status, body) = place.book(&flight).await;
    assert_eq!(
        (status, &body["price_minor"]),
        (200, &json!(12_300)),
        "{body}"
    );
    assert_eq!(place.book(&json!({"itinerary": []})).await.0, 400);
    let end = place.settled().await;
    assert_eq!((end.confirmed, end.seats_taken, end.rooms_taken), (2, 2, 4));
}

#[tokio::test]
async fn what_another_holds_is_waited_for_and_not_for_ever() {
    let Some(mut place) = Place::open("what_another_holds_is_waited_for_and_not_for_ever").await
    else {
        return;
    };
    place.start(&[("LOCK_TIMEOUT_MS", "200")]).await;
    let mut other = PgConnection::connect(&place.databases.flight_database_url)
        .await
        .unwrap();
    sqlx::raw_sql("begin; update two_phase.stock set taken = taken where flight = 'B0'")
        .execute(&mut other)
        .await
        .unwrap();
    let (status, body) = place.book(&trip("B0", double(1))).await;
    assert_eq!(status, 504, "{body}");
    // Whoever wants something else has it.
    assert_eq!(place.book(&trip("B1", double(1))).await.0, 200);
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    assert_eq!(place.book(&trip("B0", double(1))).await.0, 200);
    let end = place.settled().await;
    assert_eq!((end.confirmed, end.seats_taken, end.rooms_taken), (2, 2, 4));
}

#[tokio::test]
async fn what_was_decided_reaches_a_database_that_was_away() {
    let test = "what_was_decided_reaches_a_database_that_was_away";
    let (Some(server), Some(mut of_hotel)) = (
        prerequisites::preparing_postgres(test).await,
        prerequisites::own_preparing_postgres(test).await,
    ) else {
        return;
    };
    let mut place = Place::on(test, server, &of_hotel).await;
    place.start(&[]).await;
    let (load, told) = place.load();
    place.until_confirmed(20).await;
    of_hotel.kill().await.unwrap();
    // Those before it at the item may have it wait its turn first.
    eventually("it is told that a database is away", async || {
        let (status, _) = place.book(&trip("B0", double(1))).await;
        (status == 502).then_some(())
    })
    .await;
    of_hotel.restart().await.unwrap();
    // Nothing was started again for that.
    let before = place.audit().await.confirmed;
    place.until_confirmed(before + 20).await;
    load.abort();
    place.adds_up(&told).await;
}

#[tokio::test]
async fn a_server_that_prepares_nothing_is_named() {
    let test = "a_server_that_prepares_nothing_is_named";
    let Some(mut place) = Place::open(test).await else {
        return;
    };
    let cluster = prerequisites::postgres(test).await.unwrap();
    let url = cluster.database("prepares_nothing").await.unwrap();
    let process = place.begin(&[("FLIGHT_DATABASE_URL", url.as_str())]);
    let said = process.wait_ready(&http(), place::SOON).await;
    let said = format!("{:#}", said.unwrap_err());
    assert!(said.contains("max_prepared_transactions"), "{said}");
    assert!(!said.contains("postgres://"), "no password is told: {said}");
}

/// On somebody's server nothing may stay: not even what lies prepared when the measurement is interrupted, and keeps a database there.
#[tokio::test]
async fn a_stack_takes_its_databases_with_it_and_what_lies_prepared_in_them() {
    let test = "a_stack_takes_its_databases_with_it_and_what_lies_prepared_in_them";
    let Some(server) = prerequisites::preparing_postgres(test).await else {
        return;
    };
    let Some(_broker) = prerequisites::nats(test).await else {
        return;
    };
    let url = server.database("somebodys").await.unwrap();
    let options = stack::Options {
        database: stack::DatabaseChoice::Server(url.clone()),
        sample: false,
        program: Some(prerequisites::program()),
        ..stack::Options::temporary()
    };
    let stack = stack::Stack::start(&options, &|line| eprintln!("{line}"))
        .await
        .unwrap();
    let flight = stack.databases()["flight"].clone();
    let prepare = format!("begin; select 1; prepare transaction '{PREFIX}one/x/flight'");
    place::fill(&flight, prepare).await;
    stack.stop().await.unwrap();
    let mut there = PgConnection::connect(&url).await.unwrap();
    let name = flight.rsplit('/').next().unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from pg_database where datname = $1")
        .bind(name)
        .fetch_one(&mut there)
        .await
        .unwrap();
    assert_eq!(left, 0, "{name} is still there");
}

fn http() -> reqwest::Client {
    client::http::local().unwrap().build().unwrap()
}
