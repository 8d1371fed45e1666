//! What the fuzz targets do with their input. A body panics when a promise is broken, and answers whether the input was accepted, so
//! that a corpus can be seen to hold both. Not the fuzzer: that is `fuzz_targets/`, and the kept corpus is run by an ordinary test.
#![allow(dead_code, reason = "each target uses one of them")]

use async_nats::header::{HeaderMap, HeaderName, HeaderValue};
use axum::body::Body;
use axum::extract::FromRequest as _;
use axum::http::{Request, header};
use booking::core as b;
use booking::view::BookingRequest;
use choreography::{Backoff, Fact, LegName, Now, Speaker, WireFact};
use flight::Flight;
use futures::FutureExt as _;
use hotel::Hotel;
use jiff::Timestamp;
use leg::Leg as _;
use leg::core::{self as l, LegPolicy, Record, Stock, StockView};
use runtime::http::Json;

/// A target, by its name.
pub(crate) type Target = (&'static str, fn(&[u8]) -> bool);

/// All of them.
pub(crate) const TARGETS: &[Target] =
    &[("fact", fact), ("envelope", envelope), ("request", request)];

/// A line with the type, a line with whom it is about, and the data. What is read is said again as it was read, and every service takes
/// it, twice, without a panic and without making or losing capacity.
pub(crate) fn fact(input: &[u8]) -> bool {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let mut text = || std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default();
    let (kind, entity) = (text(), text());
    let Ok(WireFact::Trip(fact)) =
        choreography::read(kind, entity, parts.next().unwrap_or_default())
    else {
        return false;
    };
    let trip = fact.trip.to_string();
    let again = choreography::read(&fact.kind(), &trip, fact.to_json().as_bytes());
    assert_eq!(
        again,
        Ok(WireFact::Trip(fact.clone())),
        "it is said as it was read"
    );
    hears(&flight::Flight::name(), &Flight, &fact);
    hears(&hotel::Hotel::name(), &Hotel, &fact);
    decides(&fact);
    true
}

/// Long before the dates in the corpus, so that they can still be booked.
fn moment() -> Now {
    Now {
        at: Timestamp::UNIX_EPOCH,
        jitter: 0.5,
        backoff: Backoff::default(),
    }
}

fn hears(name: &LegName, policy: &dyn LegPolicy, fact: &Fact) {
    for position in l::positions(name, fact) {
        let details = fact.plan.itinerary.details(position).unwrap_or_default();
        let holds = policy.needs(details, moment().at).unwrap_or_default();
        let stock = |hold: l::Hold| Stock {
            key: hold.key,
            total: 5,
            held: 0,
            confirmed: 0,
            free: 5,
            price_minor: 100,
            currency: String::from("EUR"),
        };
        let keys: Vec<_> = holds.iter().map(|hold| hold.key.clone()).collect();
        let mut shelf = StockView::new(holds.into_iter().map(stock));
        let mut record = Record::none(fact.trip, position);
        let mut first = None;
        for _ in 0..2 {
            let heard = l::Input::Fact(fact);
            record = l::react(name, policy, record, heard, &mut shelf, &moment()).record;
            for key in &keys {
                let Some(stock) = shelf.get(key) else {
                    continue;
                };
                assert!(stock.free >= 0, "oversold");
                assert_eq!(stock.held + stock.confirmed + stock.free, 5, "made or lost");
            }
            let state = first.get_or_insert(record.state);
            assert_eq!(*state, record.state, "a repeat changes nothing");
        }
    }
}

fn decides(fact: &Fact) {
    let mut trip = b::request(fact.trip, &fact.plan, None, &moment()).record;
    let mut first = None;
    for _ in 0..2 {
        trip = b::react(trip, b::Input::Fact(fact), &moment()).record;
        let state = first.get_or_insert(trip.state);
        assert_eq!(*state, trip.state, "a repeat changes nothing");
    }
}

/// Lines of `name: value`, an empty line, and the data: the envelope is read or refused in words.
pub(crate) fn envelope(input: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    let mut lines = input.split(|byte| *byte == b'\n');
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            headers.append(name, value);
        }
    }
    let message = async_nats::Message {
        subject: "trips.booking.requested.flight".into(),
        reply: None,
        payload: lines.next().unwrap_or_default().to_vec().into(),
        headers: Some(headers),
        status: None,
        description: None,
        length: input.len(),
    };
    match runtime::Message::open(&message) {
        Ok(_) => true,
        Err(words) => {
            assert!(!words.is_empty());
            false
        }
    }
}

/// A body of `POST /bookings`: refused as a problem, or made a plan that its own fact can carry.
pub(crate) fn request(input: &[u8]) -> bool {
    let request = Request::post("/bookings")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(input.to_vec()));
    let Ok(request) = request else { return false };
    let read = Json::<BookingRequest>::from_request(request, &()).now_or_never();
    let Some(Ok(Json(asked))) = read else {
        return false;
    };
    let Ok(plan) = asked.plan(moment().at) else {
        return false;
    };
    assert_eq!(asked.fingerprint().len(), 64);
    let Ok(trip) = "01936f1e-8b5a-7c3d-9e4f-0123456789ab".parse() else {
        return false;
    };
    let reaction = b::request(trip, &plan, asked.traveller, &moment());
    for said in reaction.said {
        let Some(plan) = reaction.record.plan() else {
            panic!("its own plan cannot be read");
        };
        let fact = Fact {
            speaker: Speaker::Booking,
            trip,
            plan,
            said,
        };
        let heard = choreography::read(
            &fact.kind(),
            &fact.trip.to_string(),
            fact.to_json().as_bytes(),
        );
        assert_eq!(
            heard,
            Ok(WireFact::Trip(fact)),
            "it is said as it was asked for"
        );
    }
    true
}
