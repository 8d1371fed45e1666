//! The statements of a trip as text. They go as one message each (PostgreSQL's simple protocol), which has no parameters: so values are
//! written into them here, and nowhere else, as literals.

use crate::trip::{Leg, Site, Trip};

/// A text as a literal, whatever is in it. Right while `standard_conforming_strings` is on, which every connection asks for.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Begins, takes all that the trip wants at this database, and prepares that: one message, one answer. Whatever the database refuses, it does
/// not go on to prepare.
pub(super) fn prepare(trip: &Trip, site: Site, gid: &str) -> String {
    let mut text = String::from("begin;");
    for (position, leg) in trip.legs.iter().enumerate() {
        if leg.site() == site {
            text += &take(trip, position, leg);
        }
    }
    text + &format!("prepare transaction {}", literal(gid))
}

fn take(trip: &Trip, position: usize, leg: &Leg) -> String {
    let trip = trip.id;
    match leg {
        Leg::Flight {
            flight,
            date,
            seats,
        } => format!(
            "select two_phase.take_seats('{trip}', {position}, {}, '{date}', {seats});",
            literal(flight)
        ),
        Leg::Hotel {
            hotel,
            room_type,
            rooms,
            ..
        } => {
            let nights: Vec<String> = leg.nights().iter().map(|n| format!("'{n}'")).collect();
            format!(
                "select two_phase.take_rooms('{trip}', {position}, {}, {}, array[{}], {rooms});",
                literal(hotel),
                literal(room_type),
                nights.join(",")
            )
        }
    }
}

/// Ends what was prepared under that name, either way. Each stands alone in its message: the server allows no more.
pub(super) fn end(gid: &str, commit: bool) -> String {
    let how = if commit { "commit" } else { "rollback" };
    format!("{how} prepared {}", literal(gid))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_asked_for_stays_a_value() {
        assert_eq!(literal("a'); drop table x; --"), "'a''); drop table x; --'");
        let body =
            r#"{"itinerary":[{"leg":"flight","flight":"B'1","date":"2039-06-03","seats":2}]}"#;
        let trip = Trip::read(body.as_bytes()).unwrap();
        let expected = format!(
            "begin;select two_phase.take_seats('{}', 0, 'B''1', '2039-06-03', 2);prepare transaction 'g'",
            trip.id
        );
        assert_eq!(prepare(&trip, Site::Flight, "g"), expected);
        assert_eq!(
            prepare(&trip, Site::Hotel, "g"),
            "begin;prepare transaction 'g'"
        );
    }
}
