//! The payment provider: Stripe's PaymentIntents with manual capture, or whatever speaks the same (`roundtrip sandbox`); it cannot be told which.
//!
//! [`Provider::perform`] makes one attempt at a call and says what is known afterwards: an answer for good, that it has to be tried again, or that
//! something came which nobody can read. It keeps nothing of a call between attempts; the runtime does. What is done about each failure is the
//! table in `policy`; what a payment's state means is in `judge`, what a refund's in `refund`. Not what a trip makes of it: that is the core's.
//!
//! - `settings`: how it is reached; `tls`: the client; `secret` and `key`: the key's file, and a key that is refused.
//! - `exchange`: one request; `asking`: what each says of the provider; `wire`: the words; `money`: the amounts; `reasons`: a no in our words.
//! - `keep`: what is kept of an answer that nobody can read.
//! - `breaker`, `pace`: when nothing, and how much, is sent; `state`: what an operator is told of it.
//! - `webhook`: the second way to hear an outcome; `list`: all payments, for the audit.

mod asking;
mod breaker;
mod exchange;
mod judge;
mod keep;
mod key;
pub mod list;
mod money;
mod pace;
mod perform;
mod policy;
mod reasons;
mod refund;
mod secret;
mod settings;
mod state;
mod tls;
pub mod webhook;
mod wire;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Result;

pub use list::{Listed, Page, Stage};
pub use settings::ProviderSettings;
pub use state::{Measure, Problem};
pub use webhook::Heard;

use asking::Line;
use breaker::{Breaker, Limits};
use exchange::Wire;
use key::KeyRing;
use pace::Pace;
use secret::SecretFile;
use state::Tally;

/// A provider, and what is known of how it does.
pub struct Provider {
    wire: Wire,
    keys: KeyRing,
    webhook_secret: Option<SecretFile>,
    breaker: Breaker,
    pace: Pace,
    tally: Tally,
    within: Duration,
}

impl Provider {
    /// The provider of these settings. Nothing is sent yet, and a key that is not there yet is no error: it is a problem, until it is there.
    ///
    /// # Errors
    /// When the address or the certificates cannot be used, in words that say what to do.
    pub fn new(settings: &ProviderSettings) -> Result<Arc<Self>> {
        let base = tls::base(&settings.provider_url)?;
        let ms = Duration::from_millis;
        Ok(Arc::new(Self {
            wire: Wire {
                http: tls::client(&base, settings)?,
                base,
            },
            keys: KeyRing::new(
                &settings.provider_key_file,
                ms(settings.provider_key_probe_ms),
            ),
            webhook_secret: settings
                .provider_webhook_secret_file
                .as_deref()
                .map(SecretFile::new),
            breaker: Breaker::new(Limits {
                after: settings.provider_break_after,
                first: ms(settings.provider_probe_first_ms),
                max: ms(settings.provider_probe_max_ms),
                quiet: ms(settings.provider_quiet_ms),
            }),
            pace: Pace::new(settings.provider_calls_per_s),
            tally: Tally::new(ms(settings.provider_quiet_ms)),
            within: ms(settings.provider_timeout_ms),
        }))
    }

    /// How many calls may begin now: none while nothing is to be sent, one while somebody has to try, else as the pace allows.
    #[must_use]
    pub fn calls_now(&self) -> usize {
        match self.breaker.permits().min(self.keys.permits()) {
            0 => 0,
            permits => self.pace.tokens().min(permits),
        }
    }

    /// Whether new payments would only wait: nothing is sent, for the breaker is open or the key is refused. When somebody has to try, it is
    /// not: else nobody would, where nothing else waits.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.breaker.permits().min(self.keys.permits()) == 0
    }

    /// Tries whether the provider is back, if that is due and there is anything wrong with it: so that it is known without a trip that waits. It
    /// asks for one line of the list, which changes nothing.
    pub async fn probe(&self) {
        let is_well = self.breaker.down().is_none() && self.keys.refusal().is_none();
        if is_well || self.is_down() {
            return;
        }
        if let Ok(mut line) = Line::begin(self) {
            // What it says of the provider is noted; what is in it does not matter.
            let _ = line
                .ask::<serde::de::IgnoredAny>("probe", list::one(self.within))
                .await;
        }
    }

    /// A webhook's body, believed only with its signature; none where it says nothing that matters here.
    ///
    /// # Errors
    /// When it is not to be believed, or not to be read: nothing was done, and the sender is told so.
    pub fn heard(
        &self,
        signature: Option<&str>,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Option<Heard>, webhook::Refused> {
        let secret = self.webhook_secret.as_ref();
        let secret = secret.ok_or(webhook::Refused::NoSecret)?.now();
        let secret = secret.map_err(|why| {
            tracing::error!(why, "no webhook can be believed: its secret cannot be read");
            webhook::Refused::NoSecret
        })?;
        let heard = webhook::verify(secret.reveal(), signature, body, now);
        self.tally.webhook(&heard);
        if heard == Err(webhook::Refused::Unreadable) {
            tracing::error!(
                "a webhook is signed by the payment provider, and nobody can read it; it was not taken, and comes again"
            );
        }
        heard
    }
}

impl std::fmt::Debug for Provider {
    /// Its address alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.wire.base.host_str().unwrap_or_default();
        f.debug_struct("Provider")
            .field("host", &host)
            .finish_non_exhaustive()
    }
}
