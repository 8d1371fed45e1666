//! An inventory row over HTTP: made, shown and changed so that no operator's change is lost to another's.

use e2e_tests::trip::{DAY, flight, trip};
use e2e_tests::{Answer, Setup, World, on_both_databases};
use reqwest::Method;
use serde_json::json;

on_both_databases![
    no_change_of_an_operator_is_lost_to_another,
    of_two_who_make_a_row_at_once_one_does with super::two_replicas,
    what_has_not_changed_is_not_sent_again,
    an_import_says_that_it_is_a_csv,
];

fn two_replicas(setup: Setup) -> Setup {
    setup.replicas(2)
}

fn path() -> String {
    format!("/flights/RT100/{DAY}")
}

/// At one replica, with these headers.
async fn put(world: &World, replica: usize, seats: i64, headers: &[(&str, &str)]) -> Answer {
    let body = json!({"seats": seats, "price_minor": 100, "currency": "EUR"});
    let request = world.request_at(replica, Method::PUT, "flight", &path());
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    world.send(request.json(&body)).await
}

async fn tag(world: &World) -> String {
    let answer = world
        .send(world.request(Method::GET, "flight", &path()))
        .await;
    answer.header("etag").to_owned()
}

async fn no_change_of_an_operator_is_lost_to_another(world: &mut World) {
    put(world, 0, 10, &[("if-match", "*")]).await.problem(412);
    let made = put(world, 0, 10, &[]).await;
    assert_eq!(
        (made.status, made.header("location")),
        (201, path().as_str())
    );
    let seen = tag(world).await;
    assert_eq!(made.header("etag"), seen);

    let changed = put(world, 0, 20, &[("if-match", &seen)]).await;
    assert_eq!(changed.status, 200);
    let late = put(world, 0, 30, &[("if-match", &seen)]).await;
    late.problem(412);
    // It says how things are, so that whoever is late can go on from there.
    assert_eq!(late.header("etag"), changed.header("etag"));
    assert_eq!(world.flight("RT100").await.total, 20);

    // What trips do is a change too.
    let seen = tag(world).await;
    world.book(&trip([flight("RT100", 1)])).await;
    put(world, 0, 30, &[("if-match", &seen)]).await.problem(412);
    // A weak tag is as none that was seen; what is no tag is not passed over, or what it was meant to prevent would happen.
    for unseen in ["W/\"1\"", "\"\", \"a,b\", \"c,\""] {
        put(world, 0, 30, &[("if-match", unseen)])
            .await
            .problem(412);
    }
    for strange in [seen.trim_matches('"'), "\"", ",", "\"a b\"", "\"a\", b"] {
        for condition in ["if-match", "if-none-match"] {
            let answer = put(world, 0, 30, &[(condition, strange)]).await;
            answer.problem(400);
        }
    }
    assert_eq!(world.flight("RT100").await.total, 20);
    assert_eq!(put(world, 0, 30, &[("if-match", "*")]).await.status, 200);
}

async fn of_two_who_make_a_row_at_once_one_does(world: &mut World) {
    let anew = [("if-none-match", "*")];
    let (one, other) = tokio::join!(put(world, 0, 10, &anew), put(world, 1, 20, &anew));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 412]);
    let total = if one.status == 201 { 10 } else { 20 };
    assert_eq!(world.flight("RT100").await.total, total);
}

async fn what_has_not_changed_is_not_sent_again(world: &mut World) {
    world.seats("RT100", 10).await;
    let seen = tag(world).await;
    let again = async || {
        let request = world.request(Method::GET, "flight", &path());
        world.send(request.header("if-none-match", &seen)).await
    };
    let same = again().await;
    assert_eq!((same.status, same.text.as_str()), (304, ""));
    world.seats("RT100", 11).await;
    assert_eq!(again().await.status, 200);
}

async fn an_import_says_that_it_is_a_csv(world: &mut World) {
    let csv = format!("flight,date,seats,price_minor,currency\nRT100,{DAY},10,100,EUR\n");
    let import = async |kind: &'static str| {
        let request = world.request(Method::POST, "flight", "/flights/import");
        let request = request.header("content-type", kind).body(csv.clone());
        world.send(request).await
    };
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        import(kind).await.problem(415);
    }
    assert_eq!(import("text/csv; charset=utf-8").await.status, 200);
}
