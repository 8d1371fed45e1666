//! Trips against their legs, across databases: read side by side in the order of trips, a page of trips at a time, so that a stack of
//! any size fits into memory.

use std::collections::{BTreeMap, HashMap};

use booking::core::{Settled, State};
use choreography::{Itinerary, LegName, Money, TripId};
use leg::core::State as LegState;
use runtime::database::{Failure, Is};
use runtime::table::{Lock, int, text};
use runtime::{Database, Table};
use serde::Deserialize;

use super::part::{Kind, Leg, Opened};
use super::payments;
use super::stock;
use super::violations::{Judgement, Violations};

const PAGE: usize = 10_000;

const TRIP: &Table = &Table {
    name: "trip",
    key: &[text("trip")],
    columns: &[
        text("state"),
        text("itinerary"),
        text("settled"),
        text("total"),
        int("budget_minor"),
        text("budget_currency"),
    ],
    lock: Lock::None,
};

const LEG: &Table = &Table {
    name: "leg",
    key: &[text("trip"), int("position")],
    columns: &[text("state"), int("price_minor"), text("currency")],
    lock: Lock::None,
};

#[derive(Deserialize)]
struct Trip {
    trip: TripId,
    state: State,
    itinerary: String,
    settled: String,
    total: Option<String>,
    budget_minor: Option<i64>,
    budget_currency: Option<String>,
}

pub(super) struct Record {
    pub(super) trip: TripId,
    pub(super) position: i64,
    /// Where it stands, in the words that all legs share.
    pub(super) state: LegState,
    /// The same in its own words.
    pub(super) word: &'static str,
    pub(super) price_minor: Option<i64>,
    pub(super) currency: Option<String>,
    /// Of a payment: what is paid.
    pub(super) paid_minor: Option<i64>,
}

#[derive(Deserialize)]
struct Row {
    trip: TripId,
    position: i64,
    state: LegState,
    price_minor: Option<i64>,
    currency: Option<String>,
}

/// Trips with a leg whose database is not here: one of them, and how many.
type Unjudged = BTreeMap<LegName, (TripId, u64)>;

/// Records of one trip, each with the leg service (its place among the opened) whose database it lies in.
type Records = HashMap<TripId, Vec<(usize, Record)>>;

impl Opened {
    /// Compares everything with everything that has to agree.
    pub(super) async fn compare(&self) -> Judgement {
        let mut judgement = Judgement::default();
        for leg in &self.legs {
            if let Err(error) = stock::judge(leg, &mut judgement.violations).await {
                judgement.unreached.push(format!("{}: {error}", leg.name));
            }
        }
        let Some(booking) = &self.booking else {
            return judgement;
        };
        let mut unjudged = Unjudged::new();
        if let Err(error) = self
            .compare_trips(booking, &mut judgement.violations, &mut unjudged)
            .await
        {
            judgement.unreached.push(error);
        }
        self.reconcile(&mut judgement).await;
        for (leg, (trip, count)) in unjudged {
            judgement.missing.push(format!(
                "{leg}: its database was not given, and {count} trips have such a leg, trip {trip} for one: --database {leg}=URL, or --without {leg}"
            ));
        }
        judgement
    }

    async fn compare_trips(
        &self,
        booking: &Database,
        violations: &mut Violations,
        unjudged: &mut Unjudged,
    ) -> Result<(), String> {
        let mut after = String::new();
        loop {
            let trips: Vec<Trip> = booking
                .select(TRIP)
                .only("trip", Is::Greater, after.as_str())
                .order(&["trip"])
                .most(PAGE)
                .rows()
                .await
                .map_err(|error| format!("{}: {error}", booking::NAME))?;
            let upto = (trips.len() == PAGE)
                .then(|| trips.last().map(|last| last.trip.to_string()))
                .flatten();
            let mut records = self.records(&after, upto.as_deref()).await?;
            for trip in &trips {
                let own = records.remove(&trip.trip).unwrap_or_default();
                self.judge_trip(trip, &own, violations, unjudged);
            }
            self.judge_orphans(&records, violations);
            match upto {
                Some(upto) => after = upto,
                None => return Ok(()),
            }
        }
    }

    /// Records of the trips behind `after`, up to and with `upto`.
    async fn records(&self, after: &str, upto: Option<&str>) -> Result<Records, String> {
        let mut records = Records::new();
        for (place, leg) in self.legs.iter().enumerate() {
            for record in rows(leg, after, upto)
                .await
                .map_err(|error| format!("{}: {error}", leg.name))?
            {
                records
                    .entry(record.trip)
                    .or_default()
                    .push((place, record));
            }
        }
        Ok(records)
    }

