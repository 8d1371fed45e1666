//! The table of who says and hears what, held against the code: names, subjects and filters agree with it line by line.
#![expect(clippy::unwrap_used, reason = "tests")]

use choreography::{
    Currency, Fact, FactBody, Itinerary, Joined, LegName, Money, Plan, Price, Reason, Role,
    Speaker, TABLE, WireFact, filters_for_booking, filters_for_leg, kinds_of, read,
};
use uuid::Uuid;

/// Everything that can be said about a trip over `legs`, by whom it may be.
fn everything(legs: &[&str]) -> Vec<Fact> {
    let list: Vec<_> = legs
        .iter()
        .map(|leg| format!(r#"{{"leg":"{leg}"}}"#))
        .collect();
    let itinerary = Itinerary::parse(&format!("[{}]", list.join(","))).unwrap();
    let plan = Plan {
        itinerary,
        deadline: jiff::Timestamp::UNIX_EPOCH,
        budget: None,
    };
    let reason = || Reason::new("deadline", "too late");
    let money = Money::new(100, Currency::EUR);
    let price = Price {
        price: money,
        total: vec![money],
    };
    let mut said = vec![
        (Speaker::Booking, FactBody::Requested),
        (Speaker::Booking, FactBody::Confirmed),
        (Speaker::Booking, FactBody::Cancelled { reason: reason() }),
    ];
    for (position, leg) in (0..).zip(legs) {
        let speaker = Speaker::Leg(leg.parse().unwrap());
        said.push((
            Speaker::Booking,
            FactBody::Settled {
                position,
                reason: reason(),
            },
        ));
        said.push((
            speaker.clone(),
            FactBody::Reserved {
                position,
                price: price.clone(),
            },
        ));
        said.push((
            speaker.clone(),
            FactBody::Rejected {
                position,
                reason: reason(),
            },
        ));
        said.push((
            speaker,
            FactBody::Released {
                position,
                reason: reason(),
            },
        ));
    }
    let trip = Uuid::from_u128(7).into();
    said.into_iter()
        .map(|(speaker, said)| Fact {
            speaker,
            trip,
            plan: plan.clone(),
            said,
        })
        .collect()
}

/// Who comes behind the speaker.
fn next(fact: &Fact) -> &str {
    let position = match fact.said {
        FactBody::Reserved { position, .. } => position + 1,
        _ => 0,
    };
    fact.plan
        .itinerary
        .name_at(position)
        .map_or("booking", LegName::as_str)
}

/// NATS: `*` is one token, and there are no others here.
fn matches(filter: &str, subject: &str) -> bool {
    let (filter, subject): (Vec<_>, Vec<_>) =
        (filter.split('.').collect(), subject.split('.').collect());
    filter.len() == subject.len()
        && filter
            .iter()
            .zip(&subject)
            .all(|(f, s)| *f == "*" || f == s)
}

/// Goal: what the table says is what travels. Method: everything that can be said, on itineraries that try to mislead.
#[test]
fn names_kinds_subjects_and_filters_are_the_tables() {
    let itineraries: [&[&str]; 5] = [
        &["flight"],
        &["flight", "hotel", "car"],
        &["flight", "flight"],
        &["flight", "hotel", "flight"],
        &["rejected", "joined", "confirmed"],
    ];
    let onlookers = [
        "flight",
        "hotel",
        "car",
        "rejected",
        "joined",
        "confirmed",
        "cancelled",
    ];
    for legs in itineraries {
        for fact in everything(legs) {
            let line = TABLE
                .iter()
                .find(|line| line.fact == fact.said.name())
                .unwrap();
            assert_eq!(
                line.said_by == Role::Booking,
                fact.speaker == Speaker::Booking
            );
            assert_eq!(
                fact.kind(),
                format!("{}.{}.v1", fact.speaker.as_str(), line.fact)
            );
            let subject = line
                .subject
                .replace("<leg>", fact.speaker.as_str())
                .replace("<next>", next(&fact));
            assert_eq!(fact.subject(), subject);
            for leg in onlookers {
                let hears = line.heard_by.iter().any(|role| match role {
                    Role::Next => next(&fact) == leg,
                    Role::EveryLeg | Role::LegsBefore => true,
                    Role::Booking | Role::Leg => false,
                });
                let caught = filters_for_leg(&leg.parse().unwrap())
                    .iter()
                    .filter(|f| matches(f, &subject))
                    .count();
                assert_eq!(caught, usize::from(hears), "{leg} and {subject}");
            }
            let hears = line
                .heard_by
                .iter()
                .any(|r| *r == Role::Booking || (*r == Role::Next && next(&fact) == "booking"));
            let caught = filters_for_booking()
                .iter()
                .filter(|f| matches(f, &subject))
                .count();
            assert_eq!(caught, usize::from(hears), "booking and {subject}");
            assert_eq!(
                read(
                    &fact.kind(),
                    &fact.trip.to_string(),
                    fact.to_json().as_bytes()
                ),
                Ok(WireFact::Trip(fact))
            );
        }
    }
}

#[test]
fn joining_is_said_as_the_table_says() {
    let leg: LegName = "rejected".parse().unwrap();
    let joined = Joined {
        leg: leg.clone(),
        counts: vec![],
        dates: vec![],
    };
    let (kind, subject) = (joined.kind(), joined.subject());
    let line = TABLE.iter().find(|line| line.fact == "joined").unwrap();
    assert_eq!(
        (line.said_by, line.heard_by),
        (Role::Leg, &[Role::Booking][..])
    );
    assert_eq!(
        (kind.as_str(), subject.clone()),
        (
            "rejected.joined.v1",
            line.subject.replace("<leg>", "rejected")
        )
    );
    assert_eq!(
        filters_for_booking()
            .iter()
            .filter(|f| matches(f, &subject))
            .count(),
        1
    );
    assert_eq!(
        filters_for_leg(&leg)
            .iter()
            .filter(|f| matches(f, &subject))
            .count(),
        0
    );
}

/// Two facts of one name would be told apart by nobody.
#[test]
fn the_table_names_each_fact_once() {
    let mut names: Vec<_> = TABLE.iter().map(|line| line.fact).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TABLE.len());
}

#[test]
fn the_types_of_a_speaker_are_all_that_it_may_say() {
    let flight = Speaker::Leg("flight".parse().unwrap());
    for speaker in [Speaker::Booking, flight] {
        let facts = everything(&["flight", "hotel"]).into_iter();
        let mut said: Vec<String> = facts
            .filter(|fact| fact.speaker == speaker)
            .map(|fact| fact.kind())
            .collect();
        if let Speaker::Leg(leg) = &speaker {
            let joined = Joined {
                leg: leg.clone(),
                counts: vec![],
                dates: vec![],
            };
            said.push(joined.kind());
        }
        said.sort();
        said.dedup();
        let mut kinds = kinds_of(&speaker);
        kinds.sort();
        assert_eq!(kinds, said);
    }
}
