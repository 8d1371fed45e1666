//! The statements about calls: they are kept and dropped with a batch, claimed and put back beside it, and counted. When which is performed is
//! not decided here.

use super::failure::Failure;
use super::letters::delete;
use super::parameters::{Param, Parameters, rows, texts};
use super::queries::ROWS_MAX;
use super::sql::names;
use super::{Database, Engine};
use crate::call::{CALL, Claimed};
use crate::table::{Cell, Column, cells, int, text};

/// What a batch writes of a new call; it is due at once.
const ASKED: &[Column] = &[
    text("id"),
    text("purpose"),
    text("about"),
    text("request"),
    int("goes_first"),
    int("asked_us"),
    text("traceparent"),
    text("tracestate"),
];

/// What is read of a call that is to be performed.
const CLAIMED: &[Column] = &[
    ASKED[0],
    ASKED[1],
    ASKED[2],
    ASKED[3],
    ASKED[4],
    ASKED[5],
    ASKED[6],
    ASKED[7],
    int("attempts"),
];

/// What is said of an attempt that told nothing.
const BACK: &[Column] = &[
    text("id"),
    int("asked_us"),
    int("attempts"),
    int("pause_us"),
    text("problem"),
];

/// A call that was tried in vain.
#[derive(Debug)]
pub struct Back {
    /// Its id.
    pub id: String,
    /// When it was asked for.
    pub asked_us: i64,
    /// Which attempt that was.
    pub attempts: i64,
    /// How long it pauses, in microseconds.
    pub pause_us: i64,
    /// What happened, in words.
    pub problem: String,
}

/// What a batch did to calls.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// New ones, each a cell for each column of [`ASKED`], in the order of ids. One whose id waits stays as it is.
    pub(crate) asked: Vec<Vec<Cell>>,
    /// Those among them that were answered in this batch, and begin anew.
    pub(crate) renewed: Vec<String>,
    /// Those that were answered, and no more.
    pub(crate) gone: Vec<String>,
}

/// The statements with which a batch keeps its calls, begins those anew that it has locked, and drops those that were answered; [`bind`] binds
/// what they read.
pub(super) fn save(parameters: &mut Parameters) -> [String; 3] {
    let engine = parameters.engine;
    let new = parameters.named(ASKED.iter(), "asked");
    let renewed = parameters.ids("renewed");
    let set = ASKED
        .iter()
        .skip(1)
        .map(|c| format!("{0} = asked.{0}", c.name));
    let set = set.collect::<Vec<_>>().join(", ");
    // One that waits is not locked: who has locked it may wait for one of ours.
    let keep = format!(
        "insert into call ({names}, due_us) select {names}, {now} from {new} where id not in (select id from {renewed}) \
         order by id on conflict (id) do nothing",
        names = names(ASKED.iter()),
        now = engine.now_us(),
    );
    let renew = format!(
        "update call set {set}, due_us = {now}, attempts = 0, problem = null from {new} \
         where call.id = asked.id and asked.id in (select id from {renewed})",
        now = engine.now_us(),
    );
    [keep, renew, delete(CALL.name, parameters)]
}

pub(super) fn bind(
    engine: Engine,
    changed: Changed,
    params: &mut Vec<Param>,
) -> Result<(), Failure> {
    let columns: Vec<&Column> = ASKED.iter().collect();
    rows(engine, &columns, changed.asked, params)?;
    params.push(texts(engine, changed.renewed)?);
    params.push(texts(engine, changed.gone)?);
    Ok(())
}

