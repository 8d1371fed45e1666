//! What the runtime promises of a transaction on PostgreSQL, and of the whole loop on a real broker and both databases, by the toy service.
//! Not part of a plain `cargo test`, for it needs servers:
//!
//! ```sh
//! NATS_URL=nats://127.0.0.1:4222 POSTGRES_URL=postgres://postgres@127.0.0.1:5432/postgres cargo test --test on_servers
//! ```
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[macro_use]
mod promises;
mod loops;
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
        ];
    };
}

mod sqlite {
    of_loops!(crate::place::Place::sqlite());
}

mod postgres {
    of_transactions!(crate::place::Place::postgres().await);
    of_loops!(crate::place::Place::postgres().await);
}
