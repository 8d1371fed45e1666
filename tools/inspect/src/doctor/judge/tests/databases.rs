//! Schemas, and what lies in databases.

use super::*;

#[test]
fn schemas() {
    becomes(
        |s| {
            found(s).service.as_mut().unwrap().pop();
        },
        "flight",
        "schema",
        Wrong,
    );
    becomes(|s| found(s).runtime = None, "flight", "schema", Wrong);
    becomes(
        |s| found(s).runtime.as_mut().unwrap()[0].success = false,
        "flight",
        "schema",
        Wrong,
    );
    becomes(
        |s| found(s).service.as_mut().unwrap()[0].checksum = "00".into(),
        "flight",
        "schema",
        Wrong,
    );
    becomes(
        |s| {
            let newer = Applied {
                version: 9_999,
                success: true,
                checksum: String::from("00"),
            };
            found(s).service.as_mut().unwrap().push(newer);
        },
        "flight",
        "schema",
        Warning,
    );
    becomes(
        |s| {
            found(s).runtime = None;
            found(s).service = None;
        },
        "flight",
        "schema",
        Wrong,
    );
    becomes(
        |s| s.databases[1].found = Err("no".into()),
        "flight",
        "opens",
        Wrong,
    );
    becomes(
        |s| {
            s.databases.remove(1);
        },
        "flight",
        "opens",
        NotLookedAt,
    );
}

#[test]
fn what_lies_in_a_database_and_how_its_server_is() {
    becomes(
        |s| found(s).outbox = Some((3, NOW_US - 30 * SECOND_US)),
        "flight",
        "outbox",
        Warning,
    );
    becomes(
        |s| found(s).outbox = Some((3, NOW_US - 2 * MINUTE_US)),
        "flight",
        "outbox",
        Wrong,
    );
    becomes(
        |s| found(s).outbox = Some((9_000, NOW_US)),
        "flight",
        "outbox",
        Warning,
    );
    becomes(
        |s| {
            found(s).settings.insert("fsync".into(), "off".into());
        },
        "flight",
        "durable",
        Wrong,
    );
    becomes(
        |s| found(s).connections = Some((75, 100)),
        "flight",
        "connections",
        Warning,
    );
    becomes(
        |s| found(s).connections = Some((95, 100)),
        "flight",
        "connections",
        Wrong,
    );
    becomes(|s| found(s).follows = true, "flight", "follows", Warning);
    becomes(
        |s| found(s).transaction = Transactions::Hidden,
        "flight",
        "transactions",
        NotLookedAt,
    );
    let open = |age_us| Transactions::Oldest {
        age_us,
        pid: 7,
        program: String::from("psql"),
        state: String::from("idle in transaction"),
    };
    becomes(
        |s| found(s).transaction = open(2 * MINUTE_US),
        "flight",
        "transactions",
        Warning,
    );
    becomes(
        |s| found(s).transaction = open(2 * 60 * MINUTE_US),
        "flight",
        "transactions",
        Wrong,
    );
    let mut seen = healthy();
    found(&mut seen).transaction = open(SECOND_US);
    assert!(ill(&seen).is_empty());
}
