//! What people type, as values: `2m`, `900EUR`, `tomorrow`, `@FILE`.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use choreography::{Currency, Money};
pub(crate) use client::http::text;
use inspect::audit::Part;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use stack::DatabaseChoice;

/// Databases that were named together.
#[derive(Debug, Clone)]
pub(crate) struct Databases(pub(crate) Vec<Part>);

/// What [`DatabaseChoice`] reads, or `@FILE` with it.
pub(crate) fn database(given: &str) -> Result<DatabaseChoice> {
    match text(given)?.as_str() {
        // A variable that is set to nothing is not set.
        "" => Ok(DatabaseChoice::Sqlite),
        text => text.parse().map_err(anyhow::Error::msg),
    }
}

/// One database or several, after commas or on lines of their own, or `@FILE` with them.
pub(crate) fn databases(given: &str) -> Result<Databases> {
    let text = text(given)?;
    let mut each: Vec<String> = Vec::new();
    for line in text.lines() {
        for (at, part) in line.split(',').enumerate() {
            // A comma may be part of a password or of a path: what has no scheme goes on with what stands before it.
            let begins = at == 0 || part.contains("://") || part.contains("sqlite:");
            match each.last_mut().filter(|_| !begins) {
                Some(last) => *last = format!("{last},{part}"),
                None => each.push(part.to_owned()),
            }
        }
    }
    let each = each.iter().map(|one| one.trim());
    let parts = each
        .filter(|one| !one.is_empty())
        .map(str::parse)
        .collect::<Result<_>>()?;
    Ok(Databases(parts))
}

/// `flight=RT100`.
pub(crate) fn pair(given: &str) -> Result<(String, String)> {
    match given.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => bail!("give a column and a value, such as flight=RT100"),
    }
}

/// `2m`, `90s`, `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let wrong = || anyhow!("{text:?} is not a time such as 90s, 2m or 1h");
    let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(duration).map_err(|_| wrong())
}

/// `900EUR`, `900.50 EUR`: in the currency's larger unit, as prices are written.
pub(crate) fn money(text: &str) -> Result<Money> {
    let at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (amount, code) = text.split_at(at);
    let Some(currency) = Currency::from_code(&code.to_ascii_uppercase()) else {
        bail!(
            "{text:?} is not an amount such as 900EUR: the currency is missing or not one of ISO 4217"
        );
    };
    let places = usize::from(currency.exponent().unwrap_or(0));
    let (whole, part) = amount.trim().split_once('.').unwrap_or((amount.trim(), ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > places {
        bail!(
            "{text:?} is not an amount such as 900EUR; {code} has {places} places behind the point"
        );
    }
    let minor = format!("{whole}{part:0<places$}");
    let minor = minor
        .parse()
        .map_err(|_| anyhow!("{text:?} is more than anything costs"))?;
    Ok(Money::new(minor, currency))
}

/// `2026-12-01`, `today`, `tomorrow`, or so many days from now: `+7`.
pub(crate) fn date(text: &str) -> Result<Date> {
    let today = || Timestamp::now().to_zoned(TimeZone::system()).date();
    let days = match text {
        "today" => 0,
        "tomorrow" => 1,
        _ => match text.strip_prefix('+') {
            Some(days) => days.parse::<i32>().map_err(|_| no_date(text))?,
            None => return text.parse().map_err(|_| no_date(text)),
        },
    };
    let distance = Span::new().try_days(days).map_err(|_| no_date(text))?;
    today().checked_add(distance).map_err(|_| no_date(text))
}

fn no_date(text: &str) -> anyhow::Error {
    anyhow!("{text:?} is not a date such as 2026-12-01, tomorrow or +7")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn several_databases_at_once_and_what_stands_in_a_file() {
        let urls = |given: &str| -> Vec<String> {
            let parts = databases(given).unwrap().0.into_iter();
            parts.map(|part| part.url).collect()
        };
        let (one, two) = ("sqlite://a,b.db", "postgres://me:x,y@host:5432/c");
        assert_eq!(urls(one), [one]);
        assert_eq!(urls(&format!("{one},car={two}")), [one, two]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("car={two}\n{one}\n")).unwrap();
        let named = format!("@{}", file.path().display());
        assert_eq!(urls(&named), [two, one]);
        assert!(
            databases("@nowhere")
                .unwrap_err()
                .to_string()
                .contains("nowhere")
        );
        std::fs::write(file.path(), "postgres\n").unwrap();
        assert_eq!(database(&named).unwrap(), DatabaseChoice::Local);
    }

    #[test]
    fn durations() {
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        assert_eq!(duration("1h 30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        for wrong in ["", "2", "-2m", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn amounts_in_the_larger_unit() {
        let minor = |text: &str| money(text).map(|money| money.to_string()).ok();
        assert_eq!(minor("900EUR").as_deref(), Some("900.00 EUR"));
        assert_eq!(minor("900.5 eur").as_deref(), Some("900.50 EUR"));
        assert_eq!(minor("1200JPY").as_deref(), Some("1200 JPY"));
        for wrong in [
            "900",
            "EUR",
            "9.005EUR",
            "1.5JPY",
            "-3EUR",
            "900XXY",
            "9e9EUR",
            "99999999999999999999EUR",
        ] {
            assert_eq!(minor(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn dates_by_name_and_by_distance() {
        assert_eq!(date("2026-12-01").unwrap().to_string(), "2026-12-01");
        assert_eq!(date("+1").unwrap(), date("tomorrow").unwrap());
        assert_eq!(date("+0").unwrap(), date("today").unwrap());
        for wrong in ["", "+", "2026-02-30", "+99999999", "someday"] {
            assert!(date(wrong).is_err(), "{wrong}");
        }
    }
}
