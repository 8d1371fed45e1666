//! What the runtime promises of a transaction, the same list on SQLite and on PostgreSQL, on real files and a real server.
//!
//! Two replicas are two connections to one database, each with a transactor of its own. A transaction is held open by hand
//! while another replica's runs into it, so every meeting happens, and in the order that the test says. No broker here.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use booking::service::{Booking, Command, Reply, Request};
use choreography::{Fact, Itinerary, LegName, Plan, Reason, Said, Speaker, TripId};
use clap::Parser;
use flight::core::Flight;
use leg::service::{LegService, Line, SetStock};
use roundtrip::local::postgres::{Cluster, Programs};
use roundtrip::local::skip::{self, Need};
use runtime::batch::{Step, Transactor};
use runtime::database::Failure;
use runtime::letters::Letter;
use runtime::{Database, Input, Service, Settings, TraceContext, chores};
use tokio::sync::OnceCell;
use uuid::Uuid;

const DATE: &str = "2030-06-03";

/// A place for one test's database, empty when it begins.
struct Place {
    url: String,
    _folder: tempfile::TempDir,
}

#[derive(Clone, Copy, Debug)]
enum Engine {
    Sqlite,
    Postgres,
}

static CLUSTER: OnceCell<Option<Cluster>> = OnceCell::const_new();

impl Place {
    async fn new(engine: Engine, test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => format!("sqlite://{}/{test}.db", folder.path().display()),
            Engine::Postgres => CLUSTER
                .get_or_init(cluster)
                .await
                .as_ref()?
                .database(test)
                .await
                .unwrap(),
        };
        Some(Self {
            url,
            _folder: folder,
        })
    }

    /// One more replica.
    async fn replica<S: Service>(&self, service: S) -> Replica<S> {
        let database = Database::open(&self.url, &service.migrations())
            .await
            .unwrap();
        let transactor = Transactor::new(Arc::new(service), Arc::clone(&database), 10_000);
        Replica {
            transactor: Arc::new(transactor),
            database,
        }
    }

    async fn flight(&self) -> Replica<LegService<Flight>> {
        self.replica(LegService::new(Flight, &settings())).await
    }

    async fn booking(&self) -> Replica<Booking> {
        self.replica(Booking::new(&settings())).await
    }
}

async fn cluster() -> Option<Cluster> {
    let programs = tokio::task::spawn_blocking(|| Programs::find(&|_| {}))
        .await
        .unwrap();
    let programs = skip::unless(Need::Postgres, "conformance on PostgreSQL", programs)?;
    let folder = std::env::temp_dir().join(format!("roundtrip-conformance-{}", Uuid::now_v7()));
    let started = Cluster::start(&programs, Path::new(&folder), true).await;
    skip::unless(Need::Postgres, "conformance on PostgreSQL", started)
}

fn settings() -> Settings {
    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        settings: Settings,
    }
    Only::parse_from(["test", "--database-url", "sqlite://unused"]).settings
}

/// One process's view of a database.
struct Replica<S: Service> {
    transactor: Arc<Transactor<S>>,
    database: Arc<Database>,
}

impl<S: Service> Replica<S> {
    async fn number(&self, sql: &str) -> i64 {
        self.database.number(sql, vec![]).await.unwrap()
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        self.database.texts(sql, vec![]).await.unwrap()
    }
}

impl Replica<LegService<Flight>> {
    async fn stock(&self, seats: i64) {
        let line = Line {
            key: vec!["RT1".into(), DATE.into()],
            total: seats,
            price_minor: 100,
            currency: "EUR".into(),
        };
        let done = self
            .transactor
            .run(&[command(SetStock(vec![line]))], &[])
            .await
            .unwrap();
        assert!(
            done.replies
                .into_iter()
                .flatten()
                .all(|reply| reply.is_ok())
        );
    }

    /// held, confirmed and free.
    async fn counts(&self) -> Vec<String> {
        self.texts("select cast(held as text) || ' ' || cast(confirmed as text) || ' ' || cast(free as text) from seat").await
    }

    async fn states(&self) -> Vec<String> {
        self.texts("select state from leg order by trip, position")
            .await
    }
}

