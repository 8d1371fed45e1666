//! The services' APIs as other people's tools see them, and that what an API has said once it goes on saying.
//!
//! What a request brings about is the scenarios' business.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod grow;

use std::path::PathBuf;
use std::process::Command;

use booking::core::State;
use booking::view::TripView;
use e2e_tests::trip::DAY;
use e2e_tests::{SERVICES, World, on_one_database, program};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use stack::skip::{self, Need};

mod sqlite {
    use e2e_tests::Engine;

    super::on_one_database!(
        a_generated_client_books_lists_shows_and_cancels,
        Engine::Sqlite
    );
    super::on_one_database!(an_api_only_grows, Engine::Sqlite);
    super::on_one_database!(what_a_document_allows_is_taken, Engine::Sqlite);
    super::on_one_database!(no_route_is_driven_by_a_web_page, Engine::Sqlite);
    super::on_one_database!(a_misspelt_filter_is_refused_by_every_list, Engine::Sqlite);
    super::on_one_database!(
        generated_requests_are_answered_as_the_documents_say,
        Engine::Sqlite
    );
}

/// A validator and a generator of clients that are not ours; `outside.py` says what is done with them.
async fn a_generated_client_books_lists_shows_and_cancels(world: &mut World) {
    const NAME: &str = "a_generated_client_books_lists_shows_and_cancels";
    world.seats("RT100", 10).await;
    outside(NAME, world, "outside.py", &[DAY]).await;
}

/// How many requests Schemathesis makes of each operation in each phase, for a run that is longer than the ordinary one.
const EXAMPLES: &str = "API_FUZZ_EXAMPLES";

/// Whatever a document allows is taken, or refused with words that `rules.py` explains; whatever it does not allow is refused; and every
/// answer is one that the document has. On a world of its own: legs are retired and trips settled by hand in it.
async fn generated_requests_are_answered_as_the_documents_say(world: &mut World) {
    const NAME: &str = "generated_requests_are_answered_as_the_documents_say";
    world.seats("RT100", 10).await;
    let examples = std::env::var(EXAMPLES).unwrap_or_else(|_| String::from("5"));
    outside(NAME, world, "fuzz.py", &[&examples]).await;
}

/// Runs a program of other people's tools on the services.
async fn outside(test: &str, world: &World, program: &str, args: &[&str]) {
    let urls = SERVICES.map(|service| {
        let request = world.request(Method::GET, service, "").build().unwrap();
        request.url().as_str().trim_end_matches('/').to_owned()
    });
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi");
    let mut check = Command::new("python3");
    check
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(PathBuf::from(folder).join(program))
        .arg(env!("CARGO_TARGET_TMPDIR"))
        .args(args)
        .args(urls);
    let checked = tokio::task::spawn_blocking(move || check.output());
    let checked = match checked.await.unwrap() {
        Ok(checked) if checked.status.code() == Some(3) => {
            Err(String::from_utf8_lossy(&checked.stderr).into_owned())
        }
        Ok(checked) => Ok(checked),
        Err(error) => Err(format!("python3: {error}")),
    };
    let Some(checked) = skip::unless(Need::Python, test, checked) else {
        return;
    };
    let [out, err] = [&checked.stdout, &checked.stderr].map(|said| String::from_utf8_lossy(said));
    assert!(checked.status.success(), "{out}{err}");
    eprintln!("{out}");
}

/// It would narrow nothing, and whoever asked would take the whole list for the answer.
async fn a_misspelt_filter_is_refused_by_every_list(world: &mut World) {
    let mut lists = 0;
    for service in SERVICES {
        let said: Value = world.get(service, "/openapi.json").await;
        for (path, methods) in said["paths"].as_object().unwrap() {
            let parameters = methods["get"]["parameters"].as_array();
            let named =
                |name: &str| parameters.is_some_and(|all| all.iter().any(|p| p["name"] == name));
            if !named("limit") && !named("all") {
                continue;
            }
            lists += 1;
            let known = if named("limit") {
                "limit=1"
            } else {
                "all=true"
            };
            for (query, wrong) in [("limt=5", "limt"), ("%66ligt%3D=1", "fligt=")] {
                let asked = format!("{path}?{known}&{query}");
                let asked = world.request(Method::GET, service, &asked);
                let words = format!("no parameter \"{wrong}\"");
                refused(world, asked, 400, &words).await;
            }
            let known = world.request(Method::GET, service, &format!("{path}?{known}"));
            assert_eq!(world.send(known).await.status, 200, "{path}");
        }
    }
    assert!(lists >= 11, "only {lists} lists");
}

