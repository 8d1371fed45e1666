//! Architecture rules as tests: what the documents say about the code, held against the code. It needs no broker, no
//! database and no build of anything.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod features;
mod legs;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use rules::Source;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file of ours.
fn sources() -> Vec<Source> {
    let rooms = [
        "services",
        "shared",
        "tools",
        "cli",
        "e2e-tests",
        "xtask",
        "fuzz",
    ];
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = rooms.iter().map(|room| root().join(room)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root()).unwrap().display().to_string();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

#[test]
fn every_promise_names_a_test_that_is_there() {
    let promises = read("docs/guarantees.md");
    let table = promises.split("| promise | test |").nth(1).unwrap();
    let rows: Vec<&str> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() >= 15, "only {} promises", rows.len());
    for row in rows {
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let tests: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        let file = row
            .split("](")
            .nth(1)
            .and_then(|rest| rest.split(')').next());
        let file = file.unwrap_or_else(|| panic!("no link in: {row}"));
        let tests_there = rules::functions(&read(format!("docs/{file}")));
        assert!(!tests.is_empty(), "no test in: {row}");
        for test in tests {
            assert!(tests_there.contains(test), "{file} has no test {test}");
        }
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let documents = "README.md ARCHITECTURE.md CONTRIBUTING.md docs/alternatives.md docs/chaos.md docs/conformance.md docs/first-minutes.md docs/guarantees.md docs/leg-in-containers.md docs/operations.md docs/payment.md";
    for document in documents.split(' ') {
        let folder = root().join(document).parent().unwrap().to_owned();
        for link in read(document).split("](").skip(1) {
            let path = link.split([')', '#']).next().unwrap();
            let leads = path.contains("://") || folder.join(path).exists();
            assert!(leads, "{document} links to {path}");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for Source { path, text } in sources() {
        assert!(text.starts_with("//!"), "{path} does not open with //!");
    }
}

fn metadata() -> Value {
    let told = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    serde_json::from_slice(&told.stdout).unwrap()
}

/// Fails with every line that breaks a rule.
fn assert_none(what: &str, wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

fn planted(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn arrows_between_crates_point_one_way() {
    let mut metadata = metadata();
    assert_none("no such arrow is drawn", rules::arrows(&metadata));
    let packages = metadata["packages"].as_array_mut().unwrap();
    let flight = packages
        .iter_mut()
        .find(|package| package["name"] == "flight");
    let more = json!({"name": "hotel", "path": "services/hotel", "kind": null});
    let dependencies = flight.unwrap()["dependencies"].as_array_mut();
    dependencies.unwrap().push(more);
    assert_eq!(rules::arrows(&metadata), ["flight → hotel"]);
}

#[test]
fn only_the_runtimes_database_folder_has_sql_or_knows_which_database_it_is() {
    let running = |source: &&Source| {
        source.is_below(&["services", "shared"]) && source.path.contains("/src/")
    };
    let wrong = sources();
    let wrong = wrong.iter().filter(running).flat_map(rules::sql).collect();
    assert_none(
        "SQL, or a database's name, outside of shared/runtime/src/database",
        wrong,
    );
    let bad = planted(
        "services/flight/src/lib.rs",
        "//! A.\nfn a() {\n    b(\"select trip from leg\");\n    if e == Engine::Sqlite {}\n}\n#[cfg(test)]\nmod tests { fn c() { d(\"delete from leg\"); } }\n",
    );
    assert_eq!(
        rules::sql(&bad),
        [
            "services/flight/src/lib.rs:3: \"select trip from leg\"",
            "services/flight/src/lib.rs:4: \"Engine\""
        ]
    );
}

#[test]
fn the_cores_stay_pure() {
    let all = sources();
    let cores: Vec<&Source> = all.iter().filter(|source| rules::is_core(source)).collect();
    assert!(
        cores.len() >= 15,
        "only {} core files were looked at",
        cores.len()
    );
    let wrong = cores.into_iter().flat_map(rules::impure).collect();
    assert_none("not pure", wrong);
    let bad = planted(
        "services/booking/src/core.rs",
        "//! Says `panic!` and tokio in words only.\n/// unwrap\nfn a() {\n    tokio::spawn(async {});\n    b.unwrap();\n}\n",
    );
    assert_eq!(
        rules::impure(&bad),
        ["tokio", "async", "unwrap"].map(|word| {
            let line = if word == "unwrap" { 5 } else { 4 };
            format!("services/booking/src/core.rs:{line}: {word}")
        })
    );
}

#[test]
fn the_runtime_knows_no_brand_and_no_trade() {
    let all = sources();
    let runtime = all
        .iter()
        .filter(|source| source.is_below(&["shared/runtime/src"]));
    let wrong = runtime.flat_map(rules::branded).collect();
    assert_none("a brand or a trade in the runtime", wrong);
    let bad = planted(
        "shared/runtime/src/boot.rs",
        "//! Trips.\nconst TRIP_MAX: u8 = 1;\nconst URN: &str = \"urn:roundtrip:problem\";\n",
    );
    assert_eq!(
        rules::branded(&bad),
        [
            "shared/runtime/src/boot.rs:2: \"TRIP_MAX\"",
            "shared/runtime/src/boot.rs:3: \"urn:roundtrip:problem\""
        ]
    );
}

/// A line of documentation that says nothing without what stands beside it.
#[test]
fn every_line_of_documentation_stands_alone() {
    let riddles = [
        "Which.",
        "Why.",
        "What.",
        "See above.",
        "The same.",
        "Of which.",
        "How often.",
        "How many.",
        "For whom.",
        "None.",
    ];
    for Source { path, text } in sources() {
        for (number, line) in (1..).zip(text.lines()) {
            let said = line.trim().strip_prefix("/// ").unwrap_or_default();
            assert!(!riddles.contains(&said), "{path}:{number}: {said}");
        }
    }
}

/// What may be longer, and why.
const LONG: &[(&str, &str)] = &[
    ("cli/src/demo.rs: fn scenes", "a list of five trips"),
    ("cli/tests/commands.rs: 4", "every command, each once"),
    (
        "cli/tests/commands.rs: fn a_trip_is_booked_shown",
        "one trip through one command after the other",
    ),
    (
        "e2e-tests/tests/compose/keeping.rs: fn volumes_outlive",
        "a backup and its way back, step by step",
    ),
    (
        "e2e-tests/tests/model/saga.rs: 4",
        "the model's state and its steps, read side by side",
    ),
    (
        "e2e-tests/tests/scenarios/dead_letters.rs: fn what_cannot_be_read",
        "a list of what cannot be read",
    ),
    (
        "e2e-tests/tests/standalone.rs: fn every_payment",
        "one service's life, step by step",
    ),
    (
        "e2e-tests/tests/wire.rs: fn a_foreign_client",
        "every fact of the table, once",
    ),
    (
        "shared/choreography/tests/values.rs: fn a_fact_with_something_wrong",
        "a list of what is malformed",
    ),
    (
        "shared/runtime/src/boot.rs: fn start_loop",
        "puts every task together, once, in one place",
    ),
    (
        "shared/runtime/src/broker.rs: 4",
        "all that is declared at the broker, and how it is kept",
    ),
    (
        "shared/runtime/src/outgoing.rs: 4",
        "one pure core with its tests",
    ),
    (
        "shared/runtime/src/telemetry/metrics.rs",
        "every metric, declared once",
    ),
    (
        "tools/chaos/src/faults.rs: fn act",
        "one arm for each fault",
    ),
    (
        "tools/chaos/src/judge.rs: fn failures",
        "one condition after the other",
    ),
    (
        "tools/chaos/src/report.rs: fn fmt",
        "a report, line by line",
    ),
    (
        "tools/chaos/src/verdict.rs: fn judge",
        "gathers all that is judged, once",
    ),
    (
        "tools/client/src/timeline.rs",
        "a timeline and the text that it is held to",
    ),
    (
        "tools/inspect/tests/audit/fixture.rs: fn break_everything",
        "a list of what can be broken",
    ),
];

#[test]
fn files_and_functions_are_short_or_have_a_reason() {
    let excused = |line: &String| LONG.iter().any(|(what, _)| line.starts_with(what));
    let all: Vec<String> = sources().iter().flat_map(rules::long).collect();
    let wrong = all.iter().filter(|line| !excused(line)).cloned().collect();
    assert_none("longer than 400 lines, or than 70 for a function", wrong);
    for (what, why) in LONG {
        assert!(
            all.iter().any(|line| line.starts_with(what)),
            "{what} needs no excuse ({why})"
        );
    }
    let body = "    a();\n".repeat(71);
    let bad = planted(
        "cli/src/main.rs",
        &format!("//! A.\nfn long() {{\n{body}}}\n"),
    );
    assert_eq!(rules::long(&bad), ["cli/src/main.rs: fn long has 73 lines"]);
    let bad = planted("cli/src/main.rs", &"// a\n".repeat(401));
    assert_eq!(rules::long(&bad), ["cli/src/main.rs: 401 lines"]);
}

/// It inherits nothing from the workspace, so that it can be copied out; and still there is one version of everything.
#[test]
fn the_runtime_asks_for_the_versions_that_the_workspace_has() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let asked = |package: &Value| -> BTreeMap<String, String> {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        dependencies
            .map(|it| (text(&it["name"]), text(&it["req"])))
            .collect()
    };
    let (alone, others): (Vec<_>, Vec<_>) = packages
        .iter()
        .partition(|package| package["name"] == "runtime");
    let alone = asked(alone[0]);
    let mut compared = BTreeSet::new();
    for package in others {
        for (name, version) in asked(package) {
            if let Some(own) = alone.get(&name) {
                assert_eq!(
                    *own, version,
                    "{name} in runtime and in {}",
                    package["name"]
                );
                compared.insert(name);
            }
        }
        assert_eq!(package["edition"], "2024");
    }
    assert!(compared.len() > 10, "only {compared:?} were compared");
}

#[test]
fn no_test_is_ignored() {
    for Source { path, text } in sources() {
        let ignores = text.contains(concat!("#[ign", "ore"));
        assert!(!ignores, "{path} ignores a test");
    }
}

/// Crash points and guards that can be taken off are for tests: a program that is built without them is not told to die.
#[test]
fn only_the_end_to_end_tests_turn_on_faults() {
    let turns_on = |manifest: &Path| {
        let text = fs::read_to_string(manifest).unwrap();
        text.lines().any(|line| {
            let ours = line.starts_with("runtime") || line.starts_with("two-phase");
            ours && line.contains("faults")
        })
    };
    let mut manifests = vec![root().join("Cargo.toml")];
    for room in ["services", "shared", "tools"] {
        let members = fs::read_dir(root().join(room)).unwrap();
        manifests.extend(members.map(|member| member.unwrap().path().join("Cargo.toml")));
    }
    manifests.extend(["cli", "xtask"].map(|room| root().join(room).join("Cargo.toml")));
    for manifest in manifests {
        assert!(!turns_on(&manifest), "{} does", manifest.display());
    }
    assert!(turns_on(&root().join("e2e-tests/Cargo.toml")));
    let runtime = read("shared/runtime/Cargo.toml");
    assert!(
        runtime.contains("faults = []") && !runtime.contains("default ="),
        "it is on by default"
    );
}
