//! The promises of a transaction, once for each database that they are tested on.

/// A test of each of these promises, in a place that is made for it.
macro_rules! tests {
    ($place:expr; $($room:ident::$promise:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            crate::$room::$promise($place).await;
        }
    )+};
}

macro_rules! of_transactions {
    ($place:expr) => {
        tests![$place;
            transactions::a_fact_counts_once_however_often_it_comes,
            transactions::what_is_said_stays_in_the_outbox_until_it_is_published,
            transactions::what_is_not_committed_leaves_no_trace,
            transactions::a_command_done_again_gets_its_reply_and_changes_nothing,
            transactions::what_the_database_refuses_is_told_apart_and_nothing_is_saved,
            transactions::two_replicas_meet_on_a_record_that_is_not_there,
            transactions::two_replicas_meet_on_one_record,
            transactions::a_record_is_due_when_its_time_comes,
            transactions::an_outbox_row_whose_lease_ended_is_swept_by_one_replica_alone,
            transactions::what_may_be_forgotten_goes_and_nothing_else,
            asking::a_call_is_kept_with_what_asks_for_it_or_not_at_all,
            asking::an_answer_is_judged_once_and_its_call_goes_with_it,
            asking::an_answer_to_what_waits_no_more_changes_nothing,
            asking::what_is_asked_for_again_while_it_waits_is_one_call,
            asking::an_answer_that_asks_anew_begins_anew,
            asking::two_replicas_answer_one_call,
            asking::two_replicas_claim_each_call_once_and_again_when_its_lease_ends,
            asking::what_is_put_back_is_due_after_its_pause_and_keeps_why,
            asking::those_that_go_first_are_claimed_apart,
            asking::a_call_beyond_its_bounds_is_refused_alone,
            asking::one_reaction_asks_for_so_many_calls_and_no_more,
            asking::a_core_that_panics_before_anything_is_loaded_refuses_its_input,
        ];
    };
}
