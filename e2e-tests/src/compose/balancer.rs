//! What the stack's load balancer knows of the replicas: to whom it sends requests, and how many.

use std::collections::BTreeMap;

use super::{Stack, run};
use crate::eventually;

/// A place for one replica in the load balancer's own table.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Whether it gets requests.
    pub is_up: bool,
    /// And answered the last check itself.
    pub checked: bool,
    /// How many it ever got.
    pub requests: u64,
}

impl Stack {
    /// Waits until just so many replicas of a service are ready, and the load balancer has found them to be.
    pub(crate) async fn until_serving(&self, service: &str, replicas: usize) {
        let what = format!("{replicas} of {service} serve");
        eventually(&what, async || {
            (self.serving(service).await? == replicas).then_some(())
        })
        .await;
    }

    /// To how many replicas of a service the load balancer sends requests, each of them ready. One that has only just been found is
    /// taken for up before its first check, and one that has just died until its next: so they are asked themselves, too.
    async fn serving(&self, service: &str) -> Option<usize> {
        let ready = |container: &&String| {
            let asked = ["exec", container, service, "health"];
            run("docker", &asked, &self.settings, &self.root).is_ok()
        };
        let ready = self.containers(service).iter().filter(ready).count();
        let up = self.balanced(service).await;
        let up = up.values().filter(|place| place.checked).count();
        (up == ready).then_some(up)
    }

    /// The places that the load balancer has for a service's replicas, by their names; those that nobody ever had are not among them.
    pub async fn balanced(&self, service: &str) -> BTreeMap<String, Place> {
        let url = format!("http://127.0.0.1:{}/;csv", self.settings["HAPROXY_PORT"]);
        let Ok(answer) = ::client::http::local()
            .unwrap()
            .build()
            .unwrap()
            .get(url)
            .send()
            .await
        else {
            return BTreeMap::new();
        };
        let table = answer.text().await.unwrap_or_default();
        let rows = table.lines().map(|row| row.split(',').collect::<Vec<_>>());
        let place = |row: Vec<&str>| {
            let column = |at: usize| row.get(at).copied().unwrap_or_default();
            let is_up = column(17).starts_with("UP");
            let place = Place {
                is_up,
                checked: is_up && column(36) == "L7OK",
                requests: column(7).parse().unwrap_or(0),
            };
            let is_ours =
                column(0) == service && column(1) != "BACKEND" && !column(17).starts_with("MAINT");
            is_ours.then(|| (column(1).to_owned(), place))
        };
        rows.filter_map(place).collect()
    }
}
