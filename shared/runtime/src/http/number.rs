//! Whole numbers as JSON has them: `5.0` is 5, for JSON Schema has one kind of numbers. What a number means is the handler's to judge.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

/// So far every whole number can be written with a point. Beyond it is not said which one is meant.
const EXACT: f64 = (1_u64 << 53) as f64;

/// The whole number that is written, with a point or without; none where it is none of 64 bits.
/// ```
/// # use runtime::http::whole_number;
/// let read = |text: &str| whole_number(&serde_json::from_str(text).unwrap());
/// assert_eq!((read("5"), read("5.0"), read("5e2")), (Some(5), Some(5), Some(500)));
/// assert_eq!((read("5.5"), read("1e300")), (None, None));
/// ```
#[must_use]
pub fn whole_number(number: &Number) -> Option<i64> {
    let float = number.as_f64();
    let float = float.filter(|float| float.fract() == 0.0 && float.abs() <= EXACT);
    number.as_i64().or(float.map(|float| float as i64))
}

/// A field that may be left out, for serde's `deserialize_with`.
///
/// # Errors
/// When it is there and no whole number.
pub fn a_whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let no = || D::Error::custom(format!("{number} is not a whole number of 64 bits"));
    whole_number(&number).map(Some).ok_or_else(no)
}
