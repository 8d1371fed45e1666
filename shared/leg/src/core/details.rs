//! What most trades check of their details, so that all of them say it in the same words. A trade is free not to use it.

use choreography::Reason;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::de::DeserializeOwned;

/// Most that one leg of one trip takes of anything.
pub const QUANTITY_MAX: i64 = 500;

/// The details as the trade's own struct.
pub fn read<T: DeserializeOwned>(details: &str) -> Result<T, Reason> {
    serde_json::from_str(details).map_err(|e| Reason::new("unreadable-details", e.to_string()))
}

/// A piece of text that is part of a stock row's key: 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
pub fn key(field: &str, text: String) -> Result<String, Reason> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text);
    }
    Err(Reason::new(
        "unreadable-details",
        format!("{field} is 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'"),
    ))
}

/// How many, 1 to 500.
pub fn quantity(field: &str, quantity: i64) -> Result<i64, Reason> {
    if (1..=QUANTITY_MAX).contains(&quantity) {
        return Ok(quantity);
    }
    Err(Reason::new(
        "quantity",
        format!("{field} is 1 to {QUANTITY_MAX}, not {quantity}"),
    ))
}

/// A local calendar date that is not over. Somewhere it may still be yesterday's date, so that is allowed, seen from UTC.
pub fn not_past(field: &str, date: Date, now: Timestamp) -> Result<Date, Reason> {
    let today = TimeZone::UTC.to_datetime(now).date();
    if today.yesterday().is_ok_and(|yesterday| date < yesterday) {
        return Err(Reason::new(
            "past",
            format!("{field} {date} is in the past"),
        ));
    }
    Ok(date)
}
