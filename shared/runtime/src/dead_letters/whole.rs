//! Dead letters loaded whole, so many bytes and no more: each may be as large as a message can be, and a page of a thousand of them would be
//! larger than what this process may have. Which letters, is for whoever asks.

use super::{DEAD_LETTER, DeadLetter};
use crate::database::Database;
use crate::problem::Problem;

/// About as many bytes are loaded for one request.
pub(super) const BYTES_MAX: usize = 4 << 20;
/// So many letters are loaded at a time: all that may lie in memory beyond that.
const AT_ONCE: usize = 8;

/// Letters, up to the first that is too much, which is among them.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) letters: Vec<DeadLetter>,
    /// How many of them are not too much; one at least, where there is one.
    pub(super) fit: usize,
}

impl Whole {
    /// Loads the letters with these ids, in this order. One that went meanwhile is left out.
    pub(super) async fn load(database: &Database, ids: &[&str]) -> Result<Self, Problem> {
        let mut whole = Self::default();
        let mut bytes = 0;
        for ids in ids.chunks(AT_ONCE) {
            let some = database.select(DEAD_LETTER);
            let mut some: Vec<DeadLetter> = some.one_of("id", ids.iter().copied()).rows().await?;
            some.sort_by_key(|letter| ids.iter().position(|id| *id == letter.id));
            for letter in some {
                bytes += size(&letter);
                whole.letters.push(letter);
                if bytes > BYTES_MAX && whole.letters.len() > 1 {
                    return Ok(whole);
                }
                whole.fit = whole.letters.len();
            }
        }
        Ok(whole)
    }
}

/// What is kept of it, in bytes; the rest of a letter is small.
fn size(letter: &DeadLetter) -> usize {
    letter.payload.len() + letter.headers.len() + letter.subject.len()
}
