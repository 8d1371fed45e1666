//! The model of a payment: booking's and the payment's production cores, a flight that always has a seat, and a provider that may do as it
//! likes.
//!
//! The network is the set of everything ever said, as in `saga.rs`. A call is a row that waits; whatever was once sent may reach the provider
//! again, at any later moment, and under a key that it has forgotten: it is then judged by what the payment is by now. Each time the provider
//! may do it, refuse it, or only say how things stand. An answer may be lost, come late, or come after another one to the same call that says
//! otherwise; once its row is gone nobody listens. An authorisation may lapse, and news of whatever was once true may be told at any moment. A
//! process that dies anywhere needs no act of its own: what it had sent was sent, and the answer never came.
//!
//! Somebody may give back by hand, at the provider, what was taken. Not in it: forgetting, several positions on one trip.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use booking::core::{self as b, Trip};
use choreography::{Fact, LegName, Plan};
use payment::core::{Input, Purpose, Record, Standing, State, react};
use stateright::{Model, Property};

use crate::paying_bugs::Bug;
use crate::paying_properties::all;
use crate::paying_provider::{Ask, Intent, Mood, Reply, Status, ask, name, process, words};
use crate::words::{Clock, FLIGHT, Word, fact, moment, plain_trip, plan, reason, trip_id, word};

const PAYMENT: &str = r#"{"leg":"payment","method":"pm_card_visa"}"#;
/// Its place on the itinerary, behind the flight.
const MINE: u16 = 1;
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) trip: Trip,
    pub(crate) record: Record,
    /// The flight gave its seat back.
    pub(crate) flight_back: bool,
    /// Everything ever said.
    pub(crate) said: BTreeSet<Word>,
    /// The call that waits, and what was answered to it and may yet come.
    pub(crate) row: Option<Ask>,
    pub(crate) answers: BTreeSet<Reply>,
    /// Everything ever sent.
    pub(crate) wire: BTreeSet<Ask>,
    pub(crate) intents: Vec<Intent>,
    /// The provider, or whoever issued the card, once said no.
    pub(crate) refused: bool,
    /// The payment heard that the trip is off.
    pub(crate) off: bool,
    /// And asked for its money afterwards.
    pub(crate) greedy: bool,
    /// Somebody gave the money back by hand, and the payment was told.
    pub(crate) given_back: bool,
    pub(crate) told_of_it: bool,
}

/// Who hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Booking,
    Flight,
    Payment,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Hear(Part, Word, Clock),
    /// The payment hears its turn while the provider is known to be down.
    HearDown,
    Due(Part, Clock),
    Cancel,
    Process(Ask, Mood),
    Answer(Reply),
    Lapse(usize),
    /// Somebody gives back what was taken, by hand.
    GiveBack(usize),
    Told(Reply),
    /// An attempt ends without an answer. Changes nothing, but for a bug.
    TimeOut,
}

pub(crate) struct Payments {
    pub(crate) plan: Plan,
    pub(crate) leg: LegName,
    pub(crate) bug: Option<Bug>,
    /// Rest depends on what is kept alone, so it is worked out once for all that may be in flight.
    pub(crate) rests: Mutex<HashMap<World, bool>>,
}

impl Payments {
    pub(crate) fn new() -> Self {
        Self {
            plan: plan(&[FLIGHT, PAYMENT]),
            leg: "payment".parse().unwrap(),
            bug: None,
            rests: Mutex::default(),
        }
    }

