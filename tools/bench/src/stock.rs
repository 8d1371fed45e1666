//! What is booked: a stock of the bench's own, or a flight and a hotel that somebody has. Nothing is imported here.

use anyhow::Result;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

const FLIGHTS: usize = 200;
const HOTELS: usize = 100;
const DAYS: usize = 30;
const NIGHTS: usize = 2;
/// So much of everything that capacity never decides.
const PLENTY: u32 = 1_000_000;
/// The most rooms that one trip may ask for: what is asked for to be refused where no room type is without rooms.
const ROOMS_MAX: u32 = 500;

/// What there is to book.
#[derive(Debug, Clone)]
pub enum Stock {
    /// What is imported into a stack of our own.
    Own {
        /// Days on which everything can be had.
        days: Vec<Date>,
        /// Whether all trips ask for one flight on one day.
        hot: bool,
    },
    /// What somebody's stack has.
    Named(Named),
}

/// A flight and a stay that somebody's stack has, with as much of them as the trips take.
#[derive(Debug, Clone)]
pub struct Named {
    /// The flight, such as RT100.
    pub flight: String,
    /// The hotel, such as LIS-PALACE.
    pub hotel: String,
    /// Which kind of room.
    pub room_type: String,
    /// The day of the flight and of the check-in.
    pub date: Date,
}

impl Stock {
    /// A stock of our own, from tomorrow on; `hot` where all trips ask for seats of one flight on one day.
    ///
    /// # Errors
    /// At the end of time.
    pub fn own(hot: bool) -> Result<Self> {
        let tomorrow = Timestamp::now().to_zoned(TimeZone::UTC).date().tomorrow()?;
        let days = tomorrow.series(1.day()).take(DAYS + NIGHTS).collect();
        Ok(Self::Own { days, hot })
    }

    fn range(&self) -> String {
        match self {
            Self::Own { days, .. } => match (days.first(), days.last()) {
                (Some(first), Some(last)) => format!("{first}..{last}"),
                _ => String::new(),
            },
            Self::Named(_) => String::new(),
        }
    }

    /// Flights as CSV.
    #[must_use]
    pub fn flights(&self) -> String {
        let days = self.range();
        (0..FLIGHTS).fold(
            String::from("flight,date,seats,price_minor,currency\n"),
            |csv, n| csv + &format!("B{n},{days},{PLENTY},12300,EUR\n"),
        )
    }

    /// Hotels as CSV: every one has doubles without end, and no suite at all.
    #[must_use]
    pub fn hotels(&self) -> String {
        let days = self.range();
        (0..HOTELS).fold(
            String::from("hotel,room_type,night,rooms,price_minor,currency\n"),
            |csv, n| {
                csv + &format!(
                    "H{n},double,{days},{PLENTY},9900,EUR\nH{n},suite,{days},0,29900,EUR\n"
                )
            },
        )
    }

    /// What is sent for a trip: a flight and a stay. One that the hotel is to refuse asks for a room that is not there, or for too many.
    #[must_use]
    pub fn itinerary(&self, refused: bool) -> String {
        match self {
            Self::Own { days, hot } => {
                let (flight, day) = match hot {
                    true => (0, 0),
                    false => (fastrand::usize(..FLIGHTS), fastrand::usize(..DAYS)),
                };
                let hotel = fastrand::usize(..HOTELS);
                let room = if refused { "suite" } else { "double" };
                let text = |day: usize| days.get(day).map(ToString::to_string).unwrap_or_default();
                let (check_in, check_out) = (text(day), text(day + NIGHTS));
                format!(
                    r#"{{"itinerary":[{{"leg":"flight","flight":"B{flight}","date":"{check_in}","seats":1}},{{"leg":"hotel","hotel":"H{hotel}","room_type":"{room}","check_in":"{check_in}","check_out":"{check_out}","rooms":1}}]}}"#
                )
            }
            Self::Named(named) => {
                let rooms = if refused { ROOMS_MAX } else { 1 };
                let (check_in, check_out) = (named.date, named.date.saturating_add(1.day()));
                serde_json::json!({"itinerary": [
                    {"leg": flight::SPEC.name, "flight": named.flight, "date": check_in, "seats": 1},
                    {"leg": hotel::SPEC.name, "hotel": named.hotel, "room_type": named.room_type, "check_in": check_in,
                        "check_out": check_out, "rooms": rooms},
                ]})
                .to_string()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_trip_asks_for_what_there_is() {
        let stock = Stock::own(false).unwrap();
        assert_eq!(stock.flights().lines().count(), 201);
        assert_eq!(stock.hotels().lines().count(), 201);
        for refused in [false, true] {
            let asked: Value = serde_json::from_str(&stock.itinerary(refused)).unwrap();
            let room = &asked["itinerary"][1]["room_type"];
            assert_eq!(room, if refused { "suite" } else { "double" });
            assert_eq!(asked["itinerary"][0]["seats"], 1);
        }
    }

    #[test]
    fn of_somebodys_hotel_too_many_rooms_are_asked_for_to_be_refused() {
        let stock = Stock::Named(Named {
            flight: "RT100".into(),
            hotel: "LIS \"PALACE\"".into(),
            room_type: "double".into(),
            date: "2039-06-03".parse().unwrap(),
        });
        let rooms = |refused| {
            let asked: Value = serde_json::from_str(&stock.itinerary(refused)).unwrap();
            let stay = asked["itinerary"][1].clone();
            assert_eq!(stay["check_out"], "2039-06-04");
            stay["rooms"].clone()
        };
        assert_eq!((rooms(false), rooms(true)), (1.into(), 500.into()));
    }
}