fn plan(seats: i64) -> Plan {
    let raw = format!(r#"[{{"leg":"flight","flight":"RT1","date":"{DATE}","seats":{seats}}}]"#);
    Plan {
        itinerary: Itinerary::parse(&raw).unwrap(),
        deadline: jiff::Timestamp::now() + jiff::SignedDuration::from_secs(120),
        budget: None,
    }
}

fn fact(trip: TripId, seats: i64, said: Said) -> Fact {
    Fact {
        speaker: Speaker::Booking,
        trip,
        plan: plan(seats),
        said,
    }
}

fn cancelled() -> Said {
    Said::Cancelled {
        reason: Reason::new("test", ""),
    }
}

fn heard<S: Service<Fact = Fact>>(fact: Fact) -> Step<S> {
    heard_as(Uuid::now_v7(), fact)
}

fn heard_as<S: Service<Fact = Fact>>(id: Uuid, fact: Fact) -> Step<S> {
    Step::Fact {
        id,
        kind: fact.kind(),
        trace: TraceContext::default(),
        input: Input::Fact(fact),
    }
}

fn command<S: Service>(command: S::Command) -> Step<S> {
    Step::Command {
        id: Uuid::now_v7(),
        trace: TraceContext::default(),
        input: Input::Command(command),
    }
}

fn trip() -> TripId {
    TripId::from(Uuid::now_v7())
}

/// Lets `second` run into the transaction that `first` holds open, then lets `first` commit. Fails when `second` did not wait.
async fn meet<S: Service, R: Send + 'static>(
    first: &Replica<S>,
    first_step: Step<S>,
    second: impl Future<Output = R> + Send + 'static,
) -> R {
    let steps = [first_step];
    let open = first.transactor.open(&steps, &[]).await.unwrap();
    let second = tokio::spawn(second);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(
        !second.is_finished(),
        "the second replica did not wait for the first"
    );
    open.commit().await.unwrap();
    second.await.unwrap()
}

async fn a_fact_is_applied_once_however_often_it_comes(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let (id, trip) = (Uuid::now_v7(), trip());
    let requested = || heard_as(id, fact(trip, 2, Said::Requested));
    let done = flight
        .transactor
        .run(&[requested(), requested()], &[])
        .await
        .unwrap();
    assert_eq!(
        done.said.len(),
        1,
        "one id twice in a batch is applied once"
    );
    let again = flight.transactor.run(&[requested()], &[]).await.unwrap();
    assert!(again.said.is_empty(), "the same id is an echo");
    assert_eq!(flight.counts().await, ["2 0 8"]);
    let question = flight
        .transactor
        .run(&[heard(fact(trip, 2, Said::Requested))], &[])
        .await
        .unwrap();
    assert_eq!(question.said.len(), 1, "a new id is a question");
    assert_eq!(flight.counts().await, ["2 0 8"], "and asking takes nothing");
}

async fn what_is_said_stays_in_the_outbox_until_it_is_published(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let done = flight
        .transactor
        .run(&[heard(fact(trip(), 1, Said::Requested))], &[])
        .await
        .unwrap();
    let ids: Vec<Uuid> = done.said.iter().map(|event| event.id).collect();
    assert_eq!(
        flight.texts("select id from outbox").await,
        [ids[0].to_string()]
    );
    flight.transactor.run(&[], &ids).await.unwrap();
    assert_eq!(flight.number("select count(*) from outbox").await, 0);
}

async fn a_transaction_that_is_not_committed_leaves_no_trace(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let steps = [heard(fact(trip(), 1, Said::Requested))];
    drop(flight.transactor.open(&steps, &[]).await.unwrap());
    flight.transactor.run(&[], &[]).await.unwrap();
    for table in ["leg", "outbox"] {
        assert_eq!(
            flight
                .number(&format!("select count(*) from {table}"))
                .await,
            0,
            "{table}"
        );
    }
    assert_eq!(flight.counts().await, ["0 0 10"]);
    let done = flight.transactor.run(&steps, &[]).await.unwrap();
    assert_eq!(done.said.len(), 1, "the inbox did not keep it either");
}

async fn hearing_what_writes_nothing_leaves_no_row_behind(place: Place) {
    let flight = place.flight().await;
    let done = flight
        .transactor
        .run(&[heard(fact(trip(), 1, Said::Confirmed))], &[])
        .await
        .unwrap();
    assert_eq!(done.anomalies.len(), 1);
    assert_eq!(flight.number("select count(*) from leg").await, 0);
}

