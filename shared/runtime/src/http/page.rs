//! Lists that are read page by page: how much, from where on, and how to go on.
//!
//! A cursor holds the keys of the last item seen, so that a page costs the same at any depth and nothing is skipped or seen twice when
//! the list changes in between. It is opaque to the caller, not secret: it is neither signed nor encrypted.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;

/// So far a list is counted, over all its pages; it stands for as many or more.
pub const TOTAL_MAX: usize = 10_000;

/// The query parameters of every list. Take it as `Query<Page>`, beside a `Query` of the list's own filters.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// How many items at most, 1 to 1000; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before this one; absent for the first page.
    #[param(pattern = "^([0-9a-f]{2})+$")]
    pub cursor: Option<String>,
}

impl Page {
    /// How many items the caller wants. Load one more than this, so that [`List::of`] can tell whether there is a next page.
    ///
    /// # Errors
    /// 400 when it is out of range.
    pub fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            let detail = format!("`limit` is {limit}; give a number from 1 to {MAX_LIMIT}.");
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "limit",
                "Limit out of range",
                detail,
            ));
        }
        Ok(limit as usize)
    }

    /// The keys of the last item that the caller has seen, so many of them; `None` on the first page.
    ///
    /// # Errors
    /// 400 when the cursor is not one of this list.
    pub fn after(&self, keys: usize) -> Result<Option<Vec<String>>, Problem> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let found = decode(cursor).filter(|found| found.len() == keys);
        found.map(Some).ok_or_else(|| {
            let detail = "`cursor` is not from this list; pass on the `next_cursor` of the page before, or leave it out to begin anew.";
            Problem::new(StatusCode::BAD_REQUEST, "cursor", "Unusable cursor", detail)
        })
    }
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// What to pass as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
    /// How many there are over all pages, where a list counts them and was asked to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
}

impl<T> List<T> {
    /// Makes a page of `limit` items from up to `limit + 1` loaded ones; `keys` names an item as the query's `after` reads it.
    /// ```
    /// use runtime::http::{List, Page};
    ///
    /// let first = List::of(vec![3, 5, 8], 2, |item: &i32| vec![item.to_string()]);
    /// assert_eq!(first.items, [3, 5]);
    /// let next = Page { limit: Some(2), cursor: first.next_cursor };
    /// assert_eq!(next.after(1).unwrap(), Some(vec!["5".to_owned()]));
    /// assert!(next.after(2).is_err(), "a cursor of another list");
    /// ```
    pub fn of(mut items: Vec<T>, limit: usize, keys: impl Fn(&T) -> Vec<String>) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = if more {
            items.last().map(|last| encode(&keys(last)))
        } else {
            None
        };
        Self {
            items,
            next_cursor,
            total: None,
        }
    }
}

/// Answered as JSON; a next page also as a header `Link` (RFC 8288), which the shell makes, since it knows the request's query.
impl<T: Serialize> IntoResponse for List<T> {
    fn into_response(self) -> Response {
        let next = self.next_cursor.clone().map(NextCursor);
        let mut response = axum::Json(self).into_response();
        if let Some(next) = next {
            response.extensions_mut().insert(next);
        }
        response
    }
}

/// The cursor of the next page, for the shell.
#[derive(Clone)]
pub(super) struct NextCursor(String);

impl NextCursor {
    /// Where the next page is: this one, from there on.
    pub(super) fn link(&self, path: &str, query: Option<&str>) -> String {
        let query = query.unwrap_or_default().split('&');
        let others = query.filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
        let others: String = others.map(|pair| format!("{pair}&")).collect();
        format!("<{path}?{others}cursor={}>; rel=\"next\"", self.0)
    }
}

/// Hex of a JSON list: nothing in it needs escaping in a URL, and nobody is tempted to put one together by hand.
fn encode(keys: &[String]) -> String {
    let json = serde_json::Value::from(keys).to_string();
    json.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(cursor: &str) -> Option<Vec<String>> {
    let digit = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (pairs, []) = cursor.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let json: Option<Vec<u8>> = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect();
    let keys: Vec<String> = serde_json::from_slice(&json?).ok()?;
    // No key has a NUL in it, and PostgreSQL would not take one.
    keys.iter().all(|key| !key.contains('\0')).then_some(keys)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn page(limit: Option<u32>, cursor: Option<&str>) -> Page {
        Page {
            limit,
            cursor: cursor.map(str::to_owned),
        }
    }

    #[test]
    fn limits() {
        assert_eq!(page(None, None).limit().unwrap(), 100);
        assert_eq!(page(Some(1), None).limit().unwrap(), 1);
        assert_eq!(page(Some(1000), None).limit().unwrap(), 1000);
        assert_eq!(
            page(Some(0), None).limit().unwrap_err().status(),
            StatusCode::BAD_REQUEST
        );
        assert_eq!(
            page(Some(1001), None).limit().unwrap_err().status(),
            StatusCode::BAD_REQUEST
        );
    }

    #[test]
    fn a_cursor_leads_on_until_the_last_page() {
        let keys = |n: &i32| vec!["a \"b\" é".to_owned(), n.to_string()];
        let list = List::of(vec![1, 2, 3], 2, keys);
        assert_eq!(list.items, [1, 2]);
        let cursor = list.next_cursor.unwrap();
        assert!(cursor.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(
            page(None, Some(&cursor)).after(2).unwrap().unwrap(),
            ["a \"b\" é", "2"]
        );
        assert!(List::of(vec![1, 2], 2, keys).next_cursor.is_none());
        assert!(List::of(Vec::<i32>::new(), 2, keys).next_cursor.is_none());
    }

    #[test]
    fn foreign_cursors_are_refused() {
        assert!(page(None, None).after(1).unwrap().is_none());
        let two = encode(&["a".to_owned(), "b".to_owned()]);
        let nul = encode(&["a\0".to_owned()]);
        for cursor in [
            "",
            "0",
            "zz",
            "5b5d",
            "5b315d",
            "é",
            "😀",
            "5b",
            two.as_str(),
            nul.as_str(),
        ] {
            let problem = page(None, Some(cursor)).after(1).unwrap_err();
            assert_eq!(
                (problem.status(), problem.kind()),
                (StatusCode::BAD_REQUEST, "cursor"),
                "{cursor}"
            );
        }
    }
}
