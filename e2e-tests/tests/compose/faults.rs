//! Containers killed, paused, cut off, stopped and replaced while travellers book.

use std::time::Duration;

use e2e_tests::compose::{SERVICES, Stack};

use crate::under_load;

/// As the compose file sets it.
const ACK_WAIT: Duration = Duration::from_secs(10);

async fn for_a_while(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

pub(crate) async fn no_request_fails_while_replicas_are_killed_and_replaced(stack: &Stack) {
    for service in SERVICES {
        let what = format!("a replica of {service} is killed");
        let tally = under_load(stack, &what, async |stack| {
            let replica = stack.containers(service).remove(0);
            stack.docker(&["kill", &replica]);
            for_a_while(3).await;
            stack.docker(&["start", &replica]);
        })
        .await;
        assert!(tally.failed.is_empty(), "{what}: {:?}", tally.failed);
    }
    for service in SERVICES {
        let what = format!("every replica of {service} is replaced");
        let tally = under_load(stack, &what, async |stack| {
            stack.roll(service);
        })
        .await;
        assert!(tally.failed.is_empty(), "{what}: {:?}", tally.failed);
        let slowest = tally.slowest;
        assert!(
            slowest < ACK_WAIT,
            "{what}: somebody waited {slowest:?}, as for facts that were fetched and left behind"
        );
    }
    for service in SERVICES {
        under_load(
            stack,
            &format!("a replica of {service} is paused"),
            async |stack| {
                let replica = stack.containers(service).remove(0);
                stack.docker(&["pause", &replica]);
                for_a_while(6).await;
                stack.docker(&["unpause", &replica]);
            },
        )
        .await;
    }
    let tally = under_load(
        stack,
        "a replica of flight is cut off from broker and database",
        async |stack| {
            let replica = stack.containers("flight").remove(0);
            stack.cut(&replica, "inside");
            for_a_while(6).await;
            stack.mend(&replica, "inside", "flight");
        },
    )
    .await;
    assert!(tally.failed.is_empty(), "{:?}", tally.failed);
}

pub(crate) async fn no_trip_is_lost_while_what_all_need_is_away(stack: &Stack) {
    for service in ["nats", "postgres"] {
        under_load(stack, &format!("{service} is killed"), async |stack| {
            let container = stack.containers(service).remove(0);
            stack.docker(&["kill", &container]);
            for_a_while(3).await;
            stack.docker(&["start", &container]);
        })
        .await;
        under_load(stack, &format!("{service} is cut off"), async |stack| {
            let container = stack.containers(service).remove(0);
            stack.cut(&container, "inside");
            for_a_while(8).await;
            stack.mend(&container, "inside", service);
        })
        .await;
        under_load(stack, &format!("{service} is paused"), async |stack| {
            let container = stack.containers(service).remove(0);
            stack.docker(&["pause", &container]);
            for_a_while(6).await;
            stack.docker(&["unpause", &container]);
        })
        .await;
    }
    under_load(stack, "all of hotel is killed", async |stack| {
        let replicas = stack.containers("hotel");
        for replica in &replicas {
            stack.docker(&["kill", replica]);
        }
        for_a_while(3).await;
        for replica in &replicas {
            stack.docker(&["start", replica]);
        }
    })
    .await;
}
