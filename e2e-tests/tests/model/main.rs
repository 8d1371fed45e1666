//! A model check of the saga, over the production `react` functions of booking and the legs, and of the way from the outbox to the
//! broker, over the production `Outgoing`.
//!
//! Goal: whatever the broker loses, repeats or reorders, whoever dies when, and whenever the deadline passes or the traveller cancels,
//! a trip goes through or comes all the way back, and each fact gets out. Method: `stateright` visits every state that a few trips or a
//! few facts can reach; the counts are asserted, so that a change that makes the search smaller is noticed. Then mistakes are planted
//! around the production functions, each excluded by a rule of the protocol or of the runtime, and must be found.
//!
//! Not in it: settling by hand, itineraries of more than three legs, more than two replicas.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod graph;
mod judge;
mod outbox;
mod replica;
mod saga;
mod words;

use std::fmt::Debug;
use std::hash::Hash;

use graph::Graph;
use judge::Bug;
use leg::core::Stock;
use outbox::Outbox;
use saga::{Act, Saga};
use stateright::{Checker, HasDiscoveries, Model};
use words::{BACK, FLIGHT, HOTEL, Who, rooms, seats, seats_back};

const BOTH: &[&str] = &[FLIGHT, HOTEL];
const THREE: &[&str] = &[FLIGHT, HOTEL, BACK];

/// Visits everything, finds nothing wrong, and counts.
fn sound<M>(name: &str, model: M, states: usize)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = model.checker().threads(2).spawn_bfs().join();
    let counted = checker.unique_state_count();
    println!("{name}: {counted} states, nothing wrong");
    checker.assert_properties();
    assert_eq!(counted, states, "{name}");
}

/// Finds the planted bug: a way to break this property.
fn found<M>(name: &str, model: M, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = model
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyOf([property].into()))
        .spawn_bfs()
        .join();
    let steps = checker.assert_any_discovery(property).into_actions();
    println!("{name}: \"{property}\" is broken after {steps:?}");
}

fn one(seat: i64, room: i64) -> Saga {
    Saga::new(&[BOTH], &[seats(seat), rooms(room)])
}

fn two(stocks: &[Stock]) -> Saga {
    Saga::new(&[BOTH, BOTH], stocks)
}

fn three(back: i64) -> Saga {
    Saga::new(&[THREE], &[seats(1), rooms(1), seats_back(back)])
}

#[test]
fn one_trip_of_two_legs() {
    sound("one trip", one(1, 1), 87);
    sound("one trip, no room left", one(1, 0), 70);
    sound("one trip, no seat left", one(0, 1), 38);
}

#[test]
fn one_trip_of_three_legs() {
    sound("three legs", three(1), 205);
    sound("three legs, no seat back", three(0), 214);
}

#[test]
fn two_trips_on_the_last_seat() {
    sound(
        "two trips on the last seat",
        two(&[seats(1), rooms(2)]),
        8_492,
    );
    sound(
        "two trips on the last seat and room",
        two(&[seats(1), rooms(1)]),
        9_372,
    );
}

#[test]
fn two_trips_crossing_on_the_last_seat_and_room() {
    let crossing = Saga::new(&[BOTH, &[HOTEL, FLIGHT]], &[seats(1), rooms(1)]);
    sound("two trips crossing", crossing, 10_590);
}

/// A transaction may be open while the other replica is asked, and may die.
#[test]
fn two_replicas_of_one_service() {
    let counts = [(Who::Booking, 606), (Who::Flight, 756), (Who::Hotel, 485)];
    for (who, states) in counts {
        let name = format!("three legs, two of {who:?}");
        sound(&name, three(1).with_two(who), states);
    }
    let saga = two(&[seats(1), rooms(1)]).with_two(Who::Flight);
    sound("two trips on the last seat, two of flight", saga, 37_118);
}

#[test]
fn what_is_over_is_forgotten_and_asked_for_again() {
    sound("three legs, forgotten", three(1).that_forgets(), 2_131);
    sound(
        "three legs, no seat back, forgotten",
        three(0).that_forgets(),
        3_218,
    );
}

