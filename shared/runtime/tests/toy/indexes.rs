//! What waits and is not due costs nobody anything: whatever asks by the clock is answered from an index. Read from PostgreSQL's own books.

use runtime::Service;
use runtime::database::{calls, queries};
use sqlx::{Connection as _, Executor as _};

use crate::place::{Place, Replica, eventually};

/// How many lie there.
const WAITING: i64 = 20_000;
/// How often it is asked.
const TIMES: i64 = 30;
/// The most entries and rows that may be read for one question. The table itself is read now and then to keep its statistics.
const EACH: i64 = 20;

/// Fills a table, as seen by who plans.
async fn fill(place: &Place, insert: &'static str, analyze: &'static str) {
    let mut connection = sqlx::PgConnection::connect(&place.url).await.unwrap();
    connection.execute(insert).await.unwrap();
    connection.execute(analyze).await.unwrap();
    connection.close().await.unwrap();
}

impl<S: Service> Replica<S> {
    /// How many rows a table has, as who plans was told: to count them would be to read them.
    async fn rows(&self, table: &str) -> i64 {
        let rows = format!("select reltuples::bigint from pg_class where relname = '{table}'");
        self.number(&rows).await
    }
}

pub(crate) async fn calls_that_are_not_due_are_read_by_nobody(place: Place) {
    let replica = place.parcels().await;
    let insert = "insert into call (id, purpose, about, request, goes_first, asked_us, due_us) \
         select 'p' || n, 'ship', 'p' || n, '{}', n % 2, 1, (extract(epoch from now()) * 1000000)::bigint + 600000000 + n \
         from generate_series(1, 20000) as n";
    fill(&place, insert, "analyze call").await;
    assert_eq!(replica.rows("call").await, WAITING);
    let scans = "select coalesce(sum(idx_scan), 0)::bigint from pg_stat_user_indexes where indexrelname = 'call_due'";
    let read = "select ((select seq_tup_read from pg_stat_user_tables where relname = 'call') \
         + (select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'call'))::bigint";
    let before = (replica.number(scans).await, replica.number(read).await);
    let mut asked = 0;
    // A server's processes tell what they did about once a second.
    eventually(async || {
        for first in [true, false] {
            let due = calls::claim(&replica.database, first, 9, 1_000_000).await;
            assert_eq!(due.unwrap(), []);
        }
        calls::mend(&replica.database, 5_400_000_000).await.unwrap();
        asked += 4;
        replica.number(scans).await - before.0 > TIMES
    })
    .await;
    let read = replica.number(read).await - before.1;
    assert!(read < asked * EACH, "{read} were read to ask {asked} times");
}

pub(crate) async fn outbox_rows_that_are_leased_are_read_by_nobody(place: Place) {
    let replica = place.replica().await;
    let insert = "insert into outbox (id, aggregatetype, aggregateid, type, payload, subject, time_us, lease_us) \
         select gen_random_uuid()::text, 'wallet', 'w', 'wallet.paid.v1', '{}', 'wallet.paid', 1, \
         (extract(epoch from now()) * 1000000)::bigint + 60000000 + n from generate_series(1, 20000) as n";
    fill(&place, insert, "analyze outbox").await;
    assert_eq!(replica.rows("outbox").await, WAITING);
    let scans = "select coalesce(sum(idx_scan), 0)::bigint from pg_stat_user_indexes where indexrelname = 'outbox_lease'";
    let read = "select ((select seq_tup_read from pg_stat_user_tables where relname = 'outbox') \
         + (select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'outbox'))::bigint";
    let before = (replica.number(scans).await, replica.number(read).await);
    let mut asked = 0;
    eventually(async || {
        let swept = queries::sweep(&replica.database, 60_000_000, 100).await;
        assert!(swept.unwrap().is_empty());
        asked += 2;
        replica.number(scans).await - before.0 > TIMES
    })
    .await;
    let read = replica.number(read).await - before.1;
    assert!(read < asked * EACH, "{read} were read to ask {asked} times");
}
