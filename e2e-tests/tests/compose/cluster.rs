//! Three broker nodes, every stream on all of them: one may go.

use std::time::Duration;

use e2e_tests::compose::Stack;

use crate::under_load;

pub(crate) async fn a_node_is_killed_and_one_cut_off(stack: &Stack) {
    for node in ["nats", "nats-2", "nats-3"] {
        under_load(
            stack,
            &format!("{node} of three is killed"),
            async |stack| {
                let container = stack.containers(node).remove(0);
                stack.docker(&["kill", &container]);
                tokio::time::sleep(Duration::from_secs(4)).await;
                stack.docker(&["start", &container]);
            },
        )
        .await;
        stack.until_healthy().await;
    }
    under_load(stack, "nats-2 of three is cut off", async |stack| {
        let container = stack.containers("nats-2").remove(0);
        stack.cut(&container, "inside");
        tokio::time::sleep(Duration::from_secs(10)).await;
        stack.mend(&container, "inside", "nats-2");
    })
    .await;
}
