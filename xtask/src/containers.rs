//! The tests that need containers: builds the images of `docker-compose.yml` and plays the scenarios on the stack, then breaks it in the
//! ways that only containers can be broken in. Where no registry is reached, `deploy/airgapped` makes the base images.

use std::process::{Command, Output};

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
    if let Err(why) = engine() {
        bail!("no Docker engine answers: {why}");
    }
    say("== images: deploy/compose.sh build, hardly optimised; some minutes")?;
    say(&images(false)?)?;
    let mut count = Count::default();
    play(&mut count, rounds)?;
    count.close(&[])
}

const STAND_INS: &str = "deploy/airgapped/images.sh";
/// What is tested is what programs do, not how fast: they are compiled as quickly as can be.
const CHEAPLY: [&str; 3] = [
    "CARGO_PROFILE_RELEASE_LTO=off",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL=1",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16",
];

/// Builds the images, and says nothing until that is done; before that, if so wished, what they are built from where no registry is reached.
/// Answers how large they are.
pub(crate) fn images(stand_ins: bool) -> Result<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    if stand_ins {
        let made = Command::new(STAND_INS).current_dir(root).output()?;
        if !made.status.success() {
            bail!("{STAND_INS}: {}", String::from_utf8_lossy(&made.stderr));
        }
    }
    let mut build = Command::new("deploy/compose.sh");
    build.arg("build").current_dir(root);
    for setting in CHEAPLY {
        build.args(["--build-arg", setting]);
    }
    let built = build.output()?;
    if !built.status.success() {
        // What a compiler says inside of it comes on either.
        let said = [built.stdout, built.stderr].concat();
        bail!(
            "{}\nthe images were not built; where no registry is reached, {STAND_INS} makes what they are built from",
            String::from_utf8_lossy(&said).trim_end()
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
    Ok(String::from_utf8_lossy(&sizes.stdout).trim().to_owned())
}

/// Plays and counts the tests, on images that are built.
pub(crate) fn play(count: &mut Count, rounds: u32) -> Result<()> {
    for round in 1..=rounds {
        say(&format!(
            "== tests on containers, round {round} of {rounds}"
        ))?;
        // Of the whole workspace, as the other tests are: alone, many crates would be compiled anew, with fewer features.
        let mut args = vec!["--workspace"];
        args.extend(TESTS);
        // One stack at a time, and what it says as it says it.
        args.extend(["--", "containers", "--nocapture", "--test-threads=1"]);
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        count.run(&args, &[("ROUNDTRIP_CONTAINERS", "1")])?;
    }
    count.made_up_for(REASON);
    Ok(())
}
