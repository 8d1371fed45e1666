//! Callers who take their time, on purpose or not: what they cost, and how it ends.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::time::Duration;

use booking::core::State;
use e2e_tests::trip::{flight, trip};
use e2e_tests::{Setup, World, eventually, on_one_database};
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

mod sqlite {
    use e2e_tests::Engine;

    super::on_one_database!(a_body_that_drips_is_given_up, Engine::Sqlite);
    super::on_one_database!(
        who_takes_every_connection_keeps_no_trip_from_ending,
        Engine::Sqlite,
        super::few_connections
    );
}

fn few_connections(setup: Setup) -> Setup {
    setup.setting("CONNECTIONS_MAX", "40")
}

async fn connect(world: &World) -> TcpStream {
    let request = world.request(Method::GET, "booking", "").build().unwrap();
    let port = request.url().port().unwrap();
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

/// A byte a second is no silence, and still too little.
async fn a_body_that_drips_is_given_up(world: &mut World) {
    let mut connection = connect(world).await;
    let head = "POST /bookings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    let (mut answer, mut body) = connection.split();
    let dripping = async {
        let mut tick = interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            if body.write_all(b" ").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut told = String::new();
    let answered = timeout(Duration::from_secs(40), answer.read_to_string(&mut told));
    tokio::select! {
        answered = answered => answered.unwrap().unwrap(),
        () = dripping => unreachable!("it drips for ever"),
    };
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
    assert!(told.contains("urn:roundtrip:problem:slow-body"), "{told}");
}

/// They are told, and go by themselves; what is under way does not need any.
async fn who_takes_every_connection_keeps_no_trip_from_ending(world: &mut World) {
    world.seats("RT100", 10).await;
    world.pause("flight", 0).await;
    let asked = world.ask(&trip([flight("RT100", 1)])).await;
    let mut idle = Vec::new();
    for _ in 0..60 {
        idle.push(connect(world).await);
    }
    let mut one_more = connect(world).await;
    let asked_now = "GET /bookings HTTP/1.1\r\nHost: localhost\r\n\r\n";
    one_more.write_all(asked_now.as_bytes()).await.unwrap();
    let mut told = String::new();
    one_more.read_to_string(&mut told).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
    world.resume("flight", 0).await;
    world.until_heard("flight").await;
    eventually("the trip is confirmed while nobody can ask", async || {
        let confirmed = "select count(*) from trip where state = 'confirmed'";
        (world.number("booking", confirmed).await == 1).then_some(())
    })
    .await;
    drop(idle);
    world.until_state(asked.trip, State::Confirmed).await;
}
