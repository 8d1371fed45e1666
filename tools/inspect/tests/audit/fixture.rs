//! A stack made with the services' real migrations, that lives well or is broken by hand in every way.

use std::sync::Arc;

use clap::Parser as _;
use inspect::audit::{self, Part, Parts, Report};
use runtime::database::Engine;
use runtime::{Database, Service as _, Settings};

pub(crate) const FLIGHT_HOTEL: &str = r#"[{"leg":"flight"},{"leg":"hotel"}]"#;
pub(crate) const FLIGHT_FLIGHT: &str = r#"[{"leg":"flight"},{"leg":"flight"}]"#;
pub(crate) const FLIGHT_CAR: &str = r#"[{"leg":"flight"},{"leg":"car"}]"#;

#[derive(clap::Parser)]
struct Program {
    #[command(flatten)]
    settings: Settings,
}

pub(crate) struct Fixture {
    urls: [String; 3],
    databases: [Arc<Database>; 3],
}

pub(crate) const BOOKING: usize = 0;
pub(crate) const FLIGHT: usize = 1;
pub(crate) const HOTEL: usize = 2;

impl Fixture {
    /// With the services' real schemas.
    pub(crate) async fn build(urls: [String; 3]) -> Self {
        let settings = Program::parse_from(["test", "--database-url", "sqlite://unused"]).settings;
        let migrations = [
            booking::service::BookingService::new(&settings).migrations(),
            leg::LegService::new(flight::Flight, &settings).migrations(),
            leg::LegService::new(hotel::Hotel, &settings).migrations(),
        ];
        let mut databases = Vec::new();
        for (url, migrations) in urls.iter().zip(&migrations) {
            databases.push(Database::open(url, migrations).await.unwrap());
        }
        Self {
            urls,
            databases: databases.try_into().ok().unwrap(),
        }
    }

    pub(crate) async fn on_files(folder: &tempfile::TempDir) -> Self {
        let url = |name: &str| format!("sqlite://{}/{name}.db", folder.path().display());
        Self::build([url("booking"), url("flight"), url("hotel")]).await
    }

    pub(crate) fn parts(&self, which: &[usize]) -> Parts {
        let part = |i: &usize| self.urls[*i].parse::<Part>().unwrap();
        Parts {
            databases: which.iter().map(part).collect(),
            ..Parts::default()
        }
    }

    pub(crate) async fn audit(&self) -> Report {
        // The order in which they are given does not count.
        audit::audit(&self.parts(&[HOTEL, BOOKING, FLIGHT])).await
    }

    pub(crate) async fn run(&self, service: usize, sql: &str) {
        let mut writer = self.databases[service].writer().await.unwrap();
        writer.run(sql, vec![]).await.unwrap();
    }

    /// What no statement of a service could do: lets a row break its CHECKs.
    pub(crate) async fn without_checks(&self, service: usize, table: &str) {
        let sql = match self.databases[service].engine() {
            Engine::Sqlite => String::from("pragma ignore_check_constraints = on"),
            Engine::Postgres => format!(
                "do $$ declare c text; begin for c in select conname from pg_constraint where conrelid = '{table}'::regclass and contype = 'c'
                 loop execute 'alter table {table} drop constraint ' || quote_ident(c); end loop; end $$"
            ),
        };
        self.run(service, &sql).await;
    }

    pub(crate) async fn trip(
        &self,
        n: u32,
        state: &str,
        outcome: &str,
        itinerary: &str,
        settled: &str,
    ) {
        let sql = format!(
            "insert into trip (trip, state, outcome, itinerary, settled, changed_us) values ('{}', '{state}', {outcome}, '{itinerary}', '{settled}', {n})",
            id(n)
        );
        self.run(BOOKING, &sql).await;
    }

    pub(crate) async fn leg(
        &self,
        service: usize,
        n: u32,
        position: u32,
        state: &str,
        holds: &str,
    ) {
        let sql = format!(
            "insert into leg (trip, position, state, itinerary, holds, changed_us) values ('{}', {position}, '{state}', '{FLIGHT_HOTEL}', '{holds}', {n})",
            id(n)
        );
        self.run(service, &sql).await;
    }

    pub(crate) async fn seats(&self, flight: &str, [total, held, confirmed, free]: [i64; 4]) {
        let sql = format!(
            "insert into seat values ('{flight}', '2026-12-01', {total}, {held}, {confirmed}, {free}, 1, 'EUR')"
        );
        self.run(FLIGHT, &sql).await;
    }

    pub(crate) async fn rooms(&self, night: &str, [total, held, confirmed, free]: [i64; 4]) {
        let sql = format!(
            "insert into room values ('LIS', 'double', '{night}', {total}, {held}, {confirmed}, {free}, 1, 'EUR')"
        );
        self.run(HOTEL, &sql).await;
    }

