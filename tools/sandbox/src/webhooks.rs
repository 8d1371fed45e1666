//! What the provider tells of its own accord: each event posted, signed, until it is taken; in order of age but not in order, as Stripe does it.
//! Not what is told: that is kept with each change, in the store.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures::StreamExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Url;
use sha2::Sha256;
use sqlx::Connection as _;

use super::api;
use super::server::{App, now_ms};
use super::store::Event;

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked whether something is to be told again.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const AT_ONCE: usize = 8;
const BATCH: i64 = 64;
/// What nobody takes so often is told no more.
const TRIES_MAX: i64 = 40;
const PAUSE_MAX_MS: i64 = 30_000;

/// Where it is told, and how it is signed.
pub struct Teller {
    http: reqwest::Client,
    url: Url,
    secret: String,
}

impl Teller {
    /// Tells this address.
    ///
    /// # Errors
    /// When it is no address.
    pub fn new(url: &str, secret: String) -> Result<Self> {
        Ok(Self {
            http: client::http::local()?.timeout(WITHIN).no_proxy().build()?,
            url: client::url(url)?,
            secret,
        })
    }

    async fn tell(&self, event: &Event) -> bool {
        let time_s = now_ms() / 1_000;
        let Some(signature) = sign(&self.secret, time_s, &event.body) else {
            return false;
        };
        let told = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("stripe-signature", format!("t={time_s},v1={signature}"))
            .body(event.body.clone())
            .send()
            .await;
        told.is_ok_and(|answer| answer.status().is_success())
    }
}

/// Of a time and a body, as Stripe signs them; none with a secret that cannot be used.
#[must_use]
pub fn sign(secret: &str, time_s: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("{time_s}.{body}").as_bytes());
    Some(hex::encode(mac.finalize().into_bytes()))
}

/// Tells what there is to tell, until the sandbox ends; and lets go of what was held too long meanwhile.
pub async fn run(app: App, teller: Option<Arc<Teller>>) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let changed = async {
            match &app.webhooks {
                Some(webhooks) => webhooks.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            _ = look.tick() => {
                if let Err(error) = expire(&app, teller.is_some()).await {
                    app.complain(&error);
                }
            }
            () = app.stopped() => return,
        }
        if let Some(teller) = &teller
            && let Err(error) = tell(&app, teller).await
        {
            app.complain(&error);
        }
    }
}

async fn expire(app: &App, tells: bool) -> Result<()> {
    let mut connection = app.store.alone().await;
    let mut unit = connection.begin().await?;
    api::expire(&mut unit, now_ms(), tells).await?;
    unit.commit().await?;
    Ok(())
}

async fn tell(app: &App, teller: &Arc<Teller>) -> Result<()> {
    let events = app.store.to_tell(now_ms(), BATCH).await?;
    let told = futures::stream::iter(events)
        .map(|event| async move { (teller.tell(&event).await, event) })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    for (taken, event) in told {
        let doubled = 250_i64 << event.tries.clamp(0, 16);
        let later = now_ms() + doubled.min(PAUSE_MAX_MS);
        let later = (!taken && event.tries < TRIES_MAX).then_some(later);
        app.store.told(&event, later).await?;
    }
    Ok(())
}
