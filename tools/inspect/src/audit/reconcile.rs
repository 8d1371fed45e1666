//! The payment leg's records against the provider's own list, to the cent: what is taken is what a record says, of what is over nothing is left
//! there, and no money lies there that no record knows of. What a record should be, its trip says: `judge`.

use std::collections::HashMap;

use choreography::TripId;
use payment::core::{Purpose, State};
use payment::provider::list;
use payment::provider::{Listed, Stage};
use payment::store::PAYMENT;
use runtime::Database;
use runtime::database::{Failure, Is};
use serde::Deserialize;

use super::part::{Kind, Opened};
use super::violations::{Judgement, Violations};

const PAGE: usize = 10_000;

#[derive(Deserialize)]
struct Row {
    trip: TripId,
    position: i64,
    state: State,
    amount_minor: Option<i64>,
    currency: Option<String>,
    intent: Option<String>,
    asked: Option<Purpose>,
}

/// The provider's payments by the trip and the place that they are of.
type ByPlace = HashMap<(String, String), Vec<Listed>>;

impl Opened {
    /// Whether there are payments that nobody holds against their provider's list.
    pub(super) fn trusts_the_provider(&self) -> bool {
        self.provider.is_none() && self.legs.iter().any(|leg| leg.kind == Kind::Payment)
    }

    /// Compares all payments with the provider's list, if it is known who the provider is.
    pub(super) async fn reconcile(&self, judgement: &mut Judgement) {
        let mut legs = self.legs.iter().filter(|leg| leg.kind == Kind::Payment);
        let Some(provider) = &self.provider else {
            return;
        };
        if legs.clone().next().is_none() {
            return;
        }
        let listed = match list::all(provider).await {
            Ok(listed) => listed,
            Err(error) => {
                let unreached = format!("the payment provider's list: {error:#}");
                return judgement.unreached.push(unreached);
            }
        };
        let mut listed = by_place(listed);
        let all = async {
            for leg in &mut legs {
                let compared = compare(&leg.database, &mut listed, &mut judgement.violations);
                compared
                    .await
                    .map_err(|error| format!("{}: {error}", leg.name))?;
            }
            Ok::<_, String>(())
        };
        match all.await {
            Ok(()) => judge_unknown(listed, &mut judgement.violations),
            Err(unreached) => judgement.unreached.push(unreached),
        }
    }
}

/// What is of no trip is somebody else's, and left alone.
fn by_place(listed: Vec<Listed>) -> ByPlace {
    let mut places = ByPlace::new();
    for payment in listed {
        if let (Some(trip), Some(position)) = (&payment.trip, &payment.position) {
            let place = (trip.clone(), position.clone());
            places.entry(place).or_default().push(payment);
        }
    }
    places
}

/// A page of records at a time; what was compared is taken off the list.
async fn compare(
    database: &Database,
    listed: &mut ByPlace,
    violations: &mut Violations,
) -> Result<(), Failure> {
    let mut after = String::new();
    loop {
        let records = database.select(PAYMENT);
        let mut rows: Vec<Row> = records
            .only("trip", Is::Greater, after.as_str())
            .order(&["trip", "position"])
            .most(PAGE)
            .rows()
            .await?;
        let upto = (rows.len() == PAGE)
            .then(|| rows.last().map(|last| last.trip))
            .flatten();
        if let Some(cut) = upto {
            // The rest of its records are on the next page.
            rows.retain(|row| row.trip != cut);
        }
        for row in &rows {
            let place = (row.trip.to_string(), row.position.to_string());
            judge(row, &listed.remove(&place).unwrap_or_default(), violations);
        }
        match rows.last() {
            Some(last) if upto.is_some() => after = last.trip.to_string(),
            _ => return Ok(()),
        }
    }
}

/// One record against the payments that the provider has for it.
fn judge(row: &Row, listed: &[Listed], violations: &mut Violations) {
    let Row {
        trip,
        position,
        state,
        intent,
        ..
    } = row;
    let payment = format!("payment {position} of trip {trip} is {}", state.as_str());
    let (own, others): (Vec<&Listed>, Vec<&Listed>) = listed
        .iter()
        .partition(|listed| Some(&listed.intent) == intent.as_ref());
    for other in others {
        // One that was opened twice holds nothing, ever.
        if other.stage == Stage::Authorised || other.captured_minor != 0 {
            let there = told(other);
            violations.across(format!(
                "{payment}, and the provider has a second one for it: {there}"
            ));
        }
    }
    if row.asked.is_some() {
        return; // it moves, which is said elsewhere
    }
    let Some(own) = own.first() else {
        if matches!(state, State::Held | State::Captured) {
            violations.across(format!("{payment}, and the provider has no such payment"));
        }
        return;
    };
    let same = Some(own.amount_minor) == row.amount_minor
        && Some(own.currency.as_str()) == row.currency.as_deref();
    let left = own.captured_minor.saturating_sub(own.refunded_minor);
    let agrees = match state {
        State::Held => own.stage == Stage::Authorised,
        State::Captured => own.stage == Stage::Captured && Some(left) == row.amount_minor,
        State::Released | State::Rejected => own.stage != Stage::Authorised && left == 0,
        State::None
        | State::Opening
        | State::Authorising
        | State::Capturing
        | State::Unpaid
        | State::Voiding
        | State::Refunding => true,
    };
    if !same || !agrees {
        let amount = row.amount_minor.unwrap_or(0);
        let currency = row.currency.as_deref().unwrap_or("?");
        violations.across(format!(
            "{payment}, of {amount} {currency} in minor units, and the provider has {}",
            told(own)
        ));
    }
}

