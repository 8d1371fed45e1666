//! What most trades check of their details, in the words that all of them share.

use super::*;
use jiff::civil::date;

fn code<T>(checked: Result<T, Reason>) -> Result<T, String> {
    checked.map_err(|reason| reason.code)
}

#[test]
fn a_key_is_a_short_plain_text() {
    for good in ["RT100", "a.B_c-9", "0", &"x".repeat(64)] {
        assert_eq!(details::key("flight", good.into()), Ok(good.into()));
    }
    for bad in ["", "RT 100", "../RT", "RT100\0", "Zürich", &"x".repeat(65)] {
        let reason = details::key("flight", bad.into()).unwrap_err();
        assert_eq!(reason.code, "unreadable-details");
        assert!(
            reason.message.starts_with("flight is "),
            "{}",
            reason.message
        );
    }
}

#[test]
fn a_quantity_is_1_to_500() {
    for good in [1, 2, 500] {
        assert_eq!(details::quantity("rooms", good), Ok(good));
    }
    for bad in [i64::MIN, -1, 0, 501] {
        let reason = details::quantity("rooms", bad).unwrap_err();
        assert_eq!(
            (reason.code.as_str(), reason.message),
            ("quantity", format!("rooms is 1 to 500, not {bad}"))
        );
    }
}

/// A date is local to where it is: what is yesterday in UTC may be today there, and what is the day before may not.
#[test]
fn a_date_is_past_when_it_is_nowhere_today() {
    let now = "2026-12-01T00:30:00Z".parse().unwrap();
    let not_past = |date| code(details::not_past("check_in", date, now));
    for good in [date(2026, 11, 30), date(2026, 12, 1), date(9999, 12, 31)] {
        assert_eq!(not_past(good), Ok(good));
    }
    for bad in [date(2026, 11, 29), date(-9999, 1, 1)] {
        assert_eq!(not_past(bad), Err("past".into()));
    }
}

#[test]
fn what_does_not_read_as_the_trades_details_is_a_reason() {
    assert_eq!(code(details::read::<i64>("7")), Ok(7));
    assert_eq!(
        code(details::read::<i64>("seven")),
        Err("unreadable-details".into())
    );
}
