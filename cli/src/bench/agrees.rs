//! What clap cannot say of `bench`'s options by itself. Not the options.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches};

/// Refuses --database beside --against, where there is no stack of our own; a variable that names a database is nobody's wish for this run.
#[derive(Debug)]
pub(super) struct Agrees;

impl FromArgMatches for Agrees {
    fn from_arg_matches(typed: &ArgMatches) -> Result<Self, clap::Error> {
        let database = typed.value_source("database") == Some(ValueSource::CommandLine);
        if database && typed.contains_id("against") {
            return Err(clap::Error::raw(
                ErrorKind::ArgumentConflict,
                "the argument '--database <DATABASE>' cannot be used with '--against <URL>'
",
            ));
        }
        Ok(Self)
    }

    fn update_from_arg_matches(&mut self, typed: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(typed)?;
        Ok(())
    }
}

impl Args for Agrees {
    fn augment_args(command: clap::Command) -> clap::Command {
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command
    }
}
