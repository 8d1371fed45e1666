//! Dead letters as an operator asks for them: listed, shown, replayed, discarded, and their past.

use anyhow::Result;
use reqwest::Method;
use runtime::dead_letters::{ClearedLetters, DeadLetter, PastLetter};
use serde::Serialize;

use crate::{Client, Page};

/// What is done with letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clearing {
    /// What they keep is heard again.
    Replay,
    /// They are put away.
    Discard,
}

impl Clearing {
    fn path(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }
}

/// Which letters: all, or those that fit everything that is said.
#[derive(Debug, Clone, Serialize)]
pub struct Which {
    /// Every one.
    pub all: bool,
    /// Only those whose reason begins with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only those whose type begins with this.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Who wants it and why.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Words {
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why; a letter is discarded for a reason only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

#[derive(Serialize)]
struct Some<'a> {
    which: &'a Which,
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
    #[serde(flatten)]
    words: &'a Words,
}

impl Client {
    /// A service's dead letters, the oldest first.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn letters(&self, most: usize) -> Result<Vec<DeadLetter>> {
        Ok(self.list(&["letters"], &[], most, None).await?.items)
    }

    /// A service's newest dead letters, and how many there are. A service of an earlier version says neither.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn newest_letters(&self, most: usize) -> Result<Page<DeadLetter>> {
        let order = [("newest", "true"), ("total", "true")];
        self.list(&["letters"], &order, most, None).await
    }

    /// One dead letter, whole.
    ///
    /// # Errors
    /// When there is none, or the service does not answer.
    pub async fn letter(&self, id: &str) -> Result<DeadLetter> {
        self.get(&["letters", id], &[]).await
    }

    /// What became of a service's dead letters, the latest first.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn past_letters(&self, most: usize) -> Result<Vec<PastLetter>> {
        Ok(self
            .list(&["letters", "past"], &[], most, None)
            .await?
            .items)
    }

    /// Puts one letter away; asking again changes nothing.
    ///
    /// # Errors
    /// When there is none, it still cannot be read, or the service does not answer.
    pub async fn clear_letter(
        &self,
        clearing: Clearing,
        id: &str,
        words: &Words,
    ) -> Result<PastLetter> {
        let path = ["letters", id, clearing.path()];
        let request = self.request(Method::POST, &path, &[])?;
        self.ask(request.json(words)).await
    }

    /// Puts some letters away, at most so many, behind where the answer before ended.
    ///
    /// # Errors
    /// When the service does not answer.
    pub async fn clear_letters(
        &self,
        clearing: Clearing,
        which: &Which,
        words: &Words,
        limit: usize,
        after: Option<&str>,
    ) -> Result<ClearedLetters> {
        let request = self.request(Method::POST, &["letters", clearing.path()], &[])?;
        let some = Some {
            which,
            limit,
            after,
            words,
        };
        self.ask(request.json(&some)).await
    }
}
