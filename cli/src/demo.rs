//! `roundtrip demo`: a stack of its own, a handful of trips, each told as a timeline of its facts, and the audit at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::Context;
use booking::core::{Outcome, State};
use booking::view::TripView;
use choreography::Money;
use clap::Args;
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::{out, parse, render};
use client::paint::{Paint, Tone};
use client::timeline::Timeline;
use client::{Ask, Client};
use inspect::audit::{self, Nats, Part, Parts};
use payment::provider::ProviderSettings;
use stack::{DatabaseChoice, Options, Stack};

/// More than any trip needs when everything is up.
const WITHIN: Duration = Duration::from_secs(30);

/// Show what happens to a handful of trips, on a stack of its own that is gone afterwards.
///
/// One goes through, one is refused by the hotel and undone, one is refused by the flight, one runs out of budget, one is cancelled after
/// it was confirmed, one has its card declined. Exits 0 when each went as it should and the audit is clean.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  roundtrip demo\n  roundtrip demo --database postgres")]
pub(crate) struct Demo {
    /// `sqlite`, `postgres` for a local server of its own, or postgres://user:password@host/postgres. Every user of the machine can read
    /// what stands on a command line: give a password by the environment, or as @FILE.
    #[arg(long, value_name = "DATABASE", default_value = "sqlite", env = "ROUNDTRIP_DATABASE", hide_env_values = true, value_parser = parse::database)]
    database: DatabaseChoice,
}

/// A hold that is given back because the leg behind it refused.
const UNDONE: [&str; 4] = [
    "booking.requested",
    "flight.reserved",
    "hotel.rejected",
    "flight.released",
];
/// The last leg refuses, and both before it hear that for themselves.
const DECLINED: [&str; 6] = [
    "booking.requested",
    "flight.reserved",
    "hotel.reserved",
    "payment.rejected",
    "flight.released|hotel.released",
    "flight.released|hotel.released",
];
const CANCELLED: [&str; 7] = [
    "booking.requested",
    "flight.reserved",
    "hotel.reserved",
    "booking.confirmed",
    "booking.cancelled",
    "flight.released|hotel.released",
    "flight.released|hotel.released",
];

/// One trip of the demonstration, and what is to come of it.
struct Scene {
    title: &'static str,
    shows: &'static str,
    itinerary: Box<RawValue>,
    budget: Option<Money>,
    cancelled: bool,
    outcome: Outcome,
    /// What is said, in order; what lies between bars may come in either order.
    facts: &'static [&'static str],
}

struct Theatre {
    booking: Client,
    flight: Client,
    broker: Context,
    paint: Paint,
    day: Date,
}

