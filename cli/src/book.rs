//! `roundtrip book`: a trip from a terminal.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use booking::core::Outcome;
use booking::view::{DEADLINE_DEFAULT_S, TripView};
use choreography::Money;
use clap::Args;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use serde_json::json;
use serde_json::value::RawValue;

use super::address::Address;
use super::{out, parse, render};
use client::paint::Paint;
use client::{Ask, is_final};

/// Exit code of a trip that is off with everything back.
const OFF: u8 = 3;
/// Exit code of a trip that is not final yet.
const UNDECIDED: u8 = 4;
/// How long to wait before saying that it waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// What undoing a trip may take beyond its deadline before we stop waiting.
const UNDO_WITHIN: Duration = Duration::from_secs(60);

/// Book a trip, and wait for its outcome.
///
/// The flags name a flight, a hotel, or both, and the way back; anything else is an itinerary as JSON. Exits 0 when the trip is
/// confirmed, 3 when it is off and everything is back, 4 when it is not final yet, 1 when it was not taken; --no-wait: 0 when taken.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip book --flight RT100 --hotel LIS-PALACE --room-type double --date 2026-12-01 --nights 2 --back RT101\n  roundtrip book --flight RT100 --seats 2 --date tomorrow --budget 400EUR --traveller 'Ada L.'\n  roundtrip book --hotel LIS-PALACE --room-type suite --date +30 --deadline 10s --json\n  roundtrip book --itinerary '[{\"leg\":\"flight\",\"flight\":\"RT100\",\"date\":\"2026-12-01\",\"seats\":1}]' --no-wait\n  roundtrip book --itinerary @trip.json --key my-order-17"
)]
pub(crate) struct Book {
    /// The flight, such as RT100.
    #[arg(long, value_name = "FLIGHT")]
    flight: Option<String>,
    /// The hotel, such as LIS-PALACE.
    #[arg(long, value_name = "HOTEL")]
    hotel: Option<String>,
    /// Which kind of room.
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "double",
        requires = "hotel"
    )]
    room_type: String,
    /// The flight back, on the day of the check-out.
    #[arg(long, value_name = "FLIGHT")]
    back: Option<String>,
    /// The day of the flight and of the check-in: a date, `tomorrow`, or so many days from now.
    #[arg(long, value_name = "DATE", default_value = "+7", value_parser = parse::date)]
    date: Date,
    /// How many nights until the check-out.
    #[arg(long, value_name = "N", default_value_t = 1)]
    nights: u16,
    /// How many seats on each flight.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seats: u32,
    /// How many rooms.
    #[arg(long, value_name = "N", default_value_t = 1)]
    rooms: u32,
    /// The itinerary as JSON, or @FILE with it, instead of all of the above.
    #[arg(long, value_name = "JSON", conflicts_with_all = ["flight", "hotel", "back"])]
    itinerary: Option<String>,
    /// What all legs together may cost.
    #[arg(long, value_name = "AMOUNT", value_parser = parse::money)]
    budget: Option<Money>,
    /// When booking gives up waiting for the legs; 2m when absent.
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    deadline: Option<Duration>,
    /// For whom, in your own words.
    #[arg(long, value_name = "TEXT")]
    traveller: Option<String>,
    /// Your own name for this request: repeated under the same key, it makes no second trip.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Do not wait for the outcome.
    #[arg(long)]
    no_wait: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Address,
}

impl Book {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let ask = self.ask()?;
        let client = self.place.booking()?;
        let deadline_s = ask.deadline_s.unwrap_or(DEADLINE_DEFAULT_S);
        let within = if self.no_wait {
            Duration::ZERO
        } else {
            Duration::from_secs(deadline_s.unsigned_abs()) + UNDO_WITHIN
        };
        let at_first = within.min(PATIENCE);
        let booking = client.book(&ask, self.key.as_deref(), at_first).await?;
        if !self.no_wait && !is_final(&booking) {
            out::aside(&format!(
                "trip {} is {}: {} (Ctrl-C ends the waiting, not the trip)",
                booking.trip,
                booking.state.as_str(),
                render::waits(&booking, Timestamp::now())
            ));
        }
        let booking = client.settled(booking, within).await?;
        out::answer(self.json, &booking, || {
            render::trip(&booking, Paint::stdout())
        })?;
        if !self.json {
            let me = client::invocation();
            out::aside(&format!("\nIts facts in order: {me} show {}", booking.trip));
        }
        Ok(if self.no_wait {
            ExitCode::SUCCESS
        } else {
            code(&booking)
        })
    }

    fn ask(&self) -> Result<Ask> {
        let itinerary = match self.itinerary.as_deref() {
            Some(given) => parse::text(given).context("the itinerary")?,
            None => self.legs()?,
        };
        let deadline_s = self
            .deadline
            .map(|deadline| i64::try_from(deadline.as_secs()).unwrap_or(i64::MAX));
        Ok(Ask {
            itinerary: RawValue::from_string(itinerary.trim().to_owned())
                .context("the itinerary is not JSON")?,
            budget: self.budget,
            deadline_s,
            traveller: self.traveller.clone(),
        })
    }

    fn legs(&self) -> Result<String> {
        let check_out = self.date.checked_add(i32::from(self.nights).days())?;
        let flight = |flight: &str, date: Date| json!({"leg": flight::SPEC.name, "flight": flight, "date": date, "seats": self.seats});
        let mut legs = Vec::new();
        legs.extend(self.flight.as_deref().map(|there| flight(there, self.date)));
        legs.extend(self.hotel.as_deref().map(|hotel| {
            json!({"leg": hotel::SPEC.name, "hotel": hotel, "room_type": self.room_type, "check_in": self.date,
                "check_out": check_out, "rooms": self.rooms})
        }));
        legs.extend(self.back.as_deref().map(|back| flight(back, check_out)));
        if legs.is_empty() {
            bail!(
                "name a --flight, a --hotel or both, or give an --itinerary; `{} help book` has examples",
                client::invocation()
            );
        }
        Ok(serde_json::to_string(&legs)?)
    }
}

/// What became of it, for scripts.
pub(crate) fn code(booking: &TripView) -> ExitCode {
    if !is_final(booking) {
        ExitCode::from(UNDECIDED)
    } else if booking.outcome == Some(Outcome::Confirmed) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(OFF)
    }
}
