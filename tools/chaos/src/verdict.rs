//! The end of a run: everything that is left is looked at, and put together into its report. What has to hold is `judge`'s to say.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use booking::core::{Outcome, State};
use choreography::TripId;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::fault::SERVICES;
use super::faults::Done;
use super::judge::{self, Seen};
use super::ledger::{End, Ledger, Left};
use super::report::Report;
use super::{Run, wish};
use client::paint::Paint;
use inspect::audit;

/// What the logs of all services say.
#[derive(Debug, Default)]
struct Logs {
    lines: u64,
    panics: Vec<String>,
}

impl Run<'_> {
    /// Looks at everything, stops everything, and says what came of it.
    pub(super) async fn judge(
        &self,
        healed: Timestamp,
        late: bool,
        faults: Done,
        audit: audit::Report,
    ) -> Result<Report> {
        let open = self.open().await?;
        let rest = match open.is_empty() {
            true => Some(self.rest(healed).await?),
            false => None,
        };
        let ends = self.ends().await?;
        let stock = self.stock().await?;
        self.gauges.look(&self.stage, &self.wire).await;
        let complaints = self.stage.end().await?;
        let logs = self.logs();
        let wire = self.wire.counted();
        let trips = ends.len() as u64;
        let (breaks, answers, expected) = {
            let ledger = self.crowd.ledger();
            self.tell_sometimes(&ledger, &ends);
            let expected = self.messages_expected(&ledger);
            (
                ledger.breaks(&ends, &stock),
                ledger.answers.clone(),
                expected,
            )
        };
        let memory_mb = self.gauges.memory_mb();
        let mut failures = judge::failures(Seen {
            rest,
            rest_within: self.options.rest_within,
            open: &open,
            trips,
            messages_expected: expected,
            wire,
            faults: faults.done.values().sum(),
            log_lines: logs.lines,
            panics: &logs.panics,
            anomalies: self.gauges.sum("roundtrip_anomalies_total"),
            dead_letters: audit.counts.dead_letters.values().sum(),
            memory_mb: &memory_mb,
            audit: &audit,
            ledger: breaks,
            complaints,
        });
        if late && failures.is_empty() {
            failures.push(String::from(
                "travellers were still without an answer when every trip had to be final",
            ));
        }
        let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
        for end in ends.values() {
            let outcome = end
                .outcome
                .map_or(end.state.as_str(), |outcome| outcome.as_str());
            *outcomes.entry(outcome.to_owned()).or_default() += 1;
        }
        let story = self.story(&failures, &ends);
        #[expect(clippy::cast_precision_loss, reason = "a figure to be looked at")]
        let per_trip = |count: u64| count as f64 / trips.max(1) as f64;
        Ok(Report {
            seed: self.options.seed,
            command: self.options.command(),
            trips,
            outcomes,
            turned_back: self.crowd.turned_back(),
            faults,
            answers,
            sometimes: self.sometimes.counts(self.options),
            rest_ms: rest.map(|rest| u64::try_from(rest.as_millis()).unwrap_or(u64::MAX)),
            messages: wire,
            messages_per_trip: per_trip(wire.messages),
            log_lines_per_trip: per_trip(logs.lines),
            memory_mb: memory_mb
                .into_iter()
                .map(|(victim, mb)| (victim.to_string(), mb))
                .collect(),
            machine: (
                load_average(),
                std::thread::available_parallelism().map_or(0, usize::from),
            ),
            brokers_started_again: self.stage.started_again(),
            failures,
            story,
        })
    }

    /// The longest that a trip changed after the last fault, or after it was asked for if that was later. One that changed in the future
    /// did so while a clock was ahead, which was a fault.
    async fn rest(&self, healed: Timestamp) -> Result<Duration> {
        let sql = "select coalesce(max(changed_us - case when created_us > $1 then created_us else $1 end), 0) from trip where state <> 'none' and changed_us <= $2";
        let now = Timestamp::now();
        let params = [healed, now].map(|time| time.as_microsecond().into());
        let us = self.trips.number(sql, params.into()).await?;
        Ok(Duration::from_micros(u64::try_from(us).unwrap_or(0)))
    }

    /// All trips as they are.
    async fn ends(&self) -> Result<BTreeMap<TripId, End>> {
        let sql = "select trip || ' ' || state || ' ' || coalesce(outcome, '') from trip where state <> 'none'";
        let mut ends = BTreeMap::new();
        for row in self.trips.texts(sql, vec![]).await? {
            let mut words = row.split(' ');
            let mut word = || words.next().unwrap_or_default();
            let trip = word()
                .parse()
                .with_context(|| format!("{row:?} is no trip"))?;
            let state: State = read(word())?;
            let outcome: Option<Outcome> = match word() {
                "" => None,
                outcome => Some(read(outcome)?),
            };
            ends.insert(trip, End { state, outcome });
        }
        Ok(ends)
    }

    /// All stock, as the services tell it.
    async fn stock(&self) -> Result<BTreeMap<String, Left>> {
        #[derive(Deserialize)]
        struct Row {
            total: i64,
            held: i64,
            confirmed: i64,
            free: i64,
        }
        let mut stock = BTreeMap::new();
        for row in wish::stock() {
            let at = SERVICES.iter().position(|name| *name == row.service);
            let urls = self.stage.urls(at.unwrap_or_default());
            let url = format!("{}/{}", urls.first().context("no such service")?, row.path);
            let Row {
                total,
                held,
                confirmed,
                free,
            } = self.stage.http.get(&url).send().await?.json().await?;
            let left = Left {
                total,
                held,
                confirmed,
                free,
            };
            stock.insert(row.path, left);
        }
        Ok(stock)
    }

    fn logs(&self) -> Logs {
        let mut logs = Logs::default();
        for log in self.stage.logs() {
            let text = std::fs::read(&log).unwrap_or_default();
            for line in String::from_utf8_lossy(&text).lines() {
                logs.lines += 1;
                // A panic in the async-nats client shows in the exit status instead.
                if line.contains("panicked at") && !line.contains("/async-nats-") {
                    logs.panics.push(line.to_owned());
                }
            }
        }
        logs
    }

    /// What trips take when nothing is lost, and they are undone in the end: each leg says that it holds and that it gave back, booking
    /// that it was asked, and that it is confirmed and cancelled.
    fn messages_expected(&self, ledger: &Ledger) -> u64 {
        let promised = ledger
            .entries
            .values()
            .filter(|entry| entry.trip().is_some());
        promised.map(|entry| 2 * entry.legs as u64 + 4).sum()
    }

    fn tell_sometimes(&self, ledger: &Ledger, ends: &BTreeMap<TripId, End>) {
        let many = |name, count| self.sometimes.count(name, count);
        let ended = |outcome| {
            let such = ends.values().filter(|end| end.outcome == Some(outcome));
            such.count() as u64
        };
        many("a trip went through", ended(Outcome::Confirmed));
        many(
            "a trip was undone because a leg refused",
            ended(Outcome::Rejected),
        );
        many("a trip was cancelled", ended(Outcome::Cancelled));
        many("a trip expired", ended(Outcome::Expired));
        let entries = || ledger.entries.values();
        let confirmed_first = entries().filter(|entry| {
            let end = entry.trip().and_then(|trip| ends.get(&trip));
            entry.seen.iter().any(|seen| seen.state == State::Confirmed)
                && end.is_some_and(|end| end.outcome == Some(Outcome::Cancelled))
        });
        many(
            "a confirmed trip was cancelled",
            confirmed_first.count() as u64,
        );
        many(
            "a trip had 16 legs",
            entries().filter(|entry| entry.legs == 16).count() as u64,
        );
        let twice = entries().filter(|entry| entry.booked > 1).count();
        many("a key was asked twice and told the same", twice as u64);
        let answered = |wanted: fn(u16) -> bool| {
            let such = ledger.answers.iter().filter(|(status, _)| wanted(**status));
            such.map(|(_, count)| count).sum()
        };
        many(
            "a request was never answered",
            answered(|status| status == 0),
        );
        many(
            "a request was answered with 5xx",
            answered(super::load::is_error),
        );
        let wire = self.wire.counted();
        many(
            "a fact was published twice",
            wire.messages.saturating_sub(wire.ids),
        );
        many("a message was delivered again", self.gauges.redelivered());
        for (name, counter) in [
            (
                "an outbox row was published again",
                "roundtrip_republished_total",
            ),
            ("a timer fired", "roundtrip_timers_fired_total"),
            (
                "a consumer was declared again",
                "roundtrip_redeclared_total{what=\"consumer\"",
            ),
            (
                "the stream was declared again",
                "roundtrip_redeclared_total{what=\"stream\"",
            ),
            (
                "a batch failed and was tried again",
                "roundtrip_batch_failures_total{consequence=\"retry\"",
            ),
        ] {
            many(name, self.gauges.sum(counter));
        }
    }

    /// The story of the first trip that a failure names, or else of the first that is not final.
    fn story(&self, failures: &[String], ends: &BTreeMap<TripId, End>) -> Option<String> {
        if failures.is_empty() {
            return None;
        }
        let words = failures
            .iter()
            .flat_map(|line| line.split(|c: char| !c.is_ascii_hexdigit() && c != '-'));
        let named = words
            .filter_map(|word| word.parse::<TripId>().ok())
            .find(|trip| ends.contains_key(trip));
        let open = |(trip, end): (&TripId, &End)| {
            matches!(end.state, State::Pending | State::Undoing).then_some(*trip)
        };
        let trip = named.or_else(|| ends.iter().find_map(open))?.to_string();
        let story = self.wire.story(&trip).timeline(Paint::OFF);
        Some(format!("{trip}\n{story}"))
    }
}

fn load_average() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// A word as the services write it.
fn read<T: serde::de::DeserializeOwned>(word: &str) -> Result<T> {
    serde_json::from_value(Value::from(word)).with_context(|| format!("{word:?} is not known"))
}
