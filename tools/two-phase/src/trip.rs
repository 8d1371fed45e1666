//! What is asked for, as booking's `POST /bookings` has it, and how its parts are named at the databases. Pure: nothing is booked here.

use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// As many as a trip may have of each: what is asked for is bounded, since all of it is locked at once.
const LEGS_MAX: usize = 16;
const NIGHTS_MAX: i32 = 60;
const UNITS_MAX: u32 = 500;
const NAME_MAX: usize = 64;

/// Whose database a part of a trip is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
    Flight,
    Hotel,
}

impl Site {
    pub(crate) const ALL: [Self; 2] = [Self::Flight, Self::Hotel];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Flight => "flight",
            Self::Hotel => "hotel",
        }
    }
}

/// A position of an itinerary.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "leg", rename_all = "lowercase")]
pub(crate) enum Leg {
    Flight {
        flight: String,
        date: Date,
        seats: u32,
    },
    Hotel {
        hotel: String,
        room_type: String,
        check_in: Date,
        check_out: Date,
        rooms: u32,
    },
}

impl Leg {
    pub(crate) const fn site(&self) -> Site {
        match self {
            Self::Flight { .. } => Site::Flight,
            Self::Hotel { .. } => Site::Hotel,
        }
    }

    fn check(&self) -> Result<(), String> {
        let (names, units) = match self {
            Self::Flight { flight, seats, .. } => (vec![flight], *seats),
            Self::Hotel {
                hotel,
                room_type,
                rooms,
                ..
            } => (vec![hotel, room_type], *rooms),
        };
        if let Self::Hotel { .. } = self
            && !(1..=NIGHTS_MAX).contains(&self.nights_between())
        {
            return Err(format!("a stay is of 1 to {NIGHTS_MAX} nights"));
        }
        let plain = |name: &&String| {
            !name.is_empty() && name.len() <= NAME_MAX && !name.chars().any(char::is_control)
        };
        if !names.iter().all(plain) {
            return Err(format!("a name has 1 to {NAME_MAX} bytes"));
        }
        if !(1..=UNITS_MAX).contains(&units) {
            return Err(format!("seats and rooms are 1 to {UNITS_MAX}"));
        }
        Ok(())
    }

    fn nights_between(&self) -> i32 {
        match self {
            Self::Flight { .. } => 0,
            Self::Hotel {
                check_in,
                check_out,
                ..
            } => check_in.until(*check_out).map_or(0, |span| span.get_days()),
        }
    }

    /// The nights of a stay, in order.
    pub(crate) fn nights(&self) -> Vec<Date> {
        match self {
            Self::Flight { .. } => Vec::new(),
            Self::Hotel { check_in, .. } => {
                let nights = usize::try_from(self.nights_between()).unwrap_or(0);
                check_in.series(1.day()).take(nights).collect()
            }
        }
    }

    /// The rows that it changes, by name.
    fn items(&self) -> Vec<String> {
        match self {
            Self::Flight { flight, date, .. } => vec![format!("flight/{flight}/{date}")],
            Self::Hotel {
                hotel, room_type, ..
            } => {
                let nights = self.nights().into_iter();
                let night = |night| format!("hotel/{hotel}/{room_type}/{night}");
                nights.map(night).collect()
            }
        }
    }
}

#[derive(Deserialize)]
struct Asked {
    itinerary: Vec<Leg>,
}

/// A trip under its id.
#[derive(Debug, Clone)]
pub(crate) struct Trip {
    pub(crate) id: Uuid,
    pub(crate) legs: Vec<Leg>,
    /// The itinerary as JSON, to be kept with the decision.
    pub(crate) text: String,
}

