//! Dead letters over HTTP, the same for every service: they are listed, shown, replayed, discarded, and their past is listed. What a
//! service makes of one that is heard again is its own business.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::clearing::{ClearedLetters, Clearing, Found, LETTERS, These, Words, unknown};
use super::whole::Whole;
use super::{DEAD_LETTER, DEAD_LETTER_PAST, DeadLetter, Outcome, PastLetter};
use crate::database::Is;
use crate::handle::Handle;
use crate::http::{Json, List, Page, Path, Query, TOTAL_MAX, a_whole_number};
use crate::problem::Problem;
use crate::service::Service;
use crate::table::{Cell, Lock, Table, int, text};

/// The most letters that one request discards.
const DISCARDED_MAX: usize = 500;
/// The most letters that one request replays: each is loaded whole.
const REPLAYED_MAX: usize = 50;

/// Which letters of the past there are, without what they kept.
const PAST: &Table = &Table {
    name: DEAD_LETTER_PAST.name,
    key: &[text("id")],
    columns: &[int("at_us")],
    lock: Lock::None,
};

/// `/letters`.
pub(crate) fn routes<S: Service>(handle: Handle<S>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(past))
        .routes(routes!(show))
        .routes(routes!(replay))
        .routes(routes!(discard))
        .routes(routes!(replay_many))
        .routes(routes!(discard_many))
        .with_state(Clearing::of(handle))
}

/// How to list them.
#[derive(Debug, Deserialize)]
struct Order {
    /// Whether to begin with the newest.
    #[serde(default)]
    newest: bool,
    /// Whether to count them, over all pages.
    #[serde(default)]
    total: bool,
}

/// Dead letters, the oldest first. A page ends early once there are about 4 MiB on it of what is kept; written as JSON it may be more.
#[utoipa::path(get, path = "/letters", operation_id = "list_dead_letters", tag = "operators",
    params(Page,
        ("newest" = Option<bool>, Query, description = "Whether to begin with the newest"),
        ("total" = Option<bool>, Query, description = "Whether to count them, over all pages; 10000 stands for as many or more")),
    responses((status = 200, body = List<DeadLetter>, description = "One page of them", headers(("Link" = String, description = "The next page, as `rel=\"next\"`")))))]
async fn list(
    State(clearing): State<Clearing>,
    Query(page): Query<Page>,
    Query(order): Query<Order>,
) -> Result<List<DeadLetter>, Problem> {
    let limit = page.limit()?;
    let letters = clearing.database.select(LETTERS);
    let mut letters = if order.newest {
        letters.descending(&["id"])
    } else {
        letters.order(&["id"])
    };
    if let Some(last) = page.after(1)? {
        let beyond = if order.newest { Is::Less } else { Is::Greater };
        letters = letters.only("id", beyond, last.concat());
    }
    let found: Vec<Found> = letters.most(limit + 1).rows().await?;
    let ids: Vec<&str> = found
        .iter()
        .map(|found| found.id.as_str())
        .take(limit)
        .collect();
    let whole = Whole::load(&clearing.database, DEAD_LETTER, &ids, |letter| letter).await?;
    let total = match order.total {
        true => Some(
            clearing
                .database
                .select(DEAD_LETTER)
                .most(TOTAL_MAX)
                .count()
                .await?,
        ),
        false => None,
    };
    let page = page_of(found, whole, |found| vec![found.id.clone()]);
    Ok(List { total, ..page })
}

/// A page of what could be loaded of what was found. It goes on behind the last that was gone through, whether that was still there or not.
fn page_of<F, T>(found: Vec<F>, whole: Whole<T>, keys: impl Fn(&F) -> Vec<String>) -> List<T> {
    let List { next_cursor, .. } = List::of(found, whole.covered, keys);
    List {
        items: whole.letters,
        next_cursor,
        total: None,
    }
}

/// A letter of the past, without what it kept.
#[derive(Deserialize)]
struct FoundPast {
    id: String,
    at_us: i64,
}

/// What became of dead letters, the latest first. It is kept for thirty days. A page ends early once there are about 4 MiB on it of what is
/// kept; written as JSON it may be more.
#[utoipa::path(get, path = "/letters/past", operation_id = "list_past_dead_letters", tag = "operators", params(Page),
    responses((status = 200, body = List<PastLetter>, description = "One page of them", headers(("Link" = String, description = "The next page, as `rel=\"next\"`")))))]
