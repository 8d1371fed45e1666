//! A trip by what is typed of its id. Not a search: the beginning of an id is a range of the table's key, and one request.

use std::str::FromStr;

use anyhow::{Result, bail, ensure};
use choreography::TripId;

use crate::{Client, Page};
use booking::view::TripView;

/// The fewest characters that stand for an id.
const SHORTEST: usize = 4;
/// So many trips are named when the beginning is that of several.
const NAMED: usize = 10;

/// A trip's id as it is typed: all of it, or as much of its beginning as no other trip has.
///
/// The beginning and not the end, though the end differs sooner: it is found by the table's key, where an end would take an index of its
/// own with every trip, or a look at all of them. It is the time, too: trips of one minute share eight characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed(String);

impl FromStr for Typed {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = |c: char| c.is_ascii_hexdigit() || c == '-';
        let whole = text.parse::<TripId>().is_ok();
        ensure!(
            whole || ((SHORTEST..=36).contains(&text.len()) && text.chars().all(known)),
            "give a trip's id, or at least its first {SHORTEST} characters"
        );
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl Client {
    /// The trip that is meant.
    ///
    /// # Errors
    /// When no trip's id begins so, or several do, which are named; or booking does not answer.
    pub async fn find(&self, typed: &Typed) -> Result<TripId> {
        let Typed(typed) = typed;
        if let Ok(trip) = typed.parse() {
            return Ok(trip);
        }
        let limit = (NAMED + 1).to_string();
        let query = [("prefix", typed.as_str()), ("limit", limit.as_str())];
        let page: Page<TripView> = self.get(&["bookings"], &query).await?;
        // A booking of an earlier version lists all that it has.
        let begins = |trip: &&TripView| trip.trip.to_string().starts_with(typed);
        let found: Vec<&TripView> = page.items.iter().filter(begins).collect();
        match found.as_slice() {
            [] => {
                bail!("no trip's id begins with {typed}; closed trips are dropped after seven days")
            }
            [trip] if page.items.len() == 1 => Ok(trip.trip),
            several => {
                let named = several.iter().take(NAMED).map(|trip| {
                    format!(
                        "\n  {}  {}, asked {}",
                        trip.trip,
                        trip.state.as_str(),
                        trip.created
                    )
                });
                let named: String = named.collect();
                let more = if several.len() > NAMED {
                    "\n  and more"
                } else {
                    ""
                };
                bail!(
                    "{typed} is the beginning of several trips; give more of the one that is meant:{named}{more}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Typed;

    #[test]
    fn an_id_is_typed_whole_or_by_its_beginning() {
        for typed in [
            "019a",
            "019A4C5E-81",
            "019a4c5e-8100-7000-8000-000000000000",
        ] {
            assert!(typed.parse::<Typed>().is_ok(), "{typed}");
        }
        for typed in [
            "",
            "17",
            "019",
            "trip",
            "019a/..",
            "019a4c5e-8100-7000-8000-0000000000000",
        ] {
            assert!(typed.parse::<Typed>().is_err(), "{typed}");
        }
    }
}
