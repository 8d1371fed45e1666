//! The auditor, proved: a stack is made with the services' real migrations, broken by hand in every way, and each break has to be
//! named, and nothing else. On SQLite files, on PostgreSQL, and with a broker.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod fixture;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use inspect::audit::{self, Nats, Part, Verdict};
use sqlx::Connection as _;
use stack::broker::{self, Broker};
use stack::postgres::{Cluster, Programs};
use stack::skip::{self, Need};

use fixture::{BOOKING, FLIGHT, FLIGHT_CAR, FLIGHT_HOTEL, Fixture, HOTEL, id};

/// What [`Fixture::break_everything`] has to be called.
fn everything_broken() -> Vec<String> {
    let on = |n: u32, text: &str| text.replace("TRIP", &format!("trip {}", id(n)));
    let mut broken = vec![
        on(10, "TRIP is confirmed, and its leg 1 (hotel) is released"),
        on(11, "TRIP is confirmed, and its leg 1 (hotel) is not there"),
        on(12, "TRIP is closed, and its leg 0 (flight) is held"),
        on(13, "TRIP is closed, and its leg 1 (hotel) is confirmed"),
        on(14, "TRIP is not final: it is pending"),
        on(14, "TRIP is pending, and its leg 0 (flight) is confirmed"),
        on(15, "TRIP is not final: it is undoing"),
        on(
            16,
            "hotel has a held leg 1 of TRIP, which booking does not know",
        ),
        on(
            17,
            "flight has a confirmed leg 0 of TRIP, which booking does not know",
        ),
        on(
            18,
            "flight has an empty record of TRIP at position 0: a claim was left behind",
        ),
        on(
            19,
            "flight has a released record of TRIP at position 1, which is not one of its own",
        ),
        on(20, "TRIP is an empty row: a claim was left behind"),
        on(21, "TRIP has no itinerary that can be read"),
        on(
            22,
            "flight has a confirmed leg 0 of TRIP, which booking does not know",
        ),
    ];
    for (n, text) in [
        (
            23,
            "flight has a confirmed leg 0 of TRIP, which booking does not know",
        ),
        (
            30,
            r#"TRIP costs {"EUR": 300} in minor units, and its legs come to {"EUR": 600}"#,
        ),
        (
            30,
            r#"TRIP costs {"EUR": 300} in minor units, and its budget is 200 EUR"#,
        ),
        (
            31,
            r#"TRIP costs {"EUR": 300} in minor units, and its budget is 299 EUR"#,
        ),
    ] {
        broken.push(on(n, text));
    }
    let stock = [
        "flight RT11 2026-12-01: 0 held + 0 confirmed + 99 free is not the total of 100",
        "flight RT12 2026-12-01: 0 held + 0 confirmed + 101 free is not the total of 100",
        "flight RT13 2026-12-01: a count is negative: -1 held, 0 confirmed, 2 free",
        "flight RT13 2026-12-01: -1 are counted as held, and its held legs come to 0",
        "flight RT14 2026-12-01: 4 are counted as held, and its held legs come to 0",
        "flight RT14 2026-12-01: 3 are counted as confirmed, and its confirmed legs come to 0",
        "flight RT16 2026-12-01: 3 are counted as confirmed, and its confirmed legs come to 0",
        "flight RT17 2026-12-01: 3 are counted as held, and its held legs come to 0",
        "flight RT18 2026-12-01: a count is negative: 0 held, 2 confirmed, -1 free",
        "flight RT15 2026-12-01: trips hold 0 and confirmed 2 of it, and it is not in the inventory",
        "hotel LIS double 2026-12-02: 0 are counted as held, and its held legs come to 1",
    ];
    broken.extend(stock.map(String::from));
    broken.sort();
    broken
}

