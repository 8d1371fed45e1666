//! Headers that are no headers, as any program with a socket can publish them: the services' own NATS client stumbles over each, and
//! the service must get past it. The client here writes the protocol by hand, for no library would send that.

use booking::core::State;
use e2e_tests::trip::{flight, stay, trip};
use e2e_tests::{World, eventually, on_both_databases};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

on_both_databases![
    headers_that_end_a_connection_are_a_dead_letter_and_nothing_else_stops,
    // Whoever starts it again takes longer than the broker waits: the message comes again at once.
    a_header_that_ends_the_process_is_a_dead_letter_once_it_is_back with |setup| setup.setting("ACK_WAIT_MS", "100"),
];

const TO_FLIGHT: &str = "trips.booking.requested.flight";
const REASON: &str = "its subject or headers cannot be read";

/// Publishes over a connection of its own, and waits until the broker has taken it.
async fn publish(world: &World, subject: &[u8], headers: &[u8], payload: &str) {
    let server = world.timeline.client().server_info();
    let mut socket = TcpStream::connect((server.host.as_str(), server.port))
        .await
        .unwrap();
    let (head, whole) = (headers.len(), headers.len() + payload.len());
    let mut said = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n".to_vec();
    said.extend([b"HPUB ", subject].concat());
    said.extend(format!(" {head} {whole}\r\n").bytes());
    said.extend(headers);
    said.extend(format!("{payload}\r\nPING\r\n").bytes());
    socket.write_all(&said).await.unwrap();
    let mut answer = String::new();
    while !answer.contains("PONG") {
        let mut some = [0; 4_096];
        let length = socket.read(&mut some).await.unwrap();
        assert!(length > 0, "the broker hung up: {answer}");
        answer.push_str(std::str::from_utf8(&some[..length]).unwrap());
    }
    assert!(!answer.contains("-ERR"), "{answer}");
}

/// Waits for the dead letter about `entity`.
async fn letter(world: &World, service: &str, entity: &str) -> Value {
    let letter = eventually("a dead letter", async || {
        let letters = world.letters(service).await;
        let mut about = letters.into_iter();
        about.find(|letter| letter["aggregateid"] == entity)
    })
    .await;
    assert_eq!(letter["reason"], REASON);
    letter
}

async fn a_trip_goes_through(world: &World) {
    let view = world
        .book(&trip([flight("RT100", 1), stay("LIS", 1, 1)]))
        .await;
    assert_eq!(view.state, State::Confirmed);
}

async fn headers_that_end_a_connection_are_a_dead_letter_and_nothing_else_stops(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 10).await;
    for (entity, headers) in [
        (
            "no-text",
            b"NATS/1.0\r\nce-subject: no-text\r\nce-id: \xff\xfe\r\n\r\n".as_slice(),
        ),
        (
            "no-colon",
            b"NATS/1.0\r\nce-subject: no-colon\r\nhello\r\n\r\n",
        ),
        (
            "no-name",
            b"NATS/1.0\r\nce-subject: no-name\r\na b: c\r\n\r\n",
        ),
        (
            "folded-too-soon",
            b"NATS/1.0\r\n x: y\r\nce-subject: folded-too-soon\r\n\r\n",
        ),
        (
            "folded-too-late",
            b"NATS/1.0\r\nce-subject: folded-too-late\r\n\r\n x: y\r\n\r\n",
        ),
    ] {
        publish(world, TO_FLIGHT.as_bytes(), headers, "kept whole").await;
        let letter = letter(world, "flight", entity).await;
        assert_eq!(letter["payload"], "kept whole", "{entity}");
        assert_eq!(letter["subject"], TO_FLIGHT);
        assert_eq!(letter["count"], 1, "{entity}");
        a_trip_goes_through(world).await;
    }
    // Heard by three, buried by each.
    let headers = b"NATS/1.0\r\nce-subject: to-all\r\nx: \xff\r\n\r\n";
    publish(world, b"trips.hotel.rejected", headers, "").await;
    for service in ["booking", "flight", "hotel"] {
        letter(world, service, "to-all").await;
    }
    let headers = b"NATS/1.0\r\nce-subject: on-no-subject\r\n\r\n";
    publish(world, b"trips.\xff.rejected", headers, "").await;
    for service in ["booking", "flight", "hotel"] {
        let letter = letter(world, service, "on-no-subject").await;
        assert_eq!(letter["subject"], "trips.\u{fffd}.rejected");
    }
    a_trip_goes_through(world).await;
}

/// A bare carriage return ends the client for good, so the process ends, and is started again as by any supervisor. The story's own
/// client ends with it: from here on nothing can be asked of it.
async fn a_header_that_ends_the_process_is_a_dead_letter_once_it_is_back(world: &mut World) {
    world.seats("RT100", 10).await;
    world.rooms("LIS", 10).await;
    let headers = b"NATS/1.0\r\nce-subject: returned\r\nx: a\rb\r\n\r\n";
    publish(world, TO_FLIGHT.as_bytes(), headers, "kept whole").await;
    world.until_ended("flight", 0).await;
    world.restart("flight", 0).await;
    let letter = letter(world, "flight", "returned").await;
    assert_eq!(letter["payload"], "kept whole");
    assert_eq!(letter["headers"], r#"{"ce-subject":"returned","x":"a�b"}"#);
    a_trip_goes_through(world).await;
}
