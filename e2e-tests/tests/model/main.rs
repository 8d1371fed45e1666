//! A model check of the saga, over the production `react` functions of booking and the legs.
//!
//! Goal: whatever the broker loses, repeats or reorders, and whenever the deadline passes or the traveller cancels, a trip goes
//! through or comes all the way back. Method: `stateright` visits every state that one trip of two legs can reach, and two trips on
//! the last seat and room; the counts are asserted, so that a change that makes the search smaller is noticed. Then three bugs are
//! planted around the production functions, each excluded by a rule of the protocol, and must be found.
//!
//! It is a first check, not the full proof: inbox and outbox, replicas, forgetting, longer itineraries and settling by hand are not
//! in it.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod saga;
mod words;

use saga::{Bug, Saga};
use stateright::{Checker, HasDiscoveries, Model};
use words::{FLIGHT, HOTEL};

/// Visits everything, finds nothing wrong, and counts.
fn sound(name: &str, saga: Saga, states: usize) {
    let checker = saga.checker().threads(2).spawn_bfs().join();
    let counted = checker.unique_state_count();
    println!("{name}: {counted} states, nothing wrong");
    checker.assert_properties();
    assert_eq!(counted, states, "{name}");
}

/// Finds the planted bug: a way to break this property.
fn found(name: &str, saga: Saga, property: &'static str) {
    let checker = saga
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let steps = checker.assert_any_discovery(property).into_actions();
    println!("{name}: \"{property}\" is broken after {steps:?}");
}

#[test]
fn one_trip_of_two_legs() {
    sound("one trip", Saga::new(&[[FLIGHT, HOTEL]], 1, 1), 87);
    sound(
        "one trip, no room left",
        Saga::new(&[[FLIGHT, HOTEL]], 1, 0),
        70,
    );
    sound(
        "one trip, no seat left",
        Saga::new(&[[FLIGHT, HOTEL]], 0, 1),
        38,
    );
}

#[test]
fn two_trips_on_the_last_seat() {
    sound(
        "two trips on the last seat",
        Saga::new(&[[FLIGHT, HOTEL]; 2], 1, 2),
        8_492,
    );
    sound(
        "two trips on the last seat and room",
        Saga::new(&[[FLIGHT, HOTEL]; 2], 1, 1),
        9_372,
    );
}

#[test]
fn two_trips_crossing_on_the_last_seat_and_room() {
    sound(
        "two trips crossing",
        Saga::new(&[[FLIGHT, HOTEL], [HOTEL, FLIGHT]], 1, 1),
        10_590,
    );
}

/// Rule 3. First the control: with ids in the model and no bug, all is well.
#[test]
fn an_answer_under_the_recorded_id_leaves_trips_stuck() {
    let ids = || Saga::new(&[[FLIGHT, HOTEL]], 1, 1).with_ids();
    sound("one trip, with ids", ids(), 3_366);
    found(
        "an answer under the recorded id",
        ids().with(Bug::AnswerUnderTheRecordedId),
        "it comes to rest",
    );
}

/// Rule 2.
#[test]
fn undoing_that_says_requested_leaves_trips_stuck() {
    let saga = Saga::new(&[[FLIGHT, HOTEL]], 1, 1).with(Bug::UndoingSaysRequested);
    found("undoing says requested", saga, "it comes to rest");
}

/// Rule 5.
#[test]
fn a_late_turn_that_is_rejected_closes_a_trip_that_still_holds() {
    let saga = Saga::new(&[[FLIGHT, HOTEL]], 1, 1).with(Bug::LateTurnIsRejected);
    found(
        "a late turn is rejected",
        saga,
        "a closed trip holds nothing",
    );
}
