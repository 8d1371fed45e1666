//! What an operator does with dead letters: replayed, they have their effect once; discarded, they are gone; and no number of them stops
//! a trip.

use async_nats::HeaderMap;
use booking::core::State;
use e2e_tests::trip::{flight, stay, trip};
use e2e_tests::{Answer, Stock, World, eventually, on_both_databases};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases![
    a_letter_that_can_be_read_at_last_is_replayed_and_has_its_effect_once with |setup| setup
        .setting("UNKNOWN_VERSION_WAIT_MS", "0")
        .setting("REANNOUNCE_FIRST_MS", "600000")
        .setting("REANNOUNCE_MAX_MS", "600000"),
    what_nobody_needs_is_discarded_and_nothing_else,
    six_thousand_junk_messages_stop_no_trip_and_are_cleared,
    large_letters_come_on_pages_of_few_and_replays_have_few_places,
];

const TO_FLIGHT: &str = "trips.booking.requested.flight";
const NOBODY: &str = "0190aaaa-0000-7000-8000-000000000000";

async fn post(world: &World, path: &str, body: Value) -> Answer {
    let request = world.request(Method::POST, "flight", path);
    world.send(request.json(&body)).await
}

fn junk(kind: &str, about: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let id = uuid::Uuid::now_v7().to_string();
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", &id),
        ("ce-type", kind),
        ("ce-subject", about),
    ] {
        headers.insert(name, value);
    }
    headers
}

async fn letters(world: &World, count: usize) -> Vec<Value> {
    eventually("they are dead letters", async || {
        Some(world.letters("flight").await).filter(|letters| letters.len() == count)
    })
    .await
}

async fn past(world: &World) -> Vec<Value> {
    let past: Value = world.get("flight", "/letters/past?limit=1000").await;
    past["items"].as_array().unwrap().clone()
}

