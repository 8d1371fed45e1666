//! A world to play scenarios in: a real nats-server, real databases, real services, and travellers who use their HTTP.
//!
//! - [`Setup`] says what a world is made of, and [`World`] is one: its stack, what can be done to it, and its end. A stack is made of
//!   processes on this machine, or of the containers of a [`compose`] stack.
//! - [`Client`] is how travellers and operators reach it; [`trip`] is what they ask for.
//! - [`fixtures`] is what earlier versions left, for a world to begin with.
//! - [`Timeline`] is what was said on the wire, so that a test that fails can tell one trip's story in order.
//!
//! Every world ends with the audit ([`World::finish`]): what must always hold is checked there and not in each test. A scenario
//! is written once and plays on both databases ([`on_both_databases!`]), and, where it needs no more than a load balancer shows, on
//! the stack of containers too ([`everywhere!`]). Nothing is mocked and nothing sleeps for a fixed time:
//! every wait is for a condition, and bounded.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops where it fails"
)]

mod client;
pub mod compose;
mod containers;
pub mod contract;
pub mod fixtures;
pub mod load;
pub mod prerequisites;
mod processes;
pub mod sandbox;
mod setup;
mod timeline;
pub mod trip;
mod world;

pub use client::{Answer, Client, Stock, Trouble};
pub use load::Load;
pub use prerequisites::{Engine, program};
pub use processes::Lock;
pub use sandbox::Sandbox;
pub use setup::Setup;
pub use stack::SERVICES;
pub use timeline::{Published, Timeline};
pub use world::World;

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long anything may take that should happen soon. Only a test that fails waits that long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Plays a scenario in a world of its own, and ends it with the audit. What cannot be obtained skips it, visibly.
pub async fn play(test: &str, setup: Setup, scenario: impl AsyncFnOnce(&mut World)) {
    let max = setup.scenario_max;
    let Some(mut world) = setup.start(test).await else {
        return;
    };
    let played = tokio::time::timeout(max, scenario(&mut world)).await;
    assert!(played.is_ok(), "{test} was not over after {max:?}");
    world.finish().await;
}

/// Looks again and again until there is something, and fails when that takes too long.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    until(what, async || look().await.ok_or_else(String::new)).await
}

/// Looks until what is there is what should be, and fails with what there was last.
pub(crate) async fn until_equal<T: PartialEq + Debug>(
    what: &str,
    expected: T,
    mut look: impl AsyncFnMut() -> T,
) {
    until(what, async || {
        let there = look().await;
        (there == expected)
            .then_some(())
            .ok_or_else(|| format!("it is {there:?} and not {expected:?}"))
    })
    .await;
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        let last = match look().await {
            Ok(found) => return found,
            Err(last) => last,
        };
        let seconds = PATIENCE.as_secs();
        assert!(
            Instant::now() < until,
            "waited {seconds} s in vain: {what} {last}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Makes two tests of each scenario, one on SQLite and one on PostgreSQL. A scenario is an `async fn(&mut World)`; one that
/// needs another world than the usual one says so: `name with |setup| setup.replicas(3)`.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident $(with $change:expr)?),+ $(,)?) => {
        mod sqlite {
            $($crate::on_one_database!($name, $crate::Engine::Sqlite $(, $change)?);)+
        }
        mod postgres {
            $($crate::on_one_database!($name, $crate::Engine::Postgres $(, $change)?);)+
        }
    };
}

/// [`on_both_databases!`], and a test on the stack of containers besides, which skips itself unless containers are asked for. Scenarios
/// for processes alone come last: `; only as processes: name`.
#[macro_export]
macro_rules! everywhere {
    (
        $($name:ident $(with $change:expr)?),+ $(,)?
        $(; only as processes: $($alone:ident $(with $alone_change:expr)?),+ $(,)?)?
    ) => {
        $crate::on_both_databases![
            $($name $(with $change)?),+
            $(, $($alone $(with $alone_change)?),+)?
        ];
        mod containers {
            $($crate::on_one_database!($name, $crate::Engine::Containers $(, $change)?);)+
        }
    };
}

/// One test of [`on_both_databases!`].
#[macro_export]
macro_rules! on_one_database {
    ($name:ident, $engine:expr $(, $change:expr)?) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let setup = $crate::Setup::on($engine);
            $(
                let change: fn($crate::Setup) -> $crate::Setup = $change;
                let setup = change(setup);
            )?
            let test = concat!(module_path!(), "::", stringify!($name));
            $crate::play(test, setup, super::$name).await;
        }
    };
}
