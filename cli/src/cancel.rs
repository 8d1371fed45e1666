//! `roundtrip cancel TRIP`: calls a trip off, pending or confirmed.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::address::Address;
use super::{out, render};
use client::paint::Paint;
use client::{Typed, is_final};

const WAIT: Duration = Duration::from_secs(60);
/// Not everything is back yet.
const NOT_BACK: u8 = 4;

/// Cancel a trip, pending or confirmed, and wait until everything is back.
///
/// Exits 0 when everything is back or with --no-wait, 4 when a leg has not given back yet: it will, or see `stuck`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip cancel 01981a2b-0000-7000-8000-000000000000\n  roundtrip cancel 01981a2b-00 --reason 'the meeting moved' --no-wait"
)]
pub(crate) struct Cancel {
    /// The trip's id, or as much of its beginning as no other has.
    trip: Typed,
    /// Why, in your own words.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not wait until everything is back.
    #[arg(long)]
    no_wait: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Address,
}

impl Cancel {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let wait = if self.no_wait { Duration::ZERO } else { WAIT };
        let client = self.place.booking()?;
        let trip = client.find(&self.trip).await?;
        let booking = client.cancel(trip, self.reason.as_deref(), wait).await?;
        out::answer(self.json, &booking, || {
            render::trip(&booking, Paint::stdout())
        })?;
        Ok(if self.no_wait || is_final(&booking) {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(NOT_BACK)
        })
    }
}