    pub(crate) fn with(bug: Bug) -> Self {
        Self {
            bug: Some(bug),
            ..Self::new()
        }
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn fact(&self, word: Word) -> Fact {
        fact(0, &self.plan, word)
    }

    /// Booking hears something.
    pub(crate) fn booking(&self, world: &mut World, heard: Option<Word>, clock: Clock) {
        let heard = heard.map(|word| self.fact(word));
        let input = match &heard {
            Some(fact) => b::Input::Fact(fact),
            None => b::Input::Due { waiting: false },
        };
        let reaction = b::react(world.trip.clone(), input, &moment(clock));
        world.trip = plain_trip(reaction.record);
        world.said.extend(reaction.said.iter().map(word));
    }

    pub(crate) fn cancel(&self, world: &mut World) {
        let why = reason();
        let cancel = b::Input::Cancel { reason: &why };
        let reaction = b::react(world.trip.clone(), cancel, &moment(Clock::Before));
        world.trip = plain_trip(reaction.record);
        world.said.extend(reaction.said.iter().map(word));
    }

    /// The flight has a seat, gives it back when it has to, and says so as often as it is asked.
    pub(crate) fn flight(&self, world: &mut World, heard: Option<Word>) {
        world.flight_back |= matches!(heard, Some(Word::Cancelled | Word::Rejected(MINE)));
        world.said.insert(if world.flight_back {
            Word::Released(0)
        } else {
            Word::Reserved(0)
        });
    }

    /// The payment hears something.
    pub(crate) fn payment(&self, world: &mut World, input: Input<'_>, clock: Clock) {
        let before = world.record.clone();
        let mut reaction = react(&self.leg, before.clone(), input, &moment(clock));
        self.mistake(&before, input, &mut reaction, clock);
        if matches!(input, Input::Answered { .. }) || self.has(Bug::CapturesWhatIsOff) {
            world.row = None;
            world.answers.clear();
        }
        if let Some(call) = &reaction.call {
            assert!(world.row.is_none(), "two calls at once: {world:#?}");
            world.row = Some(ask(call));
            world.greedy |= world.off && call.purpose == Purpose::Capture;
        }
        if let Input::Fact(fact, _) = input {
            world.off |= word_of(fact) == Word::Cancelled;
        }
        world.said.extend(reaction.said.iter().map(word));
        world.record = plain(reaction.record);
    }

    pub(crate) fn payment_hears(&self, world: &mut World, word: Word, clock: Clock) {
        self.payment(world, Input::Fact(&self.fact(word), Standing::Up), clock);
    }

    pub(crate) fn answer(&self, world: &mut World, reply: Reply) {
        let purpose = world.row.map_or(Purpose::Open, |(purpose, ..)| purpose);
        let key = world.record.key(purpose);
        let answer = words(reply);
        let heard = Input::Answered {
            key: &key,
            answer: &answer,
        };
        self.payment(world, heard, Clock::Before);
    }

    fn step(&self, world: &World, act: Act) -> World {
        let mut next = world.clone();
        match act {
            Act::Hear(Part::Booking, word, clock) => self.booking(&mut next, Some(word), clock),
            Act::Hear(Part::Flight, word, _) => self.flight(&mut next, Some(word)),
            Act::Hear(Part::Payment, word, clock) => self.payment_hears(&mut next, word, clock),
            Act::HearDown => {
                let turn = self.fact(Word::Reserved(0));
                let heard = Input::Fact(&turn, Standing::Down);
                self.payment(&mut next, heard, Clock::Before);
            }
            Act::Due(Part::Booking, clock) => self.booking(&mut next, None, clock),
            Act::Due(Part::Flight, _) => self.flight(&mut next, None),
            Act::Due(Part::Payment, clock) => {
                self.payment(&mut next, Input::Due { waiting: false }, clock);
            }
            Act::Cancel => self.cancel(&mut next),
            Act::Process(ask, mood) => process(&mut next, ask, mood),
            Act::Answer(reply) => self.answer(&mut next, reply),
            Act::Lapse(intent) => next.intents[intent].status = Status::Voided,
            Act::GiveBack(intent) => {
                next.intents[intent].status = Status::Refunded;
                next.given_back = true;
            }
            Act::Told(reply) => {
                next.told_of_it |= next.given_back && reply == Reply::Refunded;
                let intent = next.record.intent.clone().unwrap_or_default();
                let heard = Input::Told {
                    intent: &intent,
                    answer: &words(reply),
                };
                self.payment(&mut next, heard, Clock::Before);
            }
            Act::TimeOut => self.time_out(&mut next),
        }
        next
    }
}

pub(crate) fn word_of(fact: &Fact) -> Word {
    word(&fact.said)
}

/// The row without times, tries and words. A timer that is set has always gone off.
fn plain(record: Record) -> Record {
    Record {
        reason_code: record.reason_code.map(|_| "reason".into()),
        reason_message: None,
        trouble: None,
        due_us: record.due_us.map(|_| 0),
        attention_us: record.attention_us.map(|_| 0),
        forget_us: record.forget_us.map(|_| 0),
        refusals: record.refusals.min(1),
        tries: 0,
        changed_us: 0,
        ..record
    }
}

impl Model for Payments {
    type State = World;
    type Action = Act;

