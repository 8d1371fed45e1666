//! The small values: names, money, itineraries, time, and what is said of a message that cannot be read.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use choreography::{
    Backoff, Currency, Itinerary, ItineraryError, Joined, LegName, LegNameError, Money, Now,
    Reason, STEADY_TRIES, WireError, WireFact, instant, read,
};
use jiff::Timestamp;

#[test]
fn a_legs_name_is_a_short_plain_token_and_never_booking() {
    for good in [
        "flight",
        "a",
        "rail-2",
        "-",
        "0",
        "bookings",
        &"x".repeat(32),
    ] {
        let name: LegName = good.parse().unwrap();
        assert_eq!((name.as_str(), name.to_string().as_str()), (good, good));
    }
    for bad in [
        "",
        "Flight",
        "a.b",
        "a*",
        ">",
        "a b",
        "flüge",
        "a_b",
        "a\n",
        &"x".repeat(33),
    ] {
        assert_eq!(bad.parse::<LegName>(), Err(LegNameError::Shape), "{bad:?}");
    }
    assert_eq!("booking".parse::<LegName>(), Err(LegNameError::Booking));
    assert!(serde_json::from_str::<LegName>(r#""booking""#).is_err());
    assert_eq!(
        serde_json::to_string(&"car".parse::<LegName>().unwrap()).unwrap(),
        r#""car""#
    );
}

#[test]
fn sums_that_do_not_fit_or_do_not_belong_together_are_none() {
    let eur = |n| Money::new(n, Currency::EUR);
    let usd = |n| Money::new(n, Currency::USD);
    assert_eq!(eur(1).checked_add(eur(2)), Some(eur(3)));
    assert_eq!(eur(1).checked_add(usd(2)), None);
    assert_eq!(eur(i64::MAX).checked_add(eur(1)), None);
    assert_eq!(eur(i64::MAX).checked_mul(2), None);
    assert_eq!(eur(12).checked_mul(500), Some(eur(6_000)));
    assert_eq!(usd(5).add_to(&[]), Some(vec![usd(5)]));
    assert_eq!(eur(5).add_to(&[usd(5)]), Some(vec![eur(5), usd(5)]));
    assert_eq!(
        usd(5).add_to(&[eur(5), usd(5)]),
        Some(vec![eur(5), usd(10)])
    );
    assert_eq!(usd(1).add_to(&[usd(i64::MAX)]), None);
}

#[test]
fn money_is_shown_with_the_places_of_its_currency() {
    for (amount, currency, shown) in [
        (12_300, Currency::EUR, "123.00 EUR"),
        (5, Currency::EUR, "0.05 EUR"),
        (0, Currency::EUR, "0.00 EUR"),
        (0, Currency::JPY, "0 JPY"),
        (-1, Currency::EUR, "-0.01 EUR"),
        (-5, Currency::EUR, "-0.05 EUR"),
        (-100, Currency::EUR, "-1.00 EUR"),
        (500, Currency::JPY, "500 JPY"),
        (1_234, Currency::KWD, "1.234 KWD"),
        (i64::MIN, Currency::JPY, "-9223372036854775808 JPY"),
    ] {
        assert_eq!(Money::new(amount, currency).to_string(), shown);
    }
    assert!(serde_json::from_str::<Money>(r#"{"amount_minor":1,"currency":"EURO"}"#).is_err());
    assert!(serde_json::from_str::<Money>(r#"{"amount_minor":1.5,"currency":"EUR"}"#).is_err());
}

/// What a leg said of its details when it joined is enough to refuse nonsense at the door, and nothing else.
#[test]
fn what_a_leg_says_of_its_details_is_checked_for_it() {
    let joined = Joined {
        leg: "hotel".parse().unwrap(),
        counts: vec!["rooms".into(), "beds".into()],
        dates: vec!["check_in".into(), "check_out".into()],
    };
    let check = |details: &str| {
        let now = "2026-12-01T00:30:00Z".parse().unwrap();
        joined.check(details, now).map_err(|reason| reason.code)
    };
    for good in [
        r#"{"rooms":1,"check_in":"2026-12-01"}"#,
        r#"{"rooms":9223372036854775807,"beds":2}"#,
        r#"{"check_in":"2026-11-30"}"#,
        r#"{"check_in":"9999-12-31","check_out":"2026-12-01"}"#,
        r#"{"leg":"hotel","stars":-5,"since":"1900-01-01"}"#,
    ] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for (bad, code) in [
        (r#"{"rooms":0}"#, "quantity"),
        (r#"{"rooms":1,"beds":-1}"#, "quantity"),
        (r#"{"rooms":1.5}"#, "quantity"),
        (r#"{"rooms":"two"}"#, "quantity"),
        (r#"{"rooms":null}"#, "quantity"),
        (r#"{"check_in":"2026-11-29"}"#, "past"),
        (
            r#"{"check_in":"2026-12-01","check_out":"1999-01-01"}"#,
            "past",
        ),
        (r#"{"check_in":"2026-02-30"}"#, "unreadable-details"),
        (r#"{"check_in":20261201}"#, "unreadable-details"),
    ] {
        assert_eq!(check(bad), Err(code.into()), "{bad}");
    }
}

#[test]
fn an_itinerary_keeps_its_bytes_and_knows_only_names() {
    let raw = "[ {\"leg\":\"flight\", \"x\":1.10},\n{\"y\":{\"leg\":\"booking\"},\"leg\":\"c\\u0061r\"},{\"leg\":\"flight\"} ]";
    let itinerary = Itinerary::parse(&format!("\n {raw} ")).unwrap();
    assert_eq!(itinerary.raw(), raw);
    assert_eq!(serde_json::to_string(&itinerary).unwrap(), raw);
    assert_eq!(serde_json::from_str::<Itinerary>(raw).unwrap(), itinerary);
    let names: Vec<_> = itinerary.legs().iter().map(LegName::as_str).collect();
    assert_eq!(names, ["flight", "car", "flight"]);
    let flight = "flight".parse().unwrap();
    assert_eq!(itinerary.positions_of(&flight).collect::<Vec<_>>(), [0, 2]);
    assert_eq!((itinerary.len(), itinerary.last()), (3, 2));
    assert_eq!(itinerary.details(0), Some(r#"{"leg":"flight", "x":1.10}"#));
    assert_eq!(format!("{itinerary:?}"), raw);
    let other = Itinerary::parse(r#"[{"leg":"flight"}]"#).unwrap();
    assert_ne!(itinerary, other);
    let hash =
        |itinerary: &Itinerary| BuildHasherDefault::<DefaultHasher>::new().hash_one(itinerary);
    assert_ne!(
        hash(&itinerary),
        hash(&other),
        "the model check tells states apart by it"
    );
    assert_eq!(itinerary.details(3), None);
    assert_eq!(itinerary.name_at(3), None);
}

#[test]
fn what_is_no_itinerary_says_why() {
    let leg = r#"{"leg":"flight"}"#;
    let many = |n: usize| format!("[{}]", vec![leg; n].join(","));
    assert_eq!(Itinerary::parse(&many(16)).unwrap().len(), 16);
    assert_eq!(Itinerary::parse(&many(17)), Err(ItineraryError::Length(17)));
    assert_eq!(Itinerary::parse("[]"), Err(ItineraryError::Length(0)));
    assert!(matches!(
        Itinerary::parse(leg),
        Err(ItineraryError::NotAList(_))
    ));
    assert!(matches!(
        Itinerary::parse("[{]"),
        Err(ItineraryError::NotAList(_))
    ));
    for bad in [
        r#"["flight"]"#,
        r#"{"flight":1}"#,
        "null",
        r#"{"leg":7}"#,
        r#"{"leg":"a","leg":"b"}"#,
    ] {
        assert!(
            matches!(
                Itinerary::parse(&format!("[{leg},{bad}]")),
                Err(ItineraryError::Leg(1, _))
            ),
            "{bad}"
        );
    }
    let booking = r#"[{"leg":"booking"}]"#;
    assert_eq!(
        Itinerary::parse(booking),
        Err(ItineraryError::Name(0, LegNameError::Booking))
    );
}

const TRIP: &str = "01936f1e-8b5a-7c3d-9e4f-0123456789ab";

fn data(more: &str) -> String {
    format!(
        r#"{{"trip":"{TRIP}","itinerary":[{{"leg":"flight"}}],"deadline":"2026-12-01T00:00:00Z"{more}}}"#
    )
}

#[test]
fn a_major_version_from_the_future_is_told_from_what_is_no_fact() {
    let unread = |kind: &str| read(kind, TRIP, b"anything").unwrap_err();
    for kind in [
        "flight.reserved.v2",
        "booking.requested.v10",
        "flight.joined.v2",
    ] {
        assert_eq!(
            unread(kind),
            WireError::UnknownVersion { kind: kind.into() }
        );
    }
    for kind in [
        "",
        "v1",
        "reserved.v1",
        "flight.reserved",
        "flight.upgraded.v1",
        "flight.upgraded.v2",
        "flight.requested.v1",
        "booking.reserved.v1",
        "booking.joined.v1",
        "Flight.reserved.v1",
        "flight.reserved.vv1",
        "flight.reserved.v",
        "flight.reserved.v1.v1",
    ] {
        assert_eq!(
            unread(kind),
            WireError::UnknownType { kind: kind.into() },
            "{kind}"
        );
    }
}

#[test]
fn a_fact_with_something_wrong_in_it_is_malformed() {
    let reason = r#","reason":{"code":"sold-out","message":"none left"}"#;
    let bad = [
        ("booking.requested.v1", "{".to_string()),
        (
            "booking.requested.v1",
            format!(r#"["{TRIP}",[{{"leg":"flight"}}],"2026-12-01T00:00:00Z"]"#),
        ),
        (
            "booking.requested.v1",
            data("").replace("flight", "booking"),
        ),
        (
            "booking.requested.v1",
            data("").replace("2026-12-01T00:00:00Z", "tomorrow"),
        ),
        ("booking.requested.v1", data("").replace("9ab", "9ac")),
        ("booking.cancelled.v1", data("")),
        (
            "booking.settled.v1",
            data(&format!(r#","position":1{reason}"#)),
        ),
        ("flight.rejected.v1", data(reason)),
        (
            "flight.rejected.v1",
            data(&format!(r#","position":-1{reason}"#)),
        ),
        (
            "hotel.rejected.v1",
            data(&format!(r#","position":0{reason}"#)),
        ),
        ("flight.reserved.v1", data(r#","position":0"#)),
        (
            "flight.reserved.v1",
            data(r#","position":0,"price":{"amount_minor":1,"currency":"EUR"}"#),
        ),
        ("flight.joined.v1", r#"{"leg":"hotel"}"#.to_string()),
    ];
    for (kind, data) in bad {
        assert!(
            matches!(
                read(kind, TRIP, data.as_bytes()),
                Err(WireError::Malformed(_))
            ),
            "{kind} {data}"
        );
    }
    // Who joins speaks for itself: in the type, in the envelope and in the data.
    let joined = |kind, entity, leg: &str| {
        let data = format!(r#"{{"leg":"{leg}"}}"#);
        read(kind, entity, data.as_bytes())
    };
    assert!(joined("flight.joined.v1", "flight", "flight").is_ok());
    for (kind, entity, leg) in [
        ("flight.joined.v1", "hotel", "flight"),
        ("flight.joined.v1", TRIP, "flight"),
        ("flight.joined.v1", "flight", "hotel"),
        ("flight.joined.v1", "hotel", "hotel"),
    ] {
        assert!(
            matches!(joined(kind, entity, leg), Err(WireError::Malformed(_))),
            "{kind} about {entity}: {leg}"
        );
    }
    assert!(matches!(
        read("booking.requested.v1", TRIP, b"\xff\xfe"),
        Err(WireError::Malformed(_))
    ));
    assert!(matches!(
        read("booking.requested.v1", "elsewhere", data("").as_bytes()),
        Err(WireError::Malformed(_))
    ));
    assert!(
        read(
            "flight.rejected.v1",
            TRIP,
            data(&format!(r#","position":0{reason}"#)).as_bytes()
        )
        .is_ok()
    );
}

/// A reason is for people: what is odd in it is tidied, and the fact is heard.
#[test]
fn a_reason_is_tidied_and_never_refused() {
    let odd = data(&format!(
        r#","reason":{{"code":"a\u0000b","message":"{}\u0007"}}"#,
        "x".repeat(600)
    ));
    let Ok(WireFact::Trip(fact)) = read("booking.cancelled.v1", TRIP, odd.as_bytes()) else {
        panic!("it is heard")
    };
    let expected = choreography::FactBody::Cancelled {
        reason: Reason::new("a b", "x".repeat(500)),
    };
    assert_eq!(fact.said, expected);
    assert_eq!(Reason::new("c", "a\nb\0").message, "a b ");
}

#[test]
fn pauses_are_steady_then_double_up_to_the_longest_and_jitter_keeps_them_apart() {
    let moment = |jitter| Now {
        at: Timestamp::UNIX_EPOCH,
        jitter,
        backoff: Backoff::default(),
    };
    let seconds: Vec<_> = (0..13)
        .map(|tries| moment(0.5).wake_us(tries) / 1_000_000)
        .collect();
    let doubling = [60, 120, 240, 300, 300];
    let steady = vec![30; usize::try_from(STEADY_TRIES).unwrap()];
    assert_eq!(seconds, [steady.as_slice(), &doubling].concat());
    assert_eq!(moment(0.0).wake_us(0), 22_500_000);
    assert_eq!(moment(1.0).wake_us(0), 37_500_000);
    assert_eq!(moment(0.5).wake_us(i64::MAX), 300_000_000);
    // A pause and two looks, at the longest: within the minute that is promised.
    assert_eq!(moment(1.0).look_again_us(0), 9_375_000);
    assert_eq!(moment(f64::NAN).wake_us(-1), moment(0.0).wake_us(0));
    assert!(moment(0.0).is_due(0) && !moment(0.0).is_due(1) && !moment(0.0).is_due(375_000_000));
    assert!(
        moment(0.0).is_due(375_000_001),
        "further away than the longest pause: a clock went back"
    );
    let later = Now {
        at: instant(7),
        ..moment(0.5)
    };
    assert_eq!((later.now_us(), later.wake_us(0)), (7, 30_000_007));
    assert_eq!(instant(i64::MAX), Timestamp::MAX);
    assert_eq!(instant(i64::MIN), Timestamp::MIN);
    assert_eq!(instant(0), Timestamp::UNIX_EPOCH);
}
