//! Money in minor units with its currency. No rates, no rounding, no floats: sums of different currencies stay apart.

use std::fmt;

use iso_currency::Currency;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// An amount in the currency's smallest unit (cents for EUR, yen for JPY). On the wire `{"amount_minor":12300,"currency":"EUR"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// How many of the smallest unit.
    pub amount_minor: i64,
    /// ISO 4217, by its three letters.
    #[serde(serialize_with = "write_currency", deserialize_with = "read_currency")]
    pub currency: Currency,
}

impl Money {
    /// So much of that currency.
    pub fn new(amount_minor: i64, currency: Currency) -> Self {
        Self {
            amount_minor,
            currency,
        }
    }

    /// The sum, when both are of one currency and it fits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        Some(Self::new(
            self.amount_minor.checked_add(other.amount_minor)?,
            self.currency,
        ))
    }

    /// The price of `quantity` of them, when it fits.
    pub fn checked_mul(self, quantity: i64) -> Option<Self> {
        Some(Self::new(
            self.amount_minor.checked_mul(quantity)?,
            self.currency,
        ))
    }

    /// Adds to a running total: one sum per currency, sorted by code. `None` when a sum does not fit.
    pub fn add_to(self, total: &[Money]) -> Option<Vec<Money>> {
        let mut sums = total.to_vec();
        match sums.iter_mut().find(|sum| sum.currency == self.currency) {
            Some(sum) => *sum = sum.checked_add(self)?,
            None => sums.push(self),
        }
        sums.sort_by_key(|sum| sum.currency.code());
        Some(sums)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = usize::from(self.currency.exponent().unwrap_or(0));
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let digits = format!(
            "{:0width$}",
            self.amount_minor.unsigned_abs(),
            width = places + 1
        );
        let (whole, part) = digits.split_at(digits.len() - places);
        let point = if places == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{point}{part} {}", self.currency.code())
    }
}

fn write_currency<S: Serializer>(currency: &Currency, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(currency.code())
}

fn read_currency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
    let code = String::deserialize(deserializer)?;
    Currency::from_code(&code)
        .ok_or_else(|| D::Error::custom(format!("{code:?} is not an ISO 4217 currency code")))
}
