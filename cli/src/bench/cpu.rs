//! Which process used how much of the CPU: where the time of a trip goes, at the price of a look into `/proc`.
//! Where there is none, nothing is said.

use std::collections::BTreeMap;

use stack::Stack;
use stack::process::{children_cpu_us, cpu_us};

/// Microseconds of CPU time by what used it: a service (all its replicas), `nats`, `postgres`, `bench` (the load itself).
#[derive(Debug)]
pub(crate) struct Cpu(BTreeMap<String, u64>);

impl Cpu {
    /// Used until now.
    pub(crate) fn of(stack: &Stack) -> Self {
        let state = stack.state();
        let services = state.services.into_iter().map(|s| (s.service, s.process));
        let servers = [
            (String::from("nats"), state.nats),
            (String::from("postgres"), state.postgres.clone()),
        ];
        let mut used = BTreeMap::new();
        let all = services.chain(servers);
        let all = all.filter_map(|(name, process)| Some((name, process?.pid)));
        let us = (String::from("bench"), std::process::id());
        for (name, pid) in all.chain([us]) {
            if let Some(cpu) = cpu_us(pid) {
                *used.entry(name).or_default() += cpu;
            }
        }
        // Each connection has a process of its own there.
        if let Some(postgres) = state.postgres {
            *used.entry(String::from("postgres")).or_default() += children_cpu_us(postgres.pid);
        }
        Self(used)
    }

    /// Used since then, for each of so many trips.
    pub(crate) fn since(self, before: &Self, trips: u64) -> BTreeMap<String, u64> {
        let of = |name: &str| before.0.get(name).copied().unwrap_or_default();
        let share = |(name, used): (String, u64)| {
            let used = used.saturating_sub(of(&name)).checked_div(trips)?;
            Some((name, used))
        };
        self.0.into_iter().filter_map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Cpu;

    #[test]
    fn a_share_for_each_trip() {
        let at = |used| Cpu(BTreeMap::from([("nats".into(), used)]));
        assert_eq!(at(9_000).since(&at(1_000), 40)["nats"], 200);
        assert!(at(9_000).since(&at(1_000), 0).is_empty());
    }
}
