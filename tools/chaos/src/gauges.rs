//! What the services and the system show of themselves, looked at every second: counters that survive a restart of who counts, and memory.
//! It judges nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;

use super::fault::{SERVICES, Victim};
use super::stage::Stage;
use super::wire::Wire;

const LOOK_EVERY: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_millis(800);

#[derive(Debug, Default)]
struct Read {
    /// What each address said last, by counter; and all that was counted, restarts included.
    last: BTreeMap<(String, String), f64>,
    sums: BTreeMap<String, f64>,
    redelivered: u64,
    /// Kilobytes.
    memory: BTreeMap<Victim, u64>,
    peak: BTreeMap<Victim, u64>,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Gauges(Mutex<Read>);

impl Gauges {
    fn read(&self) -> MutexGuard<'_, Read> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks every second, for as long as it is asked to.
    pub(super) async fn watch(self: Arc<Self>, stage: Arc<Stage>, wire: Arc<Wire>) {
        loop {
            self.look(&stage, &wire).await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Looks once.
    pub(super) async fn look(&self, stage: &Stage, wire: &Wire) {
        let urls = (0..SERVICES.len()).flat_map(|service| stage.urls(service));
        let pages = join_all(urls.map(async |url| {
            let page = stage
                .http
                .get(format!("{url}/metrics"))
                .timeout(ANSWER_WITHIN);
            let text = page.send().await.ok()?.text().await.ok()?;
            Some((url, text))
        }));
        let redelivered = async {
            let stream = wire
                .jetstream()
                .get_stream_no_info(choreography::STREAM)
                .await
                .ok()?;
            let mut most = 0;
            for service in SERVICES {
                let info = stream.consumer_info(service).await.ok()?;
                most = most.max(info.num_redelivered as u64);
            }
            Some(most)
        };
        let redelivered = tokio::time::timeout(ANSWER_WITHIN, redelivered);
        let (pages, redelivered) = tokio::join!(pages, redelivered);
        let mut read = self.read();
        for (url, page) in pages.into_iter().flatten() {
            read.add(&url, &page);
        }
        read.redelivered += redelivered.ok().flatten().unwrap_or(0);
        for victim in stage.victims() {
            if let Some(kb) = stage.pid(victim).and_then(memory_kb) {
                read.memory.insert(victim, kb);
                let peak = read.peak.entry(victim).or_default();
                *peak = kb.max(*peak);
            }
        }
    }

    /// What a counter, with or without its labels, came to over all replicas and all their lives.
    pub(super) fn sum(&self, name: &str) -> u64 {
        let read = self.read();
        let named = read.sums.iter().filter(|(line, _)| line.starts_with(name));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        let sum = named.map(|(_, sum)| *sum).sum::<f64>() as u64;
        sum
    }

    /// Repeated deliveries: the largest `num_redelivered` of any consumer, summed over all looks.
    pub(super) fn redelivered(&self) -> u64 {
        self.read().redelivered
    }

    /// Megabytes now, and at most, of each process.
    pub(super) fn memory_mb(&self) -> BTreeMap<Victim, (u64, u64)> {
        let read = self.read();
        let of = |(victim, peak): (&Victim, &u64)| {
            let now = read.memory.get(victim).copied().unwrap_or_default();
            (*victim, (now / 1_024, peak / 1_024))
        };
        read.peak.iter().map(of).collect()
    }
}

impl Read {
    fn add(&mut self, url: &str, page: &str) {
        let counters = page.lines().filter(|line| line.starts_with("roundtrip_"));
        for (line, value) in counters.filter_map(|line| line.rsplit_once(' ')) {
            let Some(value) = value
                .parse::<f64>()
                .ok()
                .filter(|_| line.contains("_total"))
            else {
                continue;
            };
            let last = self.last.insert((url.to_owned(), line.to_owned()), value);
            // One that was started again counts from the beginning.
            let more = match last {
                Some(last) if value >= last => value - last,
                _ => value,
            };
            *self.sums.entry(line.to_owned()).or_default() += more;
        }
    }
}

/// What a process has in memory; None where the system does not show it.
fn memory_kb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_goes_on_where_its_process_began_anew() {
        let gauges = Gauges::default();
        let page = |value| {
            format!(
                "# HELP\nroundtrip_republished_total 1\nroundtrip_redeclared_total{{what=\"consumer\"}} {value}\nroundtrip_outbox_depth 7\n"
            )
        };
        for value in [2, 5, 1] {
            gauges.read().add("a", &page(value));
        }
        gauges.read().add("b", &page(10));
        assert_eq!(
            gauges.sum("roundtrip_redeclared_total{what=\"consumer\"}"),
            16
        );
        assert_eq!(gauges.sum("roundtrip_republished_total"), 2);
        assert_eq!(gauges.sum("roundtrip_outbox_depth"), 0);
    }
}
