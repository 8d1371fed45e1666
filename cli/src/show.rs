//! `roundtrip show TRIP`: how a trip stands, and its facts in order.

use std::process::ExitCode;

use anyhow::Result;
use booking::core::State;
use booking::view::TripView;
use choreography::Position;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::address::{Address, BrokerAddress};
use super::{out, render};
use client::Typed;
use client::paint::{Paint, Tone};
use client::timeline::{Timeline, Told};
use inspect::audit::Nats;

/// Show how a trip stands, and below it its facts in order.
///
/// The facts are read from the broker's stream, which is a window: of an old trip they may be gone.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip show 01981a2b-0000-7000-8000-000000000000\n  roundtrip show 01981a2b-00\n  roundtrip show 01981a2b-0000-7000-8000-000000000000 --json | jq '.facts[].fact'\n  roundtrip show 01981a2b-0000-7000-8000-000000000000 --url http://127.0.0.1:8080 --nats nats://127.0.0.1:4222"
)]
pub(crate) struct Show {
    /// The trip's id, or as much of its beginning as no other has.
    trip: Typed,
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
        let client = self.place.booking()?;
        let booking = client.trip(client.find(&self.trip).await?).await?;
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
                if let Some(silent) = silent(&booking, &story) {
                    out::line(&silent);
                }
            }
            Err(error) => out::line(&format!("no facts: {error:#}")),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Who is next in a pending trip, as far as it has come: booking itself hears of the last leg only.
fn silent(booking: &TripView, story: &Timeline) -> Option<String> {
    if booking.state != State::Pending || !story.complete {
        return None;
    }
    let said = story.facts.iter().filter(|told| !told.again);
    let last = said
        .filter(|told| matches!(told.fact.as_str(), "requested" | "reserved"))
        .max_by_key(|told| told.position)?;
    let next = last.position.map_or(0, |position: Position| position + 1);
    let leg = booking
        .waiting_for
        .iter()
        .find(|waits| waits.position == next)?;
    let age = render::age(Timestamp::now().duration_since(last.at));
    let leg = render::place(leg);
    Some(format!("\n{leg} is next, and has not answered for {age}"))
}

async fn read(nats: &Nats, booking: &TripView) -> Result<Timeline> {
    let context = nats.connect().await?;
    Timeline::read(&context, booking).await
}
