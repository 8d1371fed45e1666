//! Whether the rival's trips add up: each is confirmed in booking's database and there with all its parts, or nowhere; what is taken is what
//! the parts say; and nothing lies prepared any more. It reads the databases, and ends nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use crate::settings::Databases;

/// What the name of everything begins with that any coordinator prepares, and the name of its connections.
pub const PREFIX: &str = "two-phase/";
/// So many violations are told one by one.
const TOLD_MAX: usize = 10;
const LOCKS: &str = "select \
     array(select gid from pg_prepared_xacts where database = current_database() and starts_with(gid, $1)), \
     (select count(*) from pg_prepared_xacts where database = current_database() and starts_with(gid, $2)), \
     (select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and starts_with(application_name, $2))";
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Trips that are decided for.
    pub confirmed: u64,
    /// Trips that were in doubt and were decided against then: others leave no row.
    pub aborted: u64,
    /// Seats that the stock says are taken.
    pub seats_taken: i64,
    /// Nights in rooms that the stock says are taken.
    pub rooms_taken: i64,
    /// Parts that lie prepared, and were not ended.
    pub in_doubt: u64,
    /// What is not as it has to be.
    pub violations: Vec<String>,
}

impl Report {
    /// Whether everything adds up.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "two-phase commit: {} trips confirmed, {} in doubt decided against; {} seats and {} nights taken; {} parts still prepared",
            self.confirmed, self.aborted, self.seats_taken, self.rooms_taken, self.in_doubt
        )?;
        for violation in &self.violations {
            writeln!(f, "  {violation}")?;
        }
        let verdict = if self.is_clean() { "clean" } else { "VIOLATED" };
        write!(f, "{verdict}")
    }
}

/// Of a participant: units taken by its stock, and by its parts; trips with their parts.
struct Part {
    taken: i64,
    units: i64,
    trips: BTreeMap<String, i64>,
}

async fn part(url: &str) -> Result<Part> {
    let mut connection = PgConnection::connect(url).await?;
    let taken = sqlx::query_scalar("select coalesce(sum(taken), 0)::bigint from two_phase.stock")
        .fetch_one(&mut connection)
        .await?;
    let units = sqlx::query_scalar("select coalesce(sum(units), 0)::bigint from two_phase.part")
        .fetch_one(&mut connection)
        .await?;
    let trips: Vec<(String, i64)> =
        sqlx::query_as("select trip::text, count(*) from two_phase.part group by trip")
            .fetch_all(&mut connection)
            .await?;
    connection.close().await?;
    Ok(Part {
        taken,
        units,
        trips: trips.into_iter().collect(),
    })
}

/// How many parts lie prepared in this database, of the coordinators whose name for them begins so ([`PREFIX`] is everybody's).
///
/// # Errors
/// When it cannot be reached.
pub async fn in_doubt(url: &str, prefix: &str) -> Result<u64> {
    let mut connection = PgConnection::connect(url).await?;
    let count: i64 = sqlx::query_scalar(
        "select count(*) from pg_prepared_xacts where database = current_database() and starts_with(gid, $1)",
    )
    .bind(prefix)
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    Ok(count.unsigned_abs())
}

/// What is locked in a database at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locks {
    /// Parts that lie prepared, of the coordinators whose name for them begins as was asked.
    pub of_these: Vec<String>,
    /// Parts that lie prepared, of all.
    pub in_doubt: u64,
    /// Statements of coordinators that wait for a lock.
    pub waiting: u64,
}

/// Looks at one database's locks again and again, over a connection that stays.
#[derive(Debug)]
pub struct Watch {
    url: String,
    connection: Option<PgConnection>,
}

impl Watch {
    /// Connects when it looks.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            connection: None,
        }
    }

    /// What is locked now; connects again next time where the database does not answer.
    ///
    /// # Errors
    /// When it does not.
    pub async fn look(&mut self, prefix: &str) -> Result<Locks> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => PgConnection::connect(&self.url).await?,
        };
        let (of_these, in_doubt, waiting): (Vec<String>, i64, i64) = sqlx::query_as(LOCKS)
            .bind(prefix)
            .bind(PREFIX)
            .fetch_one(&mut connection)
            .await?;
        self.connection = Some(connection);
        Ok(Locks {
            of_these,
            in_doubt: in_doubt.unsigned_abs(),
            waiting: waiting.unsigned_abs(),
        })
    }
}

