//! Facts as they might be seen, and what is to be thought of each.
#![expect(clippy::unwrap_used, reason = "tests")]

mod broker;
mod databases;
mod legs;
mod payments;
mod services;

use std::time::Duration;

use super::*;
use crate::doctor::Verdict;
use crate::doctor::observations::{
    Account, Applied, Booking, Broker, Connection, Consumer, Copy, Database, Found, Home, Joined,
    Metrics, Payments, Server, Service, Stream, Transactions, Unfinished, Waiting,
};

const NOW_US: i64 = 1_800_000_000 * SECOND_US;

fn expected() -> Expected {
    Expected::new().unwrap()
}

fn joined(said_us: i64) -> Joined {
    Joined {
        said_us,
        retired: false,
    }
}

fn service(name: &str, expected: &Expected) -> Service {
    let legs = ["flight", "hotel"].map(|leg| (leg.to_owned(), joined(NOW_US - MINUTE_US)));
    Service {
        name: name.into(),
        service: name.into(),
        url: String::from("http://127.0.0.1:1"),
        http: true,
        log: None,
        alive: Ok(()),
        ready: vec![Ok(()); 6],
        clocks: vec![Ahead::seen((NOW_US, NOW_US + SECOND_US), NOW_US, NOW_US)],
        about: Some((
            expected.title(name).unwrap().into(),
            env!("CARGO_PKG_VERSION").into(),
        )),
        metrics: Some(Metrics {
            outbox: Some(0),
            lag: Some(0),
            ..Metrics::default()
        }),
        letters: Some(Ok(Letters::default())),
        booking: (name == "booking").then(|| Booking {
            legs: Ok(legs.into()),
            unfinished: Ok(vec![]),
        }),
        payments: None,
    }
}

fn broker(expected: &Expected) -> Broker {
    let consumer = |name: &str| Consumer {
        name: name.into(),
        config: expected.consumer(name).unwrap(),
        pending: 0,
        unacked: 0,
        redelivered: 0,
        paused: false,
        delivered: 9,
        took: None,
        silent: false,
    };
    let mut config = expected.stream();
    config.duplicate_window = Duration::from_secs(120);
    Broker {
        url: String::from("nats://127.0.0.1:4222"),
        server: Ok(Server {
            name: String::from("n1"),
            version: String::from("2.15.1"),
            cluster: None,
            jetstream: true,
            tls_required: false,
            lame_duck: false,
        }),
        account: Ok(Account::default()),
        stream: Ok(Some(Stream {
            config,
            bytes: 3_500,
            messages: 4,
            last_sequence: 4,
            first_us: NOW_US - SECOND_US,
            copies: vec![],
            led: true,
        })),
        stores: Some(Ok(())),
        consumers: Ok(["booking", "flight", "hotel"].map(consumer).into()),
    }
}

fn database(name: &str, expected: &Expected) -> Database {
    let applied = |migrations: Vec<crate::doctor::expected::Migration>| -> Vec<Applied> {
        let applied = |m: crate::doctor::expected::Migration| Applied {
            version: m.version,
            success: true,
            checksum: m.checksum,
        };
        migrations.into_iter().map(applied).collect()
    };
    let on = ["fsync", "full_page_writes", "synchronous_commit"];
    Database {
        name: name.into(),
        postgres: true,
        found: Ok(Found {
            runtime: Some(applied(expected.runtime_migrations())),
            service: Some(applied(expected.service_migrations(name).unwrap())),
            outbox: Some((0, 0)),
            letters: Some(Letters::default()),
            settings: on.map(|name| (name.into(), "on".into())).into(),
            clock: Some(Ahead::seen((NOW_US, NOW_US), NOW_US, NOW_US)),
            connections: Some((15, 100)),
            follows: false,
            transaction: Transactions::None,
        }),
    }
}

fn healthy() -> Seen {
    let expected = expected();
    let names = ["booking", "flight", "hotel"];
    Seen {
        now_us: NOW_US,
        home: None,
        services: names.map(|name| service(name, &expected)).into(),
        broker: Some(broker(&expected)),
        databases: names.map(|name| database(name, &expected)).into(),
        connections: vec![connection("http", "127.0.0.1")],
    }
}

