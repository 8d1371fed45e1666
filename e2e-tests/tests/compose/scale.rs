//! More replicas and fewer, while travellers book; and what the one that leaves still gets.

use std::time::Duration;

use e2e_tests::compose::Stack;
use e2e_tests::eventually;

use crate::{tell, under_load};

pub(crate) async fn a_third_replica_takes_its_share_and_leaves_without_a_trace(stack: &Stack) {
    let begun = std::time::Instant::now();
    let mut heard = Vec::new();
    let tally = under_load(stack, "flight is scaled to three and back", async |stack| {
        stack.compose(&["up", "-d", "--no-recreate", "--scale", "flight=3"]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        heard = stack
            .client()
            .metrics("flight", "roundtrip_facts_in_total", "")
            .await;
        stack.compose(&["up", "-d", "--no-recreate", "--scale", "flight=2"]);
    })
    .await;
    assert!(tally.failed.is_empty(), "{:?}", tally.failed);
    assert_eq!(stack.containers("flight").len(), 2);
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert!(heard.iter().all(|facts| *facts > 0.0), "{heard:?}");
    tell("facts heard by each replica", begun, &format!("{heard:?}"));
}

/// It says that it is unready, the load balancer hears of it, and from then on others get what comes; it finishes what it has.
pub(crate) async fn a_replica_that_drains_gets_nothing_new(stack: &Stack) {
    let what = "a replica of booking drains";
    let mut after = 0;
    let tally = under_load(stack, what, async |stack| {
        let leaving = stack.containers("booking").remove(0);
        stack.docker(&["kill", "--signal", "TERM", &leaving]);
        let (place, out) = eventually("the load balancer has heard of it", async || {
            let mut places = stack.balanced("booking").await.into_iter();
            places.find(|(_, place)| !place.is_up)
        })
        .await;
        let others = async || {
            let mut places = stack.balanced("booking").await;
            let left = places
                .remove(&place)
                .map_or(out.requests, |place| place.requests);
            assert_eq!(left, out.requests, "{place} got more after it was out");
            places.values().map(|place| place.requests).sum::<u64>()
        };
        let before = others().await;
        after = eventually("the others get requests", async || {
            let more = others().await - before;
            (more >= 50).then_some(more)
        })
        .await;
        eventually("it has left", async || {
            let state = [
                "inspect",
                "--format",
                "{{.State.Status}} {{.State.ExitCode}}",
                &leaving,
            ];
            (stack.docker(&state) == "exited 0").then_some(())
        })
        .await;
        stack.docker(&["start", &leaving]);
    })
    .await;
    assert!(tally.failed.is_empty(), "{:?}", tally.failed);
    eprintln!(
        "  {after} requests to the others since the load balancer heard of it, none to the one that leaves"
    );
}