/// Money at the provider of trips that nobody here knows of.
fn judge_unknown(listed: ByPlace, violations: &mut Violations) {
    let mut all: Vec<Listed> = listed.into_values().flatten().collect();
    all.sort_by(|one, other| one.intent.cmp(&other.intent));
    for payment in all {
        if payment.stage == Stage::Authorised || payment.captured_minor != payment.refunded_minor {
            let trip = payment.trip.as_deref().unwrap_or("?");
            violations.across(format!(
                "the provider has money of trip {trip}, of which there is no payment here: {}",
                told(&payment)
            ));
        }
    }
}

fn told(listed: &Listed) -> String {
    let stage = match listed.stage {
        Stage::Open => "open",
        Stage::Authorised => "authorised",
        Stage::Captured => "captured",
        Stage::Refunded => "refunded",
        Stage::Voided => "voided",
    };
    format!(
        "{} {stage}, {} {} with {} taken and {} given back",
        listed.intent,
        listed.amount_minor,
        listed.currency,
        listed.captured_minor,
        listed.refunded_minor
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn row(state: State) -> Row {
        Row {
            trip: trip(),
            position: 2,
            state,
            amount_minor: Some(700),
            currency: Some(String::from("EUR")),
            intent: Some(String::from("pi_1")),
            asked: None,
        }
    }

    fn trip() -> TripId {
        "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
    }

    fn listed(intent: &str, stage: Stage, captured_minor: i64, refunded_minor: i64) -> Listed {
        Listed {
            intent: intent.to_owned(),
            trip: Some(trip().to_string()),
            position: Some(String::from("2")),
            currency: String::from("EUR"),
            amount_minor: 700,
            captured_minor,
            refunded_minor,
            stage,
        }
    }

    fn found(row: &Row, listed: &[Listed]) -> usize {
        let mut violations = Violations::default();
        judge(row, listed, &mut violations);
        violations.across.len()
    }

    #[test]
    fn every_record_is_held_against_the_list_to_the_cent() {
        use Stage::{Authorised, Captured, Open, Refunded, Voided};
        #[rustfmt::skip]
        let cells = [
            (State::Captured, Captured,   700, 0,   0),
            (State::Captured, Captured,   699, 0,   1),
            (State::Captured, Captured,   700, 1,   1),
            (State::Captured, Refunded,   700, 700, 1),
            (State::Captured, Authorised, 0,   0,   1),
            (State::Captured, Voided,     0,   0,   1),
            (State::Held,     Authorised, 0,   0,   0),
            (State::Held,     Captured,   700, 0,   1),
            (State::Released, Voided,     0,   0,   0),
            (State::Released, Open,       0,   0,   0),
            (State::Released, Refunded,   700, 700, 0),
            (State::Released, Captured,   700, 699, 1),
            (State::Released, Authorised, 0,   0,   1),
            (State::Rejected, Voided,     0,   0,   0),
            (State::Rejected, Captured,   700, 0,   1),
            (State::Unpaid,   Authorised, 0,   0,   0),
        ];
        for (state, stage, captured, refunded, expected) in cells {
            let there = listed("pi_1", stage, captured, refunded);
            let cell = format!("{} and {there:?}", state.as_str());
            assert_eq!(found(&row(state), &[there]), expected, "{cell}");
        }
        let asks = Row {
            asked: Some(Purpose::Void),
            ..row(State::Rejected)
        };
        let there = listed("pi_1", Authorised, 0, 0);
        assert_eq!(found(&asks, &[there]), 0, "it is being closed");
    }

    #[test]
    fn another_amount_a_second_payment_and_a_missing_one_are_named() {
        let good = || listed("pi_1", Stage::Captured, 700, 0);
        let record = row(State::Captured);
        assert_eq!(found(&record, &[]), 1, "the provider has none");
        assert_eq!(found(&row(State::Released), &[]), 0);
        let other = Listed {
            currency: String::from("USD"),
            ..good()
        };
        assert_eq!(found(&record, &[other]), 1);
        let open = listed("pi_2", Stage::Open, 0, 0);
        assert_eq!(found(&record, &[good(), open]), 0, "opened twice");
        let held = listed("pi_2", Stage::Authorised, 0, 0);
        assert_eq!(found(&record, &[good(), held]), 1);
        let taken = listed("pi_2", Stage::Refunded, 700, 700);
        assert_eq!(found(&record, &[good(), taken]), 1);
    }

    #[test]
    fn money_of_trips_that_nobody_knows_is_named_and_what_is_of_none_left_alone() {
        let unknown = |stage, captured, refunded| {
            let mut violations = Violations::default();
            let all = vec![listed("pi_1", stage, captured, refunded)];
            judge_unknown(by_place(all), &mut violations);
            violations.across.len()
        };
        assert_eq!(unknown(Stage::Captured, 700, 0), 1);
        assert_eq!(unknown(Stage::Authorised, 0, 0), 1);
        assert_eq!(unknown(Stage::Refunded, 700, 700), 0);
        assert_eq!(unknown(Stage::Voided, 0, 0), 0);
        let foreign = Listed {
            trip: None,
            ..listed("pi_1", Stage::Captured, 700, 0)
        };
        assert!(by_place(vec![foreign]).is_empty());
    }
}
