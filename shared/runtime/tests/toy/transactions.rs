//! What one transaction promises, and two that meet. No broker here.

use runtime::database::{Failure, queries};
use uuid::Uuid;

use crate::place::{Place, Replica, paid, paid_as, pay_out_as};
use crate::wallet::WALLET;

async fn cents(replica: &Replica) -> i64 {
    replica
        .number("select cast(sum(cents) as bigint) from wallet")
        .await
}

pub(crate) async fn a_fact_counts_once_however_often_it_comes(place: Place) {
    let replica = place.replica().await;
    let id = Uuid::now_v7();
    let twice = [paid_as(id, "ann", 5), paid_as(id, "ann", 5)];
    assert_eq!(replica.run(&twice).await.len(), 1, "one id in one batch");
    assert!(replica.run(&twice[..1]).await.is_empty(), "and in the next");
    assert_eq!(cents(&replica).await, 5);
    replica.run(&[paid("ann", 5)]).await;
    assert_eq!(cents(&replica).await, 10, "a new id is a new payment");
}

pub(crate) async fn what_is_said_stays_in_the_outbox_until_it_is_published(place: Place) {
    let replica = place.replica().await;
    let said = replica.run(&[paid("ann", 5), paid("bob", 5)]).await;
    let outbox = "select count(*) from outbox";
    assert_eq!(replica.number(outbox).await, 2);
    let published = [said[0].id];
    replica.transactor.run(&[], &published).await.unwrap();
    assert_eq!(replica.number(outbox).await, 1);
}

pub(crate) async fn what_is_not_committed_leaves_no_trace(place: Place) {
    let replica = place.replica().await;
    let steps = [paid("ann", 5)];
    drop(replica.transactor.open(&steps, &[]).await.unwrap());
    replica.run(&[]).await;
    for table in ["wallet", "outbox", "inbox"] {
        let rows = format!("select count(*) from {table}");
        assert_eq!(replica.number(&rows).await, 0, "{table}");
    }
    assert_eq!(replica.run(&steps).await.len(), 1);
}

pub(crate) async fn a_command_done_again_gets_its_reply_and_changes_nothing(place: Place) {
    let replica = place.replica().await;
    replica.run(&[paid("ann", 5)]).await;
    // As after a commit whose outcome is unknown: the same batch, with the same ids.
    let id = Uuid::now_v7();
    for said in [1, 0] {
        let steps = [pay_out_as(id, "ann", 2)];
        let done = replica.transactor.run(&steps, &[]).await.unwrap();
        assert_eq!(done.replies, [Some(Some(3))]);
        assert_eq!(done.said.len(), said);
    }
    let too_much = [pay_out_as(Uuid::now_v7(), "ann", 4)];
    let done = replica.transactor.run(&too_much, &[]).await.unwrap();
    assert_eq!(done.replies, [Some(None)]);
    assert_eq!(cents(&replica).await, 3);
}

pub(crate) async fn what_the_database_refuses_is_told_apart_and_nothing_is_saved(place: Place) {
    let replica = place.replica().await;
    let both = [paid("ann", 5), paid("bob", 1_000_000)];
    let refused = replica.transactor.run(&both, &[]).await.err();
    assert!(matches!(refused, Some(Failure::Poison(_))), "{refused:?}");
    assert_eq!(replica.number("select count(*) from wallet").await, 0);
    replica.run(&both[..1]).await;
    assert_eq!(cents(&replica).await, 5, "the connection is as good as new");
}

pub(crate) async fn two_replicas_meet_on_a_record_that_is_not_there(place: Place) {
    let (one, two) = (place.replica().await, place.replica().await);
    let said = one.meet(paid("ann", 5), &two, paid("ann", 7)).await;
    assert_eq!(said[0].payload, r#"{"cents":12}"#);
    assert_eq!(cents(&one).await, 12);
}

pub(crate) async fn two_replicas_meet_on_one_record(place: Place) {
    let (one, two) = (place.replica().await, place.replica().await);
    one.run(&[paid("ann", 5)]).await;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let first = pay_out_as(first, "ann", 4);
    let said = one.meet(first, &two, pay_out_as(second, "ann", 4)).await;
    assert!(said.is_empty(), "one is left, and four were asked for");
    assert_eq!(cents(&one).await, 1);
}

pub(crate) async fn a_record_is_due_when_its_time_comes(place: Place) {
    let replica = place.replica().await;
    let said = replica.run(&[paid("ann", 5)]).await;
    let due = async |now_us: i64, far_us: i64| {
        let due = queries::due::<(String,)>(&replica.database, WALLET, now_us, far_us);
        due.await.unwrap()
    };
    let ann = || (String::from("ann"),);
    assert_eq!(due(0, i64::MAX).await, [], "not yet");
    let waiting = due(i64::MAX, i64::MAX).await;
    assert_eq!(waiting, [(ann(), true)], "its word is not out yet");
    let published = [said[0].id];
    replica.transactor.run(&[], &published).await.unwrap();
    assert_eq!(due(i64::MAX, i64::MAX).await, [(ann(), false)]);
    assert_eq!(due(0, 1).await, [(ann(), false)], "a clock went back");
}

pub(crate) async fn an_outbox_row_whose_lease_ended_is_swept_by_one_replica_alone(place: Place) {
    let (one, two) = (place.replica().await, place.replica().await);
    let said = one.run(&[paid("ann", 5)]).await;
    let sweep = async |replica: &Replica| {
        let swept = queries::sweep(&replica.database, 60_000_000, 512).await;
        swept.unwrap()
    };
    assert_eq!(sweep(&two).await, [], "its publisher has the lease");
    let mut writer = one.database.writer().await.unwrap();
    let ended = "update outbox set lease_us = 0";
    writer.run(ended, vec![]).await.unwrap();
    drop(writer);
    let (first, second) = futures::join!(sweep(&one), sweep(&two));
    let swept: Vec<_> = first.into_iter().chain(second).collect();
    let (first, attempt) = (said[0].clone(), 1);
    assert_eq!(swept, [runtime::Event { attempt, ..first }]);
}

pub(crate) async fn what_may_be_forgotten_goes_and_nothing_else(place: Place) {
    let replica = place.replica().await;
    replica.run(&[paid("ann", 5), paid("bob", 0)]).await;
    let forget = async |now_us: i64| {
        let rows = queries::forget_rows(&replica.database, WALLET, now_us).await;
        let ids = queries::forget_inbox(&replica.database, now_us).await;
        (rows.unwrap(), ids.unwrap())
    };
    assert_eq!(forget(0).await, (0, 0), "not yet");
    assert_eq!(forget(i64::MAX).await, (1, 2), "only what is empty");
    assert_eq!(cents(&replica).await, 5);
}
