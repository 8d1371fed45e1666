//! What one transaction promises of calls, and two replicas that meet on one. Nobody performs any here.

use std::sync::Arc;

use runtime::batch::Step;
use runtime::call::{CALL, Claimed};
use runtime::database::calls::{self, Back};
use runtime::database::{Failure, Is};
use runtime::{Input, TraceContext};
use serde::Deserialize;
use uuid::Uuid;

use crate::parcels::{Parcels, Said, Wanted, wanted};
use crate::place::{Place, Replica, eventually};

impl Place {
    pub(crate) async fn parcels(&self) -> Replica<Parcels> {
        let service = Parcels {
            system: self.system,
            outside: String::new(),
            gate: Arc::default(),
        };
        self.replica_of(service).await
    }
}

fn ask(parcel: &str, what: &str) -> Step<Parcels> {
    let (parcel, what) = (parcel.to_owned(), what.to_owned());
    Step::Fact {
        id: Uuid::now_v7(),
        kind: String::from("parcel.wanted.v1"),
        subject: String::from("parcel.wanted"),
        trace: TraceContext::default(),
        input: Input::Fact(Wanted { parcel, what }),
    }
}

fn answer(parcel: &str, what: &str, asked_us: i64, answer: Said) -> Step<Parcels> {
    let call = wanted(parcel, what);
    Step::Answer {
        asked_us,
        trace: TraceContext::default(),
        input: Input::Answer { call, answer },
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Waits {
    id: String,
    request: String,
    asked_us: i64,
    due_us: i64,
    attempts: i64,
    problem: Option<String>,
}

impl Replica<Parcels> {
    async fn waits(&self, id: &str) -> Option<Waits> {
        let waits = self.database.select(CALL).only("id", Is::Equal, id);
        waits.rows().await.unwrap().pop()
    }

    async fn calls(&self) -> i64 {
        self.number("select count(*) from call").await
    }

    async fn shipped(&self) -> i64 {
        let sum = "select cast(coalesce(sum(shipped), 0) as bigint) from parcel";
        self.number(sum).await
    }

    /// As the caller does, with a lease of so long.
    async fn claim(&self, first: bool, most: usize, lease_us: i64) -> Vec<Claimed> {
        let claimed = calls::claim(&self.database, first, most, lease_us).await;
        claimed.unwrap()
    }

    /// At which places of the batch nothing was done.
    async fn too_late(&self, steps: &[Step<Parcels>]) -> Vec<usize> {
        let done = self.transactor.run(steps, &[]).await.unwrap();
        done.too_late.into_iter().collect()
    }
}

pub(crate) async fn a_call_is_kept_with_what_asks_for_it_or_not_at_all(place: Place) {
    let replica = place.parcels().await;
    let steps = [ask("a", "ship")];
    drop(replica.transactor.open(&steps, &[]).await.unwrap());
    replica.run(&[]).await;
    assert_eq!(replica.calls().await, 0, "it was not committed");
    let done = replica.transactor.run(&steps, &[]).await.unwrap();
    assert!(done.asked);
    let waits = replica.waits("a-ship").await.unwrap();
    assert_eq!((waits.request.as_str(), waits.attempts), ("ship", 0));
    let claimed = replica.claim(false, 9, 1_000_000).await;
    assert_eq!(claimed.len(), 1, "it is due at once");
    assert_eq!(claimed[0].call(), wanted("a", "ship"));
    // As after a commit whose outcome is unknown: the same batch again.
    let again = replica.transactor.run(&steps, &[]).await.unwrap();
    assert!(!again.asked, "it is an echo");
    assert_eq!(replica.calls().await, 1);
}

pub(crate) async fn an_answer_is_judged_once_and_its_call_goes_with_it(place: Place) {
    let replica = place.parcels().await;
    replica.run(&[ask("a", "ship"), ask("b", "ship")]).await;
    let asked_us = replica.waits("a-ship").await.unwrap().asked_us;
    let done = || answer("a", "ship", asked_us, Said::Done);
    drop(replica.transactor.open(&[done()], &[]).await.unwrap());
    replica.run(&[]).await;
    assert_eq!(replica.calls().await, 2, "it was not committed");
    assert_eq!(replica.too_late(&[done(), done()]).await, [1]);
    assert_eq!((replica.shipped().await, replica.calls().await), (1, 1));
    assert_eq!(replica.too_late(&[done()]).await, [0]);
    assert_eq!((replica.shipped().await, replica.calls().await), (1, 1));
}

pub(crate) async fn an_answer_to_what_waits_no_more_changes_nothing(place: Place) {
    let replica = place.parcels().await;
    let never = answer("a", "ship", 7, Said::Done);
    assert_eq!(replica.too_late(&[never]).await, [0]);
    assert_eq!(replica.number("select count(*) from parcel").await, 0);
    replica.run(&[ask("a", "ship")]).await;
    let asked_us = replica.waits("a-ship").await.unwrap().asked_us;
    let earlier = answer("a", "ship", asked_us - 1, Said::Done);
    assert_eq!(replica.too_late(&[earlier]).await, [0], "of another asking");
    assert_eq!((replica.shipped().await, replica.calls().await), (0, 1));
}

pub(crate) async fn what_is_asked_for_again_while_it_waits_is_one_call(place: Place) {
    let replica = place.parcels().await;
    replica.run(&[ask("a", "ship")]).await;
    replica.claim(false, 1, 60_000_000).await;
    let before = replica.waits("a-ship").await.unwrap();
    replica.run(&[ask("a", "ship:2"), ask("a", "ship:3")]).await;
    let after = replica.waits("a-ship").await.unwrap();
    assert_eq!(after, before, "the first stays as it is, its lease too");
    // The answer to it and a further question in one batch, in any order, are a call that was answered.
    let done = answer("a", "ship", before.asked_us, Said::Done);
    replica.run(&[ask("a", "ship"), done]).await;
    assert_eq!((replica.shipped().await, replica.calls().await), (1, 0));
    replica.run(&[ask("a", "ship")]).await;
    assert_eq!(
        replica.calls().await,
        1,
        "what was answered can be asked for"
    );
}

pub(crate) async fn an_answer_that_asks_anew_begins_anew(place: Place) {
    let replica = place.parcels().await;
    replica.run(&[ask("a", "ship")]).await;
    replica.claim(false, 1, 60_000_000).await;
    let before = replica.waits("a-ship").await.unwrap();
    let not_yet = answer("a", "ship", before.asked_us, Said::NotYet);
    let done = replica.transactor.run(&[not_yet], &[]).await.unwrap();
    assert!(done.asked);
    let after = replica.waits("a-ship").await.unwrap();
    assert_eq!((before.attempts, after.attempts), (1, 0));
    assert!(after.asked_us > before.asked_us && after.due_us < before.due_us);
    let late = answer("a", "ship", before.asked_us, Said::Done);
    assert_eq!(replica.too_late(&[late]).await, [0]);
    let done = answer("a", "ship", after.asked_us, Said::Done);
    assert!(replica.too_late(&[done]).await.is_empty());
    assert_eq!((replica.shipped().await, replica.calls().await), (1, 0));
}

/// The lease ended while the first was still being told: both have an answer, and they contradict each other.
pub(crate) async fn two_replicas_answer_one_call(place: Place) {
    let (one, two) = (place.parcels().await, place.parcels().await);
    one.run(&[ask("a", "ship")]).await;
    let asked_us = one.waits("a-ship").await.unwrap().asked_us;
    let done = answer("a", "ship", asked_us, Said::Done);
    let not_yet = answer("a", "ship", asked_us, Said::NotYet);
    one.meet(done, &two, not_yet).await;
    assert_eq!((one.shipped().await, one.calls().await), (1, 0));
}

pub(crate) async fn two_replicas_claim_each_call_once_and_again_when_its_lease_ends(place: Place) {
    let (one, two) = (place.parcels().await, place.parcels().await);
    let all: Vec<_> = (0..40).map(|n| ask(&format!("p{n}"), "ship")).collect();
    one.run(&all).await;
    let (first, second) = futures::join!(
        one.claim(false, 25, 60_000_000),
        two.claim(false, 25, 60_000_000)
    );
    let mut ids: Vec<_> = first
        .iter()
        .chain(&second)
        .map(|it| it.id.as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), first.len() + second.len(), "none twice");
    let rest = one.claim(false, 100, 3_000_000).await;
    assert_eq!(ids.len() + rest.len(), 40);
    assert_eq!(two.claim(false, 100, 3_000_000).await, [], "all are leased");
    let mut again = 0;
    eventually(async || {
        again += one.claim(false, 100, 60_000_000).await.len();
        again == rest.len()
    })
    .await;
}

pub(crate) async fn what_is_put_back_is_due_after_its_pause_and_keeps_why(place: Place) {
    let replica = place.parcels().await;
    replica.run(&[ask("a", "ship"), ask("b", "ship")]).await;
    let claimed = replica.claim(false, 9, 60_000_000).await;
    let back = |it: &Claimed, attempts: i64| Back {
        id: it.id.clone(),
        asked_us: it.asked_us,
        attempts,
        pause_us: 5_000_000,
        problem: String::from("nobody answers"),
    };
    let put_back = async |all: Vec<Back>| calls::put_back(&replica.database, all).await.unwrap();
    put_back(claimed.iter().map(|it| back(it, 0)).collect()).await;
    let untouched = replica.waits("a-ship").await.unwrap();
    assert_eq!(untouched.problem, None, "somebody else has claimed it");
    put_back(claimed.iter().map(|it| back(it, 1)).collect()).await;
    let waits = replica.waits("a-ship").await.unwrap();
    assert_eq!(waits.problem.as_deref(), Some("nobody answers"));
    assert!(waits.due_us < untouched.due_us);
    assert_eq!(replica.claim(false, 9, 1).await, [], "not yet");
    eventually(async || replica.claim(false, 1, 60_000_000).await.len() == 1).await;
    let tried = "select cast(sum(attempts) as bigint) from call";
    assert_eq!(replica.number(tried).await, 3);
    // A clock went back: what is due far later than any pause is due now.
    calls::mend(&replica.database, 1_000_000).await.unwrap();
    eventually(async || replica.claim(false, 9, 60_000_000).await.len() == 2).await;
}

pub(crate) async fn those_that_go_first_are_claimed_apart(place: Place) {
    let replica = place.parcels().await;
    let asked = [ask("a", "ship"), ask("b", "fetch-back"), ask("c", "ship")];
    replica.run(&asked).await;
    let firsts = replica.claim(true, 9, 60_000_000).await;
    assert_eq!(firsts.len(), 1);
    assert_eq!(firsts[0].call(), wanted("b", "fetch-back"));
    assert_eq!(replica.claim(false, 9, 60_000_000).await.len(), 2);
    let waiting = calls::waiting(&replica.database, 100).await.unwrap();
    let expected = [("fetch-back", 1), ("ship", 2)].map(|(it, n)| (it.to_owned(), n));
    assert_eq!(waiting, expected);
}

pub(crate) async fn a_call_beyond_its_bounds_is_refused_alone(place: Place) {
    let replica = place.parcels().await;
    let steps = [ask("a", "ship"), ask("b", "too-long")];
    let refused = replica.transactor.run(&steps, &[]).await.err();
    assert!(matches!(refused, Some(Failure::Poison(_))), "{refused:?}");
    assert_eq!(replica.calls().await, 0);
    replica.run(&steps[..1]).await;
    assert_eq!(replica.calls().await, 1);
}

pub(crate) async fn one_reaction_asks_for_so_many_calls_and_no_more(place: Place) {
    let replica = place.parcels().await;
    let refused = replica.transactor.run(&[ask("b", "many:17")], &[]).await;
    assert!(matches!(refused.err(), Some(Failure::Poison(why)) if why.contains("17 calls")));
    replica.run(&[ask("a", "many:16")]).await;
    assert_eq!(replica.calls().await, 16);
}

pub(crate) async fn a_core_that_panics_before_anything_is_loaded_refuses_its_input(place: Place) {
    let replica = place.parcels().await;
    let steps = [ask("a", "ship"), ask("b", "need-panics")];
    let refused = replica.transactor.run(&steps, &[]).await.err();
    assert!(matches!(refused, Some(Failure::Poison(_))), "{refused:?}");
    replica.run(&steps[..1]).await;
    assert_eq!(replica.calls().await, 1);
}
