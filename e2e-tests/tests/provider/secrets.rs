//! The key is nowhere but in its file and on the wire: not in what is said of any failure, not in what the sandbox prints, not in a process list.

use std::os::unix::fs::PermissionsExt as _;

use e2e_tests::Sandbox;
use payment::core::Purpose;
use serde_json::json;

use super::{Payment, provider};

#[tokio::test]
async fn the_key_is_in_nothing_that_is_said() {
    let mut sandbox = Sandbox::start().await;
    let key = std::fs::read_to_string(sandbox.key_file()).unwrap();
    let key = key.trim().to_owned();
    assert!(key.len() > 40, "a key that is easily guessed");
    let mode = std::fs::metadata(sandbox.key_file())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let provider = provider(&sandbox.settings());
    let payment = Payment::held(&provider).await;
    let mut said = Vec::new();
    for failure in [
        "down",
        "broken",
        "refuse-key",
        "forbid-key",
        "too-many",
        "in-use",
        "html",
        "cut",
    ] {
        // Each is met by a provider that knows nothing of the one before.
        let provider = super::provider(&sandbox.settings());
        sandbox
            .throw(json!({"failure": failure, "when": "before"}))
            .await;
        let told = payment.once(&provider, Purpose::Capture).await;
        said.push(format!(
            "{told:?} {:?} {provider:?} {:?}",
            provider.problems(),
            provider.measures()
        ));
        sandbox.mend().await;
    }
    said.push(sandbox.log());
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |what| std::fs::read(process.path().join(what)).unwrap_or_default();
        for what in ["cmdline", "environ"] {
            said.push(String::from_utf8_lossy(&read(what)).into_owned());
        }
    }
    sandbox.kill().await;
    said.push(format!(
        "{:?}",
        payment.once(&provider, Purpose::Capture).await
    ));
    assert!(said.len() > 20);
    for text in said {
        assert!(
            !text.contains(&key),
            "the key is in: {}",
            text.replace(&key, "…")
        );
    }
}