/// Each document has all that the frozen one of `golden/openapi` has. `FREEZE_API=1` takes in what has been added since.
async fn an_api_only_grows(world: &mut World) {
    for service in SERVICES {
        grows(world, service).await;
    }
    // A provider that is not there yet is no reason not to start. Booking's document names every leg that has joined, so this one comes last.
    let provider = [
        ("PROVIDER_URL", "http://127.0.0.1:1"),
        ("PROVIDER_KEY_FILE", "no-key-yet"),
    ];
    let args = ["serve", "payment"].map(Into::into).to_vec();
    world
        .start_foreign("payment", program(), args, &provider)
        .await;
    world.until_open(&["payment"]).await;
    grows(world, "payment").await;
}

async fn grows(world: &World, service: &str) {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/openapi"));
    let freeze = std::env::var_os("FREEZE_API").is_some();
    let said: Value = world.get(service, "/openapi.json").await;
    let said = grow::bare(&said);
    let file = folder.join(format!("{service}.json"));
    let frozen = std::fs::read_to_string(&file).unwrap_or_else(|_| String::from("{}"));
    let frozen: Value = serde_json::from_str(&frozen).unwrap();
    let lost = grow::lost(&frozen, &said);
    assert!(lost.is_empty(), "{service}: {}", lost.join("; "));
    if freeze {
        let text = serde_json::to_string_pretty(&said).unwrap();
        std::fs::write(&file, text + "\n").unwrap();
    } else {
        assert_eq!(
            frozen, said,
            "{service} has grown: run this with FREEZE_API=1"
        );
    }
}

/// What a browser would send for a page from elsewhere, to each route that changes something, and what it would send once the name of
/// such a page means this machine (DNS rebinding), to each route of its document.
async fn no_route_is_driven_by_a_web_page(world: &mut World) {
    let mut changing = 0;
    for service in SERVICES {
        let said: Value = world.get(service, "/openapi.json").await;
        for (path, methods) in said["paths"].as_object().unwrap() {
            for name in methods.as_object().unwrap().keys() {
                let method: Method = name.to_uppercase().parse().unwrap();
                let changes = method != Method::GET;
                let asked = world.request(method, service, &path.replace(['{', '}'], ""));
                let rebound = asked.try_clone().unwrap().header("host", "evil.example");
                world.send(rebound).await.problem(421);
                if changes {
                    let foreign = asked.header("origin", "https://evil.example");
                    world.send(foreign).await.problem(403);
                    changing += 1;
                }
            }
        }
    }
    assert!(changing >= 7, "only {changing} routes change something");
}

async fn refused(world: &World, request: RequestBuilder, status: u16, words: &str) {
    let problem = world.send(request).await.problem(status);
    assert!(problem.detail.contains(words), "{words}: {problem:?}");
}

/// A whole number with a point, a body that is null, a place beyond every itinerary.
async fn what_a_document_allows_is_taken(world: &mut World) {
    world.seats("RT100", 10).await;
    let asked = r#"{"itinerary": [{"leg": "flight", "flight": "RT100", "date": "DAY", "seats": 1}], "deadline_s": 60.0,
        "budget": {"amount_minor": 17638838.0, "currency": "EUR"}}"#;
    let asked = asked.replace("DAY", DAY);
    let post = |path: &str, body: String| {
        let request = world.request(Method::POST, "booking", path);
        request
            .header("content-type", "application/json")
            .body(body)
    };
    let request = post("/bookings", asked.clone()).header("Prefer", "wait=45");
    let view: TripView = world.send(request).await.json();
    assert_eq!(view.state, State::Confirmed);
    assert_eq!(view.budget.unwrap().amount_minor, 17_638_838);
    for (right, wrong, words) in [
        ("60.0", "60.5", "60.5 is not a whole number"),
        ("17638838.0", "1e300", "1e+300 is not a whole number"),
        ("17638838.0", "null", "null"),
        ("EUR", "EURO", "ISO 4217"),
    ] {
        let asked = post("/bookings", asked.replace(right, wrong));
        refused(world, asked, 422, words).await;
    }

    let at = |what: &str, body: String| post(&format!("/bookings/{}/{what}", view.trip), body);
    let cancelled = world
        .send(at("cancel", String::from("null")).header("Prefer", "wait=45"))
        .await;
    assert_eq!(cancelled.json::<TripView>().state, State::Closed);
    let place = |position: &str| format!(r#"{{"reason": "gone", "position": {position}}}"#);
    for none in ["0.5", "-1", "null"] {
        refused(world, at("settle", place(none)), 422, "position").await;
    }
    for beyond in ["65536", "70000.0", "1e300"] {
        refused(world, at("settle", place(beyond)), 409, "no such position").await;
    }
}
