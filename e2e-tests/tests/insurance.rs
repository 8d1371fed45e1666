//! A leg in another language, made from `docs/wire.md` alone: insurance, in Python, beside the real services on a real broker. Whether it keeps
//! every promise is the conformance kit's to say; here it joins a running stack, and travellers book it.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};

use booking::core::{Outcome, Settled, State};
use choreography::TripId;
use e2e_tests::prerequisites::nats_py;
use e2e_tests::trip::{Asked, SEAT_PRICE, flight, stay, trip};
use e2e_tests::{Stock, World, eventually, on_one_database};
use serde_json::{Value, json};

mod sqlite {
    use e2e_tests::Engine::Sqlite;

    super::on_one_database!(it_joins_a_running_house_and_an_itinerary, Sqlite);
    super::on_one_database!(what_it_refuses_comes_back_from_the_others, Sqlite);
    super::on_one_database!(what_others_refuse_comes_back_from_it, Sqlite);
    super::on_one_database!(
        killed_in_the_middle_it_ends_every_trip_once_it_is_back,
        Sqlite
    );
    super::on_one_database!(a_broker_that_lost_everything_costs_it_no_trip, Sqlite);
    super::on_one_database!(what_it_cannot_read_stops_nothing, Sqlite);
    super::on_one_database!(an_echo_is_dropped_and_a_question_answered, Sqlite);
}

const BASIC: i64 = 900;
const COVERED_MAX: i64 = 50;

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/legs/insurance/insurance.py")
}

/// False where it cannot be run, which is said.
async fn joins(world: &mut World, test: &str) -> bool {
    let Some(library) = nats_py(test).await else {
        return false;
    };
    world.seats("RT100", 100).await;
    world.rooms("LIS", 50).await;
    let max = COVERED_MAX.to_string();
    let settings = [
        ("PYTHONPATH", library.to_str().unwrap()),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("COVERED_MAX", &max),
        ("UNKNOWN_VERSION_WAIT_MS", "2000"),
    ];
    // Its tables are its own: no audit knows them.
    world.is_played("insurance");
    let args = vec![program().into()];
    world
        .start_foreign("insurance", PathBuf::from("python3"), args, &settings)
        .await;
    world.until_open(&["flight", "hotel", "insurance"]).await;
    true
}

fn insurance(plan: &str, travellers: i64) -> Value {
    json!({"leg": "insurance", "plan": plan, "travellers": travellers})
}

fn insured(travellers: i64) -> Asked {
    trip([flight("RT100", 1), insurance("basic", travellers)])
}

/// Travellers that it covers: what is held and what is confirmed.
async fn covers(world: &World) -> (i64, i64) {
    let held = "select coalesce(sum(travellers), 0) from record where state = 'held'";
    let firm = "select coalesce(sum(travellers), 0) from record where state = 'confirmed'";
    (
        world.number("insurance", held).await,
        world.number("insurance", firm).await,
    )
}

async fn until_it_covers(world: &World, confirmed: i64) {
    let what = format!("it covers {confirmed}");
    eventually(&what, async || {
        (covers(world).await == (0, confirmed)).then_some(())
    })
    .await;
}

async fn it_joins_a_running_house_and_an_itinerary(world: &mut World) {
    let asked = insured(2);
    world.send(world.asking(&asked)).await.problem(422);
    if !joins(world, "it_joins_a_running_house_and_an_itinerary").await {
        return;
    }
    // What it said when it joined is enough for booking to refuse nonsense at the door.
    world.send(world.asking(&insured(0))).await.problem(422);
    let view = world.book(&asked).await;
    assert_eq!(view.state, State::Confirmed);
    assert_eq!(view.total[0].amount_minor, SEAT_PRICE + 2 * BASIC);
    until_it_covers(world, 2).await;
    // In the middle, at both ends, and twice on one trip.
    let thrice = trip([
        insurance("basic", 1),
        flight("RT100", 1),
        insurance("full", 1),
        stay("LIS", 1, 1),
        insurance("basic", 1),
    ]);
    let view = world.book(&thrice).await;
    assert_eq!(view.state, State::Confirmed, "{view:?}");
    until_it_covers(world, 5).await;
    let view = world.cancel(view.trip).await;
    assert_eq!(view.settled, [Some(Settled::Released); 5]);
    until_it_covers(world, 2).await;
}