async fn every_break_is_named(fixture: &Fixture) {
    let report = fixture.audit().await;
    assert_eq!(report.verdict, Verdict::NothingToJudge, "{report}");
    assert_eq!(report.verdict.exit_code(), 2);

    fixture.live_well().await;
    let report = fixture.audit().await;
    assert!(report.is_clean(), "{report}");
    assert!(report.to_string().contains("clean"), "{report}");
    assert_eq!(
        report.counts.trips["confirmed"] + report.counts.trips["closed"],
        4
    );
    assert_eq!(report.counts.legs["flight"]["confirmed"], 3);
    assert_eq!(report.counts.stock["hotel.room"].free, 18);

    fixture.break_everything().await;
    let report = fixture.audit().await;
    let mut violations = report.violations.clone();
    violations.sort();
    assert_eq!(violations, everything_broken());
    assert_eq!(
        report.moving,
        [
            "trips are not final: 1 pending, 1 undoing",
            "flight waits for word on 1 held legs",
            "hotel waits for word on 1 held legs",
            "flight's outbox has 1 facts in it",
        ]
    );
    assert_eq!(
        (report.verdict, report.verdict.exit_code()),
        (Verdict::Violated, 1)
    );
    assert!(!report.to_string().contains("clean"), "{report}");
}

#[tokio::test]
async fn every_break_is_named_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    every_break_is_named(&Fixture::on_files(&folder).await).await;
}

#[tokio::test]
async fn every_break_is_named_on_postgres() {
    let test = "every_break_is_named_on_postgres";
    let Some(programs) = skip::unless(Need::Postgres, test, Programs::find(&|_| {})) else {
        return;
    };
    // The server runs as another user when the tests run as root, and has to reach its folder.
    let above = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(above.path(), Permissions::from_mode(0o755)).unwrap();
    let cluster = Cluster::start(&programs, &above.path().join("cluster"), true)
        .await
        .unwrap();
    let mut urls = Vec::new();
    for name in ["booking", "flight", "hotel"] {
        urls.push(cluster.database(name).await.unwrap());
    }
    every_break_is_named(&Fixture::build(urls.try_into().unwrap()).await).await;
}

#[tokio::test]
async fn what_cannot_be_reached_is_said_and_never_clean() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::on_files(&folder).await;
    fixture.live_well().await;

    let parts = fixture.parts(&[BOOKING, FLIGHT]);
    let report = audit::wait_until_clean(&parts, Duration::from_secs(600)).await;
    assert_eq!(report.verdict, Verdict::Unreachable, "{report}");
    assert!(
        report.unreached[0].starts_with("hotel: its database was not given"),
        "{report}"
    );

    let report = audit::audit(&fixture.parts(&[FLIGHT, HOTEL])).await;
    assert_eq!(report.verdict, Verdict::Unreachable, "{report}");

    let mut parts = fixture.parts(&[BOOKING, FLIGHT]);
    parts.without.insert("hotel".into());
    assert!(audit::audit(&parts).await.is_clean());

    let gone = format!("sqlite://{}/gone.db", folder.path().display());
    let mut parts = fixture.parts(&[BOOKING, FLIGHT, HOTEL]);
    parts.databases.push(gone.parse().unwrap());
    let report = audit::wait_until_clean(&parts, Duration::from_secs(60)).await;
    assert_eq!(report.verdict, Verdict::Unreachable, "{report}");
    assert!(report.unreached[0].contains("gone.db"), "{report}");
    assert!(
        !folder.path().join("gone.db").exists(),
        "an audit makes no database"
    );

    let mut parts = fixture.parts(&[BOOKING, FLIGHT, HOTEL]);
    parts.nats = Some(Nats::at("nats://127.0.0.1:9"));
    let report = audit::audit(&parts).await;
    assert_eq!(report.verdict, Verdict::Unreachable, "{report}");
}

#[tokio::test]
async fn a_leg_that_nobody_answers_for_is_judged_only_when_it_was_settled_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::on_files(&folder).await;
    fixture
        .trip(
            1,
            "closed",
            "'expired'",
            FLIGHT_CAR,
            r#"["released","by-hand"]"#,
        )
        .await;
    let report = fixture.audit().await;
    assert!(report.is_clean(), "{report}");
    fixture
        .trip(
            2,
            "closed",
            "'expired'",
            FLIGHT_CAR,
            r#"["released","released"]"#,
        )
        .await;
    let report = fixture.audit().await;
    assert_eq!(report.verdict, Verdict::Unreachable, "{report}");
}