impl Demo {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let began = Instant::now();
        let options = Options {
            database: self.database.clone(),
            payment: true,
            ..Options::temporary()
        };
        out::aside(
            "starting a broker, four databases, four services and a payment provider that moves no money …",
        );
        let stack = Stack::start(&options, &|_| {}).await?;
        let played = play(&stack, Paint::stdout()).await;
        stack.stop().await?;
        let good = played?;
        let me = client::invocation();
        out::aside(&format!(
            "\n{:.1} s in all. Your own: {me} up, then {me} book --help",
            began.elapsed().as_secs_f64()
        ));
        Ok(if good {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

async fn play(stack: &Stack, paint: Paint) -> Result<bool> {
    let nats = Nats::at(stack.nats_url());
    let theatre = Theatre {
        booking: Client::new(&stack.url(booking::NAME)?)?,
        flight: Client::new(&stack.url(flight::SPEC.name)?)?,
        broker: nats.connect().await?,
        paint,
        day: Timestamp::now()
            .to_zoned(TimeZone::UTC)
            .date()
            .checked_add(30.days())?,
    };
    let mut good = true;
    for (number, scene) in (1..).zip(theatre.scenes()?) {
        out::line(&format!(
            "\n{}\n{}",
            paint.tone(Tone::Loud, &format!("{number}. {}", scene.title)),
            scene.shows
        ));
        if let Err(error) = theatre.play(&scene).await {
            good = false;
            out::line(&paint.tone(Tone::Bad, &format!("  not as it should be: {error:#}")));
        }
    }
    let part = |(name, url): (&String, &String)| Part {
        name: Some(name.clone()),
        url: url.clone(),
    };
    let parts = Parts {
        databases: stack.databases().iter().map(part).collect(),
        nats: Some(nats),
        provider: stack
            .sandbox()
            .map(|sandbox| ProviderSettings::at(&sandbox.url(), &sandbox.key_file())),
        ..Parts::default()
    };
    let report = audit::wait_until_clean(&parts, WITHIN).await;
    out::line(&format!(
        "\n{}\nThe databases themselves, read by somebody who trusts no service.",
        paint.tone(Tone::Loud, "The audit")
    ));
    out::line(&super::audit::told(&report, paint));
    Ok(good && report.is_clean())
}

impl Theatre {
    fn scenes(&self) -> Result<Vec<Scene>> {
        let there = self.flight_leg("RT100", self.day, 1);
        let too_many = self.flight_leg("RT100", self.day, 500);
        let check_out = self.day.checked_add(2.days())?;
        let back = self.flight_leg("RT101", check_out, 1);
        let room = |kind: &str| {
            json!({"leg": hotel::SPEC.name, "hotel": "LIS-PALACE", "room_type": kind, "check_in": self.day,
                "check_out": check_out, "rooms": 1})
        };
        let scene = |title, shows, legs, outcome, facts| {
            Ok::<_, anyhow::Error>(Scene {
                title,
                shows,
                itinerary: to_raw_value(&legs)?,
                budget: None,
                cancelled: false,
                outcome,
                facts,
            })
        };
        let through = scene(
            "It goes through",
            "Each leg hears the one before it; when the last one holds, booking says so once, and it is firm.",
            json!([there, room("double"), back]),
            Outcome::Confirmed,
            &[
                "booking.requested",
                "flight.reserved",
                "hotel.reserved",
                "flight.reserved",
                "booking.confirmed",
            ],
        )?;
        let undone = scene(
            "The hotel refuses, and the flight is given back",
            "No suite is free. The flight hears that for itself and releases its seat; nobody told it to.",
            json!([there, room("suite")]),
            Outcome::Rejected,
            &UNDONE,
        )?;
        let refused = scene(
            "The flight refuses",
            "Five hundred seats are more than there are. The hotel's turn never comes, so nothing has to be undone.",
            json!([too_many, room("double")]),
            Outcome::Rejected,
            &["booking.requested", "flight.rejected"],
        )?;
        let too_dear = scene(
            "The money runs out",
            "The running total travels with the trip; the leg that would exceed the budget refuses.",
            json!([there, room("double")]),
            Outcome::Rejected,
            &UNDONE,
        )?;
        let cancelled = scene(
            "The traveller cancels what was confirmed",
            "Even a firm trip comes all the way back: every leg releases, and booking closes it when it has heard them all.",
            json!([there, room("double")]),
            Outcome::Cancelled,
            &CANCELLED,
        )?;
        let card = json!({"leg": payment::NAME, "method": "pm_card_chargeDeclined"});
        let declined = scene(
            "The card is declined, and everything is given back",
            "The last leg asks a payment provider for what all others cost. It says no; the flight and the hotel hear that and release.",
            json!([there, room("double"), card]),
            Outcome::Rejected,
            &DECLINED,
        )?;
        let budget = Some(parse::money("300EUR")?);
        Ok(vec![
            through,
            undone,
            refused,
            Scene { budget, ..too_dear },
            Scene {
                cancelled: true,
                ..cancelled
            },
            declined,
        ])
    }

    fn flight_leg(&self, flight: &str, date: Date, seats: u32) -> serde_json::Value {
        json!({"leg": flight::SPEC.name, "flight": flight, "date": date, "seats": seats})
    }

    async fn play(&self, scene: &Scene) -> Result<()> {
        let before = self.free_seats().await?;
        let ask = Ask {
            itinerary: scene.itinerary.clone(),
            budget: scene.budget,
            deadline_s: None,
            traveller: None,
        };
        let mut trip = self.booking.book(&ask, None, WITHIN).await?;
        trip = self.booking.settled(trip, WITHIN).await?;
        if scene.cancelled {
            ensure!(
                trip.state == State::Confirmed,
                "it is {}",
                trip.state.as_str()
            );
            trip = self
                .booking
                .cancel(trip.trip, Some("the meeting moved"), WITHIN)
                .await?;
        }
        let story = self.whole_story(scene, &trip).await?;
        out::line(story.timeline(self.paint).trim_end());
        let mut end = render::verdict(&trip, self.paint);
        if !trip.total.is_empty() && scene.outcome == Outcome::Confirmed {
            end = format!("{end}, for {}", render::sum(&trip.total));
        }
        let after = self.free_seats().await?;
        out::line(&format!(
            "  {end}\n  free seats on RT100: {before} before, {after} after"
        ));
        check(scene, &trip, &story)?;
        let seats = i64::from(scene.outcome == Outcome::Confirmed);
        ensure!(
            before - after == seats,
            "{seats} seats of RT100 should be taken now"
        );
        Ok(())
    }

    /// The story with its last fact in it: the outcome is known as soon as it is committed, a moment before it is published.
    async fn whole_story(&self, scene: &Scene, trip: &TripView) -> Result<Timeline> {
        let until = Instant::now() + WITHIN;
        loop {
            let story = Timeline::read(&self.broker, trip).await?;
            if check(scene, trip, &story).is_ok() || Instant::now() >= until {
                return Ok(story);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn free_seats(&self) -> Result<i64> {
        let day = self.day.to_string();
        let stock: serde_json::Value = self.flight.get(&["flights", "RT100", &day], &[]).await?;
        stock["free"].as_i64().context("no count of free seats")
    }
}

fn check(scene: &Scene, trip: &TripView, story: &Timeline) -> Result<()> {
    let state = match scene.outcome {
        Outcome::Confirmed => State::Confirmed,
        _ => State::Closed,
    };
    ensure!(
        (trip.state, trip.outcome) == (state, Some(scene.outcome)),
        "it should be {} and {}",
        state.as_str(),
        scene.outcome.as_str()
    );
    let said = story.outline();
    let as_said = said.len() == scene.facts.len()
        && said
            .iter()
            .zip(scene.facts)
            .all(|(said, may)| may.split('|').any(|may| may == said));
    ensure!(
        as_said,
        "{} was to be said, in this order",
        scene.facts.join(", ")
    );
    Ok(())
}
