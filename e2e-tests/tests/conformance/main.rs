//! What the runtime promises of a transaction, the same list on SQLite and on PostgreSQL, on real files and a real server.
//!
//! Two replicas are two connections to one database, each with a transactor of its own. A transaction is held open by hand
//! while another replica's runs into it, so every meeting happens, and in the order that the test says. No broker here.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod failures;
mod letters;
mod maintenance;
mod meetings;
mod opening;
mod place;
mod transactions;

/// Each promise on each database; what only a server can break, on PostgreSQL.
macro_rules! on_both {
    ($($room:ident::$promise:ident),+; on postgres: $($server_room:ident::$server_promise:ident),+ $(,)?) => {
        mod sqlite {
            $(on_one!(Sqlite, $room::$promise);)+
        }
        mod postgres {
            $(on_one!(Postgres, $room::$promise);)+
            $(on_one!(Postgres, $server_room::$server_promise);)+
        }
    };
}

macro_rules! on_one {
    ($engine:ident, $room:ident::$promise:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            // A PostgreSQL database has no longer name.
            let name = stringify!($promise);
            let name = &name[..name.len().min(60)];
            if let Some(place) = super::place::Place::new(super::place::Engine::$engine, name).await
            {
                super::$room::$promise(place).await;
            }
        }
    };
}

on_both![
    transactions::a_fact_is_applied_once_however_often_it_comes,
    transactions::what_is_said_stays_in_the_outbox_until_it_is_published,
    transactions::a_transaction_that_is_not_committed_leaves_no_trace,
    transactions::hearing_what_writes_nothing_leaves_no_row_behind,
    transactions::a_command_done_again_makes_no_second_trip,
    transactions::what_the_database_refuses_for_the_datas_sake_is_told_apart,
    transactions::whoever_waits_too_long_for_a_lock_tries_again,
    meetings::two_replicas_meet_on_a_record_that_is_not_there_the_turn_first,
    meetings::two_replicas_meet_on_a_record_that_is_not_there_the_cancellation_first,
    meetings::two_replicas_meet_on_one_capacity_row,
    meetings::an_operator_and_a_trip_meet_on_one_capacity_row,
    meetings::two_replicas_meet_on_one_idempotency_key,
    meetings::two_replicas_meet_on_one_night,
    meetings::two_replicas_meet_on_one_trip_the_last_leg_first,
    meetings::two_replicas_meet_on_one_trip_the_cancellation_first,
    maintenance::dead_letters_alike_are_one_row_with_a_count,
    maintenance::a_dead_letter_is_kept_however_long_its_headers_are,
    maintenance::a_row_that_somebody_damaged_stops_no_other,
    maintenance::a_record_that_waits_is_due_when_its_time_comes,
    maintenance::an_outbox_row_whose_lease_ended_is_swept_by_one_replica_alone,
    maintenance::a_lease_from_a_clock_that_went_back_has_ended,
    maintenance::what_may_be_forgotten_goes_and_nothing_else,
    maintenance::eight_processes_that_start_together_make_one_schema,
    letters::a_letter_that_is_replayed_twice_has_its_effect_once,
    letters::what_is_not_committed_leaves_the_letter_where_it_was,
    letters::two_replicas_meet_on_one_letter,
    letters::the_past_of_dead_letters_ends_after_thirty_days,
    opening::the_writer_waits_for_the_disk,
    failures::a_row_that_another_made_first_is_tried_again;
    on postgres:
    failures::a_batch_whose_commit_fails_was_not_saved,
    failures::a_connection_that_ends_in_the_middle_is_opened_anew,
    failures::a_connection_that_may_not_write_any_more_is_opened_anew,
];
