//! What operators do to a leg's stock: set a row, import a CSV. What they see of it is the module `shelf`'s; over HTTP all of it is the
//! module `http`'s.
//!
//! Every change goes through the loop, as a command beside the facts: what trips hold and what an operator sets can't
//! pass each other.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use runtime::{Handle, Problem, TraceContext};
use serde::{Deserialize, Serialize};

use crate::core::Stock;
use crate::lines::Lines;
use crate::service::{Leg, LegService, LegSpec, Only, SetStock, StockLevel, StockSet, etag};

/// The largest CSV that is taken, in bytes.
pub const IMPORT_MAX: usize = 32 << 20;
/// The most stock rows that one import may make.
pub const IMPORT_ROWS_MAX: usize = 100_000;
/// Bad lines that are named one by one; the rest is counted.
const ERRORS_SHOWN: usize = 100;
/// Bad lines after which the rest is not read: a file of nothing else would fill the memory with reasons.
const BAD_LINES_MAX: usize = 10_000;
/// The most of one stock row.
pub(crate) const TOTAL_MAX: i64 = 1_000_000;
/// The highest price of one, in minor units.
pub(crate) const PRICE_MAX: i64 = 1_000_000_000_000;
/// The longest range of dates on one line, in days.
const RANGE_MAX: i32 = 800;

/// What a leg's HTTP needs of its loop.
pub type LegHandle<L> = Handle<LegService<L>>;

/// What an import did.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Imported {
    /// Lines read.
    pub lines: usize,
    /// Stock rows written.
    pub rows: usize,
}

/// A line of a CSV that can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BadLine {
    /// Its number in the file; the header is line 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// Checks what one stock row may be.
///
/// # Errors
/// With what is wrong, in words.
pub fn check(line: &StockLevel) -> Result<(), String> {
    for part in &line.key {
        let fits = (1..=64).contains(&part.len())
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if !fits {
            return Err(format!(
                "{part:?} is not 1 to 64 of the characters A-Z a-z 0-9 . _ -"
            ));
        }
    }
    if !(0..=TOTAL_MAX).contains(&line.total) {
        return Err(format!("{} is not from 0 to {TOTAL_MAX}", line.total));
    }
    if !(0..=PRICE_MAX).contains(&line.price_minor) {
        return Err(format!(
            "price_minor {} is not from 0 to {PRICE_MAX}",
            line.price_minor
        ));
    }
    if choreography::Currency::from_code(&line.currency).is_none() {
        return Err(format!(
            "currency {:?} is not an ISO 4217 code such as EUR",
            line.currency
        ));
    }
    Ok(())
}

/// Reads a local calendar date.
///
/// # Errors
/// With what is wrong, in words.
pub fn date(text: &str) -> Result<jiff::civil::Date, String> {
    text.parse::<jiff::civil::Date>()
        .ok()
        .filter(|date| date.to_string() == text)
        .ok_or_else(|| format!("{text:?} is not a date such as 2026-12-01"))
}

/// The dates of a CSV field: one, or a range `first..last` with both ends.
///
/// # Errors
/// With what is wrong, in words.
pub fn dates(text: &str) -> Result<Vec<String>, String> {
    let Some((first, last)) = text.split_once("..") else {
        return Ok(vec![date(text)?.to_string()]);
    };
    let (first, last) = (date(first)?, date(last)?);
    let days = (last - first).get_days();
    if last < first || days >= RANGE_MAX {
        return Err(format!("{text:?} is not a range of 1 to {RANGE_MAX} days"));
    }
    let days = first.series(jiff::Span::new().days(1));
    Ok(days
        .take_while(|day| *day <= last)
        .map(|day| day.to_string())
        .collect())
}

/// A row that cannot be taken, and why.
pub(crate) fn not_accepted(reason: String) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "inventory",
        "Inventory not accepted",
        format!("{reason}."),
    )
}

/// Sets one stock row, and says whether it was not there before.
///
/// # Errors
/// 422 when it can't be, 409 when trips hold more than that, 412 when it is not what `only` wants.
pub async fn put<L: Leg>(
    handle: &LegHandle<L>,
    level: StockLevel,
    only: Only,
    trace: TraceContext,
) -> Result<(Stock, bool), Problem> {
    let day = level.key.last().map_or("", String::as_str);
    date(day).map_err(not_accepted)?;
    check(&level).map_err(not_accepted)?;
    let set = SetStock {
        levels: vec![level],
        only,
    };
    match handle.command(set, trace).await? {
        StockSet::Set { rows, created } => {
            let row = rows.into_iter().next().ok_or_else(Problem::internal)?;
            Ok((row, created))
        }
        StockSet::Held(refused) => {
            let taken = refused.first().map_or(0, |(_, taken)| *taken);
            Err(Problem::new(
                StatusCode::CONFLICT,
                "inventory-held",
                "Trips hold more than that",
                format!("{taken} are held or confirmed; give a total of at least {taken}."),
            )
            .with("taken", taken))
        }
        StockSet::Other(row) => Err(other_than_wanted(row.as_ref())),
    }
}

/// The row that is there; none is not what somebody wants who has seen one.
fn other_than_wanted(row: Option<&Stock>) -> Problem {
    let (detail, tag) = match row {
        Some(row) => (
            "It is there, and not as the request wants it; look at it again, and send what is to be with its `ETag` as `If-Match`.",
            HeaderValue::try_from(etag(row)).ok(),
        ),
        None => (
            "It is not there (any more); leave `If-Match` out to make it.",
            None,
        ),
    };
    let problem = Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "inventory-changed",
        "Not as the request wants it",
        detail,
    );
    match tag {
        Some(tag) => problem.header(header::ETAG, tag),
        None => problem,
    }
}

