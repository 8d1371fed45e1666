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

mod echo;
mod graph;
mod judge;
mod outbox;
mod paying;
mod paying_bugs;
mod paying_properties;
mod paying_provider;
mod properties;
mod replica;
mod saga;
mod unkept;
mod words;

use std::fmt::Debug;
use std::hash::Hash;

use echo::{Budget, Echo, Talk};
use graph::Graph;
use judge::Bug;
use leg::core::Stock;
use outbox::Outbox;
use paying::Payments;
use saga::{Act, Saga};
use stateright::{Checker, HasDiscoveries, Model};
use words::{BACK, FLIGHT, HOTEL, Who, Word, rooms, seats, seats_back};

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
    let decided = "what was decided stays decided";
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
        (Bug::CancelChangesTheOutcome, three(0), decided),
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

/// What is heard is judged however often it comes, and anything committed may never get out: no inbox and no outbox. What takes
/// longer is in `benches/model.rs`.
#[test]
fn without_inbox_and_outbox_every_trip_still_comes_to_rest() {
    let same_leg = |back| Saga::new(&[&[FLIGHT, BACK]], &[seats(1), seats_back(back)]);
    sound("nothing kept, one trip", one(1, 1).unkept(), 653);
    sound("nothing kept, no room left", one(1, 0).unkept(), 501);
    sound("nothing kept, no seat left", one(0, 1).unkept(), 252);
    sound("nothing kept, no seat back", same_leg(0).unkept(), 421);
    sound("nothing kept, three legs", three(1).unkept(), 2_609);
    sound(
        "nothing kept, three legs, no seat back",
        three(0).unkept(),
        2_349,
    );
    let two = Saga::new(&[&[FLIGHT], &[FLIGHT]], &[seats(1)]);
    sound("nothing kept, two trips of one leg", two.unkept(), 21_763);
    sound(
        "nothing kept, no room left, two of flight",
        one(1, 0).unkept().with_two(Who::Flight),
        1_129,
    );
    sound(
        "nothing kept, no room left, forgotten",
        one(1, 0).unkept().that_forgets(),
        3_672,
    );
}

/// From every state a way to rest, after everything in flight and in memory is lost; and none where what was lost is believed to be on
/// its way.
#[test]
fn without_inbox_and_outbox_every_state_has_a_way_out() {
    assert_eq!(heals(&one(1, 0).unkept()), (501, 1_437, true));
    let (.., rests) = heals(&one(1, 0).unkept().with(Bug::WordOutlivesItsProcess));
    assert!(
        !rests,
        "nobody says again what it believes to be on its way"
    );
}

/// One delivered fact brings about 2n + 1 further ones at most, in a trip of n legs: whatever else goes on at the same time, and however
/// little anybody remembers of what was heard. And as many are reached.
#[test]
fn no_fact_is_answered_for_ever() {
    let sagas = [
        ("two legs", one(1, 1), 5),
        ("two legs, no room left", one(1, 0), 3),
        ("three legs", three(1), 7),
        ("three legs, no seat back", three(0), 5),
        ("three legs, forgotten", three(1).that_forgets(), 7),
    ];
    for (name, saga, most) in sagas {
        let echo = Echo::of(&saga);
        let (played, word) = echo.played();
        println!("{name}: {word:?} brings about {played} facts");
        assert_eq!(echo.worst(), Some(most), "{name}");
        assert_eq!(played, most, "{name}");
    }
    let three = three(1);
    let echo = Echo::of(&three);
    let words = [Word::Requested, Word::Reserved(2), Word::Cancelled];
    let each = words.map(|word| echo.at_most(word));
    assert_eq!(each, [Some(7), Some(4), Some(3)]);
    for silent in [Word::Confirmed, Word::Released(0), Word::Released(2)] {
        assert_eq!(echo.at_most(silent), Some(0), "{silent:?}");
    }
}

/// What a trip costs in facts when so much goes otherwise: each delivery that comes once more, each timer and each cancellation adds a
/// bounded number.
#[test]
fn what_goes_wrong_costs_so_many_facts_at_most() {
    let saga = one(1, 1);
    let mut talk = Talk::new(&saga);
    let costs = [
        ((0, 0, 0), 4),
        ((1, 0, 0), 7),
        ((2, 0, 0), 10),
        ((0, 1, 0), 9),
        ((0, 0, 1), 9),
        ((1, 0, 1), 14),
        ((1, 1, 0), 14),
    ];
    for ((repeats, timers, cancels), most) in costs {
        let budget = Budget {
            repeats,
            timers,
            cancels,
        };
        assert_eq!(talk.of_a_trip(budget), most, "{budget:?}");
    }
}

/// Each is found only because nothing is kept, or because it is counted what is said.
#[test]
fn planted_bugs_that_inbox_and_outbox_would_hide_are_found() {
    let rest = "it comes to rest";
    let planted = [
        (Bug::WordOutlivesItsProcess, one(1, 0), rest),
        (Bug::WaitsWithoutATimer, one(1, 0), rest),
        (
            Bug::RequestIsJudgedAgain,
            one(1, 1),
            "what was decided stays decided",
        ),
    ];
    for (bug, saga, property) in planted {
        found(&format!("{bug:?}"), saga.unkept().with(bug), property);
    }
    let endless = || three(1).with(Bug::AnswersWhatIsReleased);
    assert_eq!(Echo::of(&endless()).worst(), None, "an echo without end");
    sound("an echo that nobody counts", endless(), 202);
}

/// The price: nobody asks again for a `cancelled` that everybody can do without, so who only listens to the stream may not hear it.
#[test]
fn without_an_outbox_a_cancellation_may_never_be_said() {
    found(
        "nothing kept, and somebody only listens",
        one(1, 0).unkept().listened(),
        "a cancellation was said",
    );
}

/// A payment at a provider that loses, repeats, delays, refuses, forgets its keys and contradicts itself.
#[test]
fn a_payment_is_taken_once_or_comes_back() {
    sound("one payment", Payments::new(), 27_855);
}

#[test]
fn planted_bugs_of_the_payment_are_found() {
    use paying_bugs::Bug;
    let rest = "it comes to rest";
    let old = "what is known to be given back is not paid";
    let planted = [
        (
            Bug::CapturesWhatIsOff,
            "no money is asked for once it is off",
        ),
        (Bug::AuthorisesUnderANewKey, "there is one authorisation"),
        (Bug::TimeoutIsANo, "a no is one that somebody said"),
        (Bug::ReleasesBeforeTheVoid, "what is released holds nothing"),
        (Bug::LeavesTheDeclinedOpen, rest),
        (Bug::LapsesInSilence, rest),
        (Bug::BelievesOldNews, old),
    ];
    for (bug, property) in planted {
        found(&format!("{bug:?}"), Payments::with(bug), property);
    }
}