async fn what_it_refuses_comes_back_from_the_others(world: &mut World) {
    if !joins(world, "what_it_refuses_comes_back_from_the_others").await {
        return;
    }
    let budget = |minor: i64, currency: &str| {
        insured(1).with(
            "budget",
            json!({"amount_minor": minor, "currency": currency}),
        )
    };
    for (asked, code) in [
        (insured(COVERED_MAX + 1), "sold-out"),
        (
            trip([flight("RT100", 1), insurance("none", 1)]),
            "unknown-stock",
        ),
        (
            trip([flight("RT100", 1), json!({"leg": "insurance"})]),
            "unreadable-details",
        ),
        (insured(501), "quantity"),
        (budget(SEAT_PRICE + BASIC - 1, "EUR"), "budget"),
    ] {
        let view = world.book(&asked).await;
        assert_eq!(view.outcome, Some(Outcome::Rejected), "{code}");
        assert_eq!(view.reason.unwrap().code, code);
        assert_eq!(
            view.settled,
            [Settled::Released, Settled::Rejected].map(Some)
        );
    }
    assert_eq!(
        world.book(&budget(SEAT_PRICE + BASIC, "EUR")).await.state,
        State::Confirmed
    );
    until_it_covers(world, 1).await;
    assert_eq!(world.flight("RT100").await, Stock::of(0, 1, 99));
}

async fn what_others_refuse_comes_back_from_it(world: &mut World) {
    if !joins(world, "what_others_refuse_comes_back_from_it").await {
        return;
    }
    let asked = trip([
        insurance("basic", 3),
        flight("RT100", 1),
        stay("LIS", 1, 51),
    ]);
    let view = world.book(&asked).await;
    assert_eq!(view.outcome, Some(Outcome::Rejected));
    let settled = [Settled::Released, Settled::Released, Settled::Rejected];
    assert_eq!(view.settled, settled.map(Some));
    until_it_covers(world, 0).await;
}

/// SIGKILL, several times, while forty trips are under way; some of them are cancelled meanwhile.
async fn killed_in_the_middle_it_ends_every_trip_once_it_is_back(world: &mut World) {
    if !joins(
        world,
        "killed_in_the_middle_it_ends_every_trip_once_it_is_back",
    )
    .await
    {
        return;
    }
    let mut trips: Vec<TripId> = Vec::new();
    for round in 0..4 {
        trips.extend(world.ask_many(&insured(1), 10).await);
        let said = || {
            world
                .timeline
                .all()
                .iter()
                .filter(|word| word.fact() == "insurance.reserved")
                .count()
        };
        eventually("it is in the middle", async || {
            (said() > round * 8).then_some(())
        })
        .await;
        world.kill("insurance", 0).await;
        world.cancel_soon(*trips.last().unwrap()).await;
        world.restart("insurance", 0).await;
    }
    let mut confirmed = 0;
    for trip in &trips {
        let view = eventually("it ends", async || {
            let view = world.show(*trip).await;
            [State::Confirmed, State::Closed]
                .contains(&view.state)
                .then_some(view)
        })
        .await;
        confirmed += i64::from(view.state == State::Confirmed);
    }
    assert_eq!(confirmed, 36, "all but those that were cancelled");
    until_it_covers(world, confirmed).await;
    world.until_flight("RT100", Stock::of(0, 36, 64)).await;
}

