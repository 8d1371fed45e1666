//! The payment's own settings, for a program that can serve other services too: there they may be left out.

use anyhow::Context as _;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::provider::ProviderSettings;

/// The provider's settings, if they are there: a program that serves a service by its name asks for them only where it is this one.
#[derive(Clone, Debug, Default)]
pub struct MaybeProvider(Option<ProviderSettings>);

impl MaybeProvider {
    /// The settings.
    ///
    /// # Errors
    /// When they were not given, saying which are needed.
    pub fn given(self) -> Result<ProviderSettings, anyhow::Error> {
        self.0.context("payment needs PROVIDER_URL and PROVIDER_KEY_FILE, where the provider is and the file with its secret key; without a provider of your own, `roundtrip sandbox` is one on this machine")
    }
}

impl FromArgMatches for MaybeProvider {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(ProviderSettings::from_arg_matches(matches).ok()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for MaybeProvider {
    fn augment_args(command: Command) -> Command {
        // As for an update, where nothing is required.
        ProviderSettings::augment_args_for_update(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        ProviderSettings::augment_args_for_update(command)
    }
}
