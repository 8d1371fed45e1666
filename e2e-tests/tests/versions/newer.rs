//! This version upon databases that the next one has already changed: it runs on while that one migrates, it starts after that, and
//! what the next one wrote is still there. So an upgrade goes replica by replica, and back.

use booking::core::State;
use choreography::TripId;
use e2e_tests::trip::{Asked, flight, stay, trip};
use e2e_tests::{Stock, World, eventually, fixtures, on_both_databases};
use futures::future::join_all;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqlSafeStr as _, SqliteConnection};

use crate::expand;

on_both_databases![
    this_version_goes_on_when_the_next_one_has_migrated with |setup| setup.replicas(2),
];

/// What the next version might bring: where it is applied, its number there, and its statements. Some columns are called as things
/// are called in our own statements.
const RUNTIME: (&str, i64, &str) = (
    "runtime_migration",
    900,
    "alter table inbox add column value text;
     alter table inbox add column next_source text not null default '';
     alter table outbox add column next_partition_key text;
     alter table outbox add column next_priority bigint not null default 0;
     alter table dead_letter add column next_looked_at_us bigint;
     create table k0 (id text not null primary key, count bigint not null default 0);
     create index next_outbox on outbox (next_priority, lease_us);",
);
const BOOKING: (&str, i64, &str) = (
    "service_migration",
    9_001,
    "alter table idempotency add column next_caller text not null default '';
     alter table trip add column next_cost_centre text;
     alter table trip add column value bigint not null default 0;
     alter table joined_leg add column id text;
     create table next_loyalty (trip text not null primary key, points bigint not null);
     create index next_trip on trip (traveller);",
);
/// Numbered before what is applied already: shared and own migrations meet in one table.
const LEG: (&str, i64, &str) = (
    "service_migration",
    900,
    "alter table leg add column next_supplier text;
     alter table leg add column value bigint not null default 0;
     create table next_supplier (name text not null primary key);
     create index next_leg on leg (next_supplier);",
);
const FLIGHT: (&str, i64, &str) = (
    "service_migration",
    9_001,
    "alter table seat add column next_gate text; alter table seat add column d bigint not null default 0;",
);
const HOTEL: (&str, i64, &str) = (
    "service_migration",
    9_001,
    "alter table room add column next_beds bigint not null default 1;",
);

#[test]
fn the_next_version_here_keeps_the_rule_too() {
    for (_, _, sql) in [RUNTIME, BOOKING, LEG, FLIGHT, HOTEL] {
        assert_eq!(expand::refusals(sql, &[].into()), [""; 0]);
    }
}

/// As the next version's own start does it.
async fn migrate(url: &str, (table, number, sql): (&str, i64, &'static str)) {
    let sql = AssertSqlSafe(sql).into_sql_str();
    let next = Migration::new(number, "next".into(), MigrationType::Simple, sql, false);
    let mut migrator = Migrator::with_migrations(vec![next]);
    migrator.dangerous_set_table_name(table.to_owned());
    migrator.set_ignore_missing(true);
    if url.starts_with("sqlite:") {
        let mut database = SqliteConnection::connect(url).await.unwrap();
        migrator.run(&mut database).await.unwrap();
    } else {
        let mut database = PgConnection::connect(url).await.unwrap();
        migrator.run(&mut database).await.unwrap();
    }
}

async fn this_version_goes_on_when_the_next_one_has_migrated(world: &mut World) {
    world.seats("RT100", 200).await;
    world.rooms("LIS", 100).await;
    let asked = trip([flight("RT100", 1), stay("LIS", 1, 1)]);
    let before = world.book(&asked).await;
    let waits = trip([flight("RT100", 100), stay("LIS", 1, 1)]);
    let waits = world.ask(&waits).await;

    // Under the hands of replicas that are at work.
    let client = (**world).clone();
    let crowd = tokio::spawn(async move { join_all((0..40).map(|_| client.book(&asked))).await });
    for (service, migrations) in [
        ("booking", [RUNTIME, BOOKING].as_slice()),
        ("flight", &[RUNTIME, LEG, FLIGHT]),
        ("hotel", &[RUNTIME, LEG, HOTEL]),
    ] {
        for migration in migrations {
            migrate(world.database_url(service), *migration).await;
        }
    }
    // The next version writes what this one knows nothing of.
    for (service, sql) in [
        (
            "booking",
            "update trip set next_cost_centre = 'R&D', value = 7",
        ),
        ("flight", "update leg set next_supplier = 'air'"),
        ("flight", "update seat set next_gate = 'B12', d = 3"),
    ] {
        world.by_hand(service, sql).await;
    }
    for view in crowd.await.unwrap() {
        assert_eq!(view.state, State::Confirmed);
    }
    world.until_state(waits.trip, State::Confirmed).await;

    what_was_heard_before_is_still_known(world, before.trip).await;

    // Rolling back: the version before starts where the next one has been.
    for service in ["booking", "flight", "hotel"] {
        world.stop(service, 0).await;
        world.restart(service, 0).await;
    }
    world.cancel(waits.trip).await;
    world.cancel(before.trip).await;
    let after = trip([flight("RT100", 100), stay("LIS", 3, 1)]);
    assert_eq!(world.book(&after).await.state, State::Confirmed);
    world.until_flight("RT100", Stock::of(0, 141, 59)).await;
    what_the_next_version_wrote_is_kept(world, &before.trip.to_string()).await;
}

/// A fact that comes once more is dropped, and not answered like a question.
async fn what_was_heard_before_is_still_known(world: &World, trip: TripId) {
    let said = |fact: &'static str| {
        let words = world.timeline.of(trip).into_iter();
        words.filter(move |word| word.fact() == fact)
    };
    let answers = said("flight.reserved").count();
    let request = said("booking.requested").next().unwrap();
    world.say_again(&request).await;
    world.until_heard("flight").await;
    // Whatever it had to say to that lies in its outbox, or was said; and so was what is said after.
    eventually("flight has said all", async || {
        let waits = fixtures::texts(world.database_url("flight"), "select id from outbox").await;
        waits.is_empty().then_some(())
    })
    .await;
    let after = world.book(&trip_of_one()).await;
    world
        .timeline
        .expect(
            after.trip,
            ["booking.requested", "flight.reserved", "booking.confirmed"],
        )
        .await;
    assert_eq!(said("flight.reserved").count(), answers);
}

fn trip_of_one() -> Asked {
    trip([flight("RT100", 1)])
}

async fn what_the_next_version_wrote_is_kept(world: &World, trip: &str) {
    for (service, what, sql) in [
        (
            "booking",
            "R&D 7 closed",
            format!(
                "select next_cost_centre || ' ' || value || ' ' || state from trip where trip = '{trip}'"
            ),
        ),
        (
            "flight",
            "air released",
            format!("select next_supplier || ' ' || state from leg where trip = '{trip}'"),
        ),
        (
            "flight",
            "B12 3",
            String::from("select next_gate || ' ' || d from seat"),
        ),
    ] {
        assert_eq!(
            fixtures::texts(world.database_url(service), &sql).await,
            [what]
        );
    }
}
