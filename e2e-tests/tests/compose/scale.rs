//! More replicas and fewer, while travellers book.

use std::time::Duration;

use e2e_tests::compose::Stack;

use crate::{tell, under_load};

pub(crate) async fn a_third_replica_takes_its_share_and_leaves_without_a_trace(stack: &Stack) {
    let begun = std::time::Instant::now();
    let mut heard = Vec::new();
    let tally = under_load(stack, "flight is scaled to three and back", async |stack| {
        stack.compose(&["up", "-d", "--no-recreate", "--scale", "flight=3"]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        heard = stack
            .desk()
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
