//! One service judges one thing that it hears, with the production `react`; and the mistakes that can be planted around it. What the
//! network and the databases do with it, `saga.rs` says.

use booking::core::{self as b, Trip};
use choreography::{Fact, FactBody, LegName, Plan, Position};
use flight::Flight;
use hotel::Hotel;
use leg::Leg as _;
use leg::core::{self as l, LegPolicy, Record, Stock, StockView};

use crate::saga::{Saga, World};
use crate::unkept::{is_on_its_way, last_is_on_its_way};
use crate::words::{Clock, Who, Word, moment, plain_record, plain_trip, reason, word};

/// Mistakes that the rules of the protocol, or the runtime below it, exclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Rule 3: an answer that was given before repeats its id.
    AnswerUnderTheRecordedId,
    /// Rule 2: a trip that is undoing asks as if it were pending.
    UndoingSaysRequested,
    /// Rule 5: a turn that comes to a tombstone or far too late is refused as if nothing had ever been held.
    LateTurnIsRejected,
    /// A turn that comes an age after the deadline is taken, though the trip may be forgotten.
    LateTurnIsTaken,
    /// Records are forgotten while their trip can still be asked for.
    ForgetsTooEarly,
    /// A leg that holds does not ask what became of it.
    HeldDoesNotAsk,
    /// A leg lets go of its hold by its own clock.
    LetsGoByItsOwnClock,
    /// A leg that is told `cancelled` before its turn keeps no record of it.
    NoTombstone,
    /// A leg gives back and does not count it.
    ReleaseIsNotCounted,
    /// Booking confirms at the first `reserved`, whichever leg says it.
    EarlyPivot,
    /// Booking takes one leg's answer for everybody's.
    FirstAnswerClosesAll,
    /// Booking takes a refusal for the legs before it too.
    RejectionSettlesThoseBefore,
    /// Booking closes a trip as soon as the traveller cancels it.
    CancelClosesAtOnce,
    /// A cancellation changes what became of a trip that is off already.
    CancelChangesTheOutcome,
    /// Two replicas load the same rows, and the second overwrites what the first saved.
    NoLock,
    /// A fact goes out before what it says is committed.
    SaysBeforeTheCommit,
    /// Rule 7: booking tells again that a trip is off, whenever a leg has given back and others have not.
    AnswersWhatIsReleased,
    /// That something is on its way is believed after it was lost: it was written down, and nobody takes it back.
    WordOutlivesItsProcess,
    /// A trip that turns back for a refusal sets no timer.
    WaitsWithoutATimer,
    /// The command that asked for a trip is judged again when its commit's outcome was unknown.
    RequestIsJudgedAgain,
}

/// What a service hears of a trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Heard {
    Fact(Word),
    /// The timer of a position, or of the trip.
    Due(Position),
    Cancel,
}

/// Something said, and whether under a new id.
pub(crate) type Saying = (Word, bool);

/// What a transaction would write and say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Judged {
    trip: Option<Trip>,
    legs: Vec<(usize, Record)>,
    stocks: Vec<(usize, Stock)>,
    pub(crate) said: Vec<Saying>,
    odd: bool,
}

impl Judged {
    pub(crate) fn write(self, world: &mut World, trip: usize) -> Vec<Saying> {
        let rows = &mut world.trips[trip];
        if let Some(trip) = self.trip {
            rows.trip = trip;
        }
        for (position, record) in self.legs {
            rows.legs[position] = record;
        }
        for (number, stock) in self.stocks {
            world.stocks[number] = stock;
        }
        world.odd |= self.odd && !rows.old;
        self.said
    }
}

/// What one service is to judge.
struct Asked<'a> {
    world: &'a World,
    trip: usize,
    /// What is heard, where that is a fact.
    fact: Option<&'a Fact>,
    heard: Heard,
    clock: Clock,
}

/// What it makes of that.
struct Answer {
    judged: Judged,
    said: Vec<FactBody>,
    /// It was in that state before, so this was said before.
    again: bool,
}