async fn a_broker_that_lost_everything_costs_it_no_trip(world: &mut World) {
    if !joins(world, "a_broker_that_lost_everything_costs_it_no_trip").await {
        return;
    }
    world.kill("insurance", 0).await;
    let trip = world.ask(&insured(1)).await.trip;
    eventually("the flight is held", async || {
        (world.flight("RT100").await.held == 1).then_some(())
    })
    .await;
    world.wipe_broker().await;
    world.restart("insurance", 0).await;
    world.until_state(trip, State::Confirmed).await;
    world.wipe_broker().await;
    let view = world.book(&insured(2)).await;
    assert_eq!(view.state, State::Confirmed);
    until_it_covers(world, 3).await;
}

/// Each piece of junk is put aside, and the trips behind it go through.
async fn what_it_cannot_read_stops_nothing(world: &mut World) {
    if !joins(world, "what_it_cannot_read_stops_nothing").await {
        return;
    }
    let view = world.book(&insured(1)).await;
    let words = world.timeline.of(view.trip);
    let turn = words
        .iter()
        .find(|word| word.fact() == "flight.reserved")
        .unwrap();
    let letters = "select count(*) from dead_letter";
    let with = |name: &str, value: &str| {
        let mut headers = turn.headers.clone();
        headers.insert("Nats-Msg-Id", uuid::Uuid::now_v7().to_string());
        headers.insert(name, value);
        headers
    };
    for (headers, body, buried) in [
        (with("ce-id", "no uuid"), turn.payload.clone(), 1),
        (with("ce-type", "flight.sang.v1"), turn.payload.clone(), 2),
        (with("ce-specversion", "0.3"), turn.payload.clone(), 3),
        (
            with("ce-subject", &uuid::Uuid::now_v7().to_string()),
            turn.payload.clone(),
            4,
        ),
        (with("ce-type", "flight.reserved.v1"), b"[]".to_vec(), 5),
        (with("ce-type", "flight.reserved.v1"), b"\xff".to_vec(), 6),
        (
            with("ce-type", "hotel.reserved.v1"),
            turn.payload.clone(),
            7,
        ),
    ] {
        world.publish(&turn.subject, headers, body).await;
        eventually("it is buried", async || {
            (world.number("insurance", letters).await == buried).then_some(())
        })
        .await;
        assert_eq!(world.book(&insured(1)).await.state, State::Confirmed);
    }
    // Who reads a newer version may be on the way, for a while.
    let newer = with("ce-type", "flight.reserved.v2");
    world
        .publish(&turn.subject, newer, turn.payload.clone())
        .await;
    assert_eq!(world.book(&insured(1)).await.state, State::Confirmed);
    assert_eq!(world.number("insurance", letters).await, 7);
    eventually("it is buried after all", async || {
        (world.number("insurance", letters).await == 8).then_some(())
    })
    .await;
}

/// An echo is dropped, and a question is answered: with what was said, under a new id.
async fn an_echo_is_dropped_and_a_question_answered(world: &mut World) {
    if !joins(world, "an_echo_is_dropped_and_a_question_answered").await {
        return;
    }
    let view = world.book(&insured(1)).await;
    until_it_covers(world, 1).await;
    let words = world.timeline.of(view.trip);
    let turn = words.iter().find(|word| word.fact() == "flight.reserved");
    let turn = turn.unwrap();
    let answers = || {
        let words = world.timeline.of(view.trip).into_iter();
        words
            .filter(|word| word.fact() == "insurance.reserved")
            .collect::<Vec<_>>()
    };
    let first = answers();
    world.say_again(turn).await;
    let mut anew = turn.headers.clone();
    for name in ["ce-id", "Nats-Msg-Id"] {
        anew.insert(name, uuid::Uuid::now_v7().to_string());
    }
    world
        .publish(&turn.subject, anew, turn.payload.clone())
        .await;
    let second = eventually("it is answered", async || {
        let all = answers();
        (all.len() > first.len()).then_some(all)
    })
    .await;
    assert_eq!(second.len(), first.len() + 1);
    let (before, after) = (&first[0], second.last().unwrap());
    assert_eq!(before.payload, after.payload);
    assert_ne!(before.header("ce-id"), after.header("ce-id"));
}