    /// Trips that went through and trips that came back, of every shape.
    pub(crate) async fn live_well(&self) {
        self.trip(1, "confirmed", "'confirmed'", FLIGHT_HOTEL, "[null,null]")
            .await;
        self.leg(FLIGHT, 1, 0, "confirmed", &seat("RT1", 2)).await;
        self.leg(HOTEL, 1, 1, "confirmed", &rooms(1)).await;
        self.trip(
            2,
            "closed",
            "'rejected'",
            FLIGHT_HOTEL,
            r#"["released","rejected"]"#,
        )
        .await;
        self.leg(FLIGHT, 2, 0, "released", &seat("RT1", 1)).await;
        self.leg(HOTEL, 2, 1, "rejected", "null").await;
        self.trip(3, "confirmed", "'confirmed'", FLIGHT_FLIGHT, "[null,null]")
            .await;
        self.leg(FLIGHT, 3, 0, "confirmed", &seat("RT1", 3)).await;
        self.leg(FLIGHT, 3, 1, "confirmed", &seat("RT2", 1)).await;
        self.trip(
            4,
            "closed",
            "'cancelled'",
            FLIGHT_HOTEL,
            r#"["released","released"]"#,
        )
        .await;
        self.leg(HOTEL, 5, 1, "released", "null").await; // a tombstone that outlived its trip
        self.seats("RT1", [100, 0, 5, 95]).await;
        self.seats("RT2", [1, 0, 1, 0]).await;
        self.rooms("2026-12-01", [10, 0, 1, 9]).await;
        self.rooms("2026-12-02", [10, 0, 1, 9]).await;
    }

    pub(crate) async fn break_everything(&self) {
        for (service, table) in [(FLIGHT, "seat"), (HOTEL, "room")] {
            self.without_checks(service, table).await;
        }
        for n in [10, 11, 19] {
            self.trip(n, "confirmed", "'confirmed'", FLIGHT_HOTEL, "[null,null]")
                .await;
            self.leg(FLIGHT, n, 0, "confirmed", &seat("RT10", 1)).await;
        }
        self.leg(HOTEL, 10, 1, "released", "null").await;
        self.trip(
            12,
            "closed",
            "'expired'",
            FLIGHT_HOTEL,
            r#"["released","released"]"#,
        )
        .await;
        self.leg(FLIGHT, 12, 0, "held", &seat("RT10", 1)).await;
        self.trip(
            13,
            "closed",
            "'cancelled'",
            FLIGHT_HOTEL,
            r#"["released","released"]"#,
        )
        .await;
        self.leg(HOTEL, 13, 1, "confirmed", &rooms(1)).await;
        self.trip(14, "pending", "null", FLIGHT_HOTEL, "[null,null]")
            .await;
        self.leg(FLIGHT, 14, 0, "confirmed", &seat("RT10", 1)).await;
        self.trip(15, "undoing", "'rejected'", FLIGHT_HOTEL, "[null,null]")
            .await;
        self.leg(HOTEL, 16, 1, "held", &rooms(1)).await;
        self.leg(FLIGHT, 17, 0, "confirmed", &seat("RT10", 1)).await;
        self.leg(FLIGHT, 18, 0, "none", "null").await;
        self.leg(FLIGHT, 19, 1, "released", "null").await;
        self.leg(HOTEL, 19, 1, "confirmed", &rooms(1)).await;
        self.trip(20, "none", "null", FLIGHT_HOTEL, "[]").await;
        self.trip(21, "closed", "'cancelled'", "gone", "[]").await;
        for (n, budget) in [(30, 200), (31, 299), (32, 300)] {
            self.trip(n, "confirmed", "'confirmed'", FLIGHT_FLIGHT, "[null,null]")
                .await;
            self.leg(FLIGHT, n, 0, "confirmed", "[]").await;
            self.leg(FLIGHT, n, 1, "confirmed", "[]").await;
            let (trip, total) = (id(n), r#"[{"amount_minor":300,"currency":"EUR"}]"#);
            self.run(BOOKING, &format!("update trip set total = '{total}', budget_minor = {budget}, budget_currency = 'EUR' where trip = '{trip}'")).await;
            self.run(FLIGHT, &format!("update leg set price_minor = 100 * (1 + position), currency = 'EUR' where trip = '{trip}'")).await;
        }
        self.run(
            FLIGHT,
            &format!(
                "update leg set price_minor = 400 where position = 0 and trip = '{}'",
                id(30)
            ),
        )
        .await;
        self.seats("RT10", [100, 1, 5, 94]).await; // as its legs have it
        self.seats("RT11", [100, 0, 0, 99]).await;
        self.seats("RT12", [100, 0, 0, 101]).await;
        self.seats("RT13", [1, -1, 0, 2]).await;
        self.seats("RT14", [10, 4, 3, 3]).await;
        self.seats("RT16", [10, 0, 3, 7]).await;
        self.seats("RT17", [10, 3, 0, 7]).await;
        // More is sold than there is, and everything adds up.
        self.leg(FLIGHT, 23, 0, "confirmed", &seat("RT18", 2)).await;
        self.seats("RT18", [1, 0, 2, -1]).await;
        self.leg(FLIGHT, 22, 0, "confirmed", &seat("RT15", 2)).await;
        self.run(
            HOTEL,
            "update room set confirmed = 3, held = 1, free = 6 where night = '2026-12-01'",
        )
        .await;
        self.run(
            HOTEL,
            "update room set confirmed = 3, free = 7 where night = '2026-12-02'",
        )
        .await;
        let row = "insert into outbox (id, aggregatetype, aggregateid, type, payload, subject, time_us, lease_us) values ('x', '', '', '', '', '', 0, 0)";
        self.run(FLIGHT, row).await;
    }
}

pub(crate) fn id(n: u32) -> String {
    format!("01890000-0000-7000-8000-{n:012}")
}

pub(crate) fn seat(flight: &str, quantity: u32) -> String {
    format!(r#"[{{"key":["{flight}","2026-12-01"],"quantity":{quantity}}}]"#)
}

pub(crate) fn rooms(quantity: u32) -> String {
    let night =
        |night: &str| format!(r#"{{"key":["LIS","double","{night}"],"quantity":{quantity}}}"#);
    format!("[{}, {}]", night("2026-12-01"), night("2026-12-02"))
}