impl Saga {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Lets one service judge one thing, and changes nothing.
    pub(crate) fn judge(
        &self,
        world: &World,
        who: Who,
        trip: usize,
        heard: Heard,
        clock: Clock,
    ) -> Judged {
        let fact = match heard {
            Heard::Fact(word) => self.facts.get(&(trip, word)).map(|(fact, _)| fact),
            Heard::Due(_) | Heard::Cancel => None,
        };
        let asked = Asked {
            world,
            trip,
            fact,
            heard,
            clock,
        };
        let Answer {
            mut judged,
            said,
            again,
        } = match who {
            Who::Booking => self.booking(&asked),
            Who::Flight => self.leg(&asked, &flight::Flight::name(), &Flight),
            Who::Hotel => self.leg(&asked, &hotel::Hotel::name(), &Hotel),
        };
        // Under a new id each time, unless the bug is planted and this answer was given before.
        let recorded = again && fact.is_some() && self.has(Bug::AnswerUnderTheRecordedId);
        let new = |word: &Word| !(recorded && world.said.contains(&(trip, *word)));
        judged.said = said
            .iter()
            .map(word)
            .map(|word| (word, new(&word)))
            .collect();
        judged
    }

    fn booking(&self, asked: &Asked<'_>) -> Answer {
        let Asked {
            trip, heard, clock, ..
        } = *asked;
        let row = asked.world.trips[trip].trip.clone();
        let (before, why, now) = (row.state, reason(), moment(clock));
        let mistaken = asked.fact.map(|fact| self.misheard(fact));
        let event = match &mistaken {
            Some(fact) => b::Input::Fact(fact),
            None if heard == Heard::Cancel => b::Input::Cancel { reason: &why },
            None => {
                let waiting = last_is_on_its_way(asked.world, trip);
                b::Input::Due { waiting }
            }
        };
        let mut reaction = b::react(row, event, &now);
        self.mistake(before, heard, &mut reaction);
        let undoes = reaction.record.state == b::State::Undoing;
        let answered =
            matches!(heard, Heard::Fact(Word::Released(_))) && self.has(Bug::FirstAnswerClosesAll);
        let cancelled = heard == Heard::Cancel && self.has(Bug::CancelClosesAtOnce);
        if undoes && (answered || cancelled) {
            reaction.record = closed(reaction.record, &self.plans[trip], clock);
        }
        let record = plain_trip(reaction.record);
        Answer {
            again: before == record.state,
            judged: Judged {
                odd: reaction.anomaly.is_some(),
                trip: Some(self.noted(record, &reaction.said)),
                ..Judged::default()
            },
            said: reaction.said,
        }
    }

    /// What booking says, changes or leaves out by mistake.
    fn mistake(&self, before: b::State, heard: Heard, reaction: &mut b::Reaction) {
        let undoes = reaction.record.state == b::State::Undoing;
        let was = before == b::State::Undoing;
        if matches!(heard, Heard::Due(_)) && was && self.has(Bug::UndoingSaysRequested) {
            reaction.said = vec![FactBody::Requested];
        }
        let released = matches!(heard, Heard::Fact(Word::Released(_)));
        if undoes && released && self.has(Bug::AnswersWhatIsReleased) {
            reaction.said = vec![FactBody::Cancelled { reason: reason() }];
        }
        if undoes && !was && matches!(heard, Heard::Fact(_)) && self.has(Bug::WaitsWithoutATimer) {
            reaction.record.due_us = None;
        }
        let off = matches!(before, b::State::Undoing | b::State::Closed);
        if off && heard == Heard::Cancel && self.has(Bug::CancelChangesTheOutcome) {
            reaction.record.outcome = Some(b::Outcome::Cancelled);
        }
    }

    /// The fact as booking takes it, where a bug is planted in that.
    fn misheard(&self, fact: &Fact) -> Fact {
        let mut fact = fact.clone();
        match &mut fact.said {
            FactBody::Reserved { position, .. } if self.has(Bug::EarlyPivot) => {
                *position = fact.plan.itinerary.last();
            }
            FactBody::Rejected { position, .. } if self.has(Bug::RejectionSettlesThoseBefore) => {
                *position = 0;
            }
            _ => {}
        }
        fact
    }

