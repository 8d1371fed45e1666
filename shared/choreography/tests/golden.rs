//! The golden files are the promise to every other reader and writer of the wire: each fact, in the version spoken today, is read
//! from its file and written back byte for byte. A change here is a new major version, not an edit of a file.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use choreography::{
    Currency, Fact, FactBody, Itinerary, Joined, Money, Plan, Price, Reason, Speaker, TABLE,
    TripId, WireFact, read,
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// One golden file: what the envelope says, and the data as it travels.
#[derive(Deserialize)]
struct Golden {
    #[serde(rename = "ce-type")]
    kind: String,
    #[serde(rename = "ce-subject")]
    entity: String,
    subject: String,
    data: Box<RawValue>,
}

fn golden(name: &str) -> (String, Golden) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/v1/{name}.json"));
    let text = std::fs::read_to_string(path).unwrap();
    let golden = serde_json::from_str(&text).unwrap();
    (text, golden)
}

fn file(kind: &str, entity: &str, subject: &str, data: &str) -> String {
    format!(
        "{{\n  \"ce-type\": \"{kind}\",\n  \"ce-subject\": \"{entity}\",\n  \"subject\": \"{subject}\",\n  \"data\": {data}\n}}\n"
    )
}

/// A flight, a night and a car that none of our own services knows, with its own spacing and a number that no float can hold.
const ITINERARY: &str = r#"[{"leg":"flight","flight":"RT100","date":"2026-12-01","seats":2}, {"leg":"hotel","hotel":"LIS-PALACE","room_type":"double","check_in":"2026-12-01","check_out":"2026-12-04","rooms":1},{ "leg" : "car" , "mileage":12345678901234567890.50, "extras":["child seat","\u00fc"] }]"#;

fn facts() -> Vec<(&'static str, Fact)> {
    let trip: TripId = "01936f1e-8b5a-7c3d-9e4f-0123456789ab".parse().unwrap();
    let eur = |amount| Money::new(amount, Currency::EUR);
    let plan = Plan {
        itinerary: Itinerary::parse(ITINERARY).unwrap(),
        deadline: "2026-11-22T12:32:00.25Z".parse().unwrap(),
        budget: Some(eur(120_000)),
    };
    let flight = || Speaker::Leg("flight".parse().unwrap());
    let hotel = || Speaker::Leg("hotel".parse().unwrap());
    let price = Price {
        price: eur(24_600),
        total: vec![eur(24_600)],
    };
    let sold_out = || Reason::new("sold-out", "no double room is left on 2026-12-02");
    let said = [
        ("booking.requested", Speaker::Booking, FactBody::Requested),
        (
            "leg.reserved",
            flight(),
            FactBody::Reserved { position: 0, price },
        ),
        (
            "leg.rejected",
            hotel(),
            FactBody::Rejected {
                position: 1,
                reason: sold_out(),
            },
        ),
        (
            "leg.released",
            flight(),
            FactBody::Released {
                position: 0,
                reason: sold_out(),
            },
        ),
        ("booking.confirmed", Speaker::Booking, FactBody::Confirmed),
        (
            "booking.cancelled",
            Speaker::Booking,
            FactBody::Cancelled {
                reason: Reason::new("deadline", "no answer in time"),
            },
        ),
        (
            "booking.settled",
            Speaker::Booking,
            FactBody::Settled {
                position: 2,
                reason: Reason::new("by-hand", "the car company closed down"),
            },
        ),
    ];
    said.into_iter()
        .map(|(name, speaker, said)| {
            (
                name,
                Fact {
                    speaker,
                    trip,
                    plan: plan.clone(),
                    said,
                },
            )
        })
        .collect()
}

#[test]
fn every_fact_is_written_as_its_golden_file_and_read_back_from_it() {
    for (name, fact) in facts() {
        let (text, golden) = golden(name);
        assert_eq!(
            file(
                &fact.kind(),
                &fact.trip.to_string(),
                &fact.subject(),
                &fact.to_json()
            ),
            text,
            "{name}"
        );
        let heard = read(&golden.kind, &golden.entity, golden.data.get().as_bytes()).unwrap();
        assert_eq!(heard, WireFact::Trip(fact), "{name}");
        let WireFact::Trip(fact) = heard else {
            panic!("{name} is about a trip")
        };
        assert_eq!(
            fact.to_json(),
            golden.data.get(),
            "{name} is relayed byte for byte"
        );
        assert_eq!(fact.subject(), golden.subject, "{name}");
        assert_eq!(
            fact.plan.itinerary.raw(),
            ITINERARY,
            "{name}: the itinerary is relayed byte for byte"
        );
    }
}

#[test]
fn that_a_leg_joined_is_written_and_read_as_its_golden_file() {
    let (text, golden) = golden("leg.joined");
    let joined = Joined {
        leg: "flight".parse().unwrap(),
        counts: vec!["seats".into()],
        dates: vec!["date".into()],
    };
    let (kind, subject, data) = (joined.kind(), joined.subject(), joined.to_json());
    assert_eq!(file(&kind, "flight", &subject, &data), text);
    assert_eq!(
        read(&golden.kind, &golden.entity, golden.data.get().as_bytes()),
        Ok(WireFact::Joined(joined))
    );
}

#[test]
fn no_fact_of_the_table_lacks_its_golden_file() {
    let mut told: Vec<_> = facts()
        .into_iter()
        .map(|(_, fact)| fact.said.name())
        .collect();
    told.push("joined");
    let mut listed: Vec<_> = TABLE.iter().map(|line| line.fact).collect();
    told.sort_unstable();
    listed.sort_unstable();
    assert_eq!(told, listed);
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1")).unwrap();
    assert_eq!(files.count(), TABLE.len());
}

/// A writer of tomorrow adds fields; a reader of today does not mind, in the data, in money, in a reason.
#[test]
fn unknown_fields_are_ignored() {
    for (name, fact) in facts() {
        let data = fact
            .to_json()
            .replacen('{', r#"{"loyalty":{"card":[1,2]},"#, 1);
        let data = data.replace(r#""currency":"EUR""#, r#""rate":1.5,"currency":"EUR""#);
        let data = data.replace(r#""code":"#, r#""hint":null,"code":"#);
        let heard = read(&fact.kind(), &fact.trip.to_string(), data.as_bytes());
        assert_eq!(heard, Ok(WireFact::Trip(fact)), "{name}");
    }
}
