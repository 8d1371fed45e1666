//! What several runs say together: the middle one, and how far apart they lie. Not a test of significance.

use serde::Serialize;

/// The median of several figures, with the smallest and the largest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The one in the middle; of an even number, the mean of the two there.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of these figures; None when there are none.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut all: Vec<f64> = figures.into_iter().collect();
        all.sort_by(f64::total_cmp);
        let (min, max) = (*all.first()?, *all.last()?);
        let upper = *all.get(all.len() / 2)?;
        let median = match all.len() % 2 {
            0 => (upper + all.get(all.len() / 2 - 1)?) / 2.0,
            _ => upper,
        };
        Some(Self { median, min, max })
    }

    /// As `median [min–max]`, or the one figure that there is; with so many places.
    #[must_use]
    pub fn told(&self, places: usize) -> String {
        let Self { median, min, max } = self;
        if min.to_bits() == max.to_bits() {
            return format!("{median:.places$}");
        }
        format!("{median:.places$} [{min:.places$}–{max:.places$}]")
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_middle_and_both_ends() {
        let spread = |median, min, max| Some(Spread { median, min, max });
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0]), spread(3.0, 3.0, 3.0));
        assert_eq!(Spread::of([9.0, 1.0, 2.0]), spread(2.0, 1.0, 9.0));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]), spread(3.0, 1.0, 9.0));
    }

    #[test]
    fn one_run_has_no_spread_to_tell() {
        let told = |figures: &[f64]| Spread::of(figures.iter().copied()).map(|s| s.told(1));
        assert_eq!(told(&[2.04]).as_deref(), Some("2.0"));
        assert_eq!(told(&[1.0, 2.0, 4.0]).as_deref(), Some("2.0 [1.0–4.0]"));
    }
}
