//! One trip of the kit's: what is said of it, and how its answers are awaited. What they mean is the judge's.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_nats::HeaderMap;
use choreography::{Currency, FactBody, Plan, Position, Price, Speaker, TripId};
use runtime::Event;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::exchange::{Exchange, Word};
use crate::judge::{self, Answer};
use crate::kit::{Halt, Kit, Scene};
use crate::parts;
use crate::promise::Promise;

/// Whoever waits asks again: how long each question is waited for, in hundredths of the time that an answer may take. A question that comes while the
/// answer to the one before it is under way may be answered by that, so the next one comes soon.
pub(crate) const TRIES: [u32; 5] = [1, 4, 10, 25, 60];

/// Who says what.
pub(crate) type Say = (Speaker, FactBody);

pub(crate) fn confirmed() -> Say {
    (Speaker::Booking, FactBody::Confirmed)
}

pub(crate) fn cancelled() -> Say {
    let reason = parts::reason("conformance");
    (Speaker::Booking, FactBody::Cancelled { reason })
}

/// One trip of the kit's.
pub(crate) struct Trip<'k> {
    pub(crate) kit: &'k Kit<'k>,
    pub(crate) id: TripId,
    pub(crate) plan: Plan,
    pub(crate) news: Arc<Notify>,
}

