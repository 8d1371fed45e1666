//! `roundtrip stuck`: trips that are not final, and what each waits for.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;

use super::address::Address;
use super::{out, parse, render};

/// List trips that are not final, the longest unchanged first, with what each waits for.
///
/// A pending trip waits for its legs until its deadline; `show` says which of them is next. One that is undoing waits for what may still be
/// held: its service is down, or gone for good; then `settle` takes the position as settled.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip stuck\n  roundtrip stuck --older-than 1h\n  roundtrip stuck --json | jq -r '.[] | .trip'"
)]
pub(crate) struct Stuck {
    /// Only those that have not changed for so long.
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    older_than: Option<Duration>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Address,
}

impl Stuck {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let older_than_s = self.older_than.unwrap_or_default().as_secs();
        let client = self.place.booking()?;
        let trips = client.stuck(older_than_s, self.limit).await?;
        out::answer(self.json, &trips, || {
            render::stuck(&trips, Timestamp::now())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
