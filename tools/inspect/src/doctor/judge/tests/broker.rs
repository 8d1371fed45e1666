//! The broker, its stream and its consumers.

use async_nats::jetstream::consumer::AckPolicy;
use async_nats::jetstream::stream::{DiscardPolicy, RetentionPolicy};

use super::*;

fn server(seen: &mut Seen) -> &mut Server {
    seen.broker.as_mut().unwrap().server.as_mut().unwrap()
}

#[test]
fn the_broker() {
    becomes(|s| s.broker = None, "broker", "answers", NotLookedAt);
    becomes(
        |s| s.broker.as_mut().unwrap().server = Err("no".into()),
        "broker",
        "answers",
        Wrong,
    );
    becomes(
        |s| server(s).version = "2.10.29".into(),
        "broker",
        "version",
        Wrong,
    );
    becomes(
        |s| server(s).version = "2.9.0-beta.1".into(),
        "broker",
        "version",
        Wrong,
    );
    becomes(|s| server(s).lame_duck = true, "broker", "version", Warning);
    fn account(seen: &mut Seen) -> &mut Result<Account, String> {
        &mut seen.broker.as_mut().unwrap().account
    }
    becomes(
        |s| *account(s) = Err("timed out".into()),
        "broker",
        "jetstream",
        NotLookedAt,
    );
    becomes(
        |s| *account(s) = Err("unavailable".into()),
        "broker",
        "jetstream",
        Wrong,
    );
    becomes(
        |s| {
            *account(s) = Err("timed out".into());
            server(s).jetstream = false;
        },
        "broker",
        "jetstream",
        Wrong,
    );
    becomes(
        |s| {
            *account(s) = Ok(Account {
                storage: 95,
                storage_max: Some(100),
            });
        },
        "broker",
        "jetstream",
        Warning,
    );
}

#[test]
fn the_stream() {
    becomes(
        |s| s.broker.as_mut().unwrap().stream = Ok(None),
        "TRIPS",
        "stream",
        Wrong,
    );
    becomes(
        |s| stream(s).config.retention = RetentionPolicy::Interest,
        "TRIPS",
        "config",
        Wrong,
    );
    becomes(
        |s| stream(s).config.discard = DiscardPolicy::New,
        "TRIPS",
        "config",
        Wrong,
    );
    becomes(
        |s| stream(s).config.subjects = vec!["trips.booking.>".into()],
        "TRIPS",
        "config",
        Wrong,
    );
    becomes(|s| stream(s).config.no_ack = true, "TRIPS", "config", Wrong);
    becomes(
        |s| stream(s).config.max_messages_per_subject = 1,
        "TRIPS",
        "config",
        Wrong,
    );
    becomes(
        |s| stream(s).config.duplicate_window = Duration::from_secs(1),
        "TRIPS",
        "limits",
        Warning,
    );
    becomes(
        |s| {
            stream(s).config.max_bytes = -1;
            stream(s).config.max_age = Duration::ZERO;
            stream(s).config.max_messages = -1;
        },
        "TRIPS",
        "limits",
        Warning,
    );
    becomes(|s| stream(s).bytes = 1 << 30, "TRIPS", "window", Warning);
    becomes(
        |s| server(s).cluster = Some("c".into()),
        "TRIPS",
        "replicas",
        Warning,
    );
}

#[test]
fn copies_of_the_stream_on_a_cluster() {
    let copies = |current, offline| {
        move |seen: &mut Seen| {
            let broker = seen.broker.as_mut().unwrap();
            broker.server.as_mut().unwrap().cluster = Some("c".into());
            let stream = stream(seen);
            stream.config.num_replicas = 3;
            let copy = |node: &str, current, offline| Copy {
                node: node.into(),
                current,
                offline,
            };
            stream.copies = vec![copy("n2", true, false), copy("n3", current, offline)];
        }
    };
    let mut seen = healthy();
    copies(true, false)(&mut seen);
    assert!(ill(&seen).is_empty());
    becomes(copies(false, false), "TRIPS", "replicas", Wrong);
    becomes(copies(false, true), "TRIPS", "replicas", Wrong);
    becomes(
        |seen| {
            copies(true, false)(seen);
            stream(seen).led = false;
        },
        "TRIPS",
        "replicas",
        Wrong,
    );
}

#[test]
fn consumers() {
    let name = "consumer flight";
    becomes(
        |s| {
            s.broker
                .as_mut()
                .unwrap()
                .consumers
                .as_mut()
                .unwrap()
                .remove(1);
        },
        name,
        "consumer",
        Wrong,
    );
    becomes(
        |s| {
            consumer(s).config.filter_subjects.pop();
        },
        name,
        "config",
        Wrong,
    );
    becomes(
        |s| consumer(s).config.filter_subjects.clear(),
        name,
        "config",
        Wrong,
    );
    becomes(
        |s| consumer(s).config.ack_policy = AckPolicy::None,
        name,
        "config",
        Wrong,
    );
    becomes(
        |s| consumer(s).config.max_deliver = 5,
        name,
        "config",
        Wrong,
    );
    becomes(
        |s| consumer(s).config.backoff = vec![Duration::from_secs(1)],
        name,
        "config",
        Wrong,
    );
    becomes(
        |s| {
            consumer(s)
                .config
                .metadata
                .insert("roundtrip-config".into(), "99".into());
        },
        name,
        "config",
        NotLookedAt,
    );
}

#[test]
fn what_consumers_have_to_do() {
    let name = "consumer flight";
    becomes(|s| consumer(s).paused = true, name, "paused", Wrong);
    becomes(|s| consumer(s).unacked = 10_000, name, "work", Wrong);
    becomes(|s| consumer(s).pending = 9_000, name, "work", Warning);
    becomes(
        |s| consumer(s).redelivered = 1,
        name,
        "redelivered",
        Warning,
    );
    becomes(
        |s| {
            consumer(s).pending = 1;
            consumer(s).took = Some(false);
        },
        name,
        "work",
        Warning,
    );
    let mut seen = healthy();
    consumer(&mut seen).pending = 100;
    consumer(&mut seen).took = Some(true);
    assert!(ill(&seen).is_empty());
}