impl Trip {
    /// Out of a request's body, under a new id.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let asked: Asked = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if asked.itinerary.is_empty() || asked.itinerary.len() > LEGS_MAX {
            return Err(format!("an itinerary has 1 to {LEGS_MAX} legs"));
        }
        asked.itinerary.iter().try_for_each(Leg::check)?;
        let text = serde_json::to_string(&asked.itinerary).map_err(|error| error.to_string())?;
        Ok(Self {
            id: Uuid::now_v7(),
            legs: asked.itinerary,
            text,
        })
    }

    /// The databases that it changes something in: the others are left out.
    pub(crate) fn sites(&self) -> impl Iterator<Item = Site> {
        let has = move |site: &Site| self.legs.iter().any(|leg| leg.site() == *site);
        Site::ALL.into_iter().filter(has)
    }

    /// Every row that it changes, in the one order that all trips have.
    pub(crate) fn items(&self) -> Vec<String> {
        let mut items: Vec<String> = self.legs.iter().flat_map(Leg::items).collect();
        items.sort_unstable();
        items.dedup();
        items
    }
}

/// What everything that a coordinator prepares is called by.
pub(crate) fn prefix(coordinator: &str) -> String {
    format!("{}{coordinator}/", crate::audit::PREFIX)
}

/// The name of a trip's part at a database, unique in a whole server.
pub(crate) fn gid(coordinator: &str, trip: Uuid, site: Site) -> String {
    format!("{}{trip}/{}", prefix(coordinator), site.as_str())
}

/// The coordinator that prepared it; None of what no coordinator named.
pub(crate) fn coordinator_of(gid: &str) -> Option<&str> {
    let (name, _) = gid.strip_prefix(crate::audit::PREFIX)?.split_once('/')?;
    Some(name)
}

/// Whose part it is; None of one that was not named by [`gid`].
pub(crate) fn trip_of(gid: &str, prefix: &str) -> Option<Uuid> {
    let (trip, _) = gid.strip_prefix(prefix)?.split_once('/')?;
    trip.parse().ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const BODY: &str = r#"{"itinerary":[{"leg":"flight","flight":"B1","date":"2039-06-03","seats":1},{"leg":"hotel","hotel":"H1","room_type":"double","check_in":"2039-06-03","check_out":"2039-06-05","rooms":1}]}"#;

    #[test]
    fn a_trip_names_its_rows_in_one_order_and_its_parts_by_its_id() {
        let trip = Trip::read(BODY.as_bytes()).unwrap();
        let rows = [
            "flight/B1/2039-06-03",
            "hotel/H1/double/2039-06-03",
            "hotel/H1/double/2039-06-04",
        ];
        assert_eq!(trip.items(), rows);
        assert_eq!(trip.sites().collect::<Vec<_>>(), Site::ALL);
        let gid = gid("one", trip.id, Site::Hotel);
        assert!(gid.len() < 200, "PostgreSQL takes no longer name");
        assert_eq!(trip_of(&gid, &prefix("one")), Some(trip.id));
        assert_eq!(trip_of(&gid, &prefix("on")), None);
        assert_eq!(coordinator_of(&gid), Some("one"));
        assert_eq!(coordinator_of("somebody/else/s"), None);
    }

    #[test]
    fn a_database_with_nothing_to_change_is_left_out() {
        let body =
            r#"{"itinerary":[{"leg":"flight","flight":"B1","date":"2039-06-03","seats":1}]}"#;
        let trip = Trip::read(body.as_bytes()).unwrap();
        assert_eq!(trip.sites().collect::<Vec<_>>(), [Site::Flight]);
    }

    #[test]
    fn what_has_no_bound_is_refused() {
        let with = |from: &str, to: &str| Trip::read(BODY.replace(from, to).as_bytes()).is_ok();
        assert!(with("B1", "B2"));
        assert!(!with("\"seats\":1", "\"seats\":0"));
        assert!(!with("\"rooms\":1", "\"rooms\":501"));
        assert!(!with("2039-06-05", "2039-06-03"));
        assert!(!with("2039-06-05", "2041-06-05"));
        assert!(!with("B1", ""));
        assert!(Trip::read(br#"{"itinerary":[]}"#).is_err());
    }
}
