//! A trip as travellers and operators see it, and what they send.

use axum::http::StatusCode;
use choreography::{Currency, Itinerary, Money, Plan, Position, Reason, TripId, instant};
use jiff::{SignedDuration, Timestamp};
use runtime::Problem;
use runtime::http::a_whole_number;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::core::{Outcome, Settled, State, Trip};
use crate::schema;

/// The deadline of a trip that names none, in seconds.
pub const DEADLINE_DEFAULT_S: i64 = 120;
/// The longest deadline, in seconds.
pub const DEADLINE_MAX_S: i64 = 86_400;
const TRAVELLER_MAX: usize = 200;

/// What a traveller asks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BookingRequest {
    /// The legs, in order: 1 to 16 objects, each with its `leg` and that leg's own details.
    #[schema(value_type = Vec<schema::ItineraryLeg>, min_items = 1, max_items = 16, example = json!([
        {"leg": "flight", "flight": "RT100", "date": "2030-06-03", "seats": 1},
        {"leg": "hotel", "hotel": "LIS-PALACE", "room_type": "double", "check_in": "2030-06-03", "check_out": "2030-06-05", "rooms": 1}
    ]))]
    pub itinerary: Box<RawValue>,
    /// What all legs together may cost; the leg that would exceed it refuses.
    #[serde(default, deserialize_with = "a_budget")]
    #[schema(value_type = Option<schema::Money>, example = json!({"amount_minor": 90000, "currency": "EUR"}))]
    pub budget: Option<Money>,
    /// When booking gives up waiting, in seconds from now: 1 to 86400, 120 when absent.
    #[serde(default, deserialize_with = "a_whole_number")]
    #[schema(minimum = 1, maximum = 86400)]
    pub deadline_s: Option<i64>,
    /// For whom, in your own words; at most 200 characters.
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub traveller: Option<String>,
}

fn a_budget<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Money>, D::Error> {
    #[derive(Deserialize)]
    struct Budget {
        #[serde(deserialize_with = "a_whole_number")]
        amount_minor: Option<i64>,
        currency: String,
    }
    let asked = Option::<runtime::http::Object<Budget>>::deserialize(deserializer)?;
    let Some(runtime::http::Object(asked)) = asked else {
        return Ok(None);
    };
    let amount_minor = asked.amount_minor;
    let amount_minor = amount_minor.ok_or_else(|| D::Error::custom("`amount_minor` is null"))?;
    let unknown = || format!("{:?} is not an ISO 4217 currency code", asked.currency);
    let currency = Currency::from_code(&asked.currency);
    let currency = currency.ok_or_else(|| D::Error::custom(unknown()))?;
    Ok(Some(Money::new(amount_minor, currency)))
}

/// A place on an itinerary. None is as long as the largest of them: a larger number names no leg either.
pub(crate) fn a_position<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Position, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let float = number.as_f64();
    let whole = float.filter(|float| float.fract() == 0.0 && *float >= 0.0);
    // Casting a float keeps what is too large at the largest.
    let position = whole.map(|float| float as Position);
    position.ok_or_else(|| D::Error::custom(format!("{number} is not a whole number from 0")))
}

impl BookingRequest {
    /// What is asked for, checked as far as booking can: what a leg's details mean is the leg's to judge.
    ///
    /// # Errors
    /// 422, saying what is wrong and what would be right.
    pub fn plan(&self, now: Timestamp) -> Result<Plan, Problem> {
        let itinerary = Itinerary::parse(self.itinerary.get())
            .map_err(|error| unacceptable("itinerary", format!("{error}.")))?;
        // It is relayed unread, so JSON that not everybody can read (half a surrogate pair, 1e999, a thousand brackets) would
        // come back in lists and facts; and two such requests could not be told apart by their meaning.
        serde_json::from_str::<serde_json::Value>(itinerary.raw()).map_err(|error| {
            unacceptable(
                "itinerary",
                format!("Not every reader of JSON can read it: {error}."),
            )
        })?;
        let deadline_s = self.deadline_s.unwrap_or(DEADLINE_DEFAULT_S);
        if !(1..=DEADLINE_MAX_S).contains(&deadline_s) {
            return Err(unacceptable(
                "deadline_s",
                format!("{deadline_s} is not from 1 to {DEADLINE_MAX_S} seconds."),
            ));
        }
        if let Some(budget) = self.budget.filter(|budget| budget.amount_minor <= 0) {
            return Err(unacceptable(
                "budget",
                format!(
                    "A budget of {} buys nothing; give more, or leave it out.",
                    budget.amount_minor
                ),
            ));
        }
        if let Some(traveller) = &self.traveller {
            acceptable_traveller(traveller)?;
        }
        let deadline = now
            .checked_add(SignedDuration::from_secs(deadline_s))
            .unwrap_or(now);
        Ok(Plan {
            itinerary,
            deadline,
            budget: self.budget,
        })
    }