/// Claims calls that are due, by the database's own clock, those that go first or the others: at most `most`, the longest due first. They are
/// due again after `lease_us`, and no other process gets them before.
///
/// # Errors
/// When the database does not answer.
pub async fn claim(
    database: &Database,
    first: bool,
    most: usize,
    lease_us: i64,
) -> Result<Vec<Claimed>, Failure> {
    let engine = database.engine;
    let (now, skip) = (engine.now_once_us(), engine.skip_locked());
    let cast = match engine {
        Engine::Sqlite => "",
        Engine::Postgres => "::text",
    };
    // Asked once: as a condition on each row the database could ask for them anew for each.
    let sql = format!(
        "with due as materialized (select id from call where goes_first = $1 and due_us <= {now} order by due_us limit $2 {skip}) \
         update call set due_us = {now} + cast($3 as bigint), attempts = attempts + 1 where id in (select id from due) returning {row}{cast}",
        row = engine.row(CALL.name, CLAIMED.iter()),
    );
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let params = vec![i64::from(first).into(), most.into(), lease_us.into()];
    let rows = database.writer().await?.run(&sql, params).await?;
    let read = |row: &String| {
        let cells = serde_json::from_str(row).map_err(Failure::unreadable)?;
        cells::read(CLAIMED.iter().map(|column| column.name), cells).map_err(Failure::unreadable)
    };
    rows.iter().map(read).collect()
}

/// Puts calls back that were tried in vain: each is due again after its pause, unless somebody has claimed it meanwhile.
///
/// # Errors
/// When the database does not answer.
pub async fn put_back(database: &Database, back: Vec<Back>) -> Result<(), Failure> {
    let engine = database.engine;
    let mut parameters = Parameters::new(engine);
    // In the order of ids, as batches take them.
    let lock = match engine {
        Engine::Sqlite => "",
        Engine::Postgres => "for update of call",
    };
    let sql = format!(
        "with mine as materialized (select call.id, back.pause_us, back.problem from {} join call on call.id = back.id \
         where call.asked_us = back.asked_us and call.attempts = back.attempts order by call.id {lock}) \
         update call set due_us = {} + mine.pause_us, problem = mine.problem from mine where call.id = mine.id",
        parameters.named(BACK.iter(), "back"),
        engine.now_once_us(),
    );
    let cells = back.into_iter().map(|back| {
        vec![
            back.id.into(),
            back.asked_us.into(),
            back.attempts.into(),
            back.pause_us.into(),
            back.problem.into(),
        ]
    });
    let (columns, mut params) = (BACK.iter().collect::<Vec<_>>(), Vec::new());
    rows(engine, &columns, cells.collect(), &mut params)?;
    database.writer().await?.run(&sql, params).await.map(drop)
}

/// Makes those due now that are due later than any pause or lease lasts: a clock went back. Answers how many; at most [`ROWS_MAX`] of each sort.
///
/// # Errors
/// When the database does not answer.
pub async fn mend(database: &Database, far_us: i64) -> Result<usize, Failure> {
    let engine = database.engine;
    let (now, skip) = (engine.now_once_us(), engine.skip_locked());
    let far = |first: i64| {
        format!(
            "(select id from call where goes_first = {first} and due_us > {now} + cast($1 as bigint) order by due_us desc limit $2 {skip})"
        )
    };
    // Two ranges of one index.
    let sql = format!(
        "with others as materialized {}, firsts as materialized {} \
         update call set due_us = {now} where id in (select id from others union all select id from firsts) returning id",
        far(0),
        far(1)
    );
    let most = i64::try_from(ROWS_MAX).unwrap_or(i64::MAX);
    let mut writer = database.writer().await?;
    let mended = writer.run(&sql, vec![far_us.into(), most.into()]).await?;
    Ok(mended.len())
}

/// How many wait for each purpose; of all of them `most` are counted.
///
/// # Errors
/// When the database does not answer.
pub async fn waiting(database: &Database, most: usize) -> Result<Vec<(String, i64)>, Failure> {
    let (array, cast) = match database.engine {
        Engine::Sqlite => ("json_array", ""),
        Engine::Postgres => ("json_build_array", "::text"),
    };
    let sql = format!(
        "select {array}(purpose, count(*)){cast} from (select purpose from call limit $1) as counted group by purpose order by purpose"
    );
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = database.texts(&sql, vec![most.into()]).await?;
    let read = |row: &String| serde_json::from_str(row).map_err(Failure::unreadable);
    rows.iter().map(read).collect()
}
