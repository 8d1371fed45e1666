//! What is done with dead letters for an operator: found, put away one by one or some at a time. How that is asked for is `http`'s, and
//! the transaction is the batch's.

use std::sync::Arc;

use axum::http::StatusCode;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use utoipa::ToSchema;

use super::http::WhichLetters;
use super::whole::Whole;
use super::{DEAD_LETTER, DEAD_LETTER_PAST, DeadLetter, Fate, Outcome, PastLetter};
use crate::batch::Step;
use crate::database::{Database, Is};
use crate::handle::{Handle, in_time, stopping};
use crate::http::Json;
use crate::problem::Problem;
use crate::reading::read;
use crate::service::{ReadError, Service};
use crate::table::{Lock, Table, int, text};
use crate::worker::Completion;

/// The most requests that replay letters at a time.
const REPLAYS_MAX: usize = 4;
/// After so long a request that found no place for a replay is to ask again: its `Retry-After`.
pub const REPLAY_RETRY_AFTER_S: u64 = 1;
/// The kind of problem that says so, without the service's part of it.
pub const TOO_MANY_REPLAYS: &str = "too-many-replays";
/// The most characters of what an operator says.
const WORDS_MAX: usize = 500;

/// Which letters there are, without what they keep.
pub(super) const LETTERS: &Table = &Table {
    name: DEAD_LETTER.name,
    key: &[text("id")],
    columns: &[int("count")],
    lock: Lock::None,
};

#[derive(Deserialize)]
pub(super) struct Found {
    pub(super) id: String,
    count: i64,
}

/// A letter's fate, and the letter itself where what it kept is to be heard.
type Wanted = (Fate, Option<DeadLetter>);

/// What came of it.
enum Became {
    /// It is in the past now.
    PutAway,
    /// It was not there any more.
    TooLate,
    /// It stays: what it kept cannot be read or applied, and why.
    Kept(String),
}

type Answer = BoxFuture<'static, Result<Vec<Became>, Problem>>;

/// What is needed of a service, whichever it is.
#[derive(Clone)]
pub(super) struct Clearing {
    pub(super) database: Arc<Database>,
    put_away: Arc<dyn Fn(Vec<Wanted>) -> Answer + Send + Sync>,
    /// For replays: each has letters in memory.
    room: Arc<Semaphore>,
}

/// What one request did.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ClearedLetters {
    /// How many letters were put away.
    pub letters: usize,
    /// How many messages had come that these letters stood for. Of each letter only the one that it keeps can be heard again.
    pub messages: i64,
    /// Letters that stay: what they keep still cannot be read or applied.
    pub kept: Vec<KeptLetter>,
    /// What to pass as `after` for the letters that are left; null when none is.
    pub next: Option<String>,
}

/// A letter that was to be replayed, and stays.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct KeptLetter {
    /// Its id.
    pub id: String,
    /// Why it cannot be heard.
    pub why: String,
}

/// Some of the letters.
pub(super) struct These {
    which: WhichLetters,
    after: String,
    limit: usize,
}

impl These {
    pub(super) fn of(
        which: WhichLetters,
        after: Option<String>,
        limit: Option<i64>,
        most: usize,
    ) -> Result<Self, Problem> {
        let WhichLetters { all, reason, kind } = &which;
        let words = [reason, kind].map(|word| word.as_deref().filter(|word| !word.is_empty()));
        if *all == words.iter().any(Option::is_some) {
            return Err(refused(
                "which",
                String::from("Say either `all`, or what their `reason` or `type` begins with."),
            ));
        }
        let limit = match limit.map(|limit| (limit, usize::try_from(limit))) {
            None => most,
            Some((_, Ok(limit))) if (1..=most).contains(&limit) => limit,
            Some((limit, _)) => {
                let detail = format!("`limit` is {limit}; give a number from 1 to {most}.");
                return Err(refused("limit", detail));
            }
        };
        let after = after.unwrap_or_default();
        if [Some(after.as_str()), words[0], words[1]]
            .iter()
            .flatten()
            .any(|word| word.contains('\0'))
        {
            let detail = String::from("No letter has a NUL in it; leave it out.");
            return Err(refused("which", detail));
        }
        Ok(Self {
            which,
            after,
            limit,
        })
    }
}

