//! A kit at work: what all scenes share. What is played is in `scenes`, a trip in `trip`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Error, Result};
use choreography::{LegName, Money, Plan, TripId};
use jiff::Timestamp;
use uuid::Uuid;

use crate::Options;
use crate::exchange::Exchange;
use crate::parts::{self, Bodies, Part};
use crate::promise::Promise;
use crate::trip::{Trip, cancelled};
use crate::verdict::Verdicts;
use crate::wire::Wire;

/// After what was answered later, an answer to what was said before may still be under way.
const SETTLE: Duration = Duration::from_millis(250);

/// Why a scene does not go on.
#[derive(Debug)]
pub(crate) enum Halt {
    /// A promise is broken, which is on account.
    Broken,
    /// What it needs is not there, which is on account too.
    NotTried,
    /// The kit itself is in trouble.
    Trouble(Error),
}

impl<E: Into<Error>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Trouble(error.into())
    }
}

/// What a scene comes to.
pub(crate) type Scene<T = ()> = std::result::Result<T, Halt>;

/// All that scenes share.
pub(crate) struct Kit<'o> {
    pub(crate) options: &'o Options,
    pub(crate) leg: LegName,
    pub(crate) wire: Arc<Wire>,
    pub(crate) bodies: Bodies,
    verdicts: Mutex<Verdicts>,
    /// What one item costs, once that is known.
    price: Mutex<Option<Money>>,
}

impl<'o> Kit<'o> {
    pub(crate) fn new(options: &'o Options, wire: Arc<Wire>, bodies: Bodies) -> Self {
        Self {
            options,
            leg: options.leg.clone(),
            wire,
            bodies,
            verdicts: Mutex::default(),
            price: Mutex::default(),
        }
    }

    pub(crate) fn verdicts(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn learn_price(&self, price: Money) {
        *self.price.lock().unwrap_or_else(PoisonError::into_inner) = Some(price);
    }

    pub(crate) fn price(&self) -> Option<Money> {
        *self.price.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A trip of these parts, with an hour's time and no budget.
    pub(crate) fn trip(&self, parts: &[Part]) -> Scene<Trip<'_>> {
        self.trip_with(parts, parts::in_s(3_600), None)
    }

    pub(crate) fn trip_with(
        &self,
        parts: &[Part],
        deadline: Timestamp,
        budget: Option<Money>,
    ) -> Scene<Trip<'_>> {
        let itinerary = self.bodies.itinerary(parts).ok_or(Halt::NotTried)?;
        let plan = Plan {
            itinerary,
            deadline,
            budget,
        };
        let id = TripId::from(Uuid::now_v7());
        let exchange = Exchange {
            leg: self.leg.clone(),
            trip: id,
            plan: plan.clone(),
            words: Vec::new(),
        };
        let news = self.wire.begin(exchange);
        Ok(Trip {
            kit: self,
            id,
            plan,
            news,
        })
    }

    /// A trip whose exchange has not ended.
    pub(crate) fn again(&self, trip: TripId) -> Option<Trip<'_>> {
        let plan = self.wire.look(trip, |exchange| exchange.plan.clone())?;
        let news = self.wire.news(trip)?;
        Some(Trip {
            kit: self,
            id: trip,
            plan,
            news,
        })
    }

    /// Whether the leg answers a trip of its own still. What was said to it before has been dealt with then, or nearly.
    pub(crate) async fn alive(&self) -> Result<bool> {
        let Ok(trip) = self.trip(&[Part::Item]) else {
            return Ok(false);
        };
        let alive = trip
            .is_answered(trip.turn(0), 0, &["reserved", "rejected", "released"])
            .await?;
        if alive.is_ok() {
            trip.is_answered(cancelled(), 0, &["released", "rejected"])
                .await?
                .ok();
            trip.close();
        }
        Ok(alive.is_ok())
    }

    /// Everything said until now is dealt with, and what was to be said of it has come.
    pub(crate) async fn settled(&self) -> Scene {
        if !self.alive().await? {
            self.verdicts()
                .broken(Promise::Turn, "it answers nothing any more", Vec::new());
            return Err(Halt::Broken);
        }
        tokio::time::sleep(SETTLE).await;
        Ok(())
    }
}
