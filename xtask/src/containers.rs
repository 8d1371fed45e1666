//! The tests that need containers: builds the images of `docker-compose.yml` and plays the scenarios on the stack, then breaks it in the
//! ways that only containers can be broken in. Does not make the base images where no registry is reached: `deploy/airgapped` does.

use std::process::{Command, Output, Stdio};

use anyhow::{Result, bail};

use crate::say;
use crate::test::Count;

/// Why such tests skip themselves unless they are asked for, in their own words.
const REASON: &str = "needs containers: cargo xtask containers";
/// Those that have any.
const TESTS: [&str; 6] = [
    "--test",
    "scenarios",
    "--test",
    "faults",
    "--test",
    "compose",
];

/// Whether an engine answers, and if not, why.
pub(crate) fn engine() -> Result<(), String> {
    match Command::new("docker").arg("version").output() {
        Ok(answer) if answer.status.success() => Ok(()),
        Ok(answer) => Err(last_line(&answer)),
        Err(error) => Err(format!("docker: {error}")),
    }
}

fn last_line(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().last().unwrap_or("it says nothing").to_owned()
}

/// Only these tests; true when none failed.
pub(crate) fn only(rounds: u32) -> Result<bool> {
    let mut count = Count::default();
    run(&mut count, rounds)?;
    count.close(&[])
}

/// Builds the images and counts the tests.
pub(crate) fn run(count: &mut Count, rounds: u32) -> Result<()> {
    if let Err(why) = engine() {
        bail!("no Docker engine answers: {why}");
    }
    say("== images: deploy/compose.sh build, without link-time optimisation")?;
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut build = Command::new("deploy/compose.sh");
    // What is tested is what programs do, not how fast.
    let built = build
        .args(["build", "--build-arg", "CARGO_PROFILE_RELEASE_LTO=off"])
        .current_dir(root)
        .stdout(Stdio::null())
        .status()?;
    if !built.success() {
        bail!(
            "the images were not built; where no registry is reached, deploy/airgapped/images.sh makes what they are built from"
        );
    }
    let images = [
        "images",
        "--format",
        "{{.Repository}}:{{.Tag}} {{.Size}}",
        "--filter",
        "reference=roundtrip/*",
    ];
    let sizes = Command::new("docker").args(images).output()?;
    say(String::from_utf8_lossy(&sizes.stdout).trim())?;
    for round in 1..=rounds {
        say(&format!(
            "== tests on containers, round {round} of {rounds}"
        ))?;
        let mut args = vec!["--package", "e2e-tests"];
        args.extend(TESTS);
        // One stack at a time, and what it says as it says it.
        args.extend(["--", "containers", "--nocapture", "--test-threads=1"]);
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        count.run(&args, &[("ROUNDTRIP_CONTAINERS", "1")])?;
    }
    count.made_up_for(REASON);
    Ok(())
}