async fn past(
    State(clearing): State<Clearing>,
    Query(page): Query<Page>,
) -> Result<List<PastLetter>, Problem> {
    let limit = page.limit()?;
    let mut past = clearing.database.select(PAST).descending(&["at_us", "id"]);
    if let Some(last) = page.after(2)? {
        let [at_us, id] = last.as_slice() else {
            return Err(Problem::internal());
        };
        // A cursor that somebody made up begins at the beginning.
        let at_us: i64 = at_us.parse().unwrap_or(i64::MAX);
        past = past.before(vec![
            ("at_us", at_us.into()),
            ("id", Cell::from(id.as_str())),
        ]);
    }
    let found: Vec<FoundPast> = past.most(limit + 1).rows().await?;
    let ids = found.iter().map(|found| found.id.as_str());
    let ids: Vec<&str> = ids.take(limit).collect();
    let letter: fn(&PastLetter) -> &DeadLetter = |past| &past.letter;
    let whole = Whole::load(&clearing.database, DEAD_LETTER_PAST, &ids, letter).await?;
    Ok(page_of(found, whole, |found| {
        vec![found.at_us.to_string(), found.id.clone()]
    }))
}

/// One dead letter, whole.
#[utoipa::path(get, path = "/letters/{id}", operation_id = "get_dead_letter", tag = "operators",
    params(("id" = String, Path, description = "The letter's own id")),
    responses((status = 200, body = DeadLetter, description = "The letter"), (status = 404, description = "There is no such letter (any more)")))]
async fn show(
    State(clearing): State<Clearing>,
    Path(id): Path<String>,
) -> Result<Json<DeadLetter>, Problem> {
    let found: Option<DeadLetter> = clearing.find(DEAD_LETTER, &id).await?;
    found.map(Json).ok_or_else(|| unknown(&id))
}

/// What an operator says of a replay.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayLetter {
    /// Who wants it; nobody checks that.
    #[schema(max_length = 500)]
    by: Option<String>,
    /// Why it is to be heard now, in your own words.
    #[schema(max_length = 500)]
    why: Option<String>,
}

/// What an operator says of a letter that is to go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DiscardLetter {
    /// Who wants it; nobody checks that.
    #[schema(max_length = 500)]
    by: Option<String>,
    /// Why nobody needs it.
    #[schema(max_length = 500, pattern = r"\S")]
    why: String,
}

/// Has the message heard again that a letter keeps, and puts the letter away, both or neither. Asking again changes nothing.
#[utoipa::path(post, path = "/letters/{id}/replay", operation_id = "replay_dead_letter", tag = "operators", request_body = Option<ReplayLetter>,
    params(("id" = String, Path, description = "The letter's own id")),
    responses((status = 200, body = PastLetter, description = "What became of it"), (status = 404, description = "There is no such letter"),
        (status = 409, description = "It was discarded"), (status = 422, description = "What it keeps still cannot be read or applied; it stays"),
        (status = 503, description = "Others are being replayed")))]
async fn replay(
    State(clearing): State<Clearing>,
    Path(id): Path<String>,
    word: Option<Json<ReplayLetter>>,
) -> Result<Json<PastLetter>, Problem> {
    let word = word.map(|Json(word)| word).unwrap_or_default();
    let ReplayLetter { by, why } = word;
    clearing
        .one(Outcome::Replayed, id, Words::of(by, why)?)
        .await
}

/// Puts a letter away that nobody needs. Asking again changes nothing.
#[utoipa::path(post, path = "/letters/{id}/discard", operation_id = "discard_dead_letter", tag = "operators", request_body = DiscardLetter,
    params(("id" = String, Path, description = "The letter's own id")),
    responses((status = 200, body = PastLetter, description = "What became of it"), (status = 404, description = "There is no such letter"),
        (status = 409, description = "It was replayed"), (status = 422, description = "It does not say why")))]
async fn discard(
    State(clearing): State<Clearing>,
    Path(id): Path<String>,
    Json(DiscardLetter { by, why }): Json<DiscardLetter>,
) -> Result<Json<PastLetter>, Problem> {
    clearing
        .one(Outcome::Discarded, id, Words::because(by, why)?)
        .await
}

