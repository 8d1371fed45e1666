//! How a service meets its PostgreSQL: one that is only coming up is waited for, one that refuses is not.

use std::time::Duration;

use flight::core::Flight;
use leg::service::LegService;
use roundtrip::local::port;
use runtime::{Database, Service as _};
use tokio::net::{TcpListener, TcpStream};

use crate::place::{Engine, Place, settings};

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
