//! More replicas and fewer, while travellers book.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e_tests::compose::Stack;
use reqwest::Method;

use crate::{tell, under_load};

pub(crate) async fn a_third_replica_takes_its_share_and_leaves_without_a_trace(stack: &Stack) {
    let begun = std::time::Instant::now();
    let mut heard = BTreeMap::new();
    let tally = under_load(stack, "flight is scaled to three and back", async |stack| {
        stack.compose(&["up", "-d", "--no-recreate", "--scale", "flight=3"]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        heard = facts_heard(stack).await;
        stack.compose(&["up", "-d", "--no-recreate", "--scale", "flight=2"]);
    })
    .await;
    assert!(tally.failed.is_empty(), "{:?}", tally.failed);
    assert_eq!(stack.containers("flight").len(), 2);
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert!(heard.values().all(|facts| *facts > 0), "{heard:?}");
    tell("facts heard by each replica", begun, &format!("{heard:?}"));
}

/// How many facts each replica has applied. The load balancer says whom it asked, and asks them in turn.
async fn facts_heard(stack: &Stack) -> BTreeMap<String, u64> {
    let desk = stack.desk();
    let mut heard = BTreeMap::new();
    for _ in 0..60 {
        let request = desk.request(Method::GET, "flight", "/metrics");
        let answer = desk.send(request).await;
        let facts = answer
            .text
            .lines()
            .filter(|line| line.starts_with("roundtrip_facts_in_total{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        heard.insert(answer.header("x-served-by").to_owned(), facts.sum());
    }
    heard
}
