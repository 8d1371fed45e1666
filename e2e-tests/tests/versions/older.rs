//! This version upon the databases that an earlier one left in the middle of its work, and a broker that knows nothing. How such a
//! copy is made: `freeze.rs`.

use std::collections::BTreeSet;

use booking::core::{Outcome, State};
use booking::view::TripView;
use e2e_tests::trip::{Asked, flight, stay, trip};
use e2e_tests::{Stock, World, fixtures, on_both_databases};

use crate::freeze::Told;
use crate::migrations::frozen;

on_both_databases![
    what_version_1_left_comes_to_its_end with |setup| setup.upon("v1"),
];

/// The test above would say nothing upon a copy in which everything is over.
#[test]
fn the_copy_has_one_of_everything_that_can_be_left() {
    for (service, rows) in [
        (
            "booking",
            [
                ("trip ", "'pending'"),
                ("trip ", "'undoing'"),
                ("trip ", "'confirmed'"),
                ("trip ", "'closed'"),
                ("outbox ", "'booking.requested.v1'"),
                ("idempotency ", "'kept over the upgrade'"),
                ("joined_leg ", "'hotel'"),
                ("inbox ", ""),
            ]
            .as_slice(),
        ),
        (
            "flight",
            &[
                ("leg ", "'held'"),
                ("leg ", "'confirmed'"),
                ("leg ", "'released'"),
                ("seat ", ", 10, 7, 2, 1, "),
                ("dead_letter ", "'hello'"),
            ],
        ),
        (
            "hotel",
            &[
                ("leg ", "'rejected'"),
                ("leg ", "'confirmed'"),
                ("room ", "'LIS'"),
            ],
        ),
    ] {
        let copy = fixtures::read("v1", &format!("{service}.sql"));
        for (table, value) in rows {
            let insert = format!("insert into {table}");
            let mut lines = copy.lines();
            let there = lines.any(|line| line.starts_with(&insert) && line.contains(value));
            assert!(there, "{service} has no {table}with {value}");
        }
    }
}

/// The checksums of what a service applies, the runtime's first, as [`e2e_tests::fixtures::applied`] has them.
fn expected(service: &str) -> Vec<String> {
    let own = format!("services/{service}/migrations/");
    let leg = (service != "booking").then_some("shared/leg/migrations/");
    let folders = ["shared/runtime/migrations/", leg.unwrap_or(&own), &own];
    let mut seen = BTreeSet::new();
    let mut expected = Vec::new();
    for folder in folders.into_iter().filter(|folder| seen.insert(*folder)) {
        // The table of calls is only where some are made.
        let calls = "shared/runtime/migrations/0900_call.sql";
        let here = frozen()
            .into_iter()
            .filter(|(file, _)| file.starts_with(folder) && file != calls);
        expected.extend(here.map(|(_, checksum)| checksum));
    }
    expected
}

async fn what_version_1_left_comes_to_its_end(world: &mut World) {
    let told = Told::of("v1");
    for (name, state, outcome) in [
        ("confirmed", State::Confirmed, Outcome::Confirmed),
        ("rejected", State::Closed, Outcome::Rejected),
        ("cancelled", State::Closed, Outcome::Cancelled),
        ("pending", State::Confirmed, Outcome::Confirmed),
        ("undoing", State::Closed, Outcome::Cancelled),
        ("unpublished", State::Confirmed, Outcome::Confirmed),
    ] {
        let view = world.until_state(told.trips[name], state).await;
        assert_eq!(view.outcome, Some(outcome), "{name}");
    }
    world.until_flight("RT100", Stock::of(0, 6, 4)).await;
    world.until_nights("LIS", 1, Stock::of(0, 2, 3)).await;
    let [_, second, third] = world.nights("LIS").await;
    assert_eq!([second, third], [Stock::of(0, 1, 4), Stock::all_free(5)]);
    what_was_not_published_is(world, &told).await;
    the_old_key_finds_its_trip(world, &told).await;
    assert_eq!(world.letters("flight").await[0]["payload"], "hello");
    for service in ["booking", "flight", "hotel"] {
        let applied = fixtures::applied(world.database_url(service)).await;
        assert_eq!(
            applied,
            expected(service),
            "{service} was brought up to date"
        );
    }
    // What was decided then can be taken back now, and what came back can be sold again.
    let view = world.cancel(told.trips["confirmed"]).await;
    assert_eq!(view.state, State::Closed);
    let view = world
        .book(&trip([flight("RT100", 6), stay("LIS", 3, 4)]))
        .await;
    assert_eq!(view.state, State::Confirmed);
    world.until_flight("RT100", Stock::of(0, 10, 0)).await;
}

/// Not another fact in its place: the very one that lay in the outbox. It is looked for in the stream, for it was published before
/// anybody could listen.
async fn what_was_not_published_is(world: &World, told: &Told) {
    let mut stream = world.jetstream().get_stream("TRIPS").await.unwrap();
    let last = stream.info().await.unwrap().state.last_sequence;
    let mut ids = Vec::new();
    for sequence in 1..=last {
        let said = stream.get_raw_message(sequence).await.unwrap();
        ids.extend(said.headers.get("ce-id").map(ToString::to_string));
    }
    assert!(ids.contains(&told.unpublished_fact), "{ids:?}");
}

async fn the_old_key_finds_its_trip(world: &World, told: &Told) {
    let under_the_key = |asked: &Asked| {
        let key = format!("\"{}\"", told.key);
        world.asking(asked).header("Idempotency-Key", key)
    };
    let asked = Asked {
        body: told.asked.clone(),
    };
    let answer = world.send(under_the_key(&asked)).await;
    assert_eq!(answer.json::<TripView>().trip, told.trips["confirmed"]);
    let other = under_the_key(&trip([flight("RT100", 1)]));
    world.send(other).await.problem(422);
    let trips = world.trips("/bookings").await;
    assert_eq!(trips.len(), told.trips.len(), "no trip was made anew");
}
