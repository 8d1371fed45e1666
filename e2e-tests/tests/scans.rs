//! What old trips cost those that come after them: nothing. Whatever asks again and again, and what operators ask for, is answered from an
//! index, however many trips there are. Read from PostgreSQL's own books; on SQLite, where Linux counts what a process reads, from those.
//! What a trip costs by itself is `cost`'s.

use std::time::{Duration, Instant};

use booking::core::State;
use e2e_tests::load::{PLENTY, usual};
use e2e_tests::{World, eventually};

mod postgres {
    use e2e_tests::{Engine, on_one_database};

    on_one_database!(old_trips_are_read_by_nobody, Engine::Postgres);
}

#[cfg(target_os = "linux")]
mod sqlite {
    use e2e_tests::{Engine, on_one_database};

    on_one_database!(old_trips_are_read_by_nobody, Engine::Sqlite);
}

/// How many trips lie there: more of them than a reader's cache holds.
const OLD: i64 = 40_000;
/// Far less than one takes, in bytes, and far more than what is to be read.
const ROW_BYTES: i64 = 200;
/// How often trips are booked and lists asked for meanwhile: what that reads is the same on any machine.
const ROUNDS: usize = 20;

/// Long enough that what asks by the clock has asked, at the least once a second. Maintenance, twice a minute, may not have.
const WHILE: Duration = Duration::from_secs(3);

/// What booking and flight have read: rows and entries of indexes on PostgreSQL, and bytes on SQLite.
async fn looked_at(world: &mut World) -> i64 {
    let mut all = 0;
    for service in ["booking", "flight"] {
        all += if world.database_url(service).starts_with("sqlite:") {
            world.bytes_read(service, 0)
        } else {
            let rows = "select ((select sum(seq_tup_read) from pg_stat_user_tables) + (select sum(idx_tup_read) from pg_stat_user_indexes))::bigint";
            world.number(service, rows).await
        };
    }
    all
}

async fn old_trips_are_read_by_nobody(world: &mut World) {
    world.seats("RT100", PLENTY).await;
    world.rooms("LIS", PLENTY).await;
    // Closed long ago, and never to be forgotten. Booking's were open before: their entries in the index of open trips are dead.
    let trips = "insert into trip (trip, state, outcome, itinerary) \
         with recursive old(n) as (select 1 union all select n + 1 from old where n < 40000) \
         select '01890000-0000-7000-8000-' || (100000000000 + n), 'undoing', null, \
         replace('0000000000', '0', '12345678901234567890123456789012345678901234567890123456789012345678901234567890') from old";
    let legs = "insert into leg (trip, position, state, itinerary) \
         with recursive old(n) as (select 1 union all select n + 1 from old where n < 40000) \
         select '01890000-0000-7000-8000-' || (100000000000 + n), 0, 'released', \
         replace('0000000000', '0', '12345678901234567890123456789012345678901234567890123456789012345678901234567890') from old";
    for (service, rows) in [("booking", trips), ("flight", legs)] {
        world.by_hand(service, rows).await;
    }
    let close = "update trip set state = 'closed', outcome = 'cancelled'";
    world.by_hand("booking", close).await;
    assert_eq!(
        world.number("booking", "select count(*) from trip").await,
        OLD
    );
    assert_eq!(
        world.number("flight", "select count(*) from leg").await,
        OLD
    );
    let (before, until) = (looked_at(world).await, Instant::now() + WHILE);
    for _ in 0..ROUNDS {
        let view = world.book(&usual()).await;
        assert_eq!(view.state, State::Confirmed);
        world.cancel(view.trip).await;
        for list in [
            "/bookings/stuck",
            "/bookings/stuck?older_than_s=1",
            "/bookings?state=pending",
            "/bookings?state=undoing&total=true",
            "/bookings?limit=10",
        ] {
            world.trips(list).await;
        }
    }
    eventually("a while has passed", async || {
        (Instant::now() > until).then_some(())
    })
    .await;
    let most = match world.database_url("booking").starts_with("sqlite:") {
        true => OLD * ROW_BYTES,
        // The first look at the dead entries, and what was looked at by hand: it is told late. A list that reads them reads them forty times.
        false => {
            until_told(world).await;
            OLD * 4
        }
    };
    let read = looked_at(world).await - before;
    eprintln!("{read} read, and at most {most} may be");
    // They are none that the audit could know.
    for (service, rows) in [
        ("booking", "delete from trip where trip like '01890000-%'"),
        ("flight", "delete from leg where trip like '01890000-%'"),
    ] {
        world.by_hand(service, rows).await;
    }
    assert!(
        read < most,
        "{read} were read where {OLD} old trips lie, and at most {most} may be: which statement of booking or flight does not say what a \
         partial index wants to hear?"
    );
}

/// A server's processes tell what they did about once a second, and when they are gone.
async fn until_told(world: &mut World) {
    let others = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() and datname = current_database()";
    for service in ["booking", "flight"] {
        world.stop(service, 0).await;
        eventually("its connections are gone", async || {
            (world.number(service, others).await == 0).then_some(())
        })
        .await;
    }
    for service in ["booking", "flight"] {
        world.restart(service, 0).await;
    }
}
