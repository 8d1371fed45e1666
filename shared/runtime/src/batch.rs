//! One batch, one transaction: inbox, load, react, save, outbox, commit.
//!
//! This is the heart. It does not gather inputs (the worker does), and does not know what they mean (the service does).

mod calls;
mod letters;
mod spans;
mod step;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use uuid::Uuid;

use crate::call::{WAITING, makes_calls};
use crate::database::sql::{self, Saving};
use crate::database::{Database, Failure, Param, Transaction};
use crate::dead_letters::DeadLetter;
use crate::event::Event;
use crate::faults::{self, CrashPoint, Guard};
use crate::service::{Context, Entity, Input, Service};
use crate::table::Table;
use calls::Calls;
use letters::put_away;
use spans::Spans;
pub use step::Step;

/// What a committed batch leaves to do.
pub struct Done<S: Service> {
    /// What was said, to be published.
    pub said: Vec<Event>,
    /// A reply for each step, in order.
    pub replies: Vec<Option<S::Reply>>,
    /// The rows as saved.
    pub rows: S::Rows,
    /// Anomalies, to be counted and logged, and what each was about.
    pub anomalies: Vec<(&'static str, Option<Entity>)>,
    /// At which places in the batch nothing was done: a dead letter was to be put away that somebody else had put away before, or a call
    /// was answered that waited no more.
    pub too_late: BTreeSet<usize>,
    /// Whether calls were asked for.
    pub asked: bool,
    calls: Calls,
}

/// The transactions of one service, with their statements made once. Public so that a test can hold one open and let
/// another replica's run into it.
pub struct Transactor<S: Service> {
    service: Arc<S>,
    database: Arc<Database>,
    load: String,
    save: String,
    lease_us: i64,
}

/// A batch that is judged and not yet saved; it holds its locks. Dropped, it is not committed: its connection is
/// closed before anything else is done with it.
pub struct Open<'a, S: Service> {
    transaction: Transaction<'a>,
    save: &'a str,
    params: Vec<Param>,
    done: Done<S>,
    spans: Spans,
}

impl<S: Service> Open<'_, S> {
    /// Saves and commits.
    ///
    /// # Errors
    /// See [`Failure`]; nothing is left behind then, unless it is the commit itself whose outcome is unknown.
    pub async fn commit(mut self) -> Result<Done<S>, Failure> {
        if let Err(failure) = self.save().await {
            self.spans.fail(&failure);
            return Err(failure);
        }
        self.spans.end();
        Ok(self.done)
    }

    async fn save(&mut self) -> Result<(), Failure> {
        let commits = self.transaction.saving_commits();
        self.reach_if(commits, CrashPoint::BeforeCommit);
        self.transaction
            .run(self.save, std::mem::take(&mut self.params))
            .await?;
        self.reach_if(!commits, CrashPoint::BeforeCommit);
        self.transaction.commit().await?;
        self.reach_if(true, CrashPoint::AfterCommit);
        Ok(())
    }

    /// Reaches a crash point, but not in a batch that only deletes rows.
    fn reach_if(&self, here: bool, point: CrashPoint) {
        if here && !self.done.replies.is_empty() {
            faults::reach(point);
        }
    }
}

impl<S: Service> Transactor<S> {
    /// For one service on its database. Outbox rows belong to this process for `lease_ms`.
    #[must_use]
    pub fn new(service: Arc<S>, database: Arc<Database>, lease_ms: u64) -> Self {
        let mut rows = service.rows();
        let mut tables: Vec<&'static Table> = service
            .tables(&mut rows)
            .iter()
            .map(|table| table.table())
            .collect();
        let engine = database.engine();
        let save = sql::save(engine, &tables, makes_calls::<S>());
        tables.extend(makes_calls::<S>().then_some(WAITING));
        Self {
            load: sql::load(engine, &tables),
            save,
            service,
            database,
            lease_us: i64::try_from(lease_ms)
                .unwrap_or(i64::MAX / 2_000)
                .saturating_mul(1_000),
        }
    }

