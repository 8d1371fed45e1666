//! `roundtrip list`: trips, the newest first.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::address::Address;
use super::{out, render};

/// List trips, the newest first.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip list\n  roundtrip list --outcome rejected --limit 100\n  roundtrip list --state undoing --json | jq -r '.[].trip'"
)]
pub(crate) struct List {
    /// Only those in this state.
    #[arg(long)]
    state: Option<State>,
    /// Only those with this outcome.
    #[arg(long)]
    outcome: Option<Outcome>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Address,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    /// Asked for; the legs are at work.
    Pending,
    /// Confirmed: it goes through.
    Confirmed,
    /// Off, and not everything is back yet.
    Undoing,
    /// Off, and everything is back.
    Closed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Outcome {
    /// It goes through.
    Confirmed,
    /// A leg refused it.
    Rejected,
    /// The traveller cancelled it.
    Cancelled,
    /// Its deadline passed.
    Expired,
}

impl List {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let word = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value().map(|value| value.get_name().to_owned())
        };
        let state = word(&|| self.state.and_then(|state| state.to_possible_value()));
        let outcome = word(&|| self.outcome.and_then(|outcome| outcome.to_possible_value()));
        let filter: Vec<(&str, &str)> = [("state", &state), ("outcome", &outcome)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .collect();
        let trips = self.place.booking()?.trips(&filter, self.limit).await?;
        if self.json {
            out::json(&trips)?;
        } else if trips.is_empty() {
            out::line("no trips");
        } else {
            out::line(&render::list(&trips));
        }
        Ok(ExitCode::SUCCESS)
    }
}
