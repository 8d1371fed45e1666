//! What the runtime promises of a transaction on PostgreSQL, and of the whole loop on a real broker and both databases, by the toy service.
//! Not part of a plain `cargo test`, for it needs servers:
//!
//! ```sh
//! NATS_URL=nats://127.0.0.1:4222 POSTGRES_URL=postgres://postgres@127.0.0.1:5432/postgres cargo test --test on_servers
//! ```
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[macro_use]
mod promises;
mod asking;
mod calling;
mod draining;
mod indexes;
mod loops;
mod outside;
mod parcels;
mod place;
mod servers;
mod transactions;
mod wallet;

macro_rules! of_loops {
    ($place:expr) => {
        tests![$place;
            loops::what_cannot_be_read_is_put_aside_and_stops_nothing,
            loops::an_answer_says_what_is_saved_and_a_fact_follows,
            loops::a_timer_strikes_when_it_is_due,
            loops::who_drains_leaves_nothing_behind_and_another_goes_on,
            calling::a_call_is_performed_at_once_and_its_answer_judged,
            calling::an_answer_that_is_lost_costs_a_repetition_under_the_same_id,
            calling::what_takes_too_long_or_panics_is_tried_again,
            calling::what_nobody_can_read_is_kept_whole_and_asked_for_again,
            calling::who_is_busy_says_when_to_come_back_and_the_list_says_why_it_waits,
            calling::an_answer_that_cannot_be_applied_stops_no_other,
            calling::two_replicas_perform_each_call_once,
            calling::what_goes_first_goes_first_and_the_others_are_not_starved,
            draining::who_drains_waits_for_what_is_under_way_and_starts_nothing_more,
            draining::who_drains_puts_back_what_was_tried_in_vain_before_it_leaves,
            draining::who_drains_cuts_short_what_takes_too_long_and_puts_it_back,
        ];
    };
}

mod sqlite {
    of_loops!(crate::place::Place::sqlite());
}

mod postgres {
    of_transactions!(crate::place::Place::postgres().await);
    of_loops!(crate::place::Place::postgres().await);
    tests![crate::place::Place::postgres().await;
        indexes::calls_that_are_not_due_are_read_by_nobody,
        indexes::outbox_rows_that_are_leased_are_read_by_nobody,
    ];
}
