//! What watches the stack, as far as it is watched here: Prometheus with our rules. The collector, Jaeger and Grafana are not run.

use std::time::Instant;

use e2e_tests::compose::{SERVICES, Stack};
use e2e_tests::eventually;

use crate::tell;

pub(crate) async fn prometheus_asks_every_replica_and_its_alarms_stand(stack: &Stack) {
    let begun = Instant::now();
    stack.compose(&["up", "-d", "--no-deps", "prometheus"]);
    stack.until_healthy().await;
    for service in SERVICES {
        eventually(&format!("each replica of {service} is asked"), async || {
            let targets = stack.prometheus("targets?state=active").await;
            let targets = targets["activeTargets"].as_array().unwrap().iter();
            let up = targets.filter(|it| it["labels"]["job"] == service && it["health"] == "up");
            (up.count() == stack.containers(service).len()).then_some(())
        })
        .await;
    }
    // A whole stack has nothing to alarm anybody about.
    let alarms = eventually("every rule was evaluated", async || {
        let groups = stack.prometheus("rules").await;
        let groups = groups["groups"].as_array().unwrap().clone();
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap());
        let rules: Vec<_> = rules.cloned().collect();
        assert!(
            rules.iter().all(|rule| rule["health"] != "err"),
            "{rules:?}"
        );
        rules
            .iter()
            .all(|rule| rule["health"] == "ok")
            .then_some(rules)
    })
    .await;
    assert!(
        alarms.iter().all(|alarm| alarm["state"] != "firing"),
        "{alarms:?}"
    );
    let count = alarms.len();
    tell(
        "Prometheus",
        begun,
        &format!("asks every replica; {count} alarms, none rings"),
    );
}
