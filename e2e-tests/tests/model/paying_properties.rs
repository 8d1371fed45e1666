//! What must hold in every state of the payment's model, and how it comes to rest once everybody is kind again. How states come about,
//! `payment.rs` says.

use booking::core as b;
use payment::core::{Input, State};
use stateright::Property;

use crate::paying::{Payments, World};
use crate::paying_provider::{Intent, Mood, Status, process};
use crate::words::{Clock, Word};

/// Rounds of timers and calls after which everything is at rest.
const ROUNDS: usize = 6;

pub(crate) fn all() -> Vec<Property<Payments>> {
    vec![
        Property::always("there is one authorisation", |_, world: &World| {
            let authorised = world.intents.iter().filter(|intent| intent.authorised);
            authorised.count() <= 1
        }),
        Property::always(
            "money is taken behind the pivot only",
            |_, world: &World| {
                let taken = world.intents.iter().any(|intent| intent.captured);
                !taken || world.said.contains(&Word::Confirmed)
            },
        ),
        Property::always(
            "no money is asked for once it is off",
            |_, world: &World| !world.greedy,
        ),
        Property::always("what is released holds nothing", |_, world: &World| {
            world.record.state != State::Released || !holds(world)
        }),
        Property::always("what is rejected was never held", |_, world: &World| {
            !world.said.contains(&Word::Rejected(1)) || !world.said.contains(&Word::Reserved(1))
        }),
        Property::always("a no is one that somebody said", |_, world: &World| {
            let refused = match world.record.state {
                State::Rejected => world.record.intent.is_some(),
                State::Unpaid => true,
                _ => false,
            };
            !refused || world.refused || lapsed(world) || world.given_back
        }),
        Property::always(
            "what is known to be given back is not paid",
            |_, world: &World| !world.told_of_it || world.record.state != State::Captured,
        ),
        Property::always("it comes to rest", rests),
        sometimes("it is paid", State::Captured),
        sometimes("it is declined", State::Rejected),
        sometimes("it is given back", State::Refunding),
        sometimes("a person has to look", State::Unpaid),
        sometimes("it comes back", State::Released),
    ]
}

fn sometimes(name: &'static str, state: State) -> Property<Payments> {
    let is: fn(&Payments, &World) -> bool = match state {
        State::Captured => |_, world| world.record.state == State::Captured,
        State::Rejected => |_, world| world.record.state == State::Rejected,
        State::Refunding => |_, world| world.record.state == State::Refunding,
        State::Unpaid => |_, world| world.record.state == State::Unpaid,
        _ => |_, world| world.record.state == State::Released,
    };
    Property::sometimes(name, is)
}

fn holds(world: &World) -> bool {
    let held = |status| matches!(status, Status::Authorised | Status::Captured);
    world.intents.iter().any(|intent| held(intent.status))
}

fn lapsed(world: &World) -> bool {
    let mut intents = world.intents.iter();
    intents.any(|intent| intent.status == Status::Voided)
}

/// Liveness: every message and every answer in flight is lost, and none after that; the provider does what it is asked. A trip that is
/// confirmed and not paid asks for a person, who cancels it; then it comes back too.
fn rests(model: &Payments, world: &World) -> bool {
    let wiped = World {
        said: [].into(),
        answers: [].into(),
        wire: [].into(),
        refused: false,
        off: false,
        greedy: false,
        told_of_it: false,
        ..world.clone()
    };
    if let Some(known) = model.rests.lock().unwrap().get(&wiped) {
        return *known;
    }
    let clocks = [Clock::Before, Clock::Behind];
    let rests = clocks
        .into_iter()
        .all(|clock| comes_to_rest(model, wiped.clone(), clock));
    model.rests.lock().unwrap().insert(wiped, rests);
    rests
}

fn comes_to_rest(model: &Payments, mut world: World, clock: Clock) -> bool {
    settle(model, &mut world, clock);
    if world.trip.state == b::State::Confirmed && world.record.state != State::Captured {
        if world.record.attention_us.is_none() {
            return false;
        }
        model.cancel(&mut world);
        settle(model, &mut world, clock);
    }
    match world.trip.state {
        b::State::Confirmed => {
            let taken = |intent: &Intent| intent.status == Status::Captured;
            // News of what was given back may be lost: that is for the audit, which reads the provider's own list.
            let taken = world.given_back || world.intents.iter().any(taken);
            world.record.state == State::Captured && taken
        }
        b::State::Closed => {
            let over = matches!(world.record.state, State::Released | State::Rejected);
            over && world.row.is_none() && world.flight_back && !holds(&world)
        }
        _ => false,
    }
}

fn settle(model: &Payments, world: &mut World, clock: Clock) {
    for _ in 0..ROUNDS {
        if world.trip.due_us.is_some() {
            model.booking(world, None, clock);
        }
        model.flight(world, None);
        if world.record.due_us.is_some() {
            model.payment(world, Input::Due { waiting: false }, Clock::Before);
        }
        while let Some(word) = world.said.pop_first() {
            hear(model, world, word);
        }
        while let Some(row) = world.row {
            process(world, row, Mood::Does);
            let Some(reply) = world.answers.pop_first() else {
                break;
            };
            model.answer(world, reply);
        }
    }
    world.said.clear();
}

fn hear(model: &Payments, world: &mut World, word: Word) {
    match word {
        Word::Requested => model.flight(world, Some(word)),
        Word::Reserved(0) | Word::Confirmed => model.payment_hears(world, word, Clock::Before),
        Word::Cancelled => {
            model.flight(world, Some(word));
            model.payment_hears(world, word, Clock::Before);
        }
        Word::Rejected(_) => {
            model.flight(world, Some(word));
            model.booking(world, Some(word), Clock::Before);
        }
        Word::Reserved(_) | Word::Released(_) => model.booking(world, Some(word), Clock::Before),
    }
}
