//! `roundtrip settle TRIP POSITION --reason`: an operator's word in place of a leg that nobody answers for.

use std::process::ExitCode;

use anyhow::Result;
use choreography::Position;
use clap::Args;

use super::address::Address;
use super::{out, render};
use client::Typed;
use client::paint::Paint;

/// Take one position of a trip as settled, for a leg that is gone and cannot say so itself.
///
/// Only for a leg of which you know that it holds nothing for this trip; what you say is recorded as a fact. Of a trip that is closed
/// already, it says once more that the trip is off, for a leg that came back after all.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  roundtrip settle 01981a2b-0000-7000-8000-000000000000 2 --reason 'the car service was shut down, its database is empty'"
)]
pub(crate) struct Settle {
    /// The trip's id, or as much of its beginning as no other has.
    trip: Typed,
    /// Which place on its itinerary, from 0.
    position: Position,
    /// How you know that nothing is held there.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Address,
}

impl Settle {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let client = self.place.booking()?;
        let trip = client.find(&self.trip).await?;
        let booking = client.settle(trip, self.position, &self.reason).await?;
        out::answer(self.json, &booking, || {
            render::trip(&booking, Paint::stdout())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
