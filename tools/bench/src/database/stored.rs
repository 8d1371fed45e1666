//! Many trips in the databases, quickly: the trips that are there, all of them at rest, are copied in SQL, again and again, with what inboxes
//! remember of them. Copies have ids of their own and are older; nothing of them lies in the stream.
//!
//! Every trip is copied equally often, so that what legs have counted as sold grows by one factor, and the audit holds; what is left to sell
//! stays. Only for a stack of our own, whose databases go with it.

use anyhow::{Context as _, Result, ensure};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use super::is_server;

/// The digits of an id in which a copy differs. They are its time (UUIDv7), and one unit of them so many microseconds.
const OWN_DIGITS: usize = 8;
const STEP_US: i64 = (1 << 16) * 1_000;

/// What is copied in a service's database: booking's own trips, or a leg's part in them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Copied {
    Trips,
    /// A leg's, with the table of what it sells.
    Parts(&'static str),
}

/// A service's database in which trips are copied.
#[derive(Debug)]
pub(crate) enum Storing {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Which copies are made: all databases share it, so that ids agree.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The first digits of the oldest trip's id.
    first: u32,
    /// How many trips there are, each of which is copied as often.
    pub(crate) trips: u64,
    /// How many times each of them is copied.
    pub(crate) copies: u32,
}