/// Reads a CSV and sets every row, or none. Its header is the columns of the key, what is sold, `price_minor` and `currency`; the last
/// column of the key may be a range of dates.
///
/// # Errors
/// 422 with the first 100 bad lines, each with number and reason; 409 when trips hold more than a new total.
pub async fn import<L: Leg>(
    handle: &LegHandle<L>,
    csv: &[u8],
    trace: TraceContext,
) -> Result<Imported, Problem> {
    let (lines, rows) = read_csv(L::SPEC, csv)?;
    let numbers: Vec<u64> = rows.values().map(|(number, _)| *number).collect();
    let rows: Vec<StockLevel> = rows.into_values().map(|(_, row)| row).collect();
    let count = rows.len();
    let set = SetStock {
        levels: rows,
        only: Only::default(),
    };
    match handle.command(set, trace).await? {
        StockSet::Set { .. } => Ok(Imported { lines, rows: count }),
        StockSet::Other(row) => Err(other_than_wanted(row.as_ref())),
        StockSet::Held(refused) => {
            let bad = refused.iter().map(|(index, taken)| BadLine {
                line: numbers.get(*index).copied().unwrap_or_default(),
                reason: format!("{taken} are held or confirmed, which is more than the new total"),
            });
            Err(bad_lines(
                StatusCode::CONFLICT,
                "inventory-held",
                bad.collect(),
            ))
        }
    }
}

/// By key, with the line each row came from: the last line wins.
type Read = (usize, BTreeMap<Vec<String>, (u64, StockLevel)>);

fn read_csv(spec: &LegSpec, csv: &[u8]) -> Result<Read, Problem> {
    let key = spec.stock.key.iter().map(|column| column.name);
    let columns: Vec<&str> = key.chain([spec.unit, "price_minor", "currency"]).collect();
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(csv);
    // The reader's own count stands before the blank lines that it skips, and knows one way to end a line.
    let mut numbers = Lines::of(csv);
    let first = numbers.line_at(0);
    let header = reader
        .headers()
        .map_err(|error| one_bad(first, reason(&error)))?;
    if header.iter().ne(columns.iter().copied()) {
        return Err(one_bad(
            first,
            format!("the header must be {}", columns.join(",")),
        ));
    }
    let (mut rows, mut bad, mut lines) = (BTreeMap::new(), Vec::new(), 0);
    for record in reader.records() {
        lines += 1;
        let (position, found) = match &record {
            Ok(record) => (record.position(), read_line(record, &columns)),
            Err(error) => (error.position(), Err(reason(error))),
        };
        let number = numbers.line_at(position.map_or(0, csv::Position::byte));
        match found {
            Ok(found) => rows.extend(
                found
                    .into_iter()
                    .map(|row| (row.key.clone(), (number, row))),
            ),
            Err(reason) => bad.push(BadLine {
                line: number,
                reason,
            }),
        }
        if bad.len() >= BAD_LINES_MAX {
            break;
        }
        if rows.len() > IMPORT_ROWS_MAX {
            return Err(one_bad(
                number,
                format!("this file makes more than {IMPORT_ROWS_MAX} rows; split it"),
            ));
        }
    }
    if bad.is_empty() {
        Ok((lines, rows))
    } else {
        Err(bad_lines(StatusCode::UNPROCESSABLE_ENTITY, "import", bad))
    }
}

/// Without the place, which the line's number says.
fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => err.to_string(),
        _ => error.to_string(),
    }
}

fn read_line(record: &csv::StringRecord, columns: &[&str]) -> Result<Vec<StockLevel>, String> {
    let (fields, wanted) = (record.iter().collect::<Vec<_>>(), columns.len());
    let [key @ .., day, total, price_minor, currency] = fields.as_slice() else {
        return Err(format!("{} fields where {wanted} belong", fields.len()));
    };
    if fields.len() != wanted {
        return Err(format!("{} fields where {wanted} belong", fields.len()));
    }
    let number = |at: usize, text: &str| {
        let name = columns.get(wanted - at).copied().unwrap_or_default();
        text.parse::<i64>()
            .map_err(|_| format!("{name} {text:?} is not a whole number"))
    };
    let (total, price_minor) = (number(3, total)?, number(2, price_minor)?);
    let level = |day: String| StockLevel {
        key: key.iter().map(ToString::to_string).chain([day]).collect(),
        total,
        price_minor,
        currency: (*currency).to_owned(),
    };
    let rows: Vec<StockLevel> = dates(day)?.into_iter().map(level).collect();
    rows.iter().try_for_each(check)?;
    Ok(rows)
}

fn one_bad(line: u64, reason: String) -> Problem {
    bad_lines(
        StatusCode::UNPROCESSABLE_ENTITY,
        "import",
        vec![BadLine { line, reason }],
    )
}

fn bad_lines(status: StatusCode, kind: &'static str, bad: Vec<BadLine>) -> Problem {
    let shown: Vec<&BadLine> = bad.iter().take(ERRORS_SHOWN).collect();
    let first = bad.first().map_or(String::new(), |bad| {
        format!(" The first is line {}: {}.", bad.line, bad.reason)
    });
    Problem::new(
        status,
        kind,
        "Nothing was imported",
        format!(
            "{} lines cannot be taken; nothing was changed.{first}",
            bad.len()
        ),
    )
    .with("bad_lines", bad.len())
    .with("lines", serde_json::to_value(shown).unwrap_or_default())
}
