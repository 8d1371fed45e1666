//! `roundtrip show TRIP`: how a trip stands, and its facts in order.

use std::process::ExitCode;

use anyhow::Result;
use booking::view::TripView;
use choreography::TripId;
use clap::Args;
use serde::Serialize;

use super::address::{Address, BrokerAddress};
use super::{out, render};
use client::paint::{Paint, Tone};
use client::timeline::{Timeline, Told};
use inspect::audit::Nats;

/// Show how a trip stands, and below it its facts in order.
///
/// The facts are read from the broker's stream, which is a window: of an old trip they may be gone.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip show 01981a2b-0000-7000-8000-000000000000\n  roundtrip show 01981a2b-0000-7000-8000-000000000000 --json | jq '.facts[].fact'\n  roundtrip show 01981a2b-0000-7000-8000-000000000000 --url http://127.0.0.1:8080 --nats nats://127.0.0.1:4222"
)]
pub(crate) struct Show {
    /// The trip's id.
    trip: TripId,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Address,
    #[command(flatten)]
    broker: BrokerAddress,
}

#[derive(Serialize)]
struct Shown {
    trip: TripView,
    /// Null where the broker could not be asked.
    facts: Option<Vec<Told>>,
}

impl Show {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let booking = self.place.booking()?.trip(self.trip).await?;
        let story = match self.broker.or(self.place.nats_url()) {
            Some(nats) => read(&nats, &booking).await,
            None => Err(anyhow::anyhow!(
                "name the broker with --nats to see what was said"
            )),
        };
        if self.json {
            if let Err(error) = &story {
                out::aside(&format!("no facts: {error:#}"));
            }
            out::json(&Shown {
                trip: booking,
                facts: story.ok().map(|story| story.facts),
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        let paint = Paint::stdout();
        out::line(&render::trip(&booking, paint));
        out::line("");
        match story {
            Ok(story) if story.facts.is_empty() => {
                out::line("its facts have fallen out of the broker's window");
            }
            Ok(story) => {
                out::line(&paint.tone(Tone::Loud, "what was said, in order"));
                out::line(story.timeline(paint).trim_end());
            }
            Err(error) => out::line(&format!("no facts: {error:#}")),
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn read(nats: &Nats, booking: &TripView) -> Result<Timeline> {
    let context = nats.connect().await?;
    Timeline::read(&context, booking).await
}
