//! How a service opens its database: a PostgreSQL that is only coming up is waited for, one that refuses is not; and whatever is
//! committed is on the disk. That disks keep what they were told is not shown here.

use std::path::Path;
use std::time::Duration;

use flight::Flight;
use leg::service::LegService;
use runtime::{Database, Service as _};
use stack::port;
use tokio::net::{TcpListener, TcpStream};

use crate::place::*;

/// Of the connection that writes: of the first one, and of one that was opened in its place.
pub(crate) async fn the_writer_waits_for_the_disk(place: Place) {
    let flight = place.flight().await;
    let (asked, expected): (&[&str], &[&str]) = match flight.database.engine() {
        runtime::database::Engine::Sqlite => (
            &[
                "pragma journal_mode",
                "select cast(synchronous as text) from pragma_synchronous",
                "select cast(fullfsync as text) from pragma_fullfsync",
            ],
            // 2: FULL. A plain fsync does not reach the disk on macOS, which is what the last is for.
            &["wal", "2", "1"],
        ),
        runtime::database::Engine::Postgres => (&["show synchronous_commit"], &["on"]),
    };
    for _ in 0..2 {
        let mut writer = flight.database.writer().await.unwrap();
        let mut answers = Vec::new();
        for sql in asked {
            answers.extend(writer.run(sql, vec![]).await.unwrap());
        }
        drop(writer);
        assert_eq!(answers, expected);
        // A transaction that nobody ended: its connection is not used again.
        drop(flight.transactor.open(&[], &[]).await.unwrap());
    }
}

/// Travellers' names are in it; what lies beside it has them too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_is_for_its_owner_alone_and_one_that_was_there_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new(Engine::Sqlite, "owner_alone").await.unwrap();
    let file = Path::new(place.url.strip_prefix("sqlite://").unwrap());
    let modes = || -> Vec<u32> {
        let files = file.parent().unwrap().read_dir().unwrap();
        // The log goes with the last connection, and that may be while we look.
        let there = files.filter_map(|file| file.unwrap().metadata().ok());
        there
            .map(|file| file.permissions().mode() & 0o777)
            .collect()
    };
    let flight = place.flight().await;
    flight.stock(1).await;
    // The database, its log, the log's index, and the lock of its migrations.
    assert_eq!(modes(), [0o600; 4]);
    drop(flight);

    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o640)).unwrap();
    drop(place.flight().await);
    assert!(modes().contains(&0o640), "an operator's choice");
}

/// What a service keeps of its database in memory is bounded, however large the database is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_connection_keeps_few_pages_of_a_file() {
    let place = Place::new(Engine::Sqlite, "few_pages").await.unwrap();
    let flight = place.flight().await;
    let mut writer = flight.database.writer().await.unwrap();
    let asked = "select cast(cache_size as text) from pragma_cache_size";
    // Below zero it is KiB.
    assert_eq!(writer.run(asked, vec![]).await.unwrap(), ["-16384"]);
    drop(writer);
    let asked = "select cache_size from pragma_cache_size";
    assert_eq!(flight.number(asked).await, -2048);
}

/// The database's address with this port in the place of its own, and its own.
fn moved(url: &str, port: u16) -> (String, u16) {
    let (before, after) = url.rsplit_once(':').unwrap();
    let (own, database) = after.split_once('/').unwrap();
    (format!("{before}:{port}/{database}"), own.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_only_coming_up_is_waited_for() {
    let Some(place) = Place::new(Engine::Postgres, "coming_up").await else {
        return;
    };
    let port = port::free().unwrap();
    let (url, own) = moved(&place.url, port);
    let mut opening = tokio::spawn(async move {
        Database::open(&url, &LegService::new(Flight, &settings()).migrations())
            .await
            .map(drop)
    });
    let early = tokio::time::timeout(Duration::from_millis(600), &mut opening).await;
    assert!(early.is_err(), "nobody listened, and it gave up: {early:?}");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            let mut server = TcpStream::connect(("127.0.0.1", own)).await.unwrap();
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut caller, &mut server).await },
            );
        }
    });
    let opened = tokio::time::timeout(Duration::from_secs(30), opening).await;
    opened.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_is_not_waited_for() {
    let Some(place) = Place::new(Engine::Postgres, "refuses").await else {
        return;
    };
    let missing = place.url.replace("/refuses", "/never_made");
    assert_ne!(missing, place.url);
    let migrations = LegService::new(Flight, &settings()).migrations();
    let opening = Database::open(&missing, &migrations);
    let opened = tokio::time::timeout(Duration::from_secs(20), opening).await;
    let error = opened.expect("it waits").map(drop).unwrap_err();
    assert!(format!("{error:#}").contains("never_made"), "{error:#}");
}
