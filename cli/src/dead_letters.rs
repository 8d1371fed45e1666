//! `roundtrip dead-letters`: what could not be read or applied is listed and shown, and what became of others. Replaying and discarding is
//! `clear`'s.

mod clear;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use runtime::dead_letters::{DeadLetter, PastLetter};
use serde::Serialize;
use serde_json::{Map, Value};

use super::address::Addresses;
use super::{out, render};
use client::paint::visible;
use client::{Client, Refused};
use stack::SERVICES;

/// Dead letters: messages that a service could not read or apply, kept whole. Without a further word they are listed.
///
/// A letter stands for all messages that came alike: it counts them, and keeps one of the first. `replay` has that one heard again by its
/// service, once it can be read; `discard` puts away what nobody needs. What became of them is in `past` for thirty days.
#[derive(Debug, Args)]
#[command(
    visible_alias = "letters",
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  roundtrip dead-letters\n  roundtrip dead-letters show 01981a2b-0000-7000-8000-000000000000\n  roundtrip dead-letters replay --of hotel --all --why 'hotel can read v2 now'\n  roundtrip dead-letters discard --with-type junk. --reason 'a test of ours'\n  roundtrip dead-letters past\n  roundtrip dead-letters hotel --json | jq '.[].letter.payload'"
)]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    list: List,
}

// What each does is said at its own struct, where `--help` finds all of it.
#[derive(Debug, Subcommand)]
enum What {
    List(List),
    Show(Show),
    Replay(clear::Replay),
    Discard(clear::Discard),
    Past(Past),
}

/// List them, the oldest first.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip dead-letters list flight\n  roundtrip dead-letters list --whole"
)]
struct List {
    /// Only those of this service.
    service: Option<String>,
    /// At most so many of each service.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Each as `show` shows it.
    #[arg(long)]
    whole: bool,
    /// As JSON, whole.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Addresses,
}

/// Show one whole: its subject, headers and payload, with control characters written out.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  roundtrip dead-letters show 01981a2b-0000-7000-8000-000000000000"
)]
struct Show {
    /// The letter's id, as `list` has it.
    id: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Addresses,
}

/// List what was replayed or discarded in the last thirty days, the latest first.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip dead-letters past\n  roundtrip dead-letters past flight --json | jq '.[].letter.why'"
)]
struct Past {
    /// Only that of this service.
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

/// A letter, and whose it is.
#[derive(Serialize)]
struct Of<T> {
    service: String,
    letter: T,
}

impl DeadLetters {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self.what.unwrap_or(What::List(self.list)) {
            What::List(list) => list.run().await,
            What::Show(show) => show.run().await,
            What::Replay(replay) => replay.run().await,
            What::Discard(discard) => discard.run().await,
            What::Past(past) => past.run().await,
        }
    }
}

