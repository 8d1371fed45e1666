//! What a flight makes of its details: which stock they take, or why they cannot be taken.

use flight::Flight;
use leg::LegPolicy as _;

fn needs(details: &str) -> Result<Vec<(String, i64)>, String> {
    let now = "2026-12-01T00:30:00Z"
        .parse()
        .map_err(|e: jiff::Error| e.to_string())?;
    let holds = Flight.needs(details, now).map_err(|reason| reason.code)?;
    Ok(holds
        .into_iter()
        .map(|hold| (hold.key.join(" "), hold.quantity))
        .collect())
}

fn leg(flight: &str, date: &str, seats: &str) -> String {
    format!(
        r#"{{"leg":"flight","flight":{flight},"date":{date},"seats":{seats},"meal":["vegan"]}}"#
    )
}

#[test]
fn seats_on_one_flight_on_one_date() {
    let one = |key: &str, quantity| Ok(vec![(key.to_string(), quantity)]);
    assert_eq!(
        needs(&leg(r#""RT100""#, r#""2026-12-24""#, "2")),
        one("RT100 2026-12-24", 2)
    );
    assert_eq!(
        needs(&leg(r#""a.B_c-9""#, r#""2026-12-24""#, "500")),
        one("a.B_c-9 2026-12-24", 500)
    );
}

#[test]
fn a_date_is_past_when_it_is_nowhere_today() {
    let on = |date: &str| needs(&leg(r#""RT100""#, date, "1"));
    assert!(on(r#""2026-12-01""#).is_ok());
    assert!(on(r#""2026-11-30""#).is_ok(), "in Honolulu it still is");
    assert_eq!(on(r#""2026-11-29""#), Err("past".into()));
    assert_eq!(on(r#""-009999-01-01""#), Err("past".into()));
    assert!(on(r#""9999-12-31""#).is_ok());
}

#[test]
fn what_cannot_be_read_or_accepted_is_a_reason() {
    let (flight, date) = (r#""RT100""#, r#""2026-12-24""#);
    for seats in ["0", "-1", "501", "9223372036854775807"] {
        assert_eq!(
            needs(&leg(flight, date, seats)),
            Err("quantity".into()),
            "{seats}"
        );
    }
    let long = format!("\"{}\"", "x".repeat(65));
    let unreadable = [
        leg(flight, date, "1.5"),
        leg(flight, date, "1e30"),
        leg(flight, date, "\"2\""),
        leg(flight, date, "null"),
        leg(flight, r#""2026-02-30""#, "1"),
        leg(flight, r#""tomorrow""#, "1"),
        leg(flight, "20261224", "1"),
        leg(r#""""#, date, "1"),
        leg(r#""RT 100""#, date, "1"),
        leg(r#""RT100\u0000""#, date, "1"),
        leg(r#""Zürich""#, date, "1"),
        leg(&long, date, "1"),
        leg("100", date, "1"),
        r#"{"leg":"flight"}"#.into(),
        "".into(),
        "{".into(),
    ];
    for details in unreadable {
        assert_eq!(
            needs(&details),
            Err("unreadable-details".into()),
            "{details}"
        );
    }
}
