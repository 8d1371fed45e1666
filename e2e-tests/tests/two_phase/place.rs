//! Where these tests take place: databases on a PostgreSQL server that prepares transactions, a few flights and a hotel, a coordinator, and
//! callers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use e2e_tests::{eventually, prerequisites};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use stack::postgres::Cluster;
use stack::service::{ServiceProcess, Spec};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use two_phase::Databases;
use two_phase::audit::{self, Report};
use two_phase::faults::{CRASH_FILE, CrashPoint};

const SEATS: i64 = 100_000;
pub(crate) const SOON: Duration = Duration::from_secs(60);
const CALLERS: u64 = 8;
const SEAT: &str = include_str!("../../../services/flight/migrations/1001_seat.sql");
const ROOM: &str = include_str!("../../../services/hotel/migrations/1001_room.sql");

/// Databases, tables and, once it is started, a coordinator.
pub(crate) struct Place {
    pub(crate) databases: Databases,
    coordinator: Option<ServiceProcess>,
    http: reqwest::Client,
    folder: TempDir,
}

/// A flight, and a hotel's part.
pub(crate) fn trip(flight: &str, hotel: Value) -> Value {
    json!({"itinerary": [{"leg": "flight", "flight": flight, "date": "2039-06-03", "seats": 1}, hotel]})
}

/// Two nights.
pub(crate) fn double(rooms: u32) -> Value {
    json!({"leg": "hotel", "hotel": "H0", "room_type": "double", "check_in": "2039-06-03", "check_out": "2039-06-05", "rooms": rooms})
}

