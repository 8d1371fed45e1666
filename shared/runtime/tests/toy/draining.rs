//! What a replica that stops makes of its calls, on a real broker, against a real server that is outside.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use runtime::batch::Step;
use runtime::{Input, TraceContext};

use crate::calling::{World, number, parcel, until_shipped};
use crate::parcels::{Said, wanted};
use crate::place::{Place, eventually};

pub(crate) async fn who_drains_waits_for_what_is_under_way_and_starts_nothing_more(place: Place) {
    let world = World::open(place).await;
    let (running, handle) = world.start(&[("--calls-max", "1")]).await;
    for parcel in ["a", "b", "c"] {
        world.want(parcel, "ship:slow").await;
    }
    eventually(async || number(&handle, "select count(*) from call").await == 3).await;
    eventually(async || world.outside.order().len() == 1).await;
    let begun = std::time::Instant::now();
    running.drain().await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    let order = world.outside.order();
    let started = order[0].trim_end_matches("-ship");
    assert_eq!(
        (order.len(), parcel(&handle, started).await.shipped),
        (1, 1)
    );
    assert_eq!(number(&handle, "select count(*) from call").await, 2);
    let (running, handle) = world.start(&[]).await;
    for parcel in ["a", "b", "c"] {
        until_shipped(&handle, parcel).await;
    }
    assert_eq!(world.outside.order().len(), 3);
    running.drain().await;
}

/// Somebody else holds the call's row while this one drains: it waits for that, and does not leave the call to its lease.
pub(crate) async fn who_drains_puts_back_what_was_tried_in_vain_before_it_leaves(place: Place) {
    let world = World::open(place).await;
    let other = world.place.replica_of(world.service()).await;
    let (running, _) = world.start(&[]).await;
    world.want("a", "ship:slow-busy").await;
    eventually(async || world.outside.asked("a-ship") == 1).await;
    let never = Step::Answer {
        asked_us: 7,
        trace: TraceContext::default(),
        input: Input::Answer {
            call: wanted("a", "ship"),
            answer: Said::Done,
        },
    };
    let steps = [never];
    let open = other.transactor.open(&steps, &[]).await.unwrap();
    let draining = tokio::spawn(running.drain());
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(
        !draining.is_finished(),
        "it left what it could not put back yet"
    );
    drop(open);
    other.run(&[]).await;
    draining.await.unwrap();
    let kept =
        "select count(*) from call where problem = '503\\u{7}' and due_us - asked_us > 1500000000";
    assert_eq!(other.number(kept).await, 1);
    assert_eq!(world.outside.asked("a-ship"), 1);
}

pub(crate) async fn who_drains_cuts_short_what_takes_too_long_and_puts_it_back(place: Place) {
    let world = World::open(place).await;
    let patient = [
        ("--call-timeout-ms", "20000"),
        ("--drain-timeout-ms", "2000"),
    ];
    let (running, handle) = world.start(&patient).await;
    world.want("a", "ship:hang").await;
    eventually(async || world.outside.asked("a-ship") == 1).await;
    world.gate.store(0, Ordering::Relaxed);
    let begun = Instant::now();
    running.drain().await;
    // Its own limit is twenty.
    assert!(begun.elapsed() < Duration::from_secs(15));
    let soon =
        "select count(*) from call where problem like '%stops%' and due_us - asked_us < 10000000";
    assert_eq!(number(&handle, soon).await, 1, "it waits for its lease");
    world.gate.store(usize::MAX, Ordering::Relaxed);
    let (running, handle) = world.start(&[]).await;
    until_shipped(&handle, "a").await;
    assert_eq!(world.outside.asked("a-ship"), 2);
    running.drain().await;
}