async fn two_replicas_meet_on_a_record_that_is_not_there_the_turn_first(place: Place) {
    let (one, two) = (place.flight().await, place.flight().await);
    one.stock(10).await;
    let trip = trip();
    let transactor = Arc::clone(&two.transactor);
    let second = async move {
        transactor
            .run(&[heard(fact(trip, 3, cancelled()))], &[])
            .await
    };
    let done = meet(&one, heard(fact(trip, 3, Said::Requested)), second)
        .await
        .unwrap();
    assert_eq!(done.said[0].kind, "flight.released.v1");
    assert_eq!(one.states().await, ["released"]);
    assert_eq!(one.counts().await, ["0 0 10"], "the seats came back");
}

async fn two_replicas_meet_on_a_record_that_is_not_there_the_cancellation_first(place: Place) {
    let (one, two) = (place.flight().await, place.flight().await);
    one.stock(10).await;
    let trip = trip();
    let transactor = Arc::clone(&two.transactor);
    let second = async move {
        transactor
            .run(&[heard(fact(trip, 3, Said::Requested))], &[])
            .await
    };
    let done = meet(&one, heard(fact(trip, 3, cancelled())), second)
        .await
        .unwrap();
    assert_eq!(
        done.said[0].kind, "flight.released.v1",
        "the late request finds the tombstone"
    );
    assert_eq!(one.states().await, ["released"]);
    assert_eq!(one.counts().await, ["0 0 10"], "and takes nothing");
}

async fn two_replicas_meet_on_one_capacity_row(place: Place) {
    let (one, two) = (place.flight().await, place.flight().await);
    one.stock(10).await;
    let transactor = Arc::clone(&two.transactor);
    let second = async move {
        transactor
            .run(&[heard(fact(trip(), 6, Said::Requested))], &[])
            .await
    };
    let done = meet(&one, heard(fact(trip(), 6, Said::Requested)), second)
        .await
        .unwrap();
    assert_eq!(
        done.said[0].kind, "flight.rejected.v1",
        "four are left, and six were asked for"
    );
    assert_eq!(one.counts().await, ["6 0 4"]);
}

async fn an_operator_and_a_trip_meet_on_one_capacity_row(place: Place) {
    let (one, two) = (place.flight().await, place.flight().await);
    one.stock(10).await;
    let transactor = Arc::clone(&two.transactor);
    let line = Line {
        key: vec!["RT1".into(), DATE.into()],
        total: 5,
        price_minor: 100,
        currency: "EUR".into(),
    };
    let second = async move { transactor.run(&[command(SetStock(vec![line]))], &[]).await };
    let done = meet(&one, heard(fact(trip(), 6, Said::Requested)), second)
        .await
        .unwrap();
    assert!(
        matches!(&done.replies[0], Some(Err(refused)) if *refused == [(0, 6)]),
        "six are held by now"
    );
    assert_eq!(one.counts().await, ["6 0 4"]);
}

async fn two_replicas_meet_on_one_idempotency_key(place: Place) {
    let (one, two) = (place.booking().await, place.booking().await);
    joined(&one).await;
    let (first, second) = (trip(), trip());
    let transactor = Arc::clone(&two.transactor);
    let second = async move {
        transactor
            .run(&[command(request(second, "same"))], &[])
            .await
    };
    let done = meet(&one, command(request(first, "same")), second)
        .await
        .unwrap();
    assert!(
        matches!(done.replies[0], Some(Reply::Trip(made)) if made == first),
        "the key stands for the first trip"
    );
    assert!(done.said.is_empty());
    let other = two
        .transactor
        .run(&[command(request(trip(), "other"))], &[])
        .await
        .unwrap();
    assert!(matches!(other.replies[0], Some(Reply::KeyReused)));
    assert_eq!(one.number("select count(*) from trip").await, 1);
}

async fn a_command_done_again_makes_no_second_trip(place: Place) {
    let booking = place.booking().await;
    joined(&booking).await;
    let made = trip();
    // As after a COMMIT whose outcome is unknown: the same batch, with the same ids.
    let id = Uuid::now_v7();
    let step = || Step::Command {
        id,
        trace: TraceContext::default(),
        input: Input::Command(request(made, "meaning")),
    };
    for _ in 0..2 {
        let done = booking.transactor.run(&[step()], &[]).await.unwrap();
        assert!(matches!(done.replies[0], Some(Reply::Trip(trip)) if trip == made));
    }
    assert_eq!(booking.number("select count(*) from trip").await, 1);
    assert_eq!(booking.number("select count(*) from outbox").await, 1);
    // One that was refused for its key is refused again, and not answered with somebody else's trip.
    let id = Uuid::now_v7();
    for _ in 0..2 {
        let step = Step::Command {
            id,
            trace: TraceContext::default(),
            input: Input::Command(request(trip(), "another meaning")),
        };
        let done = booking.transactor.run(&[step], &[]).await.unwrap();
        assert!(matches!(done.replies[0], Some(Reply::KeyReused)));
    }
}

