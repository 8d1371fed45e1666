//! What the runtime promises, by a toy service that knows no trips: the same list on SQLite and on PostgreSQL, on a real broker. What its
//! promises come to for trips is tested where trips are.
//!
//! Tests that need servers are ignored by default. They read `NATS_URL` and `POSTGRES_URL`, whose user may create databases; they leave
//! their databases and streams behind:
//!
//! ```sh
//! NATS_URL=nats://127.0.0.1:4222 POSTGRES_URL=postgres://postgres@127.0.0.1:5432/postgres cargo test -- --include-ignored
//! ```
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod loops;
mod place;
mod transactions;
mod wallet;

/// Each promise of a transaction on each database; each of the whole loop too, which needs a broker.
macro_rules! promises {
    ($($of_transactions:ident),+; on a broker: $($of_loops:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $of_transactions() {
                    crate::transactions::$of_transactions(crate::place::Place::sqlite()).await;
                }
            )+
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[ignore = "needs NATS_URL and POSTGRES_URL"]
                async fn $of_loops() {
                    crate::loops::$of_loops(crate::place::Place::sqlite()).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[ignore = "needs NATS_URL and POSTGRES_URL"]
                async fn $of_transactions() {
                    crate::transactions::$of_transactions(crate::place::Place::postgres().await).await;
                }
            )+
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[ignore = "needs NATS_URL and POSTGRES_URL"]
                async fn $of_loops() {
                    crate::loops::$of_loops(crate::place::Place::postgres().await).await;
                }
            )+
        }
    };
}

promises![
    a_fact_counts_once_however_often_it_comes,
    what_is_said_stays_in_the_outbox_until_it_is_published,
    what_is_not_committed_leaves_no_trace,
    a_command_done_again_gets_its_reply_and_changes_nothing,
    what_the_database_refuses_is_told_apart_and_nothing_is_saved,
    two_replicas_meet_on_a_record_that_is_not_there,
    two_replicas_meet_on_one_record,
    a_record_is_due_when_its_time_comes,
    an_outbox_row_whose_lease_ended_is_swept_by_one_replica_alone,
    what_may_be_forgotten_goes_and_nothing_else;
    on a broker:
    what_cannot_be_read_is_put_aside_and_stops_nothing,
    an_answer_says_what_is_saved_and_a_fact_follows,
    a_timer_strikes_when_it_is_due,
    who_drains_leaves_nothing_behind_and_another_goes_on,
];
