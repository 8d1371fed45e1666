//! How long things took, as a distribution. Not how it was measured.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Two minutes: longer than any request may take.
const MOST_US: u64 = 120_000_000;
/// Where the curve is looked at, if there are enough values to say so.
const QUANTILES: [f64; 20] = [
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99, 0.995, 0.9975,
    0.999, 0.9995, 0.999_9, 1.0,
];

/// Times that are still being gathered, in microseconds with three digits.
#[derive(Debug, Clone)]
pub struct Taken(Histogram<u32>);

impl Taken {
    /// Without any.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, MOST_US, 3)?))
    }

    /// One more.
    pub fn record(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(MOST_US);
        self.0.saturating_record(us);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What they come to; None when there are none.
    #[must_use]
    pub fn distribution(&self) -> Option<Distribution> {
        if self.is_empty() {
            return None;
        }
        let count = self.len();
        let ms = |quantile| to_ms(self.0.value_at_quantile(quantile));
        // Beyond that, a quantile would be the largest value under another name.
        let known = |quantile: &f64| *quantile >= 1.0 || (1.0 - quantile) * count as f64 >= 1.0;
        let rare = |quantile| known(&quantile).then(|| ms(quantile));
        let known = QUANTILES.into_iter().filter(known);
        Some(Distribution {
            count,
            mean_ms: round(self.0.mean() / 1e3),
            p50_ms: ms(0.50),
            p90_ms: ms(0.90),
            p95_ms: ms(0.95),
            p99_ms: rare(0.99),
            p99_9_ms: rare(0.999),
            max_ms: to_ms(self.0.max()),
            curve: known
                .map(|quantile| Point {
                    quantile,
                    ms: ms(quantile),
                })
                .collect(),
        })
    }
}

/// What many times come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distribution {
    /// Over so many values.
    pub count: u64,
    /// The mean.
    pub mean_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// One in ten took longer.
    pub p90_ms: f64,
    /// One in twenty took longer.
    pub p95_ms: f64,
    /// One in a hundred took longer; null of fewer than a hundred.
    pub p99_ms: Option<f64>,
    /// One in a thousand took longer; null of fewer than a thousand.
    pub p99_9_ms: Option<f64>,
    /// The longest.
    pub max_ms: f64,
    /// All of it, to be drawn.
    pub curve: Vec<Point>,
}

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// So large a part took no longer: 0 to 1.
    pub quantile: f64,
    /// The longest of that part.
    pub ms: f64,
}

fn to_ms(us: u64) -> f64 {
    round(us as f64 / 1e3)
}

/// To hundredths: what is behind them says nothing.
pub(crate) fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_distribution_says_how_long_it_took_and_no_more_than_it_knows() {
        let mut taken = Taken::new().unwrap();
        assert_eq!(taken.distribution(), None);
        for ms in 1..=100 {
            taken.record(Duration::from_millis(ms));
        }
        let told = taken.distribution().unwrap();
        assert_eq!(told.count, 100);
        assert!((told.p50_ms - 50.0).abs() < 0.1, "{told:?}");
        assert!((told.p99_ms.unwrap() - 99.0).abs() < 0.1, "{told:?}");
        assert_eq!(told.p99_9_ms, None);
        assert!((told.max_ms - 100.0).abs() < 0.1, "{told:?}");
        // Of a hundred values nobody knows the thousandth.
        let points: Vec<f64> = told.curve.iter().map(|point| point.quantile).collect();
        assert!(
            points.contains(&0.99) && !points.contains(&0.995),
            "{points:?}"
        );
        assert_eq!(points.last(), Some(&1.0));
    }

    #[test]
    fn of_few_values_the_rare_ones_are_not_known() {
        let told = |count: u64| {
            let mut taken = Taken::new().unwrap();
            (1..=count).for_each(|ms| taken.record(Duration::from_millis(ms)));
            let told = taken.distribution().unwrap();
            [told.p99_ms.is_some(), told.p99_9_ms.is_some()]
        };
        assert_eq!(told(99), [false, false]);
        assert_eq!(told(100), [true, false]);
        assert_eq!(told(999), [true, false]);
        assert_eq!(told(1_000), [true, true]);
    }

    #[test]
    fn what_takes_longer_than_is_told_apart_is_as_long_as_that() {
        let mut taken = Taken::new().unwrap();
        taken.record(Duration::from_millis(1));
        taken.record(Duration::from_secs(500));
        assert_eq!(taken.len(), 2);
        let max_ms = taken.distribution().unwrap().max_ms;
        assert!((119_000.0..121_000.0).contains(&max_ms), "{max_ms}");
    }
}