/// A leg of other make keeps its records as it likes: it is named, and nothing is wrong with it.
#[tokio::test]
async fn a_leg_with_tables_of_its_own_is_not_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::on_files(&folder).await;
    let settled = r#"["released","released"]"#;
    fixture
        .trip(1, "closed", "'expired'", FLIGHT_CAR, settled)
        .await;
    let file = folder.path().join("garage.db");
    let url = format!("sqlite://{}", file.display());
    let car: Part = format!("car={url}").parse().unwrap();
    let created = format!("{url}?mode=rwc");
    let mut garage = sqlx::SqliteConnection::connect(&created).await.unwrap();
    let table = "create table garage (id text, trip text)";
    sqlx::query(table).execute(&mut garage).await.unwrap();
    let mut parts = fixture.parts(&[BOOKING, FLIGHT, HOTEL]);
    parts.databases.push(car);
    let report = audit::audit(&parts).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.not_looked_at, ["car"]);
    let last = report.to_string().lines().last().unwrap().to_owned();
    assert!(last.ends_with("as far as was looked: not at car"), "{last}");

    // One that does not say whose it is may be a wrong address; and the services' own are known.
    for wrong in [url.clone(), format!("flight={url}")] {
        let mut parts = fixture.parts(&[BOOKING, HOTEL]);
        parts.databases.push(wrong.parse().unwrap());
        let report = audit::audit(&parts).await;
        assert_eq!(report.verdict, Verdict::Unreachable, "{report}");
    }
}

#[tokio::test]
async fn it_waits_for_what_moves_and_not_for_what_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::on_files(&folder).await;
    fixture.live_well().await;
    fixture
        .trip(6, "undoing", "'rejected'", FLIGHT_HOTEL, "[null,null]")
        .await;
    let parts = fixture.parts(&[BOOKING, FLIGHT, HOTEL]);
    let report = audit::wait_until_clean(&parts, Duration::from_millis(200)).await;
    assert_eq!(report.verdict, Verdict::Violated, "{report}");

    let (report, ()) = tokio::join!(
        audit::wait_until_clean(&parts, Duration::from_secs(60)),
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            fixture
                .run(
                    BOOKING,
                    &format!("update trip set state = 'closed' where trip = '{}'", id(6)),
                )
                .await;
        }
    );
    assert!(report.is_clean(), "{report}");

    fixture
        .run(FLIGHT, "update leg set state = 'released'")
        .await;
    let report = audit::wait_until_clean(&parts, Duration::from_secs(600)).await;
    assert_eq!(report.verdict, Verdict::Violated, "{report}");
    assert!(report.moving.is_empty(), "{report}");
}

#[tokio::test]
async fn consumers_have_nothing_before_them() {
    let test = "consumers_have_nothing_before_them";
    let Some(program): Option<PathBuf> = skip::unless(Need::Nats, test, broker::find(&|_| {}))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::on_files(&folder).await;
    fixture.live_well().await;
    let broker = Broker::start(&program, &folder.path().join("broker"), None)
        .await
        .unwrap();
    let mut parts = fixture.parts(&[BOOKING, FLIGHT, HOTEL]);
    parts.nats = Some(Nats::at(broker.url()));
    let report = audit::audit(&parts).await;
    assert_eq!(report.verdict, Verdict::Unreachable, "{report}");

    let js = async_nats::jetstream::new(async_nats::connect(broker.url()).await.unwrap());
    let stream = async_nats::jetstream::stream::Config {
        name: choreography::STREAM.into(),
        subjects: vec![choreography::STREAM_SUBJECTS.into()],
        ..Default::default()
    };
    let stream = js.create_stream(stream).await.unwrap();
    for service in ["booking", "flight", "hotel"] {
        let consumer = async_nats::jetstream::consumer::pull::Config {
            durable_name: Some(service.into()),
            filter_subject: format!("trips.{service}.>"),
            ..Default::default()
        };
        stream.create_consumer(consumer).await.unwrap();
    }
    let report = audit::audit(&parts).await;
    assert!(report.is_clean() && report.notes.is_empty(), "{report}");

    js.publish("trips.hotel.rejected", "{}".into())
        .await
        .unwrap()
        .await
        .unwrap();
    let report = audit::audit(&parts).await;
    assert_eq!(report.verdict, Verdict::Violated, "{report}");
    assert_eq!(
        report.moving,
        ["the consumer hotel has 1 facts to deliver and 0 that were not acknowledged"]
    );
}
