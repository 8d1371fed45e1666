//! Form bodies as Stripe takes them: `metadata[trip]=…`, `expand[]=…`, `expand[0]=…`. Not JSON, and no nesting deeper than that.

use std::collections::BTreeMap;

use super::said::Said;

/// The fields of a request, in order.
#[derive(Clone, Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a body or a query.
    #[must_use]
    pub fn read(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// A field, where it is there and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rfind(|(it, _)| it == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A field that has to be there.
    ///
    /// # Errors
    /// As Stripe says that it is not.
    pub fn needed(&self, name: &str) -> Result<&str, Said> {
        self.get(name).ok_or_else(|| Said::missing(name))
    }

    /// A whole number, where it is there.
    ///
    /// # Errors
    /// As Stripe says that it is none.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Said> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            Said::request(&format!("Invalid integer: {text}"))
                .with("code", "parameter_invalid_integer")
                .with("param", name)
        })
    }

    /// The members of something like `metadata[…]`.
    #[must_use]
    pub fn map(&self, name: &str) -> BTreeMap<String, String> {
        let member = |(field, value): &(String, String)| {
            let inner = field
                .strip_prefix(name)?
                .strip_prefix('[')?
                .strip_suffix(']')?;
            Some((inner.to_owned(), value.clone()))
        };
        self.0.iter().filter_map(member).collect()
    }

    /// Whether something like `expand[]` names this.
    #[must_use]
    pub fn lists(&self, name: &str, what: &str) -> bool {
        self.map(name).is_empty() && self.get(name) == Some(what)
            || self.0.iter().any(|(field, value)| {
                field
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('['))
                    && value == what
            })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn fields_maps_and_lists_are_read() {
        let form = Form::read(b"amount=12300&currency=eur&metadata[trip]=a%20b&metadata%5Bposition%5D=2&expand[]=latest_charge&empty=");
        assert_eq!(form.number("amount").unwrap(), Some(12_300));
        assert_eq!(form.get("empty"), None);
        assert_eq!(form.map("metadata")["trip"], "a b");
        assert_eq!(form.map("metadata")["position"], "2");
        assert!(form.lists("expand", "latest_charge") && !form.lists("expand", "customer"));
        assert!(form.number("currency").is_err() && form.needed("nothing").is_err());
    }
}
