//! `roundtrip dead-letters`: what could not be read or applied.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use runtime::dead_letters::DeadLetter;
use serde::Serialize;

use super::address::Addresses;
use super::{out, render};
use client::paint::visible;
use stack::SERVICES;

/// List dead letters: messages that a service could not read or apply, kept whole.
#[derive(Debug, Args)]
#[command(
    visible_alias = "letters",
    after_help = "Examples:\n  roundtrip dead-letters\n  roundtrip dead-letters hotel --json | jq '.[].letter.payload'"
)]
pub(crate) struct DeadLetters {
    /// Only those of this service.
    #[arg(value_parser = SERVICES)]
    service: Option<String>,
    /// At most so many of each service.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// As JSON, whole.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Addresses,
}

#[derive(Serialize)]
struct Kept {
    service: String,
    letter: DeadLetter,
}

impl DeadLetters {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let services = match &self.service {
            Some(service) => vec![service.as_str()],
            None => SERVICES.to_vec(),
        };
        let mut kept = Vec::new();
        for service in services {
            let letters = self.places.service(service)?.letters(self.limit).await;
            let letters = letters.with_context(|| format!("the letters of {service}"))?;
            kept.extend(letters.into_iter().map(|letter| Kept {
                service: service.to_owned(),
                letter,
            }));
        }
        if self.json {
            out::json(&kept)?;
        } else if kept.is_empty() {
            out::line("no dead letters");
        } else {
            out::line(&out::table(
                ["service", "about", "type", "times", "last", "reason"],
                kept.iter().map(row),
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(Kept { service, letter }: &Kept) -> [String; 6] {
    // They come from anybody.
    let short = |text: &str| -> String { visible(text).chars().take(80).collect() };
    [
        service.clone(),
        short(&letter.aggregateid),
        short(&letter.kind),
        letter.count.to_string(),
        render::moment(choreography::instant(letter.last_us)),
        short(&letter.reason),
    ]
}
