//! What a leg has to sell, whatever it sells: its own document says where its inventory is and what tells a row from another. Not what a
//! row means to a trip.

use anyhow::{Result, bail};
use choreography::Money;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::paint::visible;
use crate::{Client, Page};

/// Where a leg's inventory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// Its path, such as `flights`.
    pub path: String,
    /// What tells its rows apart, in order, such as `flight` and `date`.
    pub key: Vec<String>,
}

/// One row of it.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Row {
    /// All of them.
    pub total: i64,
    /// For trips that are not decided yet.
    pub held: i64,
    /// Firm.
    pub confirmed: i64,
    /// Left.
    pub free: i64,
    /// What one costs today.
    pub price: Money,
    /// What tells it from others.
    #[serde(flatten)]
    pub key: Map<String, Value>,
}

impl Inventory {
    /// The list beside which a CSV is imported, and the one row below it.
    fn of(document: &Value) -> Option<Self> {
        let paths = document.get("paths")?.as_object()?;
        let path = paths
            .keys()
            .find_map(|path| path.strip_prefix('/')?.strip_suffix("/import"))?;
        let row = paths
            .keys()
            .find_map(|one| one.strip_prefix(&format!("/{path}/{{"))?.strip_suffix('}'))?;
        Some(Self {
            path: path.to_owned(),
            key: row.split("}/{").map(str::to_owned).collect(),
        })
    }
}

impl Client {
    /// Where this service's inventory is; none when it has none.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn inventory(&self) -> Result<Option<Inventory>> {
        Ok(Inventory::of(&self.get(&["openapi.json"], &[]).await?))
    }

    /// Rows of it, by their key, at most so many, from where the cursor stands; only those with these values in their key.
    ///
    /// # Errors
    /// When it has no such key, or the service does not answer.
    pub async fn rows(
        &self,
        of: &Inventory,
        only: &[(String, String)],
        most: usize,
        after: Option<String>,
    ) -> Result<Page<Row>> {
        if let Some((name, _)) = only.iter().find(|(name, _)| !of.key.contains(name)) {
            bail!(
                "there is no {name:?} in this inventory; there are {}",
                visible(&of.key.join(", "))
            );
        }
        let only = only
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let filter: Vec<(&str, &str)> = only.chain([("total", "true")]).collect();
        self.list(&[&of.path], &filter, most, after).await
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::Inventory;

    #[test]
    fn a_document_says_where_the_inventory_is_and_how_its_rows_are_told_apart() {
        let paths = json!({"/letters": {}, "/garage": {}, "/garage/import": {}, "/garage/{model}/{day}": {}});
        let found = Inventory::of(&json!({ "paths": paths })).unwrap();
        assert_eq!(found.path, "garage");
        assert_eq!(found.key, ["model", "day"]);
        assert_eq!(Inventory::of(&json!({"paths": {"/bookings": {}}})), None);
        assert_eq!(Inventory::of(&json!([])), None);
    }
}