/// Who wants it and why.
#[derive(Clone)]
pub(super) struct Words {
    by: String,
    why: String,
}

impl Words {
    pub(super) fn of(by: Option<String>, why: Option<String>) -> Result<Self, Problem> {
        let tidy = |name: &str, said: Option<String>| {
            let said = said.unwrap_or_default();
            if said.chars().count() > WORDS_MAX {
                let detail = format!("`{name}` is longer than {WORDS_MAX} characters; shorten it.");
                return Err(refused("words", detail));
            }
            let plain = said.trim().chars();
            Ok(plain
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect())
        };
        Ok(Self {
            by: tidy("by", by)?,
            why: tidy("why", why)?,
        })
    }

    /// With a reason.
    pub(super) fn because(by: Option<String>, why: String) -> Result<Self, Problem> {
        let words = Self::of(by, Some(why))?;
        if words.why.is_empty() {
            let detail = String::from("Say in `why` how you know that nobody needs it.");
            return Err(refused("words", detail));
        }
        Ok(words)
    }
}

impl Clearing {
    pub(super) fn of<S: Service>(handle: Handle<S>) -> Self {
        Self {
            database: Arc::clone(handle.database()),
            put_away: Arc::new(move |wanted| Box::pin(in_time(put_away(handle.clone(), wanted)))),
            room: Arc::new(Semaphore::new(REPLAYS_MAX)),
        }
    }

    /// A place for a replay; to discard a letter nothing of it is loaded but its row.
    fn place(&self, outcome: Outcome) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        if outcome == Outcome::Discarded {
            return Ok(None);
        }
        self.room.try_acquire().map(Some).map_err(|_| {
            let detail = format!(
                "{REPLAYS_MAX} requests replay dead letters already, and nothing was replayed for this one. Try again in a second."
            );
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                TOO_MANY_REPLAYS,
                "Too many replays",
                detail,
            )
            .retry_after(REPLAY_RETRY_AFTER_S)
        })
    }

    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        table: &Table,
        id: &str,
    ) -> Result<Option<T>, Problem> {
        // No id has a NUL in it, and PostgreSQL would not take one.
        if id.contains('\0') {
            return Ok(None);
        }
        let found = self.database.select(table).only("id", Is::Equal, id);
        Ok(found.rows().await?.pop())
    }

    /// Puts one letter away, and answers what became of it, now or before.
    pub(super) async fn one(
        &self,
        outcome: Outcome,
        id: String,
        words: Words,
    ) -> Result<Json<PastLetter>, Problem> {
        // Nothing is loaded to say so of one that is put away already: however many replay, it is said.
        if let Some(past) = self.past(outcome, &id).await? {
            return Ok(past);
        }
        let _place = self.place(outcome)?;
        if let Some(letter) = self.find::<DeadLetter>(DEAD_LETTER, &id).await? {
            let heard = (outcome == Outcome::Replayed).then_some(letter);
            let became = (self.put_away)(vec![(fate(&id, outcome, &words), heard)]).await?;
            if let Some(Became::Kept(why)) = became.into_iter().next() {
                // Nothing of one that is discarded is read: the database would not have it go.
                if outcome == Outcome::Discarded {
                    tracing::error!(letter = id, why, "a dead letter cannot be discarded: {why}");
                    return Err(Problem::internal());
                }
                let detail = format!(
                    "What it keeps still cannot be heard: {why}. It stays; discard it, or replay it with a version that can read it."
                );
                return Err(refused("unreadable", detail).with("why", why));
            }
        }
        let past = self.past(outcome, &id).await?;
        past.ok_or_else(|| unknown(&id))
    }

    /// What became of a letter, if it was put away.
    async fn past(&self, outcome: Outcome, id: &str) -> Result<Option<Json<PastLetter>>, Problem> {
        match self.find::<PastLetter>(DEAD_LETTER_PAST, id).await? {
            Some(past) if past.outcome != outcome => Err(Problem::new(
                StatusCode::CONFLICT,
                "put-away",
                "Put away before",
                format!(
                    "It was {} before; see /letters/past.",
                    past.outcome.as_str()
                ),
            )),
            past => Ok(past.map(Json)),
        }
    }

    /// Puts some letters away, the oldest first.
    pub(super) async fn many(
        &self,
        outcome: Outcome,
        These {
            which,
            after,
            limit,
        }: These,
        words: Words,
    ) -> Result<Json<ClearedLetters>, Problem> {
        let _place = self.place(outcome)?;
        let mut letters = self.database.select(LETTERS).only("id", Is::Greater, after);
        for (column, word) in [("reason", which.reason), ("type", which.kind)] {
            if let Some(word) = word {
                letters = letters.begins(column, word);
            }
        }
        let mut found: Vec<Found> = letters.order(&["id"]).most(limit + 1).rows().await?;
        let mut more = found.len() > limit;
        found.truncate(limit);
        let mut heard: Vec<DeadLetter> = Vec::new();
        if outcome == Outcome::Replayed {
            let ids: Vec<&str> = found.iter().map(|found| found.id.as_str()).collect();
            let whole = Whole::load(&self.database, DEAD_LETTER, &ids, |letter| letter).await?;
            more |= whole.covered < found.len();
            found.truncate(whole.covered);
            heard = whole.letters;
        }
        let next = found.last().filter(|_| more).map(|last| last.id.clone());
        if outcome == Outcome::Replayed {
            // One that went meanwhile is nobody's trouble any more.
            found.retain(|found| heard.iter().any(|letter| letter.id == found.id));
        }
        let mut heard = heard.into_iter();
        let wanted = found
            .iter()
            .map(|found| (fate(&found.id, outcome, &words), heard.next()));
        let became = (self.put_away)(wanted.collect()).await?;
        let mut cleared = ClearedLetters {
            next,
            ..ClearedLetters::default()
        };
        for (Found { id, count }, became) in found.into_iter().zip(became) {
            match became {
                Became::PutAway => {
                    cleared.letters += 1;
                    cleared.messages += count;
                }
                Became::TooLate => {}
                Became::Kept(why) => cleared.kept.push(KeptLetter { id, why }),
            }
        }
        Ok(Json(cleared))
    }
}