async fn what_the_database_refuses_for_the_datas_sake_is_told_apart(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let (good, bad) = (trip(), trip());
    flight
        .transactor
        .run(&[heard(fact(bad, 4, Said::Requested))], &[])
        .await
        .unwrap();
    // Somebody meddled: the seats that the trip holds are not counted as held any more.
    let mut writer = flight.database.writer().await.unwrap();
    writer
        .run("update seat set held = 0, free = 10", vec![])
        .await
        .unwrap();
    drop(writer);
    let both = [
        heard(fact(good, 1, Said::Requested)),
        heard(fact(bad, 4, cancelled())),
    ];
    let failure = flight
        .transactor
        .run(&both, &[])
        .await
        .err()
        .expect("held would fall below zero");
    assert!(matches!(failure, Failure::Poison(_)), "{failure:?}");
    assert_eq!(
        flight.states().await,
        ["held"],
        "nothing of the batch was saved"
    );
    flight
        .transactor
        .run(&both[..1], &[])
        .await
        .expect("the connection is as good as new");
}

async fn a_connection_that_may_not_write_any_more_is_opened_anew(place: Place) {
    let flight = place.flight().await;
    let read_only = match flight.database.engine() {
        // A former primary says the same.
        runtime::database::Engine::Postgres => "set default_transaction_read_only = on",
        // Here the connection is as good as ever.
        runtime::database::Engine::Sqlite => "select '1'",
    };
    let mut writer = flight.database.writer().await.unwrap();
    writer.run(read_only, vec![]).await.unwrap();
    drop(writer);
    let step = || [heard(fact(trip(), 1, cancelled()))];
    let first = flight.transactor.run(&step(), &[]).await;
    assert!(matches!(first.map(drop), Ok(()) | Err(Failure::Retry(_))));
    flight.transactor.run(&step(), &[]).await.unwrap();
}

async fn whoever_waits_too_long_for_a_lock_tries_again(place: Place) {
    let (one, two) = (place.flight().await, place.flight().await);
    one.stock(10).await;
    let trip = trip();
    let steps = [heard(fact(trip, 1, Said::Requested))];
    let stopped = one.transactor.open(&steps, &[]).await.unwrap();
    let failure = two
        .transactor
        .run(&[heard(fact(trip, 1, cancelled()))], &[])
        .await
        .err()
        .expect("the first never commits");
    assert!(matches!(failure, Failure::Retry(_)), "{failure:?}");
    drop(stopped);
    one.transactor.run(&[], &[]).await.unwrap();
    two.transactor
        .run(&[heard(fact(trip, 1, cancelled()))], &[])
        .await
        .unwrap();
    assert_eq!(two.states().await, ["released"]);
}

async fn dead_letters_alike_are_one_row_with_a_count(place: Place) {
    let flight = place.flight().await;
    let letter = |about: &str, id: &str| {
        Step::<LegService<Flight>>::Letter(Box::new(Letter {
            id: Uuid::now_v7().to_string(),
            aggregateid: about.into(),
            kind: "flight.lost.v1".into(),
            reason: "no such fact".into(),
            subject: "trips.flight.lost".into(),
            headers: "{}".into(),
            payload: "{\u{fffd}}".into(),
            last_id: id.into(),
            count: 1,
            first_us: 0,
            last_us: 0,
        }))
    };
    flight
        .transactor
        .run(&[letter("a", "1"), letter("b", "2")], &[])
        .await
        .unwrap();
    flight
        .transactor
        .run(&[letter("a", "3")], &[])
        .await
        .unwrap();
    flight
        .transactor
        .run(&[letter("a", "3")], &[])
        .await
        .unwrap();
    let rows = flight
        .texts("select aggregateid || ' ' || cast(count as text) from dead_letter order by 1")
        .await;
    assert_eq!(
        rows,
        ["a 2", "b 1"],
        "one message delivered twice counts once"
    );
    assert_eq!(
        flight.number("select count(*) from inbox").await,
        0,
        "so that a replay is heard"
    );
}

