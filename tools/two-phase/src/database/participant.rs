//! One participant: the database that has the trip's seats, or the one that has its rooms. It votes, and does what was decided.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Result;
use sqlx::Row as _;

use super::link::{Fault, Link};
use super::statements;
use crate::settings::Settings;
use crate::trip::{Site, Trip};

/// The codes with which our own functions refuse (`schema.rs`).
const SOLD_OUT: &str = "RT001";
/// A lock was not had in time.
const LOCKED: [&str; 2] = ["55P03", "40P01"];
/// What is to be ended is not there: it was ended, or never prepared.
const GONE: &str = "42704";

/// What a database says to a trip.
#[derive(Debug)]
pub(crate) enum Vote {
    /// Its part is prepared: it will commit it whatever happens, or roll it back.
    Prepared { price_minor: i64 },
    /// There is nothing to sell; nothing is left of it.
    Refused(String),
    /// It is not prepared, or nobody knows.
    Failed(Failure),
}

/// Why a trip has no outcome of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Another trip had the row for too long.
    Locked,
    /// There is too much under way.
    Full,
    /// A database is away; nothing is booked.
    Away(String),
    /// The decision was being written: nobody knows yet whether it is.
    Unknown(String),
}

/// A server of a database.
#[derive(Debug)]
pub(crate) struct Server {
    /// Two databases on one server have the same here.
    pub(crate) which: String,
    /// The most that it can have prepared at a time.
    pub(crate) prepares: u32,
}

/// A database with a part of the trips.
#[derive(Debug)]
pub(crate) struct Participant {
    site: Site,
    link: Link,
}

impl Participant {
    pub(crate) fn new(site: Site, settings: &Settings, counter: &Arc<AtomicU64>) -> Result<Self> {
        let url = match site {
            Site::Flight => &settings.databases.flight_database_url,
            Site::Hotel => &settings.databases.hotel_database_url,
        };
        let link = Link::new(
            url,
            usize::from(settings.connections_max),
            usize::from(settings.connections_max) / 4,
            settings,
            counter,
        )?;
        Ok(Self { site, link })
    }

    pub(crate) fn site(&self) -> Site {
        self.site
    }

    /// Has its connections ready.
    pub(crate) async fn warm(&self) -> Result<(), Fault> {
        self.link.warm().await
    }

    /// The first phase.
    pub(crate) async fn prepare(&self, trip: &Trip, gid: &str) -> Vote {
        let said = self
            .link
            .say(statements::prepare(trip, self.site, gid))
            .await;
        match said {
            Ok(rows) => {
                let prices = rows.iter().map(|row| row.try_get::<i64, _>(0));
                match prices.sum::<Result<i64, _>>() {
                    Ok(price_minor) => Vote::Prepared { price_minor },
                    Err(error) => Vote::Failed(Failure::Away(error.to_string())),
                }
            }
            Err(Fault::Said { code, message }) if code == SOLD_OUT => Vote::Refused(message),
            Err(Fault::Said { code, .. }) if LOCKED.contains(&code.as_str()) => {
                Vote::Failed(Failure::Locked)
            }
            // 53: it has no more room, for connections or for prepared transactions.
            Err(Fault::Said { code, .. }) if code.starts_with("53") => Vote::Failed(Failure::Full),
            Err(fault) => Vote::Failed(Failure::Away(format!("{}: {fault}", self.site.as_str()))),
        }
    }

    /// The second phase. True when it is done: now, or before.
    pub(crate) async fn end(&self, gid: &str, commit: bool) -> Result<(), Fault> {
        match self.link.say_last(statements::end(gid, commit)).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is(GONE) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// The names of what lies prepared here and begins so.
    pub(crate) async fn in_doubt(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        let pattern = statements::literal(&format!("{prefix}%"));
        let text = format!(
            "select gid from pg_prepared_xacts where database = current_database() and gid like {pattern}"
        );
        let rows = self.link.ask(text).await?;
        let read = rows.iter().map(|row| row.try_get::<String, _>(0));
        read.collect::<Result<_, _>>()
            .map_err(|error| Fault::Away(error.to_string()))
    }

    /// Its server.
    pub(crate) async fn server(&self) -> Result<Server, Fault> {
        // No two servers started in the same microsecond and listen at the same port.
        let text = "select current_setting('max_prepared_transactions')::bigint, pg_postmaster_start_time()::text || ' ' || current_setting('port')";
        let rows = self.link.ask(text.to_owned()).await?;
        let unread = |error: String| Fault::Away(error);
        let row = rows.first().ok_or_else(|| unread("no row".to_owned()))?;
        let prepares: i64 = row.try_get(0).map_err(|error| unread(error.to_string()))?;
        let which = row.try_get(1).map_err(|error| unread(error.to_string()))?;
        let prepares = u32::try_from(prepares).unwrap_or(0);
        Ok(Server { which, prepares })
    }
}
