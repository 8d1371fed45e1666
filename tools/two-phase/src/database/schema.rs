//! The rival's tables, in a schema of their own beside those of the services, and the same stock as theirs. Made anew by whoever measures
//! or tests: they are nobody's data.
//!
//! Seats and rooms are taken by a function at each database, so that a trip's part is one statement, planned once for each connection. A
//! row counts what is taken at once and not what is held: what is prepared nobody else sees, and nobody else can change.

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::settings::Databases;

const BOOKING: &str = "
create table two_phase.trip (
    trip        uuid   primary key,
    state       text   not null check (state in ('confirmed', 'aborted')),
    itinerary   text   not null,
    legs        bigint not null,
    price_minor bigint not null,
    decided_at  timestamptz not null default now()
);";

/// What both participants keep of a trip: what the audit adds up.
const PART: &str = "
create table two_phase.part (
    trip        uuid   not null,
    position    bigint not null,
    item        text   not null,
    units       bigint not null,
    price_minor bigint not null,
    primary key (trip, position)
);";

const FLIGHT: &str = "
create table two_phase.stock (
    flight text not null, date text not null, total bigint not null, taken bigint not null default 0,
    price_minor bigint not null,
    primary key (flight, date), check (taken between 0 and total)
) with (fillfactor = 50);
insert into two_phase.stock (flight, date, total, price_minor) select flight, date, total, price_minor from seat;
create function two_phase.take_seats(the_trip uuid, place bigint, the_flight text, the_date text, seats bigint)
returns bigint language plpgsql as $$
declare price bigint;
begin
    update two_phase.stock set taken = taken + seats
     where flight = the_flight and date = the_date and total - taken >= seats
     returning price_minor * seats into price;
    if price is null then
        raise exception using errcode = 'RT001', message = 'no seats';
    end if;
    insert into two_phase.part values (the_trip, place, the_flight || ' ' || the_date, seats, price);
    return price;
end $$;";

/// Nights in the order of their dates, whoever asks: two that want the same ones don't stop each other.
const HOTEL: &str = "
create table two_phase.stock (
    hotel text not null, room_type text not null, night text not null, total bigint not null, taken bigint not null default 0,
    price_minor bigint not null,
    primary key (hotel, room_type, night), check (taken between 0 and total)
) with (fillfactor = 50);
insert into two_phase.stock (hotel, room_type, night, total, price_minor)
    select hotel, room_type, night, total, price_minor from room;
create function two_phase.take_rooms(the_trip uuid, place bigint, the_hotel text, the_type text, nights text[], rooms bigint)
returns bigint language plpgsql as $$
declare price bigint; the_sum bigint := 0; the_night text;
begin
    foreach the_night in array nights loop
        update two_phase.stock set taken = taken + rooms
         where hotel = the_hotel and room_type = the_type and night = the_night and total - taken >= rooms
         returning price_minor * rooms into price;
        if price is null then
            raise exception using errcode = 'RT001', message = 'no rooms';
        end if;
        the_sum := the_sum + price;
    end loop;
    insert into two_phase.part
        values (the_trip, place, the_hotel || ' ' || the_type, rooms * cardinality(nights), the_sum);
    return the_sum;
end $$;";

/// Makes the tables in the three databases, without trips, and with the stock that the services have there now.
///
/// # Errors
/// When a database can't be reached, or has no stock of a service.
pub async fn set_up(databases: &Databases) -> Result<()> {
    let part = |rest: &str| format!("{PART}{rest}");
    for (name, url, tables) in [
        (
            "booking",
            &databases.booking_database_url,
            BOOKING.to_owned(),
        ),
        ("flight", &databases.flight_database_url, part(FLIGHT)),
        ("hotel", &databases.hotel_database_url, part(HOTEL)),
    ] {
        let making = async {
            let mut connection = PgConnection::connect(url).await?;
            let text = format!(
                "begin; set local lock_timeout = '10s'; drop schema if exists two_phase cascade; create schema two_phase; {tables} commit; analyze two_phase.{}",
                if name == "booking" { "trip" } else { "stock" }
            );
            sqlx::raw_sql(AssertSqlSafe(text))
                .execute(&mut connection)
                .await?;
            connection.close().await
        };
        making.await.with_context(|| {
            format!("cannot make the tables of two-phase commit in {name}'s database")
        })?;
    }
    Ok(())
}