async fn a_dead_letter_is_kept_however_long_its_headers_are(place: Place) {
    let flight = place.flight().await;
    // Little that could be compressed: an index is then asked for nearly the whole of it.
    let long = |length| -> String {
        let ids = (0..length).map(|_| Uuid::now_v7().simple().to_string());
        ids.flat_map(|id| id[12..].chars().collect::<Vec<_>>())
            .take(length)
            .collect()
    };
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("ce-subject", format!("\0{}é", long(799)));
    headers.insert("ce-type", long(100_000));
    headers.insert("ce-id", long(100_000));
    let message = async_nats::Message {
        subject: "trips.flight.lost".into(),
        reply: None,
        payload: "\0".into(),
        headers: Some(headers),
        status: None,
        description: None,
        length: 0,
    };
    let letter = Letter::of(&message, &long(100_000));
    assert!(letter.headers.len() > 200_000, "whole");
    flight
        .transactor
        .run(&[Step::Letter(Box::new(letter))], &[])
        .await
        .unwrap();
    assert_eq!(flight.number("select count(*) from dead_letter").await, 1);
}

async fn a_row_that_somebody_damaged_stops_no_other(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let (good, bad) = (trip(), trip());
    let requested = |trip| heard(fact(trip, 1, Said::Requested));
    let said = flight
        .transactor
        .run(&[requested(good), requested(bad)], &[])
        .await
        .unwrap()
        .said;
    let mut writer = flight.database.writer().await.unwrap();
    for sql in [
        format!("update leg set trip = 'damaged' where trip = '{bad}'"),
        format!("update outbox set id = 'damaged' where aggregateid = '{bad}'"),
        String::from("update outbox set lease_us = 0"),
    ] {
        writer.run(&sql, vec![]).await.unwrap();
    }
    drop(writer);
    let due = chores::due::<(TripId, i64)>(&flight.database, leg::store::LEG, i64::MAX, i64::MAX);
    assert_eq!(due.await.unwrap(), [((good, 0), true)]);
    let swept = chores::sweep(&flight.database, 1_000_000).await.unwrap();
    let swept: Vec<Uuid> = swept.iter().map(|event| event.id).collect();
    assert_eq!(swept, [said[0].id]);
}

async fn a_record_that_waits_is_due_when_its_time_comes(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let (held, done) = (trip(), trip());
    let said = flight
        .transactor
        .run(&[heard(fact(held, 1, Said::Requested))], &[])
        .await
        .unwrap()
        .said;
    flight
        .transactor
        .run(&[heard(fact(done, 1, cancelled()))], &[])
        .await
        .unwrap();
    let due = async |now_us: i64, far_us: i64| {
        chores::due::<(TripId, i64)>(&flight.database, leg::store::LEG, now_us, far_us)
            .await
            .unwrap()
    };
    assert_eq!(due(0, i64::MAX).await, [], "nothing is due yet");
    assert_eq!(
        due(i64::MAX, i64::MAX).await,
        [((held, 0), true)],
        "only a hold waits, and its word is not out yet"
    );
    flight.transactor.run(&[], &[said[0].id]).await.unwrap();
    assert_eq!(due(i64::MAX, i64::MAX).await, [((held, 0), false)]);
    assert_eq!(
        due(0, 1).await,
        [((held, 0), false)],
        "further off than any pause: a clock went back"
    );
}

async fn an_outbox_row_whose_lease_ended_is_swept_by_one_replica_alone(place: Place) {
    let (one, two) = (place.flight().await, place.flight().await);
    one.stock(10).await;
    let trip = trip();
    let done = one
        .transactor
        .run(&[heard(fact(trip, 1, Said::Requested))], &[])
        .await
        .unwrap();
    assert_eq!(
        chores::sweep(&two.database, 1_000_000).await.unwrap(),
        [],
        "its publisher still has the lease"
    );
    let mut writer = one.database.writer().await.unwrap();
    writer
        .run("update outbox set lease_us = 0", vec![])
        .await
        .unwrap();
    drop(writer);
    let (first, second) = futures::join!(
        chores::sweep(&one.database, 60_000_000),
        chores::sweep(&two.database, 60_000_000)
    );
    let swept: Vec<runtime::Event> = first.unwrap().into_iter().chain(second.unwrap()).collect();
    let expected = runtime::Event {
        attempt: 1,
        ..done.said[0].clone()
    };
    assert_eq!(
        swept,
        [expected],
        "one of them took it, whole, and counts the attempt"
    );
}

