//! One build of every dependency: whoever adds a leg compiles the leg, not the world. Not about which versions there are: `deny.toml`
//! and the lock file are.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::{assert_none, root};

/// Every build of a dependency, as its name and version, with the features that it has in it.
type Builds = BTreeMap<String, BTreeSet<String>>;

/// All that is compiled, tests included.
const ALL: &str = "normal,build,dev";
/// What ends up in a program; a macro's own dependencies are not among it.
const PROGRAMS: &str = "normal,no-proc-macro";

/// What other people's crates are built with when these packages are.
fn builds(edges: &str, packages: &[&str]) -> Builds {
    let told = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix", "none"])
        .args(["--edges", edges, "--format", "{p}|{f}"])
        .args(packages)
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.success(), "{told:?}", told = told.stderr);
    let mut builds = Builds::new();
    for line in text.lines() {
        let (package, features) = line.split_once('|').unwrap_or((line, ""));
        // A path in brackets is a crate of ours.
        if !package.contains("(/") {
            let name = package.trim_end_matches(" (proc-macro)").to_owned();
            let features = features.trim_end_matches(" (*)").to_owned();
            builds.entry(name).or_default().insert(features);
        }
    }
    builds
}

/// Builds that the whole workspace has no use for, in words.
fn beside(alone: &Builds, whole: &Builds) -> Vec<String> {
    let mut more = Vec::new();
    for (name, features) in alone {
        let of_all = whole.get(name).cloned().unwrap_or_default();
        for features in features.difference(&of_all) {
            more.push(format!("{name} with {features:?}, not {of_all:?}"));
        }
    }
    more
}

#[test]
fn a_service_alone_is_built_of_what_the_workspace_is_built_of() {
    for edges in [ALL, PROGRAMS] {
        let whole = builds(edges, &["--workspace"]);
        assert!(whole.len() > 200, "only {} dependencies", whole.len());
        for service in ["booking", "flight", "hotel", "leg", "payment"] {
            let what =
                format!("`cargo build -p {service}` compiles again; see shared/workspace-hack");
            let alone = builds(edges, &["--package", service]);
            assert_none(&what, beside(&alone, &whole));
        }
        // The runtime does not ask for what it has no use for, and so shows that a difference is seen.
        let runtime = beside(&builds(edges, &["--package", "runtime"]), &whole);
        assert!(runtime.iter().any(|line| line.starts_with("reqwest ")));
    }
}

/// The documentation is made without what only tests ask for, and would otherwise check half of the dependencies once more.
#[test]
fn the_workspace_without_its_tests_is_built_of_the_same() {
    let whole = builds(ALL, &["--workspace"]);
    let programs = builds("normal,build", &["--workspace"]);
    assert_none(
        "`cargo doc` compiles again; see shared/workspace-hack",
        beside(&programs, &whole),
    );
}
