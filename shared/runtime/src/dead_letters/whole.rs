//! Dead letters loaded whole, so many bytes and no more: each may be as large as a message can be, and a page of a thousand of them would be
//! larger than what this process may have. Which letters, is for whoever asks.

use serde::de::DeserializeOwned;

use super::DeadLetter;
use crate::database::Database;
use crate::problem::Problem;
use crate::table::Table;

/// About as many bytes are loaded for one request.
pub(super) const BYTES_MAX: usize = 4 << 20;
/// So many letters are loaded at a time: all that may lie in memory beyond that.
const AT_ONCE: usize = 8;

/// Letters, those that are there yet or those of the past, up to the first that is too much.
#[derive(Debug)]
pub(super) struct Whole<T> {
    pub(super) letters: Vec<T>,
    /// How many ids were gone through, those of letters that went meanwhile too. One at least, where there is one.
    pub(super) covered: usize,
}

impl<T: DeserializeOwned> Whole<T> {
    /// Loads the letters with these ids from this table, in this order. One that went meanwhile is left out.
    pub(super) async fn load(
        database: &Database,
        table: &Table,
        ids: &[&str],
        letter: fn(&T) -> &DeadLetter,
    ) -> Result<Self, Problem> {
        let mut letters: Vec<T> = Vec::new();
        let mut bytes = 0;
        let place = |one: &T| ids.iter().position(|id| *id == letter(one).id);
        for some in ids.chunks(AT_ONCE) {
            let some = database.select(table).one_of("id", some.iter().copied());
            let mut some: Vec<T> = some.rows().await?;
            some.sort_by_key(&place);
            for one in some {
                bytes += size(letter(&one));
                if bytes > BYTES_MAX && !letters.is_empty() {
                    let covered = place(&one).unwrap_or(ids.len());
                    return Ok(Self { letters, covered });
                }
                letters.push(one);
            }
        }
        let covered = ids.len();
        Ok(Self { letters, covered })
    }
}

/// What is kept of it, in bytes; the rest of a letter is small.
fn size(letter: &DeadLetter) -> usize {
    letter.payload.len() + letter.headers.len() + letter.subject.len()
}
