//! The key is nowhere but in its file and on the wire: not in what is said of any failure, not in what the sandbox prints, not in a process list.

use std::os::unix::fs::PermissionsExt as _;

use e2e_tests::Sandbox;
use payment::core::{Answer, Purpose};
use runtime::Attempt;
use serde_json::json;

use super::{Payment, provider};

#[tokio::test]
async fn the_key_is_in_nothing_that_is_said() {
    let mut sandbox = Sandbox::start_with(&["--webhook-url", "http://127.0.0.1:9/hook"]).await;
    let key = std::fs::read_to_string(sandbox.key_file()).unwrap();
    let key = key.trim().to_owned();
    assert!(key.len() > 40, "a key that is easily guessed");
    let mode = std::fs::metadata(sandbox.key_file())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let webhook = std::fs::read_to_string(sandbox.webhook_file()).unwrap();
    let webhook = webhook.trim().to_owned();
    assert!(webhook.len() > 20, "a secret that can be looked for");
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
        "echo",
    ] {
        // Each is met by a provider that knows nothing of the one before.
        let provider = super::provider(&sandbox.settings());
        sandbox
            .throw(json!({"failure": failure, "when": "before"}))
            .await;
        let told = payment.once(&provider, Purpose::Capture).await;
        said.push(format!(
            "{} {told:?} {:?} {provider:?} {:?}",
            kept(&told),
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
            !text.contains(&key) && !text.contains(&webhook),
            "a secret is in: {}",
            text.replace(&key, "…").replace(&webhook, "…")
        );
    }
}

/// What is kept of an attempt for a person to look at.
fn kept(told: &Attempt<Answer>) -> String {
    match told {
        Attempt::Unreadable { body, .. } => String::from_utf8_lossy(body).into_owned(),
        _ => String::new(),
    }
}

/// A proxy's page repeats what was sent to it: what is kept of it has everything but the key.
#[tokio::test]
async fn a_page_that_repeats_the_key_is_kept_without_it() {
    let sandbox = Sandbox::start().await;
    let key = std::fs::read_to_string(sandbox.key_file()).unwrap();
    let provider = provider(&sandbox.settings());
    let payment = Payment::held(&provider).await;
    sandbox.throw(json!({"failure": "echo"})).await;
    let kept = kept(&payment.once(&provider, Purpose::Capture).await);
    assert!(
        kept.contains("authorization: Bearer (a secret)"),
        "it repeats nothing"
    );
    assert!(!kept.contains(key.trim()));
}

/// An answer that is about a payment has a card in it: what is kept of one that is not believed has not.
#[tokio::test]
async fn nothing_of_a_card_is_kept() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.settings());
    let mut payment = Payment::held(&provider).await;
    payment.amount_minor += 1;
    let read_back = json!({"failure": "broken", "only": ["capture"], "when": "before"});
    let half = json!({"failure": "truncated", "only": ["read", "void"]});
    for (switch, purpose) in [
        (None, Purpose::Capture),
        (Some(read_back), Purpose::Capture),
        (Some(half), Purpose::Void),
    ] {
        if let Some(switch) = switch {
            sandbox.throw(switch).await;
        }
        let told = payment.once(&provider, purpose).await;
        let kept = kept(&told);
        assert!(kept.contains(r#""amount":12300"#), "{told:?}");
        for gone in [r#""4242""#, "Ada", "_secret_", r#""exp_year":2034"#] {
            assert!(!kept.contains(gone), "{gone} is in {kept}");
        }
        sandbox.mend().await;
        payment = Payment::held(&provider).await;
        payment.amount_minor += 1;
    }
}