/// Which letters: `all`, or those that fit everything that is said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichLetters {
    /// Every one.
    #[serde(default)]
    pub(super) all: bool,
    /// Only those whose reason begins with this.
    pub(super) reason: Option<String>,
    /// Only those whose type begins with this.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

/// Letters to replay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayLetters {
    /// Which of them.
    which: WhichLetters,
    /// Only those behind this one: the `next` of the answer before.
    after: Option<String>,
    /// How many at most, 1 to 50; 50 when absent.
    #[serde(default, deserialize_with = "a_whole_number")]
    #[schema(value_type = Option<usize>, minimum = 1, maximum = 50)]
    limit: Option<i64>,
    /// Who wants it; nobody checks that.
    #[schema(max_length = 500)]
    by: Option<String>,
    /// Why it is to be heard now, in your own words.
    #[schema(max_length = 500)]
    why: Option<String>,
}

/// Letters to discard.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DiscardLetters {
    /// Which of them.
    which: WhichLetters,
    /// Only those behind this one: the `next` of the answer before.
    after: Option<String>,
    /// How many at most, 1 to 500; 500 when absent.
    #[serde(default, deserialize_with = "a_whole_number")]
    #[schema(value_type = Option<usize>, minimum = 1, maximum = 500)]
    limit: Option<i64>,
    /// Who wants it; nobody checks that.
    #[schema(max_length = 500)]
    by: Option<String>,
    /// Why nobody needs them.
    #[schema(max_length = 500, pattern = r"\S")]
    why: String,
}

/// Replays some letters, the oldest first; a letter that still cannot be read stays, and is named. Ask until `next` is null: about 4 MiB of
/// letters are replayed at a time.
#[utoipa::path(post, path = "/letters/replay", operation_id = "replay_dead_letters", tag = "operators", request_body = ReplayLetters,
    responses((status = 200, body = ClearedLetters, description = "What was done"), (status = 422, description = "It does not say which"),
        (status = 503, description = "Others are being replayed")))]
async fn replay_many(
    State(clearing): State<Clearing>,
    Json(asked): Json<ReplayLetters>,
) -> Result<Json<ClearedLetters>, Problem> {
    let ReplayLetters {
        which,
        after,
        limit,
        by,
        why,
    } = asked;
    let these = These::of(which, after, limit, REPLAYED_MAX)?;
    clearing
        .many(Outcome::Replayed, these, Words::of(by, why)?)
        .await
}

/// Discards some letters, the oldest first. Ask until `next` is null.
#[utoipa::path(post, path = "/letters/discard", operation_id = "discard_dead_letters", tag = "operators", request_body = DiscardLetters,
    responses((status = 200, body = ClearedLetters, description = "What was done"), (status = 422, description = "It does not say which or why")))]
async fn discard_many(
    State(clearing): State<Clearing>,
    Json(asked): Json<DiscardLetters>,
) -> Result<Json<ClearedLetters>, Problem> {
    let DiscardLetters {
        which,
        after,
        limit,
        by,
        why,
    } = asked;
    let these = These::of(which, after, limit, DISCARDED_MAX)?;
    clearing
        .many(Outcome::Discarded, these, Words::because(by, why)?)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_goes_meanwhile_does_not_end_the_list() {
        let next = |letters: &[&'static str], covered| {
            let letters = letters.to_vec();
            let found = vec!["a", "b", "c"];
            let page = page_of(found, Whole { letters, covered }, |id| vec![(*id).into()]);
            let cursor = page.next_cursor;
            let page = Page {
                limit: None,
                cursor,
            };
            page.after(1).ok().flatten().map(|keys| keys.concat())
        };
        // Two are asked for, and one more was found.
        assert_eq!(next(&["a", "b"], 2).as_deref(), Some("b"));
        assert_eq!(next(&["a"], 2).as_deref(), Some("b"), "the second went");
        assert_eq!(next(&[], 2).as_deref(), Some("b"), "both went");
        assert_eq!(next(&["a"], 1).as_deref(), Some("a"), "much is on the page");
        assert_eq!(next(&["a", "b"], 3), None, "no further one was found");
    }
}
