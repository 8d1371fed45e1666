//! The sample inventory: real city pairs, invented flights and hotels, so that there is something to book on the first day.
//!
//! `inventory/*.csv` of this crate say what there is on every single day; the dates are put in when it is loaded, from yesterday (which is today
//! somewhere) on for [`DAYS`] days. Where anything is in the inventory already, nothing is loaded.

use anyhow::{Context as _, Result, bail};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use serde::Deserialize;

const FLIGHTS: &str = include_str!("../inventory/flights.csv");
const HOTELS: &str = include_str!("../inventory/hotels.csv");
/// For how many days there is something to book.
pub const DAYS: i32 = 180;

#[derive(Deserialize)]
struct Flight {
    flight: String,
    seats: u32,
    price_minor: u32,
    currency: String,
}

#[derive(Deserialize)]
struct Room {
    hotel: String,
    room_type: String,
    rooms: u32,
    price_minor: u32,
    currency: String,
}

/// The sample as the services import it.
#[derive(Debug)]
pub struct Sample {
    /// For `POST /flights/import`.
    pub flights: String,
    /// For `POST /hotels/import`.
    pub hotels: String,
}

impl Sample {
    /// The sample for [`DAYS`] days, given what today is.
    ///
    /// # Errors
    /// When a file of ours is broken.
    pub fn from(today: Date) -> Result<Self> {
        let first = today.yesterday()?;
        let days = format!("{first}..{}", first.checked_add(DAYS.days())?);
        let mut flights = String::from("flight,date,seats,price_minor,currency\n");
        for row in csv::Reader::from_reader(FLIGHTS.as_bytes()).deserialize() {
            let Flight {
                flight,
                seats,
                price_minor,
                currency,
            } = row?;
            flights += &format!("{flight},{days},{seats},{price_minor},{currency}\n");
        }
        let mut hotels = String::from("hotel,room_type,night,rooms,price_minor,currency\n");
        for row in csv::Reader::from_reader(HOTELS.as_bytes()).deserialize() {
            let Room {
                hotel,
                room_type,
                rooms,
                price_minor,
                currency,
            } = row?;
            hotels += &format!("{hotel},{room_type},{days},{rooms},{price_minor},{currency}\n");
        }
        Ok(Self { flights, hotels })
    }
}

/// Loads the sample where the inventory is empty. True when something was loaded.
pub(super) async fn load(http: &reqwest::Client, flight: &str, hotel: &str) -> Result<bool> {
    let flights = format!("{flight}/flights");
    let hotels = format!("{hotel}/hotels");
    let (no_flights, no_hotels) = (empty(http, &flights).await?, empty(http, &hotels).await?);
    if !no_flights && !no_hotels {
        return Ok(false);
    }
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let sample = Sample::from(today)?;
    if no_flights {
        import(http, &flights, sample.flights).await?;
    }
    if no_hotels {
        import(http, &hotels, sample.hotels).await?;
    }
    Ok(true)
}

#[derive(Deserialize)]
struct Page {
    items: Vec<serde_json::Value>,
}

async fn empty(http: &reqwest::Client, url: &str) -> Result<bool> {
    let answer = http.get(format!("{url}?limit=1")).send().await?;
    let page: Page = answer.error_for_status()?.json().await?;
    Ok(page.items.is_empty())
}

/// Gives a service inventory as CSV.
///
/// # Errors
/// When the service cannot be reached or does not take it; in its own words.
pub async fn import(http: &reqwest::Client, url: &str, csv: String) -> Result<()> {
    let url = format!("{url}/import");
    let answer = http
        .post(&url)
        .header("content-type", "text/csv")
        .body(csv)
        .send()
        .await
        .with_context(|| format!("cannot reach {url}"))?;
    if !answer.status().is_success() {
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        bail!("{url} answered {status}: {text}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::{HOTELS, Sample};

    #[test]
    fn every_line_is_taken_for_every_day() {
        let sample = Sample::from(date(2026, 1, 1));
        assert!(sample.is_ok_and(|sample| {
            let flights: Vec<&str> = sample.flights.lines().collect();
            let hotels: Vec<&str> = sample.hotels.lines().collect();
            flights.len() == 25
                && flights[1] == "RT100,2025-12-31..2026-06-29,180,14900,EUR"
                && hotels.len() == HOTELS.lines().count()
                && hotels[3] == "LIS-PALACE,suite,2025-12-31..2026-06-29,0,39900,EUR"
        }));
    }
}