    /// What is asked, whatever its spelling: the same for two requests that mean the same.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        // serde_json's maps are sorted, so neither the order of fields nor white space counts.
        let itinerary: serde_json::Value =
            serde_json::from_str(self.itinerary.get()).unwrap_or_default();
        let deadline_s = self.deadline_s.unwrap_or(DEADLINE_DEFAULT_S);
        let meaning = serde_json::json!([itinerary, self.budget, deadline_s, self.traveller]);
        Sha256::digest(meaning.to_string())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// Whether a trip can be for somebody who is called so.
///
/// # Errors
/// 422, saying what is wrong.
pub(crate) fn acceptable_traveller(traveller: &str) -> Result<(), Problem> {
    let long = traveller.chars().count() > TRAVELLER_MAX;
    if !long && !traveller.chars().any(char::is_control) {
        return Ok(());
    }
    let detail =
        format!("It is longer than {TRAVELLER_MAX} characters, or has control characters in it.");
    Err(unacceptable("traveller", detail))
}

/// A request that is well-formed and still can't be taken.
pub(crate) fn unacceptable(field: &'static str, detail: String) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "unacceptable",
        "Not acceptable",
        detail,
    )
    .with("field", field)
}

/// A leg that a trip waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitsFor {
    /// Its place on the itinerary, from 0.
    pub position: Position,
    /// Its name.
    pub leg: String,
}

/// A trip as its traveller sees it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Booking)]
pub struct TripView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub trip: TripId,
    /// `pending`, `confirmed`, `undoing` (it is off, and not everything is back yet) or `closed` (everything is back).
    #[schema(value_type = schema::State)]
    pub state: State,
    /// How it ended: `confirmed`, `rejected`, `cancelled` or `expired`; null while it is pending.
    #[schema(value_type = Option<schema::Outcome>)]
    pub outcome: Option<Outcome>,
    /// Why it did not go through.
    #[schema(value_type = Option<schema::Reason>)]
    pub reason: Option<Reason>,
    /// It has been on its way back for over an hour: a leg is down, or gone.
    pub needs_attention: bool,
    /// The legs that the trip waits for: all of them while it is pending, those that may still hold something while it is undoing.
    pub waiting_for: Vec<WaitsFor>,
    /// How often it has asked them again since its state changed last.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub tries: i64,
    /// How each position was settled: `rejected`, `released`, `behind` (its turn never came), `by-hand`, or null.
    #[schema(value_type = Vec<Option<schema::Settled>>)]
    pub settled: Vec<Option<Settled>>,
    /// As it was asked for, byte for byte.
    #[schema(value_type = Vec<schema::ItineraryLeg>)]
    pub itinerary: Box<RawValue>,
    /// As it was asked for.
    #[schema(value_type = Option<schema::Money>)]
    pub budget: Option<Money>,
    /// What it costs, once it is confirmed: one sum for each currency.
    #[schema(value_type = Vec<schema::Money>)]
    pub total: Vec<Money>,
    /// For whom the trip is, in the caller's own words.
    pub traveller: Option<String>,
    /// When booking gives up waiting.
    #[schema(value_type = String, format = DateTime)]
    pub deadline: Timestamp,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When its state changed last.
    #[schema(value_type = String, format = DateTime)]
    pub changed: Timestamp,
}

