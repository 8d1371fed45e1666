//! House rules as tests: what README and ARCHITECTURE say about the code, held against the code. It needs no broker, no
//! database and no build of anything.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

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
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = [
        "services",
        "shared",
        "tools",
        "cli",
        "e2e-tests",
        "xtask",
        "fuzz",
    ]
    .iter()
    .map(|room| root().join(room))
    .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn every_promise_of_the_readme_names_a_test_that_is_there() {
    let readme = read("README.md");
    let table = readme.split("| promise | test |").nth(1).unwrap();
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
        let code = read(file);
        assert!(!tests.is_empty(), "no test in: {row}");
        for test in tests {
            assert!(
                code.contains(&format!("fn {test}(")),
                "{file} has no test {test}"
            );
        }
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        for link in read(document)
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = link.split('#').next().unwrap();
            assert!(
                path.is_empty() || path.contains("://") || root().join(path).exists(),
                "{document} links to {link}"
            );
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//!"),
            "{} does not open with //!",
            path.display()
        );
    }
}

#[test]
fn services_never_meet_and_the_two_shared_crates_do_not_know_each_other() {
    let forbidden = [
        ("services/booking", ["flight", "hotel", "leg"].as_slice()),
        ("services/flight", &["booking", "hotel"]),
        ("services/hotel", &["booking", "flight"]),
        ("shared/leg", &["booking", "flight", "hotel"]),
        (
            "shared/runtime",
            &["booking", "flight", "hotel", "leg", "choreography"],
        ),
        (
            "shared/choreography",
            &[
                "booking",
                "flight",
                "hotel",
                "leg",
                "runtime",
                "tokio",
                "sqlx",
                "async-nats",
            ],
        ),
    ];
    for (room, strangers) in forbidden {
        let manifest = read(format!("{room}/Cargo.toml"));
        let known: BTreeSet<&str> = manifest
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .collect();
        for stranger in strangers {
            assert!(!known.contains(stranger), "{room} knows {stranger}");
        }
    }
}

#[test]
fn the_cores_stay_pure() {
    let cores = sources().into_iter().filter(|path| {
        let path = path.strip_prefix(root()).unwrap();
        let in_src = path.components().any(|part| part.as_os_str() == "src");
        in_src
            && (path.ends_with("core.rs")
                || path.components().any(|part| part.as_os_str() == "core"))
    });
    let mut seen = 0;
    for path in cores {
        seen += 1;
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for impure in [
            "async ",
            "sqlx",
            "tokio",
            "now()",
            "now_v7",
            "fastrand",
            "std::fs",
            "unreachable!",
            "panic!",
            ".unwrap()",
        ] {
            let found = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .any(|line| line.contains(impure));
            assert!(!found, "{} has {impure}", path.display());
        }
    }
    assert!(seen >= 4, "only {seen} core files were looked at");
}

#[test]
fn no_service_has_sql_but_its_migrations() {
    for path in sources() {
        let place = path.strip_prefix(root()).unwrap();
        if !place.starts_with("services") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for word in [
            "insert into",
            "delete from",
            "update trip",
            "begin immediate",
        ] {
            assert!(
                !text.contains(word),
                "{} writes SQL: {word}",
                place.display()
            );
        }
    }
}

/// It inherits nothing from the workspace, so that it can be copied out; and still there is one version of everything.
#[test]
fn the_runtime_asks_for_the_versions_that_the_workspace_has() {
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
    let metadata: Value = serde_json::from_slice(&told.stdout).unwrap();
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
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains(concat!("#[ign", "ore")),
            "{} ignores a test",
            path.display()
        );
    }
}

/// Crash points and guards that can be taken off are for tests: a program that is built without them is not told to die.
#[test]
fn only_the_end_to_end_tests_turn_on_faults() {
    let turns_on = |manifest: &Path| {
        let text = fs::read_to_string(manifest).unwrap();
        text.lines()
            .any(|line| line.starts_with("runtime") && line.contains("faults"))
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