fn fate(id: &str, outcome: Outcome, Words { by, why }: &Words) -> Fate {
    Fate {
        id: id.to_owned(),
        outcome,
        by: by.clone(),
        why: why.clone(),
    }
}

fn refused(kind: &str, detail: String) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        kind,
        "Nothing was put away",
        detail,
    )
}

pub(super) fn unknown(id: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-letter",
        "No such dead letter",
        format!(
            "There is no dead letter {id:?} (any more); /letters lists those that there are, /letters/past what became of others."
        ),
    )
}

/// Gives them to the loop, all before the first is waited for. A caller who leaves meanwhile stops none that the loop has.
async fn put_away<S: Service>(
    handle: Handle<S>,
    wanted: Vec<Wanted>,
) -> Result<Vec<Became>, Problem> {
    let mut waiting = Vec::new();
    for (fate, letter) in wanted {
        let heard = letter.map(|letter| {
            let message = letter.message()?;
            read(&**handle.service(), &message)
                .map_err(|(ReadError::Malformed(why) | ReadError::NewerVersion(why))| why)
        });
        waiting.push(match heard.transpose() {
            Err(why) => Err(why),
            Ok(fact) => {
                let (to, answer) = oneshot::channel();
                let item = (Step::Letter(fate, fact.map(Box::new)), Completion::Told(to));
                handle.commands.send(item).await.map_err(|_| stopping())?;
                Ok(answer)
            }
        });
    }
    let mut became = Vec::new();
    for answer in waiting {
        became.push(match answer {
            Err(why) => Became::Kept(why),
            Ok(answer) => match answer.await.map_err(|_| stopping())? {
                Ok(true) => Became::PutAway,
                Ok(false) => Became::TooLate,
                Err(why) => Became::Kept(why),
            },
        });
    }
    Ok(became)
}
