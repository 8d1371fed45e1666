//! What an error of the database means for the batch that met it: by consequence, not by kind.

use std::fmt::Display;

use thiserror::Error;

use crate::table::CellError;

/// Why a batch was not saved.
#[derive(Debug, Clone, Error)]
pub enum Failure {
    /// The infrastructure's fault or another replica's: the same batch is tried again, whole.
    #[error("{0}")]
    Retry(String),
    /// One of the batch's inputs can't be saved, whatever is tried: the batch is split until it stands alone.
    #[error("{0}")]
    Poison(String),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        if is_poison(&error) {
            Self::Poison(error.to_string())
        } else {
            Self::Retry(error.to_string())
        }
    }
}

impl From<CellError> for Failure {
    fn from(error: CellError) -> Self {
        Self::Poison(error.to_string())
    }
}

impl Failure {
    /// What was stored is not what this program stores.
    pub(crate) fn unreadable(error: impl Display) -> Self {
        Self::Poison(format!("a stored row cannot be read: {error}"))
    }
}

/// Only what the *data* is to blame for. Unique violations are two replicas meeting, and go away when tried again; a
/// missing table or a full disk is for an operator to mend, while the batch waits.
fn is_poison(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else {
        // What cannot be decoded was stored so, and will be read so the next time too.
        return matches!(
            error,
            sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. }
        );
    };
    let code = database.code().unwrap_or_default();
    if database
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .is_some()
    {
        // 21: one row twice in a statement, 22: data exception, 23: integrity constraint violation (23505: unique),
        // 54: beyond a limit, such as the longest key of an index.
        let data = ["21", "22", "23", "54"];
        return data.iter().any(|class| code.starts_with(class)) && code != "23505";
    }
    // SQLite's extended codes: 19 constraint (1555 primary key, 2067 unique, 2579 rowid), 18 too big, 20 mismatch.
    let Ok(code) = code.parse::<i64>() else {
        return false;
    };
    matches!(code & 0xff, 18..=20) && !matches!(code, 1555 | 2067 | 2579)
}

/// Whether the same will happen on this connection however often it is tried: the server is read-only since it is no primary
/// any more (25006), or a statement was prepared before the schema changed (0A000).
pub(super) fn is_of_the_connection(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(&*code, "25006" | "0A000"))
}

/// What an HTTP caller is told when the database does not answer.
impl From<Failure> for crate::problem::Problem {
    fn from(failure: Failure) -> Self {
        tracing::warn!(error = %failure, "the database did not answer a request");
        Self::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "database",
            "Database not available",
            "The database did not answer. Try again in a moment.",
        )
        .retry_after(2)
    }
}
