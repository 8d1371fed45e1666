//! What only containers can show, on the stack of `docker-compose.yml`: containers killed, paused, cut off and replaced under load,
//! volumes kept, a backup restored, logins refused. Each part ends with the audit; what an orderly end does to a trip is in the
//! scenarios, which need no containers.
//!
//! One test for each stack, since its parts share it and each leaves it whole.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod cluster;
mod faults;
mod keeping;
mod logins;
mod scale;
mod storing;
mod watch;

use std::time::Instant;

use e2e_tests::Load;
use e2e_tests::compose::{self, Stack};
use e2e_tests::load::Tally;

/// Travellers book while something happens to the stack; afterwards every trip has an outcome and the audit is clean.
async fn under_load(stack: &Stack, what: &str, happens: impl AsyncFnOnce(&Stack)) -> Tally {
    let begun = Instant::now();
    let crowd = Load::gather(&stack.client()).await;
    crowd.until_more_are_decided(20).await;
    happens(stack).await;
    crowd.until_more_are_decided(20).await;
    let tally = crowd.go_home().await;
    stack.until_healthy().await;
    let report = stack.audit().await;
    assert!(report.is_clean(), "{what}:\n{report}");
    tell(
        what,
        begun,
        &format!(
            "{} trips, {} confirmed, the slowest in {:.1} s, {} requests, {} failed; audit clean",
            tally.trips.len(),
            tally.confirmed,
            tally.slowest.as_secs_f32(),
            tally.requests,
            tally.failed.len()
        ),
    );
    for failed in &tally.failed {
        eprintln!("  failed: {}", failed.lines().next().unwrap_or_default());
    }
    tally
}

fn tell(what: &str, begun: Instant, came: &str) {
    eprintln!(
        "compose: {what}: {came} ({:.1} s)",
        begun.elapsed().as_secs_f32()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_stack_of_containers_keeps_its_promises() {
    if !compose::are_asked_for("the_stack_of_containers_keeps_its_promises") {
        return;
    }
    let begun = Instant::now();
    let stack = Stack::up("").await;
    tell("up and healthy", begun, "");
    logins::each_login_is_refused_by_the_others(&stack).await;
    watch::prometheus_asks_every_replica_and_its_alarms_stand(&stack).await;
    faults::no_request_fails_while_replicas_are_killed_and_replaced(&stack).await;
    scale::a_replica_that_drains_gets_nothing_new(&stack).await;
    scale::a_third_replica_takes_its_share_and_leaves_without_a_trace(&stack).await;
    faults::no_trip_is_lost_while_what_all_need_is_away(&stack).await;
    storing::a_broker_that_stores_nothing_is_started_again(&stack).await;
    keeping::volumes_outlive_containers_and_a_backup_outlives_volumes(&stack).await;
    stack.down();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn three_broker_containers_lose_one_and_no_trip_notices() {
    if !compose::are_asked_for("three_broker_containers_lose_one_and_no_trip_notices") {
        return;
    }
    let begun = Instant::now();
    let stack = Stack::up("cluster").await;
    tell("up and healthy, three broker nodes", begun, "");
    cluster::a_node_is_killed_and_one_cut_off(&stack).await;
    stack.down();
}

#[tokio::test]
async fn broker_containers_that_store_nothing_end_once_their_disk_has_room() {
    if !compose::are_asked_for("broker_containers_that_store_nothing_end_once_their_disk_has_room")
    {
        return;
    }
    storing::a_broker_that_stores_nothing_is_ended_once_its_disk_has_room().await;
}