impl List {
    async fn run(self) -> Result<ExitCode> {
        let ask = async |client: Client| client.letters(self.limit).await;
        let kept = all(self.service.as_deref(), &self.places, ask).await?;
        if self.json {
            out::json(&kept)?;
        } else if kept.is_empty() {
            out::line("no dead letters");
        } else if self.whole {
            let each: Vec<String> = kept.iter().map(whole).collect();
            out::line(&each.join("\n\n"));
        } else {
            out::line(&out::table(
                ["id", "service", "about", "type", "times", "last", "reason"],
                kept.iter().map(row),
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    async fn run(self) -> Result<ExitCode> {
        let ask = async |client: Client| client.letter(&self.id).await;
        let found = whoever_has_it(None, &self.places, ask).await?;
        if self.json {
            out::json(&found)?;
        } else {
            out::line(&whole(&found));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Past {
    async fn run(self) -> Result<ExitCode> {
        let ask = async |client: Client| client.past_letters(self.limit).await;
        let past = all(self.service.as_deref(), &self.places, ask).await?;
        if self.json {
            out::json(&past)?;
        } else if past.is_empty() {
            out::line("no dead letter was replayed or discarded in the last thirty days");
        } else {
            out::line(&out::table(
                [
                    "when", "what", "service", "about", "type", "times", "by", "why",
                ],
                past.iter().map(past_row),
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What every service has, or the one that is named.
async fn all<T>(
    service: Option<&str>,
    places: &Addresses,
    ask: impl AsyncFn(Client) -> Result<Vec<T>>,
) -> Result<Vec<Of<T>>> {
    let mut found = Vec::new();
    for service in asked(service, places) {
        let letters = ask(places.service(&service)?).await;
        let letters = letters.with_context(|| format!("the letters of {service}"))?;
        found.extend(letters.into_iter().map(|letter| Of {
            service: service.clone(),
            letter,
        }));
    }
    Ok(found)
}

/// The services that are asked: the one that is named, or those that every stack has and whoever's address was given.
fn asked(service: Option<&str>, places: &Addresses) -> Vec<String> {
    if let Some(service) = service {
        return vec![service.to_owned()];
    }
    let given = places.given().into_iter().map(|(service, _)| service);
    let others = given.filter(|service| !SERVICES.contains(&service.as_str()));
    SERVICES
        .map(str::to_owned)
        .into_iter()
        .chain(others)
        .collect()
}

/// Asks one service after another until one has the letter.
async fn whoever_has_it<T>(
    service: Option<&str>,
    places: &Addresses,
    ask: impl AsyncFn(Client) -> Result<T>,
) -> Result<Of<T>> {
    let mut missing = None;
    for service in asked(service, places) {
        let answer = ask(places.service(&service)?).await;
        let error = match answer.with_context(|| format!("the letters of {service}")) {
            Ok(letter) => return Ok(Of { service, letter }),
            Err(error) => error,
        };
        match error.downcast_ref::<Refused>() {
            Some(refused) if refused.status == 404 => missing = missing.or(Some(error)),
            _ => return Err(error),
        }
    }
    Err(missing.unwrap_or_else(|| anyhow::anyhow!("no service was asked")))
}

/// So much of it that a row stays readable; they come from anybody.
fn short(text: &str) -> String {
    visible(text).chars().take(80).collect()
}

fn row(Of { service, letter }: &Of<DeadLetter>) -> [String; 7] {
    [
        short(&letter.id),
        service.clone(),
        short(&letter.aggregateid),
        short(&letter.kind),
        letter.count.to_string(),
        render::moment(choreography::instant(letter.last_us)),
        short(&letter.reason),
    ]
}

fn past_row(Of { service, letter }: &Of<PastLetter>) -> [String; 8] {
    let PastLetter {
        letter,
        outcome,
        by,
        why,
        at_us,
    } = letter;
    [
        render::moment(choreography::instant(*at_us)),
        outcome.as_str().to_owned(),
        service.clone(),
        short(&letter.aggregateid),
        short(&letter.kind),
        letter.count.to_string(),
        short(by),
        short(why),
    ]
}

/// All of it. Each line of ours begins with a word or a space, whatever is in the letter.
fn whole(Of { service, letter }: &Of<DeadLetter>) -> String {
    let moment = |us| render::moment(choreography::instant(us));
    let came = match letter.count {
        1 => format!("once, {}", moment(letter.first_us)),
        count => format!(
            "{count} times alike, {} to {}; one of the first is kept, and the others only counted",
            moment(letter.first_us),
            moment(letter.last_us)
        ),
    };
    let mut lines = vec![format!("letter   {}", visible(&letter.id))];
    for (name, value) in [
        ("service", service),
        ("about", &letter.aggregateid),
        ("type", &letter.kind),
        ("reason", &letter.reason),
        ("came", &came),
        ("last id", &letter.last_id),
        ("subject", &letter.subject),
    ] {
        lines.push(format!("{name:<8} {}", visible(value)));
    }
    match serde_json::from_str::<Map<String, Value>>(&letter.headers) {
        Ok(headers) => {
            lines.push(format!("headers  {}", headers.len()));
            for (name, value) in headers {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                lines.push(format!("  {}: {}", visible(&name), visible(&value)));
            }
        }
        Err(_) => lines.push(format!("headers  {}", visible(&letter.headers))),
    }
    lines.push(format!("payload  {}", visible(&letter.payload)));
    lines.join("\n")
}