/// Booking's request is lost on the way, and comes only in a version that flight cannot read yet. Nobody asks again for ten minutes.
async fn a_letter_that_can_be_read_at_last_is_replayed_and_has_its_effect_once(world: &mut World) {
    world.seats("RT100", 10).await;
    world.kill("flight", 0).await;
    let asked = world.ask(&trip([flight("RT100", 3)])).await;
    let said = eventually("booking has said it", async || {
        let said = world.timeline.all();
        said.into_iter().find(|word| word.subject == TO_FLIGHT)
    })
    .await;
    let stream = world.jetstream().get_stream("TRIPS").await.unwrap();
    stream.purge().await.unwrap();
    world.restart("flight", 0).await;
    let mut newer = said.headers.clone();
    newer.insert("ce-type", "booking.requested.v2");
    newer.insert("Nats-Msg-Id", "another");
    world.publish(TO_FLIGHT, newer, said.payload.clone()).await;
    let letter = letters(world, 1).await.remove(0);
    let id = letter["id"].as_str().unwrap().to_owned();
    let replay = format!("/letters/{id}/replay");

    let refused = post(world, &replay, json!({})).await.problem(422);
    assert!(refused.detail.contains("still cannot"), "{refused:?}");
    let many = json!({"which": {"all": true}});
    let cleared: Value = post(world, "/letters/replay", many).await.json();
    assert_eq!(
        (&cleared["letters"], &cleared["next"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(cleared["kept"][0]["id"], json!(id));
    let shown: Value = world.get("flight", &format!("/letters/{id}")).await;
    assert_eq!(shown, letter, "it stays as it was");
    world.until_state(asked.trip, State::Pending).await;

    // As good as an upgrade.
    let upgrade =
        "update dead_letter set headers = replace(headers, 'requested.v2', 'requested.v1')";
    world.by_hand("flight", upgrade).await;
    let word = json!({"by": "ada", "why": "flight can read it now"});
    let first: Value = post(world, &replay, word).await.json();
    let second: Value = post(world, &replay, json!({"by": "bob"})).await.json();
    assert_eq!(first, second, "the second changed nothing");
    assert_eq!(
        (&first["outcome"], &first["by"], &first["why"]),
        (
            &json!("replayed"),
            &json!("ada"),
            &json!("flight can read it now")
        )
    );
    world.until_state(asked.trip, State::Confirmed).await;
    world.until_flight("RT100", Stock::of(0, 3, 7)).await;
    assert_eq!(past(world).await, [first]);
    letters(world, 0).await;
    let other = format!("/letters/{id}/discard");
    post(world, &other, json!({"why": "junk"}))
        .await
        .problem(409);
    post(world, &format!("/letters/{NOBODY}/replay"), json!({}))
        .await
        .problem(404);
}

async fn what_nobody_needs_is_discarded_and_nothing_else(world: &mut World) {
    for about in ["a", "b", "c"] {
        world
            .publish(TO_FLIGHT, junk("junk.made.v1", about), "{}")
            .await;
        world
            .publish(TO_FLIGHT, junk("booking.requested.v1", about), "{")
            .await;
    }
    world.publish(TO_FLIGHT, HeaderMap::new(), "hello").await;
    letters(world, 7).await;
    world
        .publish(TO_FLIGHT, junk("junk.made.v1", "a"), "{}")
        .await;
    eventually("all are counted", async || {
        let count = |letter: &Value| letter["count"].as_i64().unwrap();
        let counts: i64 = world.letters("flight").await.iter().map(count).sum();
        (counts == 8).then_some(())
    })
    .await;
    what_is_not_said_well_is_refused(world).await;
    letters(world, 7).await;

    let some = json!({"which": {"type": "junk."}, "why": "a test", "limit": 2});
    let cleared: Value = post(world, "/letters/discard", some.clone()).await.json();
    assert_eq!(cleared["letters"], 2);
    assert!(cleared["next"].is_string(), "{cleared}");
    let cleared: Value = post(world, "/letters/discard", some).await.json();
    assert_eq!(
        (&cleared["letters"], &cleared["next"]),
        (&json!(1), &Value::Null)
    );
    let header = json!({"which": {"reason": "the header ce-specversion"}, "why": "a test"});
    let cleared: Value = post(world, "/letters/discard", header.clone()).await.json();
    assert_eq!(
        (&cleared["letters"], &cleared["messages"]),
        (&json!(1), &json!(1))
    );
    let cleared: Value = post(world, "/letters/discard", header).await.json();
    assert_eq!(cleared["letters"], 0, "asking again finds nothing");
    let left = letters(world, 3).await;
    assert!(
        left.iter()
            .all(|letter| letter["type"] == "booking.requested.v1")
    );
    let past = past(world).await;
    assert_eq!(past.len(), 4);
    assert!(
        past.iter()
            .all(|past| past["outcome"] == "discarded" && past["why"] == "a test")
    );
    let messages: i64 = past
        .iter()
        .map(|past| past["count"].as_i64().unwrap())
        .sum();
    assert_eq!(messages, 5);
}

async fn what_is_not_said_well_is_refused(world: &World) {
    for (body, words) in [
        (json!({"which": {}, "why": "junk"}), "Say either"),
        (
            json!({"which": {"all": true, "reason": "x"}, "why": "junk"}),
            "Say either",
        ),
        (
            json!({"which": {"reason": ""}, "why": "junk"}),
            "Say either",
        ),
        (json!({"which": {"all": true}, "why": " "}), "Say in `why`"),
        (
            json!({"which": {"all": true}, "why": "junk", "limit": 501}),
            "from 1 to 500",
        ),
        (
            json!({"which": {"all": true, "resaon": "x"}, "why": "junk"}),
            "resaon",
        ),
        (json!({"which": {"all": true}}), "why"),
    ] {
        let trouble = post(world, "/letters/discard", body.clone())
            .await
            .problem(422);
        assert!(trouble.detail.contains(words), "{body}: {trouble:?}");
    }
}

async fn six_thousand_junk_messages_stop_no_trip_and_are_cleared(world: &mut World) {
    world.seats("RT100", 100).await;
    world.rooms("LIS", 100).await;
    let asked = trip([flight("RT100", 1), stay("LIS", 1, 1)]);
    let broker = world.jetstream();
    let mut trips = Vec::new();
    for number in 0..6_000 {
        let headers = junk("junk.made.v1", &number.to_string());
        world.is_made_up(TO_FLIGHT, &headers, b"{}");
        let sent = broker
            .publish_with_headers(TO_FLIGHT, headers, "{}".into())
            .await
            .unwrap();
        if number % 100 == 0 {
            // The broker has it, so that no more than these are on their way.
            sent.await.unwrap();
            trips.push(world.ask(&asked).await.trip);
        }
    }
    let ended = std::time::Instant::now();
    for id in &trips {
        world.until_state(*id, State::Confirmed).await;
    }
    assert!(ended.elapsed().as_secs() < 60, "{:?}", ended.elapsed());
    let kept = async || {
        world
            .metrics("flight", "roundtrip_dead_letters_kept", "")
            .await[0]
    };
    eventually("all are dead letters", async || {
        (kept().await == 6_000.0).then_some(())
    })
    .await;
    let newest: Value = world
        .get("flight", "/letters?newest=true&total=true&limit=1")
        .await;
    assert_eq!(newest["total"], 6_000);
    let reason = newest["items"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("junk.made.v1"), "{reason}");

    let all = json!({"which": {"all": true}, "why": "a test"});
    let mut requests = 0;
    loop {
        let cleared: Value = post(world, "/letters/discard", all.clone()).await.json();
        requests += 1;
        assert!(cleared["letters"].as_u64().unwrap() <= 500, "{cleared}");
        if cleared["next"].is_null() {
            break;
        }
    }
    assert_eq!(requests, 12);
    eventually("none is left", async || (kept().await == 0.0).then_some(())).await;
    let past: Value = world.get("flight", "/letters/past?limit=1000").await;
    assert_eq!(
        past["items"].as_array().unwrap().len(),
        1_000,
        "and a page of more"
    );
    let next = past["next_cursor"].as_str().unwrap();
    let next: Value = world
        .get("flight", &format!("/letters/past?limit=1000&cursor={next}"))
        .await;
    assert_ne!(next["items"][0], past["items"][999]);
    assert!(next["items"][0]["at_us"].as_i64() <= past["items"][999]["at_us"].as_i64());
}

/// A thousand letters on a page would be a gigabyte, and so would be the letters of a few dozen replays at a time.
async fn large_letters_come_on_pages_of_few_and_replays_have_few_places(world: &mut World) {
    const LETTERS: usize = 24;
    for number in 0..LETTERS {
        let large = "x".repeat(900_000);
        let headers = junk("junk.made.v1", &number.to_string());
        world.publish(TO_FLIGHT, headers, large).await;
    }
    eventually("all are dead letters", async || {
        let path = "/letters?limit=1&total=true";
        let page: Value = world.get("flight", path).await;
        (page["total"] == LETTERS).then_some(())
    })
    .await;
    let mut ids = Vec::new();
    for newest in [false, true] {
        ids = on_small_pages(world, "/letters", &format!("&newest={newest}")).await;
        if newest {
            ids.reverse();
        }
        assert_eq!(ids.len(), LETTERS, "each once");
        assert!(ids.is_sorted());
    }

    // They are still too large, and stay; each is named once.
    let (mut kept, mut after, mut requests) = (0, Value::Null, 0);
    loop {
        let asked = json!({"which": {"all": true}, "after": after});
        let cleared: Value = post(world, "/letters/replay", asked).await.json();
        kept += cleared["kept"].as_array().unwrap().len();
        requests += 1;
        after = cleared["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!((kept, requests), (LETTERS, LETTERS.div_ceil(4)));

    replays_have_few_places(world, &ids[0]).await;

    let all = json!({"which": {"all": true}, "why": "a test"});
    let cleared: Value = post(world, "/letters/discard", all).await.json();
    assert_eq!(cleared["letters"], LETTERS - 1);
    let mut past = on_small_pages(world, "/letters/past", "").await;
    assert_eq!(past.len(), LETTERS, "each once");
    past.sort();
    past.dedup();
    assert_eq!(past.len(), LETTERS, "none twice");
}

/// Of a letter that was replayed before, it is said however many replay.
async fn replays_have_few_places(world: &mut World, letter: &str) {
    let path = format!("/letters/{letter}");
    let put_away = post(world, &format!("{path}/discard"), json!({"why": "junk"})).await;
    assert_eq!(put_away.status, 200, "{}", put_away.text);
    let replayed = "update dead_letter_past set outcome = 'replayed'";
    world.by_hand("flight", replayed).await;
    let path = format!("{path}/replay");
    eventually("too many replays at a time are refused", async || {
        let all = json!({"which": {"all": true}});
        let asked = (0..40).map(|_| post(world, "/letters/replay", all.clone()));
        let before = (0..40).map(|_| post(world, &path, json!({})));
        let (answers, before) = tokio::join!(join_all(asked), join_all(before));
        let (done, refused): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| answer.status == 200);
        for answer in &refused {
            assert_eq!(answer.headers["retry-after"], "1");
            assert!(answer.problem(503).kind.ends_with("too-many-replays"));
        }
        for answer in before {
            assert_eq!(
                answer.status, 200,
                "what became of it is said: {}",
                answer.text
            );
        }
        (!done.is_empty() && !refused.is_empty()).then_some(())
    })
    .await;
}

/// The ids of a list whose letters are large, page by page: a thousand are asked for, and no page is much larger than 4 MiB.
async fn on_small_pages(world: &World, list: &str, order: &str) -> Vec<String> {
    let (mut ids, mut next) = (Vec::new(), String::new());
    loop {
        let path = format!("{list}?limit=1000{order}{next}");
        let asked = world.request(Method::GET, "flight", &path);
        let answer = world.send(asked).await;
        assert!(
            answer.text.len() < 5 << 20,
            "{list}: {} bytes",
            answer.text.len()
        );
        let page: Value = answer.json();
        let items = page["items"].as_array().unwrap().iter();
        ids.extend(items.map(|letter| letter["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return ids,
        }
    }
}
