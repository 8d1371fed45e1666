//! `roundtrip sandbox`: a payment provider on this machine. It parses, says where it is, and ends it; what it does is in `tools/sandbox`.

use std::process::ExitCode;

use ::sandbox::Options;
use anyhow::{Context as _, Result};
use clap::Args;
use client::paint::visible_path;
use serde_json::json;

use super::out;

/// Run a payment provider on this machine, to try things on: Stripe's wire, and no money.
///
/// It takes Stripe's test cards (pm_card_visa, pm_card_chargeDeclined, …), keeps its payments in a file, and can be broken in every way in which a
/// third party breaks, by POST /sandbox/failures. Whoever uses it cannot tell it from a provider; a real card is refused. Ctrl-C ends it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip sandbox                                   on http://127.0.0.1:12111, its key in sandbox.key\n  roundtrip sandbox --webhook-url http://127.0.0.1:8084/webhooks/stripe --authorisation-s 60\n\nBreaking it (each until it is taken back, or for a count):\n  curl localhost:12111/sandbox/failures --json '{\"failure\":\"down\",\"retry_after_s\":5,\"count\":20}'\n  curl localhost:12111/sandbox/failures --json '{\"failure\":\"hang\",\"when\":\"after\",\"only\":[\"authorise\"]}'\n  curl localhost:12111/sandbox/failures --json '{\"failure\":\"too-many\",\"per_s\":5,\"retry_after_s\":1}'\n  curl localhost:12111/sandbox/key/rotate --json '{\"file_after_ms\":2000}'\n  curl localhost:12111/sandbox/idempotency-keys/forget --json '{}'\n  curl localhost:12111/sandbox/authorisations/expire --json '{}'\n  curl localhost:12111/sandbox/failures                what is thrown; -X DELETE takes all of it back\n\nFailures: down, broken, refuse-key, forbid-key, too-many, in-use, slow, hang, garbage, html, other-shape, truncated, cut, echo,\ndecline, refuse-capture, refuse-void, refuse-refund, pending-refund. They may have: only (open, authorise, capture, void, refund, read, list), count, when (before or\nafter it is done), retry_after_s, ms, per_s."
)]
pub(crate) struct Sandbox {
    #[command(flatten)]
    options: Options,
    /// Say where it is as JSON.
    #[arg(long)]
    json: bool,
}

impl Sandbox {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let options = &self.options;
        let stop = runtime::stop_signal();
        let running = ::sandbox::start(options).await?;
        let url = format!("http://{}", running.address);
        let about = json!({
            "sandbox": true,
            "url": url,
            "key_file": options.key_file,
            "webhook_url": options.webhook_url,
            "webhook_secret_file": options.webhook_url.as_ref().map(|_| &options.webhook_secret_file),
            "data": options.data,
        });
        out::answer(self.json, &about, || {
            let key = visible_path(&options.key_file);
            let data = visible_path(&options.data);
            format!(
                "A sandbox of a payment provider at {url}: no money moves here.\nIts key is in {key}, its payments are in {data}. What can go wrong: POST {url}/sandbox/failures, see --help.\nCtrl-C ends it."
            )
        })?;
        stop.await.context("it cannot be told to end")?;
        running.stop().await?;
        Ok(ExitCode::SUCCESS)
    }
}
