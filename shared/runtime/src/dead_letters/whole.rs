//! Dead letters loaded whole, so many bytes and no more: each may be as large as a message can be, and a page of a thousand of them would be
//! larger than what this process may have. Which letters, is for whoever asks.

use serde::de::DeserializeOwned;

use super::DeadLetter;
use crate::database::{Database, letters};
use crate::problem::Problem;
use crate::table::Table;

/// About as many bytes are loaded for one request, and lie in memory beside each other.
const BYTES_MAX: usize = 4 << 20;

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
        // What a letter keeps never changes, so how long it is can be asked before.
        let lengths = letters::lengths(database, table, ids).await?;
        let lengths = ids
            .iter()
            .map(|id| lengths.get(*id).copied().unwrap_or_default());
        let covered = that_fit(lengths);
        let some = ids.iter().take(covered).copied();
        let mut letters: Vec<T> = database.select(table).one_of("id", some).rows().await?;
        letters.sort_by_cached_key(|one| ids.iter().position(|id| *id == letter(one).id));
        Ok(Self { letters, covered })
    }
}

/// How many of these lengths are not too much together. One that is too much alone fits.
fn that_fit(lengths: impl Iterator<Item = usize>) -> usize {
    let one_more = |bytes: &mut usize, length: usize| {
        let first = *bytes == 0;
        *bytes += length;
        (first || *bytes <= BYTES_MAX).then_some(())
    };
    lengths.scan(0, one_more).count()
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, that_fit};

    #[test]
    fn as_many_fit_as_are_not_too_much_together_and_one_always_does() {
        let fit = |lengths: &[usize]| that_fit(lengths.iter().copied());
        assert_eq!(fit(&[]), 0);
        assert_eq!(fit(&[1; 1_000]), 1_000);
        assert_eq!(fit(&[BYTES_MAX - 1, 1, 1]), 2);
        assert_eq!(fit(&[BYTES_MAX + 1, 0, 1]), 1);
        assert_eq!(fit(&[1, BYTES_MAX, 1]), 1, "in order, and none left out");
        assert_eq!(
            fit(&[0, 0, BYTES_MAX + 1, 1]),
            3,
            "those that went take no room"
        );
    }
}