/// How many states there are, how many while it heals, and whether each of these has a way out.
fn heals(saga: &Saga) -> (usize, usize, bool) {
    let reached = Graph::explore(saga, saga.init_states(), |_| true);
    let wiped = reached.states.iter().map(|world| saga.wiped(world));
    let healing = Graph::explore(saga, wiped, |act| !matches!(act, Act::Cancel(_)));
    let stuck = healing.dead_end(|world| saga.at_rest(world));
    if let Some(world) = stuck {
        println!("no way out of {world:#?}");
    }
    (reached.states.len(), healing.states.len(), stuck.is_none())
}

/// Reverse reachability: from every state, after the broker lost everything and every process died, a final state can be reached by
/// timers and facts alone, without another act of the traveller. And the same search finds a dead end where there is one.
#[test]
fn every_state_can_come_to_rest_after_everything_in_flight_is_lost() {
    let there = || three(1).with_two(Who::Flight).that_forgets();
    assert_eq!(heals(&there()), (8_171, 47_857, true));
    assert_eq!(heals(&three(0).that_forgets()), (3_218, 31_536, true));
    let (.., rests) = heals(&three(1).with(Bug::HeldDoesNotAsk));
    assert!(!rests, "a hold that nobody asks about stays for ever");
}

/// Rule 3. First the control: with ids in the model and no bug, all is well.
#[test]
fn an_answer_under_the_recorded_id_leaves_trips_stuck() {
    let ids = || one(1, 1).with_ids();
    sound("one trip, with ids", ids(), 3_366);
    found(
        "an answer under the recorded id",
        ids().with(Bug::AnswerUnderTheRecordedId),
        "it comes to rest",
    );
}

/// Each with the property that it breaks first.
#[test]
fn planted_bugs_of_the_protocol_are_found() {
    let (lacks, holds) = (
        "a confirmed trip lacks no leg",
        "a closed trip holds nothing",
    );
    let (rest, adds_up) = ("it comes to rest", "capacity adds up");
    let planted = [
        (Bug::UndoingSaysRequested, three(1), rest),
        (Bug::LateTurnIsRejected, three(1), holds),
        (Bug::LateTurnIsTaken, three(1).that_forgets(), holds),
        (Bug::ForgetsTooEarly, three(1).that_forgets(), holds),
        (Bug::HeldDoesNotAsk, three(1), rest),
        (Bug::LetsGoByItsOwnClock, three(1), lacks),
        (Bug::NoTombstone, three(1), holds),
        (Bug::ReleaseIsNotCounted, three(1), adds_up),
        (Bug::EarlyPivot, three(1), lacks),
        (Bug::FirstAnswerClosesAll, three(1), holds),
        (Bug::RejectionSettlesThoseBefore, three(0), holds),
        (Bug::CancelClosesAtOnce, three(1), holds),
        (
            Bug::NoLock,
            two(&[seats(1), rooms(1)]).with_two(Who::Flight),
            adds_up,
        ),
        (
            Bug::SaysBeforeTheCommit,
            three(1).with_two(Who::Flight),
            lacks,
        ),
    ];
    for (bug, saga, property) in planted {
        found(&format!("{bug:?}"), saga.with(bug), property);
    }
}

/// What two replicas have said gets out, each fact once, and once more for each thing that went wrong.
#[test]
fn facts_get_out_whatever_fails_on_the_way() {
    sound("three facts", Outbox::new(3, 0, 5), 22_125);
    sound("two facts, two faults", Outbox::new(2, 2, 5), 248_106);
    sound("one fact, three faults", Outbox::new(1, 3, 6), 23_599);
}

/// Among them the two that stalled trips for ever.
#[test]
fn planted_bugs_of_the_runtime_are_found() {
    use replica::Bug;
    let (rest, rule) = ("it comes to rest", "no rule is broken");
    let lost = "nothing is lost";
    let planted = [
        (Bug::AwaitsRoomInsideABatch, rest),
        (Bug::NoBounds, "what is in hand is bounded"),
        (Bug::ForgetsBeforeTheCommit, rule),
        (Bug::IgnoresLateWords, rule),
        (Bug::HandsOverToTheLastMoment, rule),
        (Bug::CountsTheLeaseFromTheAnswer, rule),
        (Bug::DeletesBeforeItIsStored, lost),
        (Bug::LosesWhatWasNotDeleted, rest),
        (Bug::SweepsNothing, rest),
    ];
    for (bug, property) in planted {
        found(
            &format!("{bug:?}"),
            Outbox::new(3, 1, 6).with(bug),
            property,
        );
    }
}