    /// The trip has just been asked for.
    fn init_states(&self) -> Vec<World> {
        let asked = b::request(trip_id(0), &self.plan, None, &moment(Clock::Before));
        vec![World {
            trip: plain_trip(asked.record),
            record: Record::none(trip_id(0), MINE),
            flight_back: false,
            said: [Word::Requested].into(),
            row: None,
            answers: BTreeSet::new(),
            wire: BTreeSet::new(),
            intents: Vec::new(),
            refused: false,
            off: false,
            greedy: false,
            given_back: false,
            told_of_it: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Act>) {
        for word in &world.said {
            let hears = |part| Act::Hear(part, *word, Clock::Before);
            match word {
                Word::Requested => actions.push(hears(Part::Flight)),
                Word::Reserved(0) => {
                    actions.push(hears(Part::Payment));
                    if world.record.state == State::None {
                        actions.push(Act::Hear(Part::Payment, *word, Clock::Late));
                        actions.push(Act::HearDown);
                    }
                }
                Word::Confirmed => actions.push(hears(Part::Payment)),
                Word::Cancelled => actions.extend([hears(Part::Flight), hears(Part::Payment)]),
                Word::Rejected(_) => actions.extend([hears(Part::Flight), hears(Part::Booking)]),
                Word::Reserved(_) | Word::Released(_) => actions.push(hears(Part::Booking)),
            }
        }
        actions.push(Act::Cancel);
        if world.trip.due_us.is_some() {
            actions.extend([Clock::Before, Clock::Behind].map(|at| Act::Due(Part::Booking, at)));
        }
        if world.record.due_us.is_some() {
            actions.push(Act::Due(Part::Payment, Clock::Before));
        }
        let moods = [Mood::Does, Mood::Forgot, Mood::Refuses, Mood::Looks];
        for ask in world.wire.iter().chain(&world.row) {
            actions.extend(moods.map(|mood| Act::Process(*ask, mood)));
        }
        actions.extend(world.answers.iter().map(|reply| Act::Answer(*reply)));
        if world.row.is_some() && self.bug.is_some() {
            actions.push(Act::TimeOut);
        }
        for (number, intent) in world.intents.iter().enumerate() {
            if intent.status == Status::Authorised {
                actions.push(Act::Lapse(number));
            }
            if intent.status == Status::Captured {
                actions.push(Act::GiveBack(number));
            }
            if world.record.intent.as_deref() == Some(&name(number)) {
                let was = [
                    (intent.authorised, Reply::Authorised),
                    (intent.captured, Reply::Captured),
                    (intent.status == Status::Voided, Reply::Voided),
                    (intent.status == Status::Refunded, Reply::Refunded),
                ];
                let told = was.into_iter().filter(|(was, _)| *was);
                actions.extend(told.map(|(_, reply)| Act::Told(reply)));
            }
        }
    }

    /// `None` when it changes nothing.
    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let next = self.step(world, act);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        all()
    }
}