impl Storing {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        if is_server(url) {
            return Ok(Self::Postgres(PgConnection::connect(url).await?));
        }
        let mut file = SqliteConnection::connect(url).await?;
        // The service's own connection writes to the same file. What is copied stays in memory; this connection need not sync.
        sqlx::raw_sql(
            "pragma busy_timeout = 30000; pragma temp_store = memory; pragma synchronous = normal",
        )
        .execute(&mut file)
        .await?;
        Ok(Self::Sqlite(file))
    }

    async fn run(&mut self, text: String) -> Result<()> {
        let text = sqlx::raw_sql(AssertSqlSafe(text));
        match self {
            Self::Sqlite(file) => text.execute(file).await.map(drop)?,
            Self::Postgres(server) => text.execute(server).await.map(drop)?,
        }
        Ok(())
    }

    /// How often booking's trips have to be copied until there are so many.
    pub(crate) async fn plan(&mut self, wanted: u64) -> Result<Plan> {
        let text = "select count(*), coalesce(min(trip), '') from trip";
        let (trips, first): (i64, String) = match self {
            Self::Sqlite(file) => sqlx::query_as(text).fetch_one(file).await?,
            Self::Postgres(server) => sqlx::query_as(text).fetch_one(server).await?,
        };
        let trips = u64::try_from(trips)?;
        ensure!(trips > 0, "there is no trip to copy");
        let first = first.get(..OWN_DIGITS).context("a trip without an id")?;
        Ok(Plan {
            first: u32::from_str_radix(first, 16).context("a trip's id is not a UUID")?,
            trips,
            copies: u32::try_from(wanted.saturating_sub(trips).div_ceil(trips))?,
        })
    }

    /// Makes all copies in this database, the oldest first; `tell` hears of each.
    pub(crate) async fn copy(
        &mut self,
        what: Copied,
        plan: &Plan,
        tell: impl Fn(u32),
    ) -> Result<()> {
        let trips: (_, _, &[&str]) = match what {
            Copied::Trips => ("trip", "trip", &["created_us", "changed_us"]),
            Copied::Parts(_) => ("leg", "trip", &["changed_us"]),
        };
        // What an inbox forgets by its age it keeps: a mass of it going at once would be measured too.
        let copied = [trips, ("inbox", "id", &[])];
        // An inbox has older ids too, of legs that joined, which a copy of themselves would meet.
        let first = plan.first;
        for (table, key, _) in copied {
            self.run(format!(
                "create temporary table bench_{table} as select * from {table} where {key} >= '{first:08x}'"
            ))
            .await?;
        }
        for copy in 1..=plan.copies {
            let age = plan.copies - copy + 1;
            let digits = plan
                .first
                .checked_sub(age)
                .context("the copies would be older than the ids' calendar")?;
            // The first is the oldest, and each is one step younger than the one before it.
            let older = if copy == 1 { i64::from(age) } else { -1 };
            let mut text = String::from("begin;");
            for (table, key, times) in copied {
                text += &format!(
                    "update bench_{table} set {key} = '{digits:08x}' || substr({key}, {})",
                    OWN_DIGITS + 1
                );
                for time in times {
                    text += &format!(", {time} = {time} - ({})", older * STEP_US);
                }
                text += &format!("; insert into {table} select * from bench_{table};");
            }
            self.run(text + "commit;").await?;
            tell(copy);
        }
        if let Copied::Parts(stock) = what {
            let copies = plan.copies;
            self.run(format!(
                "update {stock} set total = total + confirmed * {copies}, confirmed = confirmed * ({copies} + 1)"
            ))
            .await?;
        }
        Ok(())
    }

    /// Leaves the database as its own housekeeping does.
    pub(crate) async fn close(self) -> Result<()> {
        match self {
            Self::Sqlite(mut file) => {
                sqlx::raw_sql("pragma wal_checkpoint(truncate)")
                    .execute(&mut file)
                    .await?;
                file.close().await?;
            }
            Self::Postgres(mut server) => {
                sqlx::raw_sql("vacuum (analyze)")
                    .execute(&mut server)
                    .await?;
                server.close().await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;

    #[tokio::test]
    async fn each_trip_is_copied_as_often_under_ids_of_its_own_and_sold_as_often() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("leg.db");
        let url = format!("sqlite://{}", file.display());
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true);
        let mut service = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(
            "create table trip (trip text primary key);
             create table leg (trip text, position, changed_us, primary key (trip, position));
             create table inbox (id text primary key, seen_us);
             create table seat (total, held, confirmed, free, check (held + confirmed + free = total));
             insert into trip values ('01890000-0000-7000-8000-00000000000a'), ('01890001-0000-7000-8000-00000000000b');
             insert into leg select trip, 0, 1000000000000 from trip;
             insert into inbox select trip, 1000000000000 from trip;
             insert into inbox values ('0188ffff-0000-7000-8000-00000000000c', 1000000000000);
             insert into seat values (10, 0, 2, 8)",
        )
        .execute(&mut service)
        .await
        .unwrap();

        let mut storing = Storing::open(&url).await.unwrap();
        let plan = storing.plan(7).await.unwrap();
        assert_eq!((plan.trips, plan.copies), (2, 3));
        storing
            .copy(Copied::Parts("seat"), &plan, |_| ())
            .await
            .unwrap();
        storing.close().await.unwrap();

        let legs: Vec<(String, i64)> =
            sqlx::query_as("select substr(trip, 1, 8), changed_us from leg order by trip")
                .fetch_all(&mut service)
                .await
                .unwrap();
        let time = |steps: i64| 1_000_000_000_000 - steps * STEP_US;
        let expected = [
            ("0188fffd", time(3)),
            ("0188fffd", time(3)),
            ("0188fffe", time(2)),
            ("0188fffe", time(2)),
            ("0188ffff", time(1)),
            ("0188ffff", time(1)),
            ("01890000", time(0)),
            ("01890001", time(0)),
        ];
        let expected = expected.map(|(id, time)| (id.to_owned(), time));
        assert_eq!(legs, expected);
        let ids: i64 = sqlx::query_scalar("select count(*) from inbox")
            .fetch_one(&mut service)
            .await
            .unwrap();
        let seats: (i64, i64) = sqlx::query_as("select confirmed, free from seat")
            .fetch_one(&mut service)
            .await
            .unwrap();
        assert_eq!((ids, seats), (9, (8, 8)));
    }
}
