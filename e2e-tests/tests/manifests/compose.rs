//! `docker-compose.yml`, the Dockerfile and the load balancer agree with the services and with each other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::services::{ALL, drain_ms, settings};
use crate::yaml::{file, scalar, str_at, text};

/// What Compose makes of `${NAME:-default}` when nobody set NAME.
fn with_defaults(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let end = at + rest[at..].find('}').expect("a closing brace");
        let variable = &rest[at + 2..end];
        out.push_str(variable.split_once(":-").map_or("", |(_, default)| default));
        rest = &rest[end + 1..];
    }
    out + rest
}

fn environment(service: &Value) -> BTreeMap<String, String> {
    let set = service["environment"].as_object().expect("an environment");
    set.iter()
        .map(|(name, value)| (name.clone(), with_defaults(&scalar(value))))
        .collect()
}

fn seconds(text: &str) -> u64 {
    let number = text.strip_suffix('s').expect("seconds");
    number.parse().unwrap()
}

/// `ENV LISTEN` of a service's image: what Compose does not set, it does.
pub(crate) fn image_listen(service: &str) -> String {
    let dockerfile = text("deploy/Dockerfile");
    let (_, stage) = dockerfile.split_once(&format!(" AS {service}\n")).unwrap();
    let line = stage.lines().find(|line| line.contains("LISTEN="));
    let value = line.expect("ENV LISTEN").split("LISTEN=").nth(1).unwrap();
    value.split_whitespace().next().unwrap().to_owned()
}

/// What only tests change would else be one thing in an image and another where it is built by hand.
#[test]
fn images_are_built_by_the_release_profile_unless_they_are_told_otherwise() {
    let (manifest, dockerfile) = (text("Cargo.toml"), text("deploy/Dockerfile"));
    let (_, profile) = manifest.split_once("[profile.release]\n").unwrap();
    let (profile, _) = profile.split_once("\n[").unwrap_or((profile, ""));
    for (name, assumed) in [("lto", "off"), ("opt-level", "3"), ("codegen-units", "16")] {
        let set = profile
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} = ")));
        let value = set.unwrap_or(assumed).trim_matches('"');
        let name = name.to_uppercase().replace('-', "_");
        let argument = format!("\nARG CARGO_PROFILE_RELEASE_{name}={value}\n");
        assert!(
            dockerfile.contains(&argument),
            "deploy/Dockerfile:{argument}"
        );
    }
}

#[test]
fn the_compose_file_sets_what_the_services_have() {
    let compose = file("docker-compose.yml");
    for name in ALL {
        let service = &compose["services"][name];
        let mut environment = environment(service);
        environment
            .entry(String::from("LISTEN"))
            .or_insert_with(|| image_listen(name));
        let settings = settings(name, &environment);
        assert_eq!(settings.nats_user.as_deref(), Some(name));
        assert!(
            settings
                .database_url
                .starts_with(&format!("postgres://{name}:")),
            "{name}"
        );
        assert!(
            settings.database_url.ends_with(&format!("/{name}")),
            "{name}"
        );
        let grace = seconds(str_at(service, "/stop_grace_period"));
        assert!(
            grace * 1_000 > drain_ms(&settings),
            "{name} is killed before it has drained"
        );
    }
}

#[test]
fn every_image_of_the_compose_file_is_built_or_pinned() {
    let compose = file("docker-compose.yml");
    let dockerfile = text("deploy/Dockerfile");
    for (name, service) in compose["services"].as_object().unwrap() {
        let image = with_defaults(str_at(service, "/image"));
        let (_, tag) = image
            .rsplit_once(':')
            .unwrap_or_else(|| panic!("{image} has no tag"));
        assert_ne!(tag, "latest", "{name}");
        if ALL.contains(&name.as_str()) {
            assert!(image.starts_with(&format!("roundtrip/{name}:")), "{image}");
            assert_eq!(str_at(service, "/build/target"), name);
            assert!(
                dockerfile.contains(&format!(" AS {name}\n")),
                "no target {name}"
            );
            assert!(
                dockerfile.contains(&format!("ENTRYPOINT [\"{name}\"]")),
                "{name}"
            );
        }
    }
}

#[test]
fn the_load_balancer_asks_services_that_are_there() {
    let haproxy = text("deploy/haproxy/haproxy.cfg");
    let mut ports = BTreeSet::new();
    for name in ALL {
        let listen = image_listen(name);
        let port = listen.rsplit_once(':').unwrap().1;
        assert!(
            haproxy.contains(&format!(" {name}:{port} ")),
            "{name} at {port}"
        );
        assert!(
            ports.insert(port.to_owned()),
            "a container that has a dead one's address would answer for another service"
        );
    }
    assert!(haproxy.contains("GET /readyz"));
}

#[test]
fn defaults_are_what_compose_makes_of_them() {
    assert_eq!(with_defaults("a${B:-c}d${E}f${G:-}"), "acdf");
}