fn connection(scheme: &str, ip: &str) -> Connection {
    Connection {
        to: String::from("booking"),
        scheme: scheme.into(),
        host: format!("host-{ip}.example"),
        ips: vec![ip.parse().unwrap()],
    }
}

fn found(seen: &mut Seen) -> &mut Found {
    seen.databases[1].found.as_mut().unwrap()
}

fn stream(seen: &mut Seen) -> &mut Stream {
    let broker = seen.broker.as_mut().unwrap();
    broker.stream.as_mut().unwrap().as_mut().unwrap()
}

fn consumer(seen: &mut Seen) -> &mut Consumer {
    let broker = seen.broker.as_mut().unwrap();
    &mut broker.consumers.as_mut().unwrap()[1]
}

/// What is not fine: subject, check, verdict. Each says what to do.
fn ill(seen: &Seen) -> Vec<(String, &'static str, Verdict)> {
    let report = judge(seen, &expected());
    let not_fine = report
        .findings
        .into_iter()
        .filter(|f| f.verdict != Verdict::Fine);
    not_fine
        .map(|finding| {
            assert!(finding.todo.is_some(), "{finding:?}");
            (finding.subject, finding.check, finding.verdict)
        })
        .collect()
}

/// After this change exactly this one thing is not fine.
#[track_caller]
fn becomes(change: impl FnOnce(&mut Seen), subject: &str, check: &str, verdict: Verdict) {
    let mut seen = healthy();
    change(&mut seen);
    assert_eq!(ill(&seen), [(subject.to_owned(), check, verdict)] as [_; 1]);
}

use Verdict::{NotLookedAt, Warning, Wrong};

#[test]
fn a_healthy_stack_is_healthy_and_nothing_is_left_out() {
    let report = judge(&healthy(), &expected());
    assert_eq!(report.summary(), "healthy", "{report:#?}");
    for check in [
        "answers",
        "ready",
        "version",
        "dead-letters",
        "clock",
        "legs",
        "trips",
        "jetstream",
        "config",
        "window",
        "listens",
        "work",
        "opens",
        "schema",
        "outbox",
        "durable",
        "connections",
        "encryption",
    ] {
        assert!(report.findings.iter().any(|f| f.check == check), "{check}");
    }
}

#[test]
fn what_nobody_told_is_named_with_the_flag_that_would() {
    let report = judge(&Seen::default(), &expected());
    assert_eq!(report.exit_code(), 2);
    let todo: Vec<_> = report
        .findings
        .iter()
        .filter_map(|f| f.todo.as_deref())
        .collect();
    assert_eq!(
        todo,
        [
            "--url URL",
            "--service flight=URL",
            "--service hotel=URL",
            "--nats URL, --nats-user, --nats-password",
            "--database booking=URL",
            "--database flight=URL",
            "--database hotel=URL"
        ]
    );
    let home = Home {
        folder: "here".into(),
        runs: false,
        up: false,
    };
    let report = judge(
        &Seen {
            home: Some(home),
            ..Seen::default()
        },
        &expected(),
    );
    assert_eq!((report.wrong, report.exit_code()), (1, 2));
}

#[test]
fn ways_through_other_peoples_networks() {
    for (scheme, ip, verdict) in [
        ("http", "::1", None),
        ("postgres", "10.1.2.3", None),
        ("nats", "172.20.0.2", None),
        ("http", "::ffff:192.168.0.1", None),
        ("http", "fd00::1", None),
        ("nats", "203.0.113.7", Some(Warning)),
        ("postgres", "2001:db8::1", Some(Warning)),
        ("https", "203.0.113.7", None),
        ("tls", "203.0.113.7", Some(NotLookedAt)),
    ] {
        let mut seen = healthy();
        seen.connections = vec![connection(scheme, ip)];
        let ill: Vec<Verdict> = ill(&seen)
            .into_iter()
            .map(|(_, _, verdict)| verdict)
            .collect();
        assert_eq!(ill, Vec::from_iter(verdict), "{scheme} {ip}");
    }
}

#[test]
fn a_broker_that_wants_tls_is_reached_by_it() {
    let mut seen = healthy();
    seen.connections = vec![connection("nats", "203.0.113.7")];
    let server = seen.broker.as_mut().unwrap().server.as_mut().unwrap();
    server.tls_required = true;
    let ill = ill(&seen);
    assert_eq!(ill, [("booking".into(), "certificate", NotLookedAt)]);
}
