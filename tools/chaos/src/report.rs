//! What came of a run, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::faults::Done;
use super::wire::Counted;

/// What came of one seed.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What the schedule was drawn from.
    pub seed: u64,
    /// What does the same again.
    pub command: String,
    /// Trips that there are.
    pub trips: u64,
    /// Trips by how they ended.
    pub outcomes: BTreeMap<String, u64>,
    /// Travellers who turned back because too many were under way already.
    pub turned_back: u64,
    /// What went wrong, by our doing.
    pub faults: Done,
    /// Answers by HTTP status; 0 for requests without one.
    pub answers: BTreeMap<u16, u64>,
    /// What ought to happen sometimes, and how often it did.
    pub sometimes: BTreeMap<String, u64>,
    /// From the last fault until the last trip was final, in milliseconds; null when not all are.
    pub rest_ms: Option<u64>,
    /// What was said on the wire.
    pub messages: Counted,
    /// Messages for each trip.
    pub messages_per_trip: f64,
    /// Log lines of all services for each trip.
    pub log_lines_per_trip: f64,
    /// Megabytes of memory once all is at rest, and at most, by process.
    pub memory_mb: BTreeMap<String, (u64, u64)>,
    /// How many processes wanted a core of this machine (the load average of the last minute, where it is shown), and how many there are.
    pub machine: (Option<f64>, usize),
    /// How often a broker that stored nothing although its disk had room was started again, as a deployment's probe does.
    pub brokers_started_again: u64,
    /// What is not as it has to be; empty when all is.
    pub failures: Vec<String>,
    /// The story of a trip that something is wrong with.
    pub story: Option<String>,
}

impl Report {
    /// Nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }

    /// Answers that say that a service could not.
    #[must_use]
    pub fn errors(&self) -> u64 {
        let errors = self
            .answers
            .iter()
            .filter(|(status, _)| super::load::is_error(**status));
        errors.map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<String, u64>| {
            let parts = counts.iter().map(|(name, count)| format!("{count} {name}"));
            parts.collect::<Vec<_>>().join(", ")
        };
        let Self {
            seed,
            trips,
            messages,
            ..
        } = self;
        writeln!(f, "seed         {seed}")?;
        writeln!(f, "trips        {trips}: {}", list(&self.outcomes))?;
        let many: u64 = self.faults.done.values().sum();
        writeln!(f, "faults       {many}: {}", list(&self.faults.done))?;
        for (kind, why) in &self.faults.missed {
            writeln!(f, "missed       {kind}: {why}")?;
        }
        for (kind, why) in &self.faults.left_out {
            writeln!(f, "left out     {kind}: {why}")?;
        }
        let answers: Vec<String> = self
            .answers
            .iter()
            .map(|(s, n)| format!("{n} × {s}"))
            .collect();
        writeln!(
            f,
            "answers      {} ({} errors, 0 is none at all)",
            answers.join(", "),
            self.errors()
        )?;
        match self.rest_ms {
            Some(ms) => writeln!(
                f,
                "at rest      {:.1} s after the last fault",
                ms as f64 / 1e3
            )?,
            None => writeln!(f, "at rest      no")?,
        }
        writeln!(
            f,
            "messages     {:.1} a trip: {} of {} facts, one at most {} times; {} more were repeated on purpose",
            self.messages_per_trip,
            messages.messages,
            messages.ids,
            messages.copies_max,
            messages.repeated
        )?;
        writeln!(f, "log lines    {:.1} a trip", self.log_lines_per_trip)?;
        let memory = self.memory_mb.iter();
        let memory: Vec<String> = memory
            .map(|(who, (now, peak))| format!("{who} {now} ({peak})"))
            .collect();
        writeln!(f, "memory, MB   {} (at most)", memory.join(", "))?;
        if let (Some(load), cores) = self.machine {
            writeln!(f, "machine      load {load:.1} on {cores} cores")?;
        }
        if self.turned_back > 0 {
            writeln!(f, "turned back  {} travellers", self.turned_back)?;
        }
        if self.brokers_started_again > 0 {
            let times = self.brokers_started_again;
            writeln!(
                f,
                "brokers      that stored nothing were started again {times} times"
            )?;
        }
        writeln!(f, "sometimes")?;
        for (name, times) in &self.sometimes {
            writeln!(f, "{times:>12}  {name}")?;
        }
        for failure in &self.failures {
            writeln!(f, "FAILED       {failure}")?;
        }
        if let Some(story) = &self.story {
            writeln!(f, "one trip's story:\n{story}")?;
        }
        match self.is_clean() {
            true => write!(f, "clean: every trip went through or came all the way back"),
            false => write!(f, "NOT CLEAN; again with: {}", self.command),
        }
    }
}
