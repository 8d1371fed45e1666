//! `roundtrip list`: trips, the newest first.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::address::Address;
use super::{out, render};
use client::paint::visible_json;
use serde_json::json;

/// List trips, the newest first.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip list\n  roundtrip list --outcome rejected --limit 100\n  roundtrip list --traveller 'Ada Lovelace'\n  roundtrip list --after CURSOR   # goes on where the list before this one said\n  roundtrip list --state undoing --json | jq -r '.[].trip'"
)]
pub(crate) struct List {
    /// Only those in this state.
    #[arg(long)]
    state: Option<State>,
    /// Only those with this outcome.
    #[arg(long)]
    outcome: Option<Outcome>,
    /// Only those for this traveller, as it was given when the trip was booked.
    #[arg(long, value_name = "NAME")]
    traveller: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Go on where an earlier list ended, which it says.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
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
        let filter: Vec<(&str, &str)> = [
            ("state", &state),
            ("outcome", &outcome),
            ("traveller", &self.traveller),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
        let booking = self.place.booking()?;
        let page = booking.trips(&filter, self.limit, self.after.clone());
        let page = page.await?;
        out::answer(self.json, &page.items, || render::list(&page.items))?;
        if self.json {
            let rest = json!({"next_cursor": page.next_cursor, "total": page.total});
            out::aside(&visible_json(&rest.to_string()));
        } else if let Some(rest) = out::rest(&page) {
            out::aside(&rest);
        }
        Ok(ExitCode::SUCCESS)
    }
}
