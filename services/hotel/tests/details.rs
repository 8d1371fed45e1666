//! What a hotel makes of its details: which stock they take, or why they cannot be taken.

use hotel::Hotel;
use leg::LegPolicy as _;

fn needs(details: &str) -> Result<Vec<(String, i64)>, String> {
    let now = "2026-12-01T00:30:00Z"
        .parse()
        .map_err(|e: jiff::Error| e.to_string())?;
    let holds = Hotel.needs(details, now).map_err(|reason| reason.code)?;
    Ok(holds
        .into_iter()
        .map(|hold| (hold.key.join(" "), hold.quantity))
        .collect())
}

fn stay(check_in: &str, check_out: &str, rooms: &str) -> String {
    format!(
        r#"{{"leg":"hotel","hotel":"LIS-PALACE","room_type":"double","check_in":"{check_in}","check_out":"{check_out}","rooms":{rooms},"view":1.50}}"#
    )
}

#[test]
fn every_night_from_check_in_to_the_day_before_check_out() {
    let night = |date: &str| (format!("LIS-PALACE double {date}"), 2);
    assert_eq!(
        needs(&stay("2026-12-30", "2027-01-02", "2")),
        Ok(vec![
            night("2026-12-30"),
            night("2026-12-31"),
            night("2027-01-01")
        ])
    );
    assert_eq!(
        needs(&stay("2028-02-29", "2028-03-01", "2")),
        Ok(vec![night("2028-02-29")])
    );
    assert_eq!(
        needs(&stay("9999-12-30", "9999-12-31", "2")),
        Ok(vec![night("9999-12-30")])
    );
}

#[test]
fn a_stay_has_1_to_60_nights() {
    assert_eq!(
        needs(&stay("2026-12-02", "2027-01-31", "1")).map(|nights| nights.len()),
        Ok(60)
    );
    for (check_in, check_out) in [
        ("2026-12-02", "2026-12-02"),
        ("2026-12-02", "2026-12-01"),
        ("2026-12-02", "2027-02-01"),
        ("2026-12-02", "9999-12-31"),
    ] {
        assert_eq!(
            needs(&stay(check_in, check_out, "1")),
            Err("nights".into()),
            "{check_in} to {check_out}"
        );
    }
}

#[test]
fn a_stay_begins_where_it_is_somewhere_today() {
    assert!(
        needs(&stay("2026-11-30", "2026-12-02", "1")).is_ok(),
        "in Honolulu it still is"
    );
    assert_eq!(
        needs(&stay("2026-11-29", "2026-12-02", "1")),
        Err("past".into())
    );
}

#[test]
fn what_cannot_be_read_or_accepted_is_a_reason() {
    let good = stay("2026-12-02", "2026-12-03", "1");
    assert!(needs(&good).is_ok());
    for rooms in ["0", "-1", "501"] {
        assert_eq!(
            needs(&stay("2026-12-02", "2026-12-03", rooms)),
            Err("quantity".into()),
            "{rooms}"
        );
    }
    let unreadable = [
        stay("2026-12-02", "soon", "1"),
        stay("2026-02-30", "2026-03-01", "1"),
        stay("2026-12-02", "2026-12-03", "1.5"),
        stay("2026-12-02", "2026-12-03", "\"one\""),
        good.replace("LIS-PALACE", ""),
        good.replace("LIS-PALACE", "../LIS"),
        good.replace("double", "double bed"),
        good.replace("double", &"d".repeat(65)),
        good.replace(r#""double""#, "2"),
        r#"{"leg":"hotel"}"#.into(),
    ];
    for details in unreadable {
        assert_eq!(
            needs(&details),
            Err("unreadable-details".into()),
            "{details}"
        );
    }
}
