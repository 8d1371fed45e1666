//! Booking's database, which the coordinator decides in: a trip's row there is the decision. It is written once, for whoever comes second
//! finds it; so a decision that is being written and somebody who ends what is in doubt cannot both have their way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Result;
use sqlx::postgres::PgConnection;
use tokio::time::timeout;
use uuid::Uuid;

use super::link::{Fault, Link};
use crate::settings::Settings;

/// One commit for all of them, waited for by the disk (`synchronous_commit`); what is answered with is decided now, the rest was before.
const DECIDE: &str = "insert into two_phase.trip (trip, state, itinerary, legs, price_minor) \
     select t::uuid, 'confirmed', i, l, p from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) as n (t, i, l, p) \
     on conflict (trip) do nothing returning trip::text";
const ABORT: &str = "insert into two_phase.trip (trip, state, itinerary, legs, price_minor) \
     select t::uuid, 'aborted', '[]', 0, 0 from unnest($1::text[]) as n (t) on conflict (trip) do nothing returning trip::text";
const STATES: &str =
    "select trip::text, state from two_phase.trip where trip = any ($1::text[]::uuid[])";

/// Decisions go one commit after the other; the rest looks up what was decided.
const CONNECTIONS_MAX: usize = 4;

/// A decision that is to be written.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    pub(crate) trip: Uuid,
    pub(crate) itinerary: String,
    pub(crate) legs: i64,
    pub(crate) price_minor: i64,
}

/// Booking's database.
#[derive(Debug)]
pub(crate) struct Booking {
    link: Link,
}

impl Booking {
    pub(crate) fn new(settings: &Settings, counter: &Arc<AtomicU64>) -> Result<Self> {
        let url = &settings.databases.booking_database_url;
        let link = Link::new(url, CONNECTIONS_MAX, 0, settings, counter)?;
        Ok(Self { link })
    }

    /// Has its connections ready.
    pub(crate) async fn warm(&self) -> Result<(), Fault> {
        self.link.warm().await
    }

    /// Writes them all, in one transaction that is on disk when this returns. Answers with the trips that are confirmed by it.
    pub(crate) async fn decide(&self, all: &[Decision]) -> Result<Vec<String>, Fault> {
        let trips: Vec<String> = all.iter().map(|d| d.trip.to_string()).collect();
        let itineraries: Vec<&str> = all.iter().map(|d| d.itinerary.as_str()).collect();
        let legs: Vec<i64> = all.iter().map(|d| d.legs).collect();
        let prices: Vec<i64> = all.iter().map(|d| d.price_minor).collect();
        let mut lent = self.link.lend().await?;
        let said = sqlx::query_scalar(DECIDE)
            .bind(trips)
            .bind(itineraries)
            .bind(legs)
            .bind(prices)
            .fetch_all(&mut lent.connection);
        let done = timeout(self.link.within(), said).await;
        self.link.settle(lent, done).await
    }

    /// Decides against all of these trips of which nothing is decided, and answers with what each is then. Waits for a decision that is being
    /// written: its row is there first, or ours is.
    pub(crate) async fn decided_or_aborted(
        &self,
        trips: &[Uuid],
    ) -> Result<BTreeMap<Uuid, bool>, Fault> {
        let ids: Vec<String> = trips.iter().map(Uuid::to_string).collect();
        let mut lent = self.link.lend().await?;
        let said = sqlx::query_scalar::<_, String>(ABORT)
            .bind(ids.clone())
            .fetch_all(&mut lent.connection);
        let done = timeout(self.link.within(), said).await;
        self.link.settle(lent, done).await?;
        let states = self.states(ids).await?;
        let read =
            |(trip, state): (String, String)| Some((trip.parse().ok()?, state == "confirmed"));
        Ok(states.into_iter().filter_map(read).collect())
    }

    async fn states(&self, ids: Vec<String>) -> Result<Vec<(String, String)>, Fault> {
        let mut lent = self.link.lend().await?;
        let said = sqlx::query_as(STATES)
            .bind(ids)
            .fetch_all(&mut lent.connection);
        let done = timeout(self.link.within(), said).await;
        self.link.settle(lent, done).await
    }

    /// Whether a trip is confirmed; None where nothing is decided.
    pub(crate) async fn confirmed(&self, trip: Uuid) -> Result<Option<bool>, Fault> {
        let states = self.states(vec![trip.to_string()]).await?;
        Ok(states.first().map(|(_, state)| state == "confirmed"))
    }

    /// Takes a coordinator's name for as long as the connection lasts; None while another process has it.
    pub(crate) async fn take_name(&self, name: &str) -> Result<Option<PgConnection>, Fault> {
        let mut connection = self.link.connect().await?;
        let taken = sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended($1, 0))")
            .bind(crate::trip::prefix(name))
            .fetch_one(&mut connection);
        match timeout(self.link.within(), taken).await {
            Ok(Ok(true)) => Ok(Some(connection)),
            Ok(Ok(false)) => Ok(None),
            Ok(Err(error)) => Err(Fault::Away(error.to_string())),
            Err(_) => Err(Fault::Away(String::from("no answer in time"))),
        }
    }
}
