//! What outlives what: volumes outlive containers, and a backup outlives volumes.

use std::time::Instant;

use booking::core::State;
use e2e_tests::compose::{SERVICES, Stack};
use e2e_tests::load::usual;

use crate::tell;

pub(crate) async fn volumes_outlive_containers_and_a_backup_outlives_volumes(stack: &Stack) {
    let begun = Instant::now();
    let booked = stack.client().book(&usual()).await;
    assert_eq!(booked.state, State::Confirmed);
    stack.compose(&["down", "--timeout", "40"]);
    stack.compose(&["up", "-d"]);
    stack.until_healthy().await;
    assert_eq!(
        stack.client().show(booked.trip).await.state,
        State::Confirmed
    );
    let report = stack.audit().await;
    assert!(report.is_clean(), "{report}");
    tell(
        "down and up",
        begun,
        "the trips are still there; audit clean",
    );

    let begun = Instant::now();
    let saved = tempfile::tempdir().unwrap();
    for service in SERVICES {
        // Custom format, as the server's own user, over its socket.
        let postgres = stack.containers("postgres").remove(0);
        stack.docker(&[
            "exec",
            &postgres,
            "pg_dump",
            "-U",
            "postgres",
            "-Fc",
            "-f",
            "/var/lib/postgresql/dump",
            service,
        ]);
        let file = saved.path().join(service);
        stack.docker(&[
            "cp",
            &format!("{postgres}:/var/lib/postgresql/dump"),
            file.to_str().unwrap(),
        ]);
    }
    let trips = report.counts;
    stack.compose(&["down", "-v", "--timeout", "40"]);
    stack.compose(&["up", "-d", "postgres"]);
    let postgres = stack.containers("postgres").remove(0);
    e2e_tests::eventually("the database is set up", async || {
        (stack.docker(&["inspect", "--format", "{{.State.Health.Status}}", &postgres]) == "healthy")
            .then_some(())
    })
    .await;
    for service in SERVICES {
        let file = saved.path().join(service);
        stack.docker(&[
            "cp",
            file.to_str().unwrap(),
            &format!("{postgres}:/var/lib/postgresql/dump"),
        ]);
        stack.docker(&[
            "exec",
            &postgres,
            "pg_restore",
            "-U",
            "postgres",
            "--exit-on-error",
            "--clean",
            "--if-exists",
            "-d",
            service,
            "/var/lib/postgresql/dump",
        ]);
    }
    stack.compose(&["up", "-d"]);
    stack.until_healthy().await;
    assert_eq!(
        stack.client().show(booked.trip).await.state,
        State::Confirmed
    );
    let report = stack.audit().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.counts, trips);
    let again = stack.client().book(&usual()).await;
    assert_eq!(again.state, State::Confirmed);
    tell(
        "a backup restored on empty volumes",
        begun,
        "the same trips, and new ones; audit clean",
    );
}