/// Looks once.
///
/// # Errors
/// When a database cannot be reached.
pub async fn audit(databases: &Databases) -> Result<Report> {
    let mut booking = PgConnection::connect(&databases.booking_database_url)
        .await
        .context("booking's database")?;
    let decided: Vec<(String, String, i64)> =
        sqlx::query_as("select trip::text, state, legs from two_phase.trip")
            .fetch_all(&mut booking)
            .await?;
    booking.close().await?;
    let flight = part(&databases.flight_database_url)
        .await
        .context("flight's database")?;
    let hotel = part(&databases.hotel_database_url)
        .await
        .context("hotel's database")?;
    let in_doubt = in_doubt(&databases.flight_database_url, PREFIX).await?
        + in_doubt(&databases.hotel_database_url, PREFIX).await?;
    Ok(judge(&decided, &flight, &hotel, in_doubt))
}

fn judge(decided: &[(String, String, i64)], flight: &Part, hotel: &Part, in_doubt: u64) -> Report {
    let mut parts = flight.trips.clone();
    for (trip, count) in &hotel.trips {
        *parts.entry(trip.clone()).or_default() += count;
    }
    let mut wrong = Vec::new();
    for (trip, state, legs) in decided {
        let there = parts.remove(trip).unwrap_or(0);
        let wanted = if state == "confirmed" { *legs } else { 0 };
        if there != wanted {
            wrong.push(format!(
                "trip {trip} is {state} and has {there} of {legs} parts"
            ));
        }
    }
    for (trip, count) in parts {
        wrong.push(format!(
            "trip {trip} has {count} parts and was never decided for"
        ));
    }
    let more = wrong.len().saturating_sub(TOLD_MAX);
    wrong.truncate(TOLD_MAX);
    if more > 0 {
        wrong.push(format!(
            "and {more} more trips that are neither whole nor gone"
        ));
    }
    for (name, part) in [("seats", flight), ("nights", hotel)] {
        if part.taken != part.units {
            wrong.push(format!(
                "{} {name} are taken, and trips have {}",
                part.taken, part.units
            ));
        }
    }
    if in_doubt > 0 {
        wrong.push(format!(
            "{in_doubt} parts lie prepared, and nobody ended them"
        ));
    }
    let states = |wanted: &str| {
        decided
            .iter()
            .filter(|(_, state, _)| state == wanted)
            .count() as u64
    };
    Report {
        confirmed: states("confirmed"),
        aborted: states("aborted"),
        seats_taken: flight.taken,
        rooms_taken: hotel.taken,
        in_doubt,
        violations: wrong,
    }
}

/// Looks until everything adds up, or it took too long; then as it is.
///
/// # Errors
/// When a database cannot be reached until then.
pub async fn wait_until_clean(databases: &Databases, within: Duration) -> Result<Report> {
    let until = Instant::now() + within;
    loop {
        let looked = audit(databases).await;
        let clean = looked.as_ref().is_ok_and(Report::is_clean);
        if clean || Instant::now() >= until {
            return looked;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(taken: i64, trips: &[(&str, i64)]) -> Part {
        Part {
            taken,
            units: trips.iter().map(|(_, count)| count).sum(),
            trips: trips.iter().map(|(t, c)| ((*t).to_owned(), *c)).collect(),
        }
    }

    #[test]
    fn a_trip_is_there_with_all_its_parts_or_nowhere() {
        let decided = |state: &str| [(String::from("a"), state.to_owned(), 2)];
        let both = (part(1, &[("a", 1)]), part(1, &[("a", 1)]));
        let none = part(0, &[]);
        assert!(judge(&decided("confirmed"), &both.0, &both.1, 0).is_clean());
        assert!(judge(&decided("aborted"), &none, &none, 0).is_clean());
        assert!(!judge(&decided("confirmed"), &both.0, &none, 0).is_clean());
        assert!(!judge(&decided("aborted"), &both.0, &both.1, 0).is_clean());
        assert!(!judge(&[], &both.0, &none, 0).is_clean());
        assert!(!judge(&[], &part(1, &[]), &none, 0).is_clean());
        assert!(!judge(&[], &none, &none, 1).is_clean());
    }
}
