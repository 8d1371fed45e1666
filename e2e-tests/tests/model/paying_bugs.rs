//! Mistakes around the payment's production core, each of which the model has to find. Nothing of what is right is here.

use payment::core::{Answer, Input, Purpose, Reaction, Record, State, react};

use crate::paying::{Payments, World, word_of};
use crate::paying_provider::Reply;
use crate::words::{Clock, Word, moment};

/// Mistakes, planted around the production functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A `confirmed` that comes late captures what is off.
    CapturesWhatIsOff,
    /// After a timeout the money is asked for anew, under another key.
    AuthorisesUnderANewKey,
    /// A timeout is taken for a no.
    TimeoutIsANo,
    /// `released` is said before the provider has let go.
    ReleasesBeforeTheVoid,
    /// What was declined is not closed at the provider.
    LeavesTheDeclinedOpen,
    /// A lapse that booking may not have heard of asks nobody to look.
    LapsesInSilence,
    /// News of a capture is taken for what is true by now.
    BelievesOldNews,
}

impl Payments {
    pub(crate) fn mistake(&self, before: &Record, input: Input<'_>, reaction: &mut Reaction, clock: Clock) {
        let now = moment(clock);
        let heard = match input {
            Input::Fact(fact, _) => Some(word_of(fact)),
            _ => None,
        };
        let record = &mut reaction.record;
        match self.bug {
            Some(Bug::CapturesWhatIsOff)
                if heard == Some(Word::Confirmed) && before.state == State::Voiding =>
            {
                // As a hold would hear it.
                let held = Record {
                    state: State::Held,
                    ..before.clone()
                };
                *reaction = react(&self.leg, held, input, &now);
            }
            Some(Bug::ReleasesBeforeTheVoid)
                if before.state == State::Held && record.state == State::Voiding =>
            {
                record.state = State::Released;
                reaction.said = record.announcement();
            }
            Some(Bug::LeavesTheDeclinedOpen) if record.state == State::Rejected => {
                record.asked = None;
                reaction.call = None;
            }
            Some(Bug::BelievesOldNews)
                if before.state == State::Unpaid
                    && matches!(
                        input,
                        Input::Told {
                            answer: Answer::Captured,
                            ..
                        }
                    ) =>
            {
                *record = Record {
                    state: State::Captured,
                    due_us: None,
                    attention_us: None,
                    ..before.clone()
                };
                reaction.call = None;
            }
            Some(Bug::LapsesInSilence) if record.state == State::Released => {
                record.attention_us = None;
            }
            _ => {}
        }
    }

    /// An attempt ends without an answer, and somebody makes something of that.
    pub(crate) fn time_out(&self, world: &mut World) {
        let Some(row) = world.row else {
            return;
        };
        if self.has(Bug::TimeoutIsANo) {
            world.wire.insert(row);
            self.answer(world, Reply::Declined);
        } else if self.has(Bug::AuthorisesUnderANewKey) && row.0 == Purpose::Authorise {
            world.wire.insert(row);
            world.answers.clear();
            world.row = Some((Purpose::Open, None, 1));
            world.record.state = State::Opening;
            world.record.asked = Some(Purpose::Open);
            world.record.intent = None;
        }
    }
}