    /// The service itself.
    #[must_use]
    pub fn service(&self) -> &S {
        &self.service
    }

    /// Applies a batch and commits it, or leaves no trace of it. `published` are ids of outbox rows that may go.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn run(&self, steps: &[Step<S>], published: &[Uuid]) -> Result<Done<S>, Failure> {
        self.open(steps, published).await?.commit().await
    }

    /// The first half of [`run`](Self::run): loads and judges.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn open(
        &self,
        steps: &[Step<S>],
        published: &[Uuid],
    ) -> Result<Open<'_, S>, Failure> {
        let begin = || Spans::begin(self.service(), self.database.system(), steps);
        let mut spans = unless_it_panics(begin)?;
        match self.prepare(steps, published, &mut spans).await {
            Ok((transaction, params, done)) => Ok(Open {
                transaction,
                save: &self.save,
                params,
                done,
                spans,
            }),
            Err(failure) => {
                spans.fail(&failure);
                Err(failure)
            }
        }
    }

    async fn prepare(
        &self,
        steps: &[Step<S>],
        published: &[Uuid],
        spans: &mut Spans,
    ) -> Result<(Transaction<'_>, Vec<Param>, Done<S>), Failure> {
        let mut rows = self.service.rows();
        let inputs = steps.iter().filter_map(Step::input);
        unless_it_panics(|| inputs.for_each(|input| self.service.need(input, &mut rows)))?;
        let ids: Vec<Uuid> = steps.iter().filter_map(Step::id).collect();
        let ids = ids.iter().map(Uuid::to_string).collect();
        let tables = self.service.tables(&mut rows);
        let mut wanted = tables
            .iter()
            .map(|table| Ok((table.table(), table.wanted()?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        wanted.extend(makes_calls::<S>().then(|| calls::wanted(steps)));
        let params = sql::load_params(self.database.engine(), ids, wanted)?;

        let mut transaction = self.database.writer().await?;
        transaction.begin().await?;
        let loaded = transaction.run(&self.load, params).await?;
        if !steps.is_empty() {
            faults::reach(CrashPoint::Loaded);
        }
        let too_late = put_away(&mut transaction, steps, &loaded).await?;
        let judged = self
            .judge(steps, &loaded, (rows, too_late), spans)
            .and_then(|mut done| {
                let params = self.changes(steps, &mut done, published)?;
                Ok((params, done))
            });
        match judged {
            Ok((params, done)) => Ok((transaction, params, done)),
            Err(failure) => {
                transaction.roll_back().await;
                Err(failure)
            }
        }
    }

    /// Everything between load and save: no waiting, no I/O.
    fn judge(
        &self,
        steps: &[Step<S>],
        loaded: &[String],
        (mut rows, too_late): (S::Rows, BTreeSet<usize>),
        spans: &mut Spans,
    ) -> Result<Done<S>, Failure> {
        let mut loaded = loaded.iter();
        let mut fresh: HashSet<Uuid> =
            serde_json::from_str(loaded.next().map_or("[]", String::as_str))
                .map_err(Failure::unreadable)?;
        let tables = self.service.tables(&mut rows);
        for (table, text) in tables.into_iter().zip(&mut loaded) {
            let cells = serde_json::from_str(text).map_err(Failure::unreadable)?;
            table.fill(cells).map_err(Failure::unreadable)?;
        }
        let mut done = Done {
            said: Vec::new(),
            replies: Vec::with_capacity(steps.len()),
            rows,
            anomalies: Vec::new(),
            too_late,
            asked: false,
            calls: loaded
                .next()
                .map_or_else(|| Ok(Calls::default()), |text| Calls::read(text))?,
        };
        let now_us = now_us();
        for (place, step) in steps.iter().enumerate() {
            if let Step::Answer {
                asked_us, input, ..
            } = step
                && let Input::Answer { call, .. } = input
                && !done.calls.answer(&call.id, *asked_us)
            {
                done.too_late.insert(place);
            }
            if done.too_late.contains(&place) {
                done.replies.push(None);
                continue;
            }
            // Removing it makes the second of two same ids in one batch an echo too.
            let heard =
                step.id().is_some_and(|id| !fresh.remove(&id)) && !faults::is_off(Guard::Inbox);
            let apply = || self.apply((place, step), heard, now_us, &mut done, spans);
            let reply = unless_it_panics(apply)??;
            done.replies.push(reply);
        }
        Ok(done)
    }

    fn apply(
        &self,
        (place, step): (usize, &Step<S>),
        heard: bool,
        now_us: i64,
        done: &mut Done<S>,
        spans: &mut Spans,
    ) -> Result<Option<S::Reply>, Failure> {
        if heard {
            return Ok(match step.input() {
                Some(Input::Command(command)) => Some(self.service.echo(command, &done.rows)),
                _ => None,
            });
        }
        let mut context = Context::new(now_us, step.id(), spans.context(place));
        let reply = match step.input() {
            Some(input) => {
                let talks = LevelFilter::current() >= LevelFilter::DEBUG;
                let about = talks.then(|| self.service.about(input)).flatten();
                let log = about.as_ref().map(|about| self.service.log_span(&about.id));
                let _within = log.as_ref().map(tracing::Span::enter);
                self.service.react(input, &mut done.rows, &mut context)
            }
            None => {
                if matches!(step, Step::Announcement) {
                    self.service.announcement(&mut context);
                }
                None
            }
        };
        spans.judged(place, &context);
        context.check().map_err(Failure::Poison)?;
        done.said.append(&mut context.said);
        for call in std::mem::take(&mut context.calls) {
            done.calls.ask(call, now_us, &context.trace);
        }
        if !context.anomalies.is_empty() {
            let about = context.about.or_else(|| self.service.about(step.input()?));
            let anomalies = context.anomalies.into_iter();
            done.anomalies
                .extend(anomalies.map(|anomaly| (anomaly, about.clone())));
        }
        Ok(reply)
    }

    fn changes(
        &self,
        steps: &[Step<S>],
        done: &mut Done<S>,
        published: &[Uuid],
    ) -> Result<Vec<Param>, Failure> {
        let tables = self.service.tables(&mut done.rows);
        let changes = tables
            .iter()
            .map(|table| Ok((table.table(), table.changes()?)))
            .collect::<Result<_, Failure>>()?;
        let letters: Vec<&DeadLetter> = steps
            .iter()
            .filter_map(|step| match step {
                Step::DeadLetter(letter) => Some(letter.as_ref()),
                _ => None,
            })
            .collect();
        let kept: &[Event] = if faults::is_off(Guard::Outbox) {
            &[]
        } else {
            &done.said
        };
        let calls = std::mem::take(&mut done.calls);
        done.asked = calls.is_asking();
        if done.asked && !makes_calls::<S>() {
            let word = "calls were asked for by a service that has no type of answer to them";
            return Err(Failure::Poison(String::from(word)));
        }
        let saving = Saving {
            changes,
            calls: makes_calls::<S>().then(|| calls.changed()),
            said: kept,
            published: published.iter().map(Uuid::to_string).collect(),
            lease_us: self.lease_us,
            letters: &one_of_each(letters),
        };
        sql::save_params(self.database.engine(), saving)
    }
}

/// What the service's own code makes of an input. That it panics is the input's fault.
fn unless_it_panics<T>(of_the_service: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(of_the_service)).map_err(|_| {
        Failure::Poison(String::from(
            "the service's core panicked on it; see the log",
        ))
    })
}

/// One statement may not write one row twice: of letters alike, the last stands for all of a batch.
fn one_of_each(letters: Vec<&DeadLetter>) -> Vec<&DeadLetter> {
    let mut kept: BTreeMap<_, &DeadLetter> = BTreeMap::new();
    for letter in letters {
        kept.insert((&letter.aggregateid, &letter.kind, &letter.reason), letter);
    }
    kept.into_values().collect()
}

/// Microseconds since 1970, by this machine's clock.
pub(crate) fn now_us() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
