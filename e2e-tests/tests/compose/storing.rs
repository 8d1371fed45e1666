//! A broker whose disk was full stores nothing until it is started again, and its health check and Kubernetes' probe see to that.

use std::process::Command;

use async_nats::jetstream;
use e2e_tests::compose::Stack;
use e2e_tests::eventually;
use serde_json::Value;

use crate::under_load;

/// Published by the operator to a subject that no service listens for.
const NOBODYS: &str = "trips.full";

/// More than a file of the stream takes.
const FILE_BYTES: usize = 10 << 20;
const MESSAGE_BYTES: usize = 250_000;

/// A broker of our image with a small disk, and nobody who looks after it.
struct Broker {
    name: String,
}

impl Broker {
    async fn start() -> (Self, jetstream::Context) {
        let name = format!("roundtrip-full-{}", std::process::id());
        let passwords = ["BOOKING", "FLIGHT", "HOTEL", "PAYMENT", "OPERATOR"]
            .map(|who| format!("--env=NATS_{who}_PASSWORD='secret'"));
        let disk = "--tmpfs=/data:uid=65532,gid=65532,size=100m";
        let mut args = vec!["run", "--detach", "--no-healthcheck", "--name", &name, disk];
        args.extend(["--publish=127.0.0.1::4222", "--env=NATS_NAME=full"]);
        args.extend(passwords.iter().map(String::as_str));
        let image = std::env::var("ROUNDTRIP_VERSION").unwrap_or_else(|_| String::from("local"));
        let image = format!("roundtrip/nats:{image}");
        args.push(&image);
        docker(&args).unwrap();
        let address = docker(&["port", &name, "4222/tcp"]).unwrap();
        let address = address.lines().next().unwrap().to_owned();
        let client = eventually("the broker answers", async || {
            let login = String::from("operator");
            let client = async_nats::ConnectOptions::with_user_and_password(login, "secret".into());
            client.connect(&address).await.ok()
        })
        .await;
        (Self { name }, jetstream::new(client))
    }

    fn sh(&self, script: &str) -> Result<String, String> {
        docker(&["exec", &self.name, "sh", "-c", script])
    }

    fn runs(&self) -> bool {
        docker(&["inspect", "--format={{.State.Running}}", &self.name]).unwrap() == "true"
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = docker(&["rm", "--force", "--volumes", &self.name]);
    }
}

fn docker(args: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complained = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{args:?}: {}: {said} {complained}", output.status))
}

/// The command of the broker's liveness probe on Kubernetes.
fn liveness_on_kubernetes() -> String {
    let manifest = include_str!("../../../deploy/kubernetes/base/nats/nats.yaml");
    let objects: Vec<Value> = serde_saphyr::from_multiple(manifest).unwrap();
    let mut probes = objects.iter().filter_map(|object| {
        let probe = "/spec/template/spec/containers/0/livenessProbe/exec/command";
        object.pointer(probe)?.as_array()
    });
    let [shell, option, script] = probes.next().unwrap().as_slice() else {
        panic!("a script")
    };
    assert_eq!((shell, option), (&"sh".into(), &"-c".into()));
    script.as_str().unwrap().to_owned()
}

async fn is_stored(jetstream: &jetstream::Context, bytes: usize) -> Result<(), String> {
    let told = |error: jetstream::context::PublishError| error.to_string();
    let stored = jetstream.publish(NOBODYS, vec![b'x'; bytes].into()).await;
    stored.map_err(told)?.await.map_err(told).map(drop)
}

/// Its disk fills up; then there is room again, and it would still store nothing.
pub(crate) async fn a_broker_that_stores_nothing_is_ended_once_its_disk_has_room() {
    let health = "sh /etc/nats/healthy.sh";
    let liveness = liveness_on_kubernetes();
    let (broker, jetstream) = Broker::start().await;
    let stream = jetstream::stream::Config {
        name: "TRIPS".into(),
        subjects: vec!["trips.>".into()],
        ..Default::default()
    };
    jetstream.create_stream(stream).await.unwrap();
    is_stored(&jetstream, 1).await.unwrap();
    let nobody_answers = liveness.replace("nc 127.0.0.1 8222", "nc 127.0.0.1 1");
    assert_ne!(liveness, nobody_answers);
    // One that says nothing may be slow: only its words end it.
    for probe in [health, &liveness, &nobody_answers] {
        broker.sh(probe).unwrap();
    }

    broker
        .sh("dd if=/dev/zero of=/data/filler bs=1M")
        .unwrap_err();
    eventually("its disk is full", async || {
        is_stored(&jetstream, MESSAGE_BYTES).await.err()
    })
    .await;
    let why = broker.sh(health).unwrap_err();
    assert!(why.contains("write error"), "{why}");
    assert!(broker.runs(), "another start would help nobody");
    broker.sh(&liveness).unwrap_err();

    broker.sh("rm /data/filler").unwrap();
    is_stored(&jetstream, 1).await.unwrap_err();
    broker.sh(&liveness).unwrap_err();
    // Not before it was up for a while: where another start does not help, there is a pause between two.
    eventually("the health check ends it", async || {
        broker.sh(health).unwrap_err();
        (!broker.runs()).then_some(())
    })
    .await;
}

/// Without filling the host's disk: the stream's next file cannot be made, for nobody may write to its folder.
pub(crate) async fn a_broker_that_stores_nothing_is_started_again(stack: &Stack) {
    under_load(stack, "nats stores nothing", async |stack| {
        let nats = stack.containers("nats").remove(0);
        let since = || stack.docker(&["inspect", "--format={{.State.StartedAt}}", &nats]);
        let folder = "/data/single/jetstream/$G/streams/TRIPS/msgs";
        let begun = since();
        let jetstream = jetstream::new(stack.nats_as("operator").await);
        stack.docker(&["exec", &nats, "chmod", "500", folder]);
        let mut stored = 0;
        while is_stored(&jetstream, MESSAGE_BYTES).await.is_ok() {
            stored += MESSAGE_BYTES;
            assert!(stored < FILE_BYTES, "it could make another file");
        }
        eventually("it is started again", async || {
            (since() != begun).then_some(())
        })
        .await;
        // As long as its folder is like that it is started again and again.
        eventually("its folder is as it was", async || {
            docker(&["exec", &nats, "chmod", "700", folder]).ok()
        })
        .await;
        stack.until_healthy().await;
    })
    .await;
}