    fn leg(&self, asked: &Asked<'_>, name: &LegName, policy: &dyn LegPolicy) -> Answer {
        let Asked {
            world,
            trip,
            fact,
            heard,
            clock,
        } = *asked;
        let positions = match (fact, heard) {
            (Some(fact), _) => l::positions(name, fact),
            (None, Heard::Due(position)) => vec![position],
            (None, _) => Vec::new(),
        };
        let mut shelf = StockView::new(world.stocks.clone());
        let (mut judged, mut said, mut again) = (Judged::default(), Vec::new(), true);
        for position in positions {
            let row = world.trips[trip].legs[usize::from(position)].clone();
            let before = row.state;
            let waiting = is_on_its_way(world, trip, &[Word::Reserved(position)]);
            let due = l::Input::Due { waiting };
            let event = fact.map_or(due, l::Input::Fact);
            let mut reaction = self.leg_position(name, policy, row, event, &mut shelf, clock);
            let record = &reaction.record;
            let own = record.announcement().iter().map(word).collect::<Vec<_>>();
            if is_on_its_way(world, trip, &own) && l::is_answered(before, event, record) {
                reaction.said.clear();
            }
            again &= before == reaction.record.state;
            judged.odd |= reaction.anomaly.is_some();
            said.extend(reaction.said);
            let forgets = self.has(Bug::NoTombstone)
                && before == l::State::None
                && reaction.record.state == l::State::Released;
            if !forgets {
                judged
                    .legs
                    .push((usize::from(position), plain_record(reaction.record)));
            }
        }
        let gives_back = judged
            .legs
            .iter()
            .any(|(_, leg)| leg.state == l::State::Released);
        if !(gives_back && self.has(Bug::ReleaseIsNotCounted)) {
            let changed = world
                .stocks
                .iter()
                .enumerate()
                .filter_map(|(number, stock)| {
                    let now = shelf.get(&stock.key).unwrap();
                    (now != stock).then(|| (number, now.clone()))
                });
            judged.stocks = changed.collect();
        }
        Answer {
            judged,
            said,
            again,
        }
    }

    fn leg_position(
        &self,
        name: &LegName,
        policy: &dyn LegPolicy,
        row: Record,
        event: l::Input<'_>,
        shelf: &mut StockView,
        clock: Clock,
    ) -> l::Reaction {
        let fact = match event {
            l::Input::Fact(fact) => Some(fact),
            l::Input::Due { .. } => None,
        };
        let (holds, position) = (row.state == l::State::Held, row.position);
        let turn = fact.is_some_and(|fact| {
            matches!(fact.said, FactBody::Requested | FactBody::Reserved { .. })
        });
        let clock = match clock {
            Clock::Late if self.has(Bug::LateTurnIsTaken) => Clock::Behind,
            clock => clock,
        };
        let own =
            fact.is_none() && holds && clock != Clock::Before && self.has(Bug::LetsGoByItsOwnClock);
        let word = own.then(|| {
            let plan = row.plan().unwrap();
            let said = FactBody::Cancelled { reason: reason() };
            Fact {
                speaker: choreography::Speaker::Booking,
                trip: row.trip,
                plan,
                said,
            }
        });
        let event = word.as_ref().map_or(event, l::Input::Fact);
        let mut reaction = l::react(name, policy, row, event, shelf, &moment(clock));
        if turn && reaction.record.state == l::State::Released && self.has(Bug::LateTurnIsRejected)
        {
            reaction.said = vec![FactBody::Rejected {
                position,
                reason: reason(),
            }];
        }
        if fact.is_none() && !own && self.has(Bug::HeldDoesNotAsk) {
            reaction.said.clear();
        }
        reaction
    }
}

/// As if every position had been settled.
fn closed(mut trip: Trip, plan: &Plan, clock: Clock) -> Trip {
    for position in plan.itinerary.positions() {
        let by_hand = b::Input::Settle {
            position,
            reason: &reason(),
        };
        trip = b::react(trip, by_hand, &moment(clock)).record;
    }
    trip
}
