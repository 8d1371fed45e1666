//! The coordinator dies between a trip's first prepare and its last commit, at each step; and without what keeps trips whole then, these tests
//! are red.

use two_phase::faults::{CrashPoint, Guard, WITHOUT};

use crate::place::Place;

#[tokio::test]
async fn a_coordinator_that_dies_at_any_step_leaves_no_half_trip() {
    let test = "a_coordinator_that_dies_at_any_step_leaves_no_half_trip";
    let Some(mut place) = Place::open(test).await else {
        return;
    };
    place.start(&[]).await;
    for point in CrashPoint::ALL {
        let (load, told) = place.load();
        place.until_more_are_told(&told, 10).await;
        place.die_at(point).await;
        if point != CrashPoint::OneCommitted {
            let left = place.in_doubt().await;
            assert!(left > 0, "{}: nothing was in doubt", point.as_str());
        }
        place.restart(&[]).await;
        place.until_more_are_told(&told, 10).await;
        load.abort();
        place.adds_up(&told).await;
    }
}

/// In the middle of many trips, wherever each of them is.
#[tokio::test]
async fn a_coordinator_that_is_killed_again_and_again_leaves_no_half_trip() {
    let test = "a_coordinator_that_is_killed_again_and_again_leaves_no_half_trip";
    let Some(mut place) = Place::open(test).await else {
        return;
    };
    place.start(&[]).await;
    let (load, told) = place.load();
    for _ in 0..5 {
        place.until_more_are_told(&told, 15).await;
        place.kill().await;
        place.restart(&[]).await;
    }
    place.until_more_are_told(&told, 15).await;
    load.abort();
    place.adds_up(&told).await;
}

/// The proof that the decision has to be on disk before anything is committed.
#[tokio::test]
async fn without_a_decision_a_crash_leaves_half_trips() {
    let Some(mut place) = Place::open("without_a_decision_a_crash_leaves_half_trips").await else {
        return;
    };
    place.start(&[(WITHOUT, Guard::Decision.as_str())]).await;
    let (load, told) = place.load();
    place.until_more_are_told(&told, 10).await;
    place.die_at(CrashPoint::OneCommitted).await;
    load.abort();
    place.restart(&[]).await;
    let report = place.audit().await;
    let never = report.violations.iter();
    let never = never.filter(|line| line.contains("was never decided for"));
    assert!(never.count() > 0, "{report}");
}

/// The proof that what is in doubt has to be ended by somebody.
#[tokio::test]
async fn without_recovery_seats_stay_locked() {
    let Some(mut place) = Place::open("without_recovery_seats_stay_locked").await else {
        return;
    };
    place.start(&[]).await;
    let (load, told) = place.load();
    place.until_more_are_told(&told, 10).await;
    place.die_at(CrashPoint::Decided).await;
    load.abort();
    place.restart(&[(WITHOUT, Guard::Recovery.as_str())]).await;
    let report = place.audit().await;
    assert!(report.in_doubt > 0 && !report.is_clean(), "{report}");
    // And with it, everything ends.
    place.kill().await;
    place.restart(&[(WITHOUT, "")]).await;
    place.adds_up(&told).await;
}