impl TripView {
    /// What there is to see of it now, as JSON.
    pub(crate) fn json(trip: &Trip) -> String {
        // Strings, numbers and an itinerary that is JSON already: it does not fail.
        serde_json::to_string(&Self::of(trip, Timestamp::now())).unwrap_or_default()
    }

    /// What there is to see of it now.
    #[must_use]
    pub fn of(trip: &Trip, now: Timestamp) -> Self {
        let plan = trip.plan();
        let legs: Vec<String> = plan
            .iter()
            .flat_map(|plan| plan.itinerary.legs())
            .map(ToString::to_string)
            .collect();
        let name =
            |position: Position| legs.get(usize::from(position)).cloned().unwrap_or_default();
        Self {
            trip: trip.trip,
            state: trip.state,
            outcome: trip.outcome,
            reason: trip.reason(),
            needs_attention: trip.needs_attention(now.as_microsecond()),
            waiting_for: trip
                .waiting_for()
                .into_iter()
                .map(|position| WaitsFor {
                    position,
                    leg: name(position),
                })
                .collect(),
            tries: trip.tries,
            settled: trip.settled(),
            itinerary: RawValue::from_string(trip.itinerary.clone()).unwrap_or_default(),
            budget: plan.and_then(|plan| plan.budget),
            total: trip.total(),
            traveller: trip.traveller.clone(),
            deadline: instant(trip.deadline_us),
            created: instant(trip.created_us),
            changed: instant(trip.changed_us),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_itinerary_that_not_everybody_can_read_is_refused() {
        let plan = |extra: &str| {
            let body = format!(r#"{{"itinerary":[{{"leg":"flight","extra":{extra}}}]}}"#);
            let asked: BookingRequest = serde_json::from_str(&body).unwrap();
            asked.plan(Timestamp::now())
        };
        assert!(plan(r#"["é", 1.50, {"a": null}]"#).is_ok());
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for unreadable in [r#""\ud800""#, "1e999", &deep] {
            let problem = plan(unreadable).unwrap_err();
            assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
        }
    }

    /// All that is asked for is part of what a key stands for; how it is written is not.
    #[test]
    fn the_fingerprint_is_of_the_meaning_and_of_all_of_it() {
        let print = |body: &str| {
            let asked: BookingRequest = serde_json::from_str(body).unwrap();
            asked.fingerprint()
        };
        let asked = r#"{"itinerary":[{"leg":"a","n":1},{"leg":"b"}],"budget":{"amount_minor":5,"currency":"EUR"},"deadline_s":60,"traveller":"Ada"}"#;
        let spelled = r#"{"traveller":"Ada", "deadline_s":60, "budget":{"currency":"EUR","amount_minor":5},
            "itinerary":[{"n":1,"leg":"\u0061"}, {"leg":"b"}]}"#;
        assert_eq!(print(asked), print(spelled));
        let bare = r#"{"itinerary":[{"leg":"a"}]"#;
        assert_eq!(
            print(&format!("{bare}}}")),
            print(&format!(r#"{bare},"deadline_s":{DEADLINE_DEFAULT_S}}}"#))
        );
        for (said, otherwise) in [
            (r#""n":1"#, r#""n":2"#),
            (
                r#"{"leg":"a","n":1},{"leg":"b"}"#,
                r#"{"leg":"b"},{"leg":"a","n":1}"#,
            ),
            (r#""amount_minor":5"#, r#""amount_minor":6"#),
            ("EUR", "USD"),
            (r#""budget":{"amount_minor":5,"currency":"EUR"},"#, ""),
            (r#""deadline_s":60"#, r#""deadline_s":61"#),
            (r#""deadline_s":60,"#, ""),
            ("Ada", "Bob"),
            (r#","traveller":"Ada""#, ""),
        ] {
            let other = asked.replacen(said, otherwise, 1);
            assert_ne!(other, asked);
            assert_ne!(print(&other), print(asked), "{other}");
        }
    }
}
