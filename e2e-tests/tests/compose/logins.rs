//! Who may do what: at the database, at the broker, and inside a container.

use std::time::{Duration, Instant};

use e2e_tests::compose::{SERVICES, Stack};
use sqlx::{Connection as _, PgConnection};

use crate::tell;

pub(crate) async fn each_login_is_refused_by_the_others(stack: &Stack) {
    let begun = Instant::now();
    for login in SERVICES {
        for database in SERVICES.iter().chain(&["postgres"]) {
            let connected = PgConnection::connect(&stack.database(login, database)).await;
            assert_eq!(
                connected.is_ok(),
                login == *database,
                "{login} at {database}"
            );
        }
        a_login_says_only_its_own(stack, login).await;
        for container in stack.containers(login) {
            let looked = [
                "inspect",
                "--format",
                "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}",
                &container,
            ];
            assert_eq!(
                stack.docker(&looked),
                "65532:65532 true [ALL] [no-new-privileges:true]"
            );
            let uids = stack.docker(&["top", &container, "-o", "uid,pid"]);
            assert!(
                uids.lines()
                    .skip(1)
                    .all(|uid| uid.trim().starts_with("65532 ")),
                "{uids}"
            );
        }
    }
    tell(
        "logins",
        begun,
        "each reaches its own database and subjects and no other; processes without root",
    );
}

/// What is refused has no effect: the stream's length is the same, and the stream is still there.
async fn a_login_says_only_its_own(stack: &Stack, login: &str) {
    let operator = stack.nats_as("operator").await;
    let mut stream = async_nats::jetstream::new(operator)
        .get_stream("TRIPS")
        .await
        .unwrap();
    let before = stream.info().await.unwrap().state.last_sequence;
    let service = stack.nats_as(login).await;
    let other = SERVICES.iter().find(|other| **other != login).unwrap();
    service
        .publish(format!("trips.{other}.rejected"), "{}".into())
        .await
        .unwrap();
    service
        .publish("$JS.API.STREAM.DELETE.TRIPS", "".into())
        .await
        .unwrap();
    service
        .publish("$JS.API.STREAM.PURGE.TRIPS", "".into())
        .await
        .unwrap();
    service
        .publish(format!("$JS.API.CONSUMER.DELETE.TRIPS.{other}"), "".into())
        .await
        .unwrap();
    service.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let info = stream.info().await.unwrap();
    assert_eq!(
        (info.state.last_sequence, info.state.first_sequence),
        (before, 1),
        "{login}"
    );
    assert_eq!(info.state.consumer_count, SERVICES.len());
}