impl Trip<'_> {
    /// What makes it the turn of this position. A leg of ours before it is believed, at the price that it said itself.
    pub(crate) fn turn(&self, position: Position) -> Say {
        let currency = self
            .kit
            .price()
            .map_or(Currency::EUR, |price| price.currency);
        parts::turn(&self.plan, position, parts::before_price(currency))
    }

    /// A neighbour rejects.
    pub(crate) fn rejected(&self, position: Position) -> Say {
        let speaker = self.plan.itinerary.name_at(position);
        let speaker = speaker.map_or(Speaker::Booking, |name| Speaker::Leg(name.clone()));
        let reason = parts::reason("sold-out");
        (speaker, FactBody::Rejected { position, reason })
    }

    /// Says it under a new id.
    pub(crate) async fn say(&self, (speaker, said): Say) -> Result<Said> {
        let (event, source) = parts::event(Uuid::now_v7(), self.id, &self.plan, speaker, said);
        let said = Said { event, source };
        self.publish(&said, "").await?;
        Ok(said)
    }

    async fn publish(&self, said: &Said, note: &'static str) -> Result<u64> {
        let Said { event, source } = said;
        let payload = event.payload.clone().into_bytes();
        self.kit
            .wire
            .say(
                self.id,
                event.subject.clone(),
                Some(event.headers(source)),
                payload,
                note,
            )
            .await
    }

    /// The same message once more, as a broker delivers it that lost the acknowledgement.
    pub(crate) async fn echo(&self, said: &Said) -> Result<()> {
        let mut again = said.clone();
        // The broker drops what has the same message id.
        again.event.attempt = 1;
        self.publish(&again, "the same message once more")
            .await
            .map(drop)
    }

    /// Anything, as it is.
    pub(crate) async fn raw(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Vec<u8>,
        note: &'static str,
    ) -> Result<u64> {
        self.kit
            .wire
            .say(self.id, subject, headers, payload, note)
            .await
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Exchange) -> T) -> Option<T> {
        self.kit.wire.look(self.id, look)
    }

    pub(crate) fn words(&self) -> usize {
        self.look(|exchange| exchange.words.len()).unwrap_or(0)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.look(Exchange::lines).unwrap_or_default()
    }

    pub(crate) fn kept(&self, promise: Promise) {
        self.kit.verdicts().kept(promise);
    }

    pub(crate) fn broken(&self, promise: Promise, what: impl Into<String>) -> Halt {
        let lines = self.lines();
        self.kit.verdicts().broken(promise, what, lines);
        Halt::Broken
    }

    /// Waits until the exchange has what is looked for.
    pub(crate) async fn until<T>(
        &self,
        within: Duration,
        look: impl Fn(&Exchange) -> Option<T>,
    ) -> Option<T> {
        let until = Instant::now() + within;
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if let Some(found) = self.look(&look).flatten() {
                return Some(found);
            }
            if tokio::time::timeout_at(until, news).await.is_err() {
                return self.look(&look).flatten();
            }
        }
    }

    /// Waits for a saying of this position that was not there before `from`.
    pub(crate) async fn hears(
        &self,
        from: usize,
        position: Position,
        wanted: &[&str],
        within: Duration,
    ) -> Option<Word> {
        self.until(within, |exchange| {
            match judge::answer(exchange, from, &[], position, wanted) {
                Answer::Right(word) => Some(word.clone()),
                _ => None,
            }
        })
        .await
    }

    /// Asks, again and again under new ids as whoever waits does, until it is answered or time is up. What was wrong otherwise.
    pub(crate) async fn is_answered(
        &self,
        say: Say,
        position: Position,
        wanted: &[&str],
    ) -> Result<Result<Word, Unanswered>> {
        let (from, mut questions) = (self.words(), Vec::new());
        for share in TRIES {
            let said = self.say(say.clone()).await?;
            questions.push(said.event.id);
            let within = self.kit.options.answer_within * share / 100;
            let answer = self
                .until(within, |exchange| {
                    match judge::answer(exchange, from, &questions, position, wanted) {
                        Answer::Right(word) => Some(Ok(word.clone())),
                        Answer::Wrong(word) => Some(Err(Unanswered::Wrong(
                            word.says().map_or("?", |(_, name)| name),
                        ))),
                        Answer::OldId(_) | Answer::Beside(_) | Answer::Silence => None,
                    }
                })
                .await;
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
        let last = self.look(|exchange| {
            match judge::answer(exchange, from, &questions, position, wanted) {
                Answer::OldId(_) => Unanswered::OldId,
                Answer::Wrong(word) | Answer::Beside(word) => {
                    Unanswered::Wrong(word.says().map_or("?", |(_, name)| name))
                }
                Answer::Right(_) | Answer::Silence => Unanswered::Silence,
            }
        });
        Ok(Err(last.unwrap_or(Unanswered::Silence)))
    }

    /// The same, and on account of a promise.
    pub(crate) async fn ask(
        &self,
        promise: Promise,
        say: Say,
        position: Position,
        wanted: &[&str],
    ) -> Scene<Word> {
        let question = match &say.1 {
            FactBody::Reserved { .. } | FactBody::Requested => "its turn",
            other => other.name(),
        };
        match self.is_answered(say, position, wanted).await? {
            Ok(word) => {
                self.kept(promise);
                self.kept(Promise::NewId);
                Ok(word)
            }
            Err(Unanswered::OldId) => Err(self.broken(
                Promise::NewId,
                format!("position {position}: {question} is answered under an id that was there before, and never under a new one"),
            )),
            Err(unanswered) => {
                let wanted = wanted.join(" or ");
                let got = match unanswered {
                    Unanswered::Wrong(name) => format!("said {name}"),
                    _ => format!("said nothing within {} s", self.kit.options.answer_within.as_secs_f64()),
                };
                Err(self.broken(promise, format!("position {position}: to {question} it should say {wanted}, and {got}")))
            }
        }
    }

    /// The same for its turn, when it is to be taken; returns what it costs.
    pub(crate) async fn hold(&self, promise: Promise, position: Position) -> Scene<Price> {
        let word = self
            .ask(promise, self.turn(position), position, &["reserved"])
            .await?;
        match word.fact.map(|fact| fact.said) {
            Ok(FactBody::Reserved { price, .. }) => Ok(price),
            _ => Err(Halt::Broken),
        }
    }

    /// Everything came back: cancels it, waits for every position of the leg, and puts the exchange before the judge.
    pub(crate) async fn ends(self) -> Scene {
        let positions: Vec<Position> = self.plan.itinerary.positions_of(&self.kit.leg).collect();
        for position in positions {
            self.ask(
                Promise::CancelledHeld,
                cancelled(),
                position,
                &["released", "rejected"],
            )
            .await?;
        }
        self.close();
        Ok(())
    }

    /// Puts the exchange before the judge; nothing more is to be said of it.
    pub(crate) fn close(&self) {
        if let Some(exchange) = self.kit.wire.end(self.id) {
            self.kit.verdicts().judge(&exchange);
        }
    }
}

/// What was said, to be said again.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) event: Event,
    pub(crate) source: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unanswered {
    Wrong(&'static str),
    OldId,
    Silence,
}
