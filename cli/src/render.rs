//! Trips as lines and tables for people.

use std::fmt::Write as _;

use booking::core::{Outcome, Settled, State};
use booking::view::{TripView, WaitsFor};
use choreography::Money;
use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::{Map, Value};

use super::out;
use client::paint::{Paint, Tone, visible};

/// A trip, whole.
pub(crate) fn trip(booking: &TripView, paint: Paint) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    line("trip", &booking.trip.to_string());
    line("state", &verdict(booking, paint));
    if booking.needs_attention {
        line(
            "",
            &paint.tone(
                Tone::Back,
                "needs attention: it has been on its way back for over an hour",
            ),
        );
    }
    if let Some(traveller) = &booking.traveller {
        line("traveller", &visible(traveller));
    }
    if booking.state == State::Confirmed {
        line("costs", &sum(&booking.total));
    }
    if let Some(budget) = &booking.budget {
        line("budget", &budget.to_string());
    }
    line("asked", &moment(booking.created));
    if !booking.waiting_for.is_empty() {
        line("waits for", &waits(booking, Timestamp::now()));
    }
    text.push('\n');
    let rows = legs(booking)
        .into_iter()
        .enumerate()
        .map(|(at, (leg, details))| {
            let how = standing(booking, at);
            [format!("#{at}"), leg, details, how.to_owned()]
        });
    text.push_str(&out::table(["", "leg", "what", "stands"], rows));
    text
}

/// State, outcome and why, in one line.
pub(crate) fn verdict(booking: &TripView, paint: Paint) -> String {
    let state = booking.state.as_str();
    let mut text = match booking.outcome {
        None => paint.tone(Tone::Plain, state),
        Some(Outcome::Confirmed) => paint.tone(Tone::Good, "confirmed"),
        Some(outcome) => {
            let back = match booking.state {
                State::Closed => "everything is back",
                _ => "not everything is back yet",
            };
            format!("{}, {back}", paint.tone(Tone::Bad, outcome.as_str()))
        }
    };
    if let Some(reason) = &booking.reason {
        let (code, message) = (visible(&reason.code), visible(&reason.message));
        let _ = write!(text, " ({code}: {message})");
    }
    text
}

/// Several trips, one a row.
pub(crate) fn list(trips: &[TripView]) -> String {
    if trips.is_empty() {
        return String::from("no trips");
    }
    let rows = trips.iter().map(|booking| {
        [
            booking.trip.to_string(),
            booking.state.as_str().to_owned(),
            booking.outcome.map_or("", Outcome::as_str).to_owned(),
            moment(booking.created),
            why(booking),
            // Last: a trip of sixteen legs pads no other row.
            itinerary(booking),
        ]
    });
    out::table(
        ["trip", "state", "outcome", "asked", "why, or costs", "legs"],
        rows,
    )
}

/// Trips that are not final, and what each waits for.
pub(crate) fn stuck(trips: &[TripView], now: Timestamp) -> String {
    if trips.is_empty() {
        return String::from("nothing is stuck: every trip is final");
    }
    let rows = trips.iter().map(|booking| {
        let attention = if booking.needs_attention {
            "needs attention"
        } else {
            ""
        };
        [
            booking.trip.to_string(),
            booking.state.as_str().to_owned(),
            booking.outcome.map_or("", Outcome::as_str).to_owned(),
            attention.to_owned(),
            // Last: it is as long as the itinerary.
            waits(booking, now),
        ]
    });
    out::table(["trip", "state", "outcome", "", "waits for"], rows)
}

/// What a trip that is not final waits for, since when, and until when.
pub(crate) fn waits(booking: &TripView, now: Timestamp) -> String {
    let places: Vec<String> = booking.waiting_for.iter().map(place).collect();
    let since = age(now.duration_since(booking.changed));
    let asked = match booking.tries {
        0 => String::new(),
        1 => String::from(", asked again once"),
        tries => format!(", asked again {tries} times"),
    };
    let end = match (booking.state, places.len()) {
        (State::Pending, 1) => format!(
            "has not answered for {since}{asked}; given up at {}",
            moment(booking.deadline)
        ),
        (State::Pending, _) => format!(
            "have not all answered for {since}{asked}; given up at {}",
            moment(booking.deadline)
        ),
        (_, 1) => format!("may still hold something, and has not answered for {since}{asked}"),
        _ => format!("may still hold something, and have not answered for {since}{asked}"),
    };
    format!("{} {end}", places.join(", "))
}

/// A leg and its place, as `settle` wants it.
pub(crate) fn place(waits: &WaitsFor) -> String {
    format!("{} (position {})", visible(&waits.leg), waits.position)
}

/// Why it is off, what it costs, or whom it still waits for, in few words.
fn why(booking: &TripView) -> String {
    let legs: Vec<&str> = booking
        .waiting_for
        .iter()
        .map(|waits| waits.leg.as_str())
        .collect();
    let waits = (!legs.is_empty()).then(|| format!("waits for {}", legs.join(", ")));
    let why = match &booking.reason {
        Some(reason) => reason.code.clone(),
        None => sum(&booking.total),
    };
    let words = [Some(why), waits];
    let words = words.into_iter().flatten().filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("; ")
}

/// How a place on the itinerary stands, as booking knows it.
fn standing(booking: &TripView, at: usize) -> &'static str {
    match (booking.state, booking.settled.get(at).copied().flatten()) {
        (_, Some(Settled::Rejected)) => "refused",
        (_, Some(Settled::Released)) => "given back",
        (_, Some(Settled::Behind)) => "its turn never came",
        (_, Some(Settled::ByHand)) => "settled by hand",
        (State::Confirmed, None) => "confirmed",
        (State::Undoing, None) => "not back yet",
        (_, None) => "",
    }
}

/// Each leg's name, and its details in few words, whatever they are.
fn legs(booking: &TripView) -> Vec<(String, String)> {
    let legs: Vec<Map<String, Value>> =
        serde_json::from_str(booking.itinerary.get()).unwrap_or_default();
    legs.iter()
        .map(|leg| {
            let name = leg.get("leg").and_then(Value::as_str).unwrap_or_default();
            let details: Vec<String> = leg
                .iter()
                .filter(|(field, _)| *field != "leg")
                .map(|(field, value)| match value.as_str() {
                    Some(text) => format!("{field} {text}"),
                    None => format!("{field} {value}"),
                })
                .collect();
            (name.to_owned(), details.join(", "))
        })
        .collect()
}

fn itinerary(booking: &TripView) -> String {
    let names: Vec<String> = legs(booking).into_iter().map(|(name, _)| name).collect();
    names.join(" → ")
}

pub(crate) fn sum(total: &[Money]) -> String {
    let sums: Vec<String> = total.iter().map(ToString::to_string).collect();
    sums.join(" + ")
}

/// To the second: nobody reads on.
pub(crate) fn moment(at: Timestamp) -> String {
    at.round(Unit::Second).unwrap_or(at).to_string()
}

pub(crate) fn age(age: SignedDuration) -> String {
    let seconds = age.as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
