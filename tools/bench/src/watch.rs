//! What happens second by second while it is measured: trips, what is under way, what waits where, memory. Looked at and noted, not judged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use stack::Stack;

use super::distribution::round;
use super::load::{Live, Window};
use super::prometheus::Page;
use super::usage::{Processes, memory_bytes};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A measurement over time; each list has an entry for each look.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Series {
    /// When it was looked, from when measuring began.
    pub at_s: Vec<f64>,
    /// Trips completed since the look before, per second.
    pub completed_per_s: Vec<f64>,
    /// Trips that failed, were turned away or found no room since the look before, per second.
    pub lost_per_s: Vec<f64>,
    /// Trips under way.
    pub in_flight: Vec<u64>,
    /// Facts that are committed and not yet published, by service; null where it did not answer.
    pub outbox_depth: BTreeMap<String, Vec<Option<f64>>>,
    /// Commands that wait for a batch, by service.
    pub queue_depth: BTreeMap<String, Vec<Option<f64>>>,
    /// Messages that wait in the stream for a service.
    pub consumer_lag: BTreeMap<String, Vec<Option<f64>>>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) series: Series,
    pub(crate) memory_peak_bytes: BTreeMap<String, u64>,
}

/// What of a trip has been counted until then.
struct Counted {
    at: Instant,
    trips: u64,
    lost: u64,
}

impl Counted {
    fn now(live: &Live) -> Self {
        Self {
            at: Instant::now(),
            trips: live.trips(),
            lost: live.failed() + live.not_started(),
        }
    }
}

impl Seen {
    /// Watches until the window ends; without a stack only what the load itself knows.
    pub(crate) async fn watch(
        stack: Option<(&Stack, &Processes)>,
        live: &Live,
        window: Window,
    ) -> Self {
        tokio::time::sleep_until(window.from.into()).await;
        let mut seen = Self::default();
        let mut before = Counted::now(live);
        let mut next = window.from + LOOK_EVERY;
        while next <= window.until {
            tokio::time::sleep_until(next.into()).await;
            next += LOOK_EVERY;
            let now = Counted::now(live);
            seen.note(window, live, &before, &now);
            before = now;
            if let Some((stack, processes)) = stack {
                seen.look(stack, processes).await;
            }
        }
        seen
    }

    fn note(&mut self, window: Window, live: &Live, before: &Counted, now: &Counted) {
        let seconds = now.at.duration_since(before.at).as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| round(now.saturating_sub(before) as f64 / seconds);
        let series = &mut self.series;
        let at = now.at.saturating_duration_since(window.from);
        series.at_s.push(round(at.as_secs_f64()));
        let completed = rate(now.trips, before.trips);
        series.completed_per_s.push(completed);
        series.lost_per_s.push(rate(now.lost, before.lost));
        series.in_flight.push(live.in_flight());
    }

    async fn look(&mut self, stack: &Stack, processes: &Processes) {
        for name in stack::SERVICES {
            let pages = stack.urls(name);
            let pages = pages.iter().map(|url| Page::of(stack.http(), url));
            let pages = futures::future::join_all(pages).await;
            let each = |metric: &str| -> Vec<f64> {
                let pages = pages.iter().flatten();
                pages.filter_map(|page| page.sum(metric)).collect()
            };
            // Replicas share a database and a consumer, and each has commands of its own.
            let shared = |metric: &str| each(metric).into_iter().reduce(f64::max);
            let own = |metric: &str| each(metric).into_iter().reduce(|one, other| one + other);
            let series = &mut self.series;
            for (list, value) in [
                (&mut series.outbox_depth, shared("roundtrip_outbox_depth")),
                (&mut series.consumer_lag, shared("roundtrip_consumer_lag")),
                (&mut series.queue_depth, own("roundtrip_queue_depth")),
            ] {
                list.entry((*name).to_owned()).or_default().push(value);
            }
        }
        for (name, bytes) in memory_bytes(processes) {
            let peak = self.memory_peak_bytes.entry(name).or_default();
            *peak = bytes.max(*peak);
        }
    }
}