async fn call(http: &reqwest::Client, url: &str, count: &AtomicU64, number: u64) {
    let body = trip(&format!("B{}", number % 3), double(1));
    loop {
        let asked = http.post(format!("{url}/bookings")).json(&body).send();
        match asked.await {
            Ok(answer) if answer.status().is_success() => {
                count.fetch_add(1, Ordering::SeqCst);
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Says some statements to a database.
pub(crate) async fn fill(url: &str, statements: String) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let filled = sqlx::raw_sql(AssertSqlSafe(statements));
    filled.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

impl Place {
    /// None where PostgreSQL cannot be had, which is said.
    pub(crate) async fn open(test: &str) -> Option<Self> {
        let server = prerequisites::preparing_postgres(test).await?;
        Some(Self::on(test, server, server).await)
    }

    /// With hotel's database on that server, which the test may kill.
    pub(crate) async fn on(test: &str, server: &Cluster, of_hotel: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A name has at most 63 bytes, and tests of one process have databases of their own.
        let name = |service: &str| format!("{service}_{}", &test[..test.len().min(50)]);
        let databases = Databases {
            booking_database_url: server.database(&name("booking")).await.unwrap(),
            flight_database_url: server.database(&name("flight")).await.unwrap(),
            hotel_database_url: of_hotel.database(&name("hotel")).await.unwrap(),
        };
        let seats = format!(
            "{SEAT};insert into seat select 'B' || n, '2039-06-03', {SEATS}, 0, 0, {SEATS}, 12300, 'EUR' from generate_series(0, 9) as g (n); insert into seat values ('FULL', '2039-06-03', 1, 0, 0, 1, 12300, 'EUR')"
        );
        fill(&databases.flight_database_url, seats).await;
        let rooms = format!(
            "{ROOM};insert into room select 'H0', kind, '2039-06-0' || n, free, 0, 0, free, 9900, 'EUR' from generate_series(3, 4) as g (n), (values ('double', 100000), ('suite', 0)) as r (kind, free)"
        );
        fill(&databases.hotel_database_url, rooms).await;
        two_phase::set_up(&databases).await.unwrap();
        Self {
            databases,
            coordinator: None,
            http: client::http::local()
                .unwrap()
                .timeout(SOON)
                .build()
                .unwrap(),
            folder,
        }
    }

    fn crash_file(&self) -> PathBuf {
        self.folder.path().join("crash")
    }

    /// A coordinator, not ready yet, with these settings.
    pub(crate) fn begin(&mut self, settings: &[(&str, &str)]) -> &mut ServiceProcess {
        let crash = self.crash_file();
        let databases = &self.databases;
        let own = [
            (
                "BOOKING_DATABASE_URL",
                databases.booking_database_url.as_str(),
            ),
            (
                "FLIGHT_DATABASE_URL",
                databases.flight_database_url.as_str(),
            ),
            ("HOTEL_DATABASE_URL", databases.hotel_database_url.as_str()),
            ("SWEEP_INTERVAL_MS", "100"),
            ("CONNECTIONS_MAX", "8"),
            (CRASH_FILE, crash.to_str().unwrap()),
        ];
        let all = own.iter().chain(settings);
        let env: BTreeMap<String, String> = all
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let process = ServiceProcess::start(Spec {
            name: String::from("two-phase"),
            program: e2e_tests::program(),
            args: ["two-phase", "serve"].map(OsString::from).to_vec(),
            env,
            log: self.folder.path().join("two-phase.log"),
            port: None,
            folder: None,
        });
        self.coordinator.insert(process.unwrap())
    }

    /// The same, ready.
    pub(crate) async fn start(&mut self, settings: &[(&str, &str)]) {
        let http = self.http.clone();
        let process = self.begin(settings);
        process.wait_ready(&http, SOON).await.unwrap();
    }

    fn coordinator(&mut self) -> &mut ServiceProcess {
        self.coordinator.as_mut().expect("it was started")
    }

    pub(crate) async fn kill(&mut self) {
        self.coordinator().kill().await.unwrap();
    }

    /// Starts it again once it has died, and waits until it is ready.
    pub(crate) async fn restart(&mut self, changed: &[(&str, &str)]) {
        let http = self.http.clone();
        let process = self.coordinator();
        process.restart(changed).await.unwrap();
        process.wait_ready(&http, SOON).await.unwrap();
    }

    /// Has it die there, and waits until it has.
    pub(crate) async fn die_at(&mut self, point: CrashPoint) {
        let file = self.crash_file();
        let fired = file.with_extension("fired");
        let _ = std::fs::remove_file(&fired);
        std::fs::write(&file, point.as_str()).unwrap();
        let process = self.coordinator();
        let died = eventually("it dies", async || process.ended()).await;
        assert!(
            !died.success() && fired.exists(),
            "{}: {died}",
            point.as_str()
        );
    }

    fn url(&self) -> String {
        let coordinator = self.coordinator.as_ref().expect("it was started");
        coordinator.url()
    }

    pub(crate) async fn book(&self, body: &Value) -> (u16, Value) {
        let asked = self
            .http
            .post(format!("{}/bookings", self.url()))
            .json(body);
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn show(&self, trip: &str) -> u16 {
        let asked = self.http.get(format!("{}/bookings/{trip}", self.url()));
        asked.send().await.unwrap().status().as_u16()
    }

    /// Callers that book all the while, on few flights, and count what they were told is confirmed. They outlive a coordinator.
    pub(crate) fn load(&self) -> (JoinHandle<()>, Arc<AtomicU64>) {
        let told = Arc::new(AtomicU64::new(0));
        let (http, url, count) = (self.http.clone(), self.url(), Arc::clone(&told));
        let load = tokio::spawn(async move {
            let callers = (0..CALLERS).map(|number| call(&http, &url, &count, number));
            futures::future::join_all(callers).await;
        });
        (load, told)
    }

    pub(crate) async fn until_more_are_told(&self, told: &AtomicU64, more: u64) {
        let wanted = told.load(Ordering::SeqCst) + more;
        eventually("trips are confirmed", async || {
            (told.load(Ordering::SeqCst) >= wanted).then_some(())
        })
        .await;
    }

    pub(crate) async fn until_confirmed(&self, wanted: u64) {
        eventually("trips are confirmed", async || {
            let report = audit::audit(&self.databases).await.ok()?;
            (report.confirmed >= wanted).then_some(())
        })
        .await;
    }

    /// Parts that lie prepared, anywhere.
    pub(crate) async fn in_doubt(&self) -> u64 {
        let mut all = 0;
        for url in [
            &self.databases.flight_database_url,
            &self.databases.hotel_database_url,
        ] {
            all += audit::in_doubt(url, audit::PREFIX).await.unwrap();
        }
        all
    }

    /// As it is, without waiting.
    pub(crate) async fn audit(&self) -> Report {
        audit::audit(&self.databases).await.unwrap()
    }

    /// Trips that are decided against and have one of their parts all the same, of which each has as many as it has databases.
    pub(crate) async fn half_trips(&self) -> usize {
        let report = self.audit().await;
        let half = |line: &&String| line.contains("is aborted and has 1 of");
        report.violations.iter().filter(half).count()
    }

    /// Once every trip is final: an answer comes as soon as it is decided.
    pub(crate) async fn settled(&self) -> Report {
        let report = audit::wait_until_clean(&self.databases, SOON)
            .await
            .unwrap();
        assert!(report.is_clean(), "{report}");
        report
    }

    /// Waits until everything is final: then every trip is whole, and none that somebody was told of is missing.
    pub(crate) async fn adds_up(&self, told: &AtomicU64) {
        let report = self.settled().await;
        assert!(report.confirmed >= told.load(Ordering::SeqCst), "{report}");
        let confirmed = i64::try_from(report.confirmed).unwrap();
        assert_eq!(report.seats_taken, confirmed, "{report}");
        assert_eq!(report.rooms_taken, 2 * confirmed, "{report}");
    }
}
