//! `docs/leg-in-containers.md`, which says where a further leg is to be named, says what the leg `flight` has in each of these places; and a
//! broker takes the login that it gives. No container is started.

use std::process::Command;

use stack::broker;
use stack::skip::{self, Need};

use crate::yaml::text;

/// What is to be written where.
struct Block {
    files: Vec<String>,
    text: String,
}

/// Every block of the page, with the files that the step before it names.
fn blocks() -> Vec<Block> {
    let page = text("docs/leg-in-containers.md");
    let mut blocks = Vec::new();
    for step in page.split("\n**").skip(1) {
        let (words, _) = step.split_once("\n```").unwrap();
        let quoted = words.split('`').skip(1).step_by(2);
        let files = quoted.filter(|it| it.starts_with("deploy/") || it.ends_with(".yml"));
        let files: Vec<String> = files.map(str::to_owned).collect();
        assert!(!files.is_empty(), "no file in: {words}");
        for fenced in step.split("```").skip(1).step_by(2) {
            let (_, text) = fenced.split_once('\n').unwrap();
            let (files, text) = (files.clone(), text.to_owned());
            blocks.push(Block { files, text });
        }
    }
    blocks
}

/// Words with one blank between them: how a line is broken and indented is its file's affair.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same for the leg that is there.
fn as_flight(text: &str) -> String {
    text.replace("train", "flight")
        .replace("TRAIN", "FLIGHT")
        .replace("8084", "8081")
}

/// The line before the leg was added to its list.
fn without(text: &str) -> String {
    [" -p train", ", train=local-train", "|train", " train"]
        .iter()
        .fold(text.to_owned(), |text, more| text.replace(more, ""))
}

#[test]
fn every_place_of_a_further_leg_has_what_the_page_says() {
    let blocks = blocks();
    assert!(blocks.len() >= 20, "only {} blocks", blocks.len());
    for Block { files, text: block } in blocks {
        let here = [as_flight(&block), without(&block)].map(|it| words(&it));
        let in_one = files.iter().any(|file| {
            let there = words(&text(file));
            here.iter().any(|here| there.contains(here))
        });
        assert!(in_one, "{files:?} have nothing such as:\n{block}");
    }
}

/// What names `flight` to be deployed is on the page.
#[test]
fn no_place_is_left_out() {
    let page = text("docs/leg-in-containers.md");
    for (file, what) in [
        ("deploy/Dockerfile", "/programs/flight"),
        ("deploy/nats/common.conf", "user: flight"),
        ("docker-compose.yml", "NATS_FLIGHT_PASSWORD"),
        ("docker-compose.yml", "POSTGRES_FLIGHT_PASSWORD"),
        ("deploy/haproxy/haproxy.cfg", "backend flight"),
        ("deploy/observability/prometheus.yml", "job_name: flight"),
        ("deploy/kubernetes/base/nats/nats.yaml", "key: flight"),
        (
            "deploy/kubernetes/overlays/production/kustomization.yaml",
            "flight-db",
        ),
    ] {
        assert!(text(file).contains(what), "{file}: {what}");
        assert!(page.contains(&format!("`{file}`")), "{file}");
        let trains = what.replace("flight", "train").replace("FLIGHT", "TRAIN");
        assert!(page.contains(&trains), "{trains}");
    }
}

/// `nats-server -t` reads the configuration, variables and permissions too, and starts nothing.
#[test]
fn a_broker_takes_the_login_of_a_further_leg() {
    let test = "a_broker_takes_the_login_of_a_further_leg";
    let Some(program) = skip::unless(Need::Nats, test, broker::find(&|_| {})) else {
        return;
    };
    let blocks = blocks();
    let of_broker = blocks
        .iter()
        .filter(|block| block.files[0].ends_with("common.conf"));
    let [grants, user] = of_broker.map(|block| &block.text).collect::<Vec<_>>()[..] else {
        panic!("its grants, and its login");
    };
    let users = "  users: [\n";
    let common = text("deploy/nats/common.conf");
    assert!(common.contains(users));
    let common = common.replace(users, &format!("{users}{user}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("common.conf");
    let check = |text: String| {
        std::fs::write(&file, text).unwrap();
        let mut check = Command::new(&program);
        check
            .arg("-t")
            .arg("-c")
            .arg(&file)
            .env("NATS_NAME", "nats");
        for name in ["BOOKING", "FLIGHT", "HOTEL", "PAYMENT", "TRAIN", "OPERATOR"] {
            check.env(format!("NATS_{name}_PASSWORD"), "'secret'");
        }
        let said = check.output().unwrap();
        let words = String::from_utf8_lossy(&said.stderr).into_owned();
        (said.status.success(), words)
    };
    let (taken, said) = check(format!("{grants}\n{common}"));
    assert!(taken, "{said}");
    let (taken, said) = check(common);
    assert!(
        !taken && said.contains("TRAIN"),
        "without its grants: {said}"
    );
}