    fn judge_trip(
        &self,
        trip: &Trip,
        records: &[(usize, Record)],
        violations: &mut Violations,
        unjudged: &mut Unjudged,
    ) {
        let id = trip.trip;
        match trip.state {
            State::None => violations.within(format!(
                "trip {id} is an empty row: a claim was left behind"
            )),
            State::Pending | State::Undoing => {
                violations.within(format!(
                    "trip {id} is not final: it is {}",
                    trip.state.as_str()
                ));
            }
            State::Confirmed | State::Closed => {}
        }
        let Ok(itinerary) = Itinerary::parse(&trip.itinerary) else {
            violations.within(format!("trip {id} has no itinerary that can be read"));
            return;
        };
        self.judge_strays(id, &itinerary, records, violations);
        let mut whole = true;
        let settled: Vec<Option<Settled>> = serde_json::from_str(&trip.settled).unwrap_or_default();
        for (position, name) in (0_u16..).zip(itinerary.legs()) {
            let Some(place) = self.legs.iter().position(|leg| leg.name == name.as_str()) else {
                let by_hand = settled.get(usize::from(position)) == Some(&Some(Settled::ByHand));
                if !by_hand && !self.without.contains(name.as_str()) {
                    unjudged.entry(name.clone()).or_insert((id, 0)).1 += 1;
                }
                whole = false;
                continue;
            };
            let (state, found) = records
                .iter()
                .find(|(at, record)| *at == place && record.position == i64::from(position))
                .filter(|(_, record)| record.state != LegState::None)
                .map_or((LegState::None, "not there"), |(_, record)| {
                    (record.state, record.word)
                });
            if !agrees(trip.state, state) {
                whole = false;
                violations.across(format!(
                    "trip {id} is {}, and its leg {position} ({name}) is {found}",
                    trip.state.as_str()
                ));
            }
        }
        if whole && trip.state == State::Confirmed {
            judge_money(trip, records, violations);
        }
    }

    /// Records of a trip that are at no position of that leg's, or that nothing was ever written to.
    fn judge_strays(
        &self,
        trip: TripId,
        itinerary: &Itinerary,
        records: &[(usize, Record)],
        violations: &mut Violations,
    ) {
        for (place, record) in records {
            let Some(leg) = self.legs.get(*place) else {
                continue;
            };
            let Record {
                position,
                state,
                word,
                ..
            } = record;
            let owner = u16::try_from(*position)
                .ok()
                .and_then(|position| itinerary.name_at(position));
            if owner.is_none_or(|owner| owner.as_str() != leg.name) {
                violations.across(format!(
                    "{} has a {} record of trip {trip} at position {position}, which is not one of its own",
                    leg.name,
                    word
                ));
            }
            if *state == LegState::None {
                violations.within(empty(leg, record));
            }
        }
    }

    /// Records of trips that booking does not know. A tombstone may outlive its trip; nothing else may.
    fn judge_orphans(&self, records: &Records, violations: &mut Violations) {
        let mut orphans: Vec<&(usize, Record)> = records.values().flatten().collect();
        orphans.sort_by_key(|(place, record)| (record.trip, record.position, *place));
        for (place, record) in orphans {
            let Some(leg) = self.legs.get(*place) else {
                continue;
            };
            match record.state {
                LegState::Held | LegState::Confirmed => violations.across(format!(
                    "{} has a {} leg {} of trip {}, which booking does not know",
                    leg.name, record.word, record.position, record.trip
                )),
                LegState::None => violations.within(empty(leg, record)),
                LegState::Released | LegState::Rejected => {}
            }
        }
    }
}

/// Whether a leg may stand so when its trip does.
fn agrees(trip: State, leg: LegState) -> bool {
    match trip {
        State::Confirmed => leg == LegState::Confirmed,
        State::Closed => !matches!(leg, LegState::Held | LegState::Confirmed),
        State::Pending => leg != LegState::Confirmed,
        State::Undoing | State::None => true,
    }
}

/// A confirmed trip costs what its legs cost, and not more than its budget.
fn judge_money(trip: &Trip, records: &[(usize, Record)], violations: &mut Violations) {
    let total: Vec<Money> = trip
        .total
        .as_deref()
        .and_then(|total| serde_json::from_str(total).ok())
        .unwrap_or_default();
    let costs: BTreeMap<&str, i64> = total
        .iter()
        .map(|sum| (sum.currency.code(), sum.amount_minor))
        .collect();
    let mut legs: BTreeMap<&str, i64> = BTreeMap::new();
    for (_, record) in records {
        if let (Some(price), Some(currency)) = (record.price_minor, &record.currency) {
            let sum = legs.entry(currency).or_default();
            *sum = sum.saturating_add(price);
        }
    }
    let id = trip.trip;
    for (_, record) in records {
        if let (Some(paid), Some(currency)) = (record.paid_minor, &record.currency)
            && costs.get(currency.as_str()) != Some(&paid)
        {
            violations.across(format!(
                "trip {id} costs {costs:?} in minor units, and {paid} {currency} are paid for it"
            ));
        }
    }
    if costs != legs {
        violations.across(format!(
            "trip {id} costs {costs:?} in minor units, and its legs come to {legs:?}"
        ));
    }
    if let (Some(budget), Some(currency)) = (trip.budget_minor, &trip.budget_currency)
        && costs
            .iter()
            .any(|(code, cost)| code != currency || *cost > budget)
    {
        violations.across(format!(
            "trip {id} costs {costs:?} in minor units, and its budget is {budget} {currency}"
        ));
    }
}

fn empty(leg: &Leg, record: &Record) -> String {
    format!(
        "{} has an empty record of trip {} at position {}: a claim was left behind",
        leg.name, record.trip, record.position
    )
}

async fn rows(leg: &Leg, after: &str, upto: Option<&str>) -> Result<Vec<Record>, Failure> {
    if leg.kind == Kind::Payment {
        return payments::rows(&leg.database, after, upto).await;
    }
    let mut records = leg
        .database
        .select(LEG)
        .only("trip", Is::Greater, after)
        .order(&["trip", "position"]);
    if let Some(upto) = upto {
        records = records.only("trip", Is::AtMost, upto);
    }
    let record = |row: Row| Record {
        trip: row.trip,
        position: row.position,
        state: row.state,
        word: row.state.as_str(),
        price_minor: row.price_minor,
        currency: row.currency,
        paid_minor: None,
    };
    Ok(records.rows().await?.into_iter().map(record).collect())
}
