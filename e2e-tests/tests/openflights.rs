//! Real input in real size: an inventory made from the 67,663 routes of the OpenFlights project, and a thousand trips over it, there
//! and back. Skipped, visibly, where the data lie not beside the repository.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use booking::core::{Outcome, State};
use booking::view::TripView;
use e2e_tests::trip::{Asked, DAY, trip};
use e2e_tests::{Engine, Setup, World, play};
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use stack::skip;

const TRIPS: usize = 1_000;
const AT_A_TIME: usize = 32;
const HOME: &str = "2039-06-04";

/// One airline's flights between two airports.
#[derive(Debug, Clone)]
struct Route {
    airline: String,
    from: String,
    to: String,
}

impl Route {
    fn flight(&self) -> String {
        format!("{}-{}-{}", self.airline, self.from, self.to)
    }
}

fn routes() -> Option<Vec<Route>> {
    let beside = "../../shared/data/openflights/routes.dat";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(beside);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(file)
        .ok()?;
    let route = |line: csv::StringRecord| Route {
        airline: line[0].to_owned(),
        from: line[2].to_owned(),
        to: line[4].to_owned(),
    };
    Some(reader.records().map(|line| route(line.unwrap())).collect())
}

async fn import(world: &World, service: &str, path: &str, csv: String) -> (usize, usize) {
    let request = world.request(Method::POST, service, path);
    let answer = world
        .send(request.header("content-type", "text/csv").body(csv))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let done: Value = answer.json();
    let count = |name: &str| usize::try_from(done[name].as_u64().unwrap()).unwrap();
    (count("lines"), count("rows"))
}

/// Seats are few, so that some trips find none; the same ones in every run.
async fn stock(world: &World, routes: &[Route]) {
    for day in [DAY, HOME] {
        let mut flights = String::from("flight,date,seats,price_minor,currency\n");
        for (number, route) in routes.iter().enumerate() {
            let (seats, price) = (1 + number % 4, 4_900 + number % 50_000);
            let _ = writeln!(flights, "{},{day},{seats},{price},EUR", route.flight());
        }
        let imported = import(world, "flight", "/flights/import", flights).await;
        assert_eq!(imported, (routes.len(), routes.len()));
    }
    let cities: BTreeSet<&str> = routes.iter().map(|route| route.to.as_str()).collect();
    let mut hotels = String::from("hotel,room_type,night,rooms,price_minor,currency\n");
    for city in &cities {
        let _ = writeln!(hotels, "{city},double,{DAY},5,8900,EUR");
    }
    let imported = import(world, "hotel", "/hotels/import", hotels).await;
    assert_eq!(imported, (cities.len(), cities.len()));
}

/// There with one airline, a night, and back with any that flies.
fn wishes(routes: &[Route]) -> Vec<Asked> {
    let mut back: BTreeMap<(&str, &str), &Route> = BTreeMap::new();
    for route in routes {
        back.insert((&route.from, &route.to), route);
    }
    let seat = |route: &Route, day: &str, seats: usize| json!({"leg": "flight", "flight": route.flight(), "date": day, "seats": seats});
    let wish = |number: usize| {
        // Strides that share no factor with the number of routes, over a part of them, so that some are wished for twice.
        let there = &routes[number * 7_919 % (routes.len() / 100) * 97 % routes.len()];
        let seats = 1 + number % 2;
        let stay = json!({"leg": "hotel", "hotel": there.to, "room_type": "double", "check_in": DAY, "check_out": HOME, "rooms": 1});
        match back.get(&(there.to.as_str(), there.from.as_str())) {
            Some(back) => trip([seat(there, DAY, seats), stay, seat(back, HOME, seats)]),
            None => trip([seat(there, DAY, seats), stay]),
        }
    };
    (0..TRIPS).map(wish).collect()
}

async fn a_thousand_trips(world: &mut World, routes: &[Route]) {
    stock(world, routes).await;
    let wishes = wishes(routes);
    let booked: Vec<TripView> = futures::stream::iter(&wishes)
        .map(|wish| world.book(wish))
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    let confirmed = booked
        .iter()
        .filter(|view| view.state == State::Confirmed)
        .count();
    for lost in booked.iter().filter(|view| view.state != State::Confirmed) {
        assert_eq!(lost.outcome, Some(Outcome::Rejected));
        assert_eq!(lost.reason.as_ref().unwrap().code, "sold-out");
    }
    assert_eq!(booked.len(), TRIPS);
    assert!(confirmed > TRIPS / 4, "only {confirmed} went through");
    assert!(confirmed < TRIPS, "none was refused");
}

async fn over_real_routes(engine: Engine, test: &str) {
    let Some(routes) = routes() else {
        skip::say(
            test,
            "there is no ../shared/data/openflights beside the repository",
        );
        return;
    };
    assert_eq!(routes.len(), 67_663);
    play(test, Setup::on(engine), async |world: &mut World| {
        a_thousand_trips(world, &routes).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_trips_over_real_routes_sqlite() {
    over_real_routes(Engine::Sqlite, "a_thousand_trips_over_real_routes_sqlite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_trips_over_real_routes_postgres() {
    over_real_routes(
        Engine::Postgres,
        "a_thousand_trips_over_real_routes_postgres",
    )
    .await;
}