async fn what_may_be_forgotten_goes_and_nothing_else(place: Place) {
    let flight = place.flight().await;
    flight.stock(10).await;
    let (held, released) = (trip(), trip());
    flight
        .transactor
        .run(
            &[
                heard(fact(held, 1, Said::Requested)),
                heard(fact(released, 1, cancelled())),
            ],
            &[],
        )
        .await
        .unwrap();
    assert_eq!(
        chores::forget_rows(&flight.database, leg::store::LEG, 0)
            .await
            .unwrap(),
        0,
        "not yet"
    );
    assert_eq!(
        chores::forget_rows(&flight.database, leg::store::LEG, i64::MAX)
            .await
            .unwrap(),
        1
    );
    assert_eq!(flight.states().await, ["held"], "a hold is never forgotten");
    assert_eq!(chores::forget_inbox(&flight.database, 0).await.unwrap(), 0);
    assert_eq!(
        chores::forget_inbox(&flight.database, i64::MAX)
            .await
            .unwrap(),
        3
    );
}

async fn eight_processes_that_start_together_make_one_schema(place: Place) {
    let url = Arc::new(place.url.clone());
    let open = |_| {
        let url = Arc::clone(&url);
        tokio::spawn(async move {
            let service = LegService::new(Flight, &settings());
            Database::open(&url, &service.migrations()).await.map(drop)
        })
    };
    for opened in futures::future::join_all((0..8).map(open)).await {
        opened.unwrap().unwrap();
    }
    assert_eq!(
        place
            .flight()
            .await
            .number("select count(*) from seat")
            .await,
        0
    );
}

async fn joined(booking: &Replica<Booking>) {
    let leg: LegName = "flight".parse().unwrap();
    let joined = choreography::Joined {
        leg,
        counts: vec![],
        dates: vec![],
    };
    let step = Step::Fact {
        id: Uuid::now_v7(),
        kind: joined.kind(),
        trace: TraceContext::default(),
        input: Input::Fact(choreography::Heard::Joined(joined)),
    };
    booking.transactor.run(&[step], &[]).await.unwrap();
}

fn request(trip: TripId, meaning: &str) -> Command {
    let key = Some((String::from("key"), meaning.to_owned()));
    Command::Request(Box::new(Request {
        trip,
        plan: plan(1),
        traveller: None,
        key,
    }))
}

/// Each promise on each database.
macro_rules! on_both {
    ($($promise:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let place = super::Place::new(super::Engine::Sqlite, stringify!($promise)).await;
                super::$promise(place.expect("a file needs nobody")).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                if let Some(place) = super::Place::new(super::Engine::Postgres, &stringify!($promise)[..stringify!($promise).len().min(60)]).await {
                    super::$promise(place).await;
                }
            })*
        }
    };
}

on_both![
    a_fact_is_applied_once_however_often_it_comes,
    what_is_said_stays_in_the_outbox_until_it_is_published,
    a_transaction_that_is_not_committed_leaves_no_trace,
    hearing_what_writes_nothing_leaves_no_row_behind,
    two_replicas_meet_on_a_record_that_is_not_there_the_turn_first,
    two_replicas_meet_on_a_record_that_is_not_there_the_cancellation_first,
    two_replicas_meet_on_one_capacity_row,
    an_operator_and_a_trip_meet_on_one_capacity_row,
    two_replicas_meet_on_one_idempotency_key,
    a_command_done_again_makes_no_second_trip,
    what_the_database_refuses_for_the_datas_sake_is_told_apart,
    a_connection_that_may_not_write_any_more_is_opened_anew,
    whoever_waits_too_long_for_a_lock_tries_again,
    dead_letters_alike_are_one_row_with_a_count,
    a_dead_letter_is_kept_however_long_its_headers_are,
    a_row_that_somebody_damaged_stops_no_other,
    a_record_that_waits_is_due_when_its_time_comes,
    an_outbox_row_whose_lease_ended_is_swept_by_one_replica_alone,
    what_may_be_forgotten_goes_and_nothing_else,
    eight_processes_that_start_together_make_one_schema,
];
