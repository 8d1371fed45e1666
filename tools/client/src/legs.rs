//! What an operator says of legs: retired, restored. Not what a traveller sees of them.

use anyhow::Result;
use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::{Client, Leg};

/// That an operator has retired a leg.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Retired {
    /// Since when.
    pub since: Timestamp,
    /// The operator's word.
    pub reason: String,
}

impl Client {
    /// Every leg that has joined, those that were retired among them.
    ///
    /// # Errors
    /// When booking does not answer.
    pub async fn all_legs(&self) -> Result<Vec<Leg>> {
        self.get(&["legs"], &[("all", "true")]).await
    }

    /// Has no new trip taken with a leg.
    ///
    /// # Errors
    /// When no such leg has joined, or booking does not answer.
    pub async fn retire(&self, leg: &str, reason: &str) -> Result<Leg> {
        let request = self.request(Method::POST, &["legs", leg, "retire"], &[])?;
        self.ask(request.json(&serde_json::json!({ "reason": reason })))
            .await
    }

    /// Has trips with a retired leg taken again.
    ///
    /// # Errors
    /// As [`Client::retire`].
    pub async fn restore(&self, leg: &str) -> Result<Leg> {
        self.ask(self.request(Method::POST, &["legs", leg, "restore"], &[])?)
            .await
    }
}
