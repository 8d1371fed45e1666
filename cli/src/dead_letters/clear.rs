//! `roundtrip dead-letters replay` and `discard`: one letter, or many in bounded steps. What a replay does is the service's.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use futures::FutureExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use runtime::dead_letters::{KeptLetter, PastLetter, REPLAY_RETRY_AFTER_S, TOO_MANY_REPLAYS};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Of, asked, short, whoever_has_it};
use crate::address::Addresses;
use crate::out;
use client::Refused;
use client::letters::{Clearing, Which, Words};
use client::paint::visible;

/// The most letters that a service discards at once.
const DISCARDED_AT_ONCE: usize = 500;
/// The most letters that a service replays at once.
const REPLAYED_AT_ONCE: usize = 50;
/// Others replay, and a service has only so many places: after so long it is asked again, as it wants it.
const AGAIN_AFTER: Duration = Duration::from_secs(REPLAY_RETRY_AFTER_S);
/// So often it is asked again for one step.
const AGAIN_MAX: u32 = 60;
/// Letters that stay and are named one by one; the rest is counted.
const KEPT_SHOWN: usize = 20;
/// What a shell says of a command that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Which letters.
#[derive(Debug, Args)]
struct These {
    /// The letter's id, as `list` has it.
    #[arg(required_unless_present_any = ["all", "with_reason", "with_type"], conflicts_with_all = ["all", "with_reason", "with_type"])]
    id: Option<String>,
    /// Every letter.
    #[arg(long, conflicts_with_all = ["with_reason", "with_type"])]
    all: bool,
    /// Only letters whose reason begins with this.
    #[arg(long, value_name = "TEXT")]
    with_reason: Option<String>,
    /// Only letters whose type begins with this.
    #[arg(long, value_name = "TYPE")]
    with_type: Option<String>,
    /// Only those of this service.
    #[arg(long, value_name = "SERVICE")]
    of: Option<String>,
}

/// Have what letters keep heard again by their service, as if it had just come.
///
/// It has its effect once, however often it is replayed. A letter whose message still cannot be read or applied stays, and is named; then
/// this ends with 1. A letter keeps one of the messages that it stands for, and that one is replayed. Ctrl-C ends it between two steps.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip dead-letters replay 01981a2b-0000-7000-8000-000000000000\n  roundtrip dead-letters replay --of hotel --with-type flight.reserved.v2 --why 'hotel was upgraded'\n  roundtrip dead-letters replay --all --rate 10"
)]
pub(super) struct Replay {
    #[command(flatten)]
    these: These,
    /// At most so many letters a second.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Why; it is recorded.
    #[arg(long, visible_alias = "reason", value_name = "TEXT")]
    why: Option<String>,
    #[command(flatten)]
    rest: Rest,
}

/// Put away letters that nobody needs.
///
/// They are kept in the past for thirty days, and are heard no more. Ctrl-C ends it between two steps.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  roundtrip dead-letters discard 01981a2b-0000-7000-8000-000000000000 --reason 'sent by hand'\n  roundtrip dead-letters discard --of flight --with-reason 'the header ce-specversion' --reason 'a broken script, stopped'\n  roundtrip dead-letters discard --all --reason 'load test' --by ada"
)]
pub(super) struct Discard {
    #[command(flatten)]
    these: These,
    /// How you know that nobody needs them; it is recorded.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    rest: Rest,
}

#[derive(Debug, Args)]
struct Rest {
    /// Who you are; it is recorded, and nobody checks it.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Addresses,
}

/// What was done at one service.
#[derive(Debug, Serialize)]
struct Done {
    service: String,
    letters: usize,
    messages: i64,
    kept: Vec<KeptLetter>,
}

impl Replay {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let words = Words {
            by: self.rest.by.clone(),
            why: self.why,
        };
        let pace = Some(self.rate);
        clear(Clearing::Replay, self.these, words, pace, self.rest).await
    }
}

impl Discard {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let words = Words {
            by: self.rest.by.clone(),
            why: Some(self.reason),
        };
        clear(Clearing::Discard, self.these, words, None, self.rest).await
    }
}

async fn clear(
    clearing: Clearing,
    these: These,
    words: Words,
    rate: Option<u32>,
    rest: Rest,
) -> Result<ExitCode> {
    if let Some(id) = &these.id {
        let ask = async |client: client::Client| {
            let mut again = 0;
            loop {
                let answer = client.clear_letter(clearing, id, &words).await;
                match answer {
                    Err(error) if no_place(&error) && again < AGAIN_MAX => again += 1,
                    answer => return answer,
                }
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        };
        let past = whoever_has_it(these.of.as_deref(), &rest.places, ask).await?;
        return one(&past, rest.json);
    }
    let which = Which {
        all: these.all,
        reason: these.with_reason,
        kind: these.with_type,
    };
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}")?);
    bar.enable_steady_tick(Duration::from_millis(100));
    let mut steps = Steps {
        clearing,
        which,
        words,
        rate,
        bar,
        done: Vec::new(),
    };
    let services = asked(these.of.as_deref(), &rest.places);
    let whole = steps.all(&services, &rest.places).await;
    steps.bar.finish_and_clear();
    tell(&steps, rest.json, matches!(whole, Ok(true)))?;
    let stays = steps.done.iter().any(|done| !done.kept.is_empty());
    Ok(match whole? {
        false => ExitCode::from(INTERRUPTED),
        true if stays => ExitCode::FAILURE,
        true => ExitCode::SUCCESS,
    })
}

/// Whether nothing was done, for others replay already.
fn no_place(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_some_and(|refused| refused.kind.rsplit(':').next() == Some(TOO_MANY_REPLAYS))
}

fn one(past: &Of<PastLetter>, json: bool) -> Result<ExitCode> {
    if json {
        out::json(past)?;
    } else {
        let PastLetter {
            letter, outcome, ..
        } = &past.letter;
        let mut said = format!("{}: {} {}", past.service, outcome.as_str(), letter.id);
        if letter.count > 1 {
            said += &format!(", the one kept of {} alike", letter.count);
        }
        out::line(&visible(&said));
    }
    Ok(ExitCode::SUCCESS)
}

/// Many letters, some at a time.
struct Steps {
    clearing: Clearing,
    which: Which,
    words: Words,
    rate: Option<u32>,
    bar: ProgressBar,
    done: Vec<Done>,
}

impl Steps {
    /// Goes on until nothing is left, or Ctrl-C: each step is whole, and none is begun after that. Answers whether nothing is left.
    async fn all(&mut self, services: &[String], places: &Addresses) -> Result<bool> {
        // Before the first step, or Ctrl-C would end it in the middle.
        let mut stop = signal(SignalKind::interrupt())?;
        for service in services {
            let client = places.service(service)?;
            self.done.push(Done {
                service: service.clone(),
                letters: 0,
                messages: 0,
                kept: Vec::new(),
            });
            let (mut after, mut again): (Option<String>, _) = (None, 0);
            loop {
                let started = Instant::now();
                let limit = self.limit();
                let asked = client.clear_letters(
                    self.clearing,
                    &self.which,
                    &self.words,
                    limit,
                    after.as_deref(),
                );
                let cleared = match asked.await {
                    Err(error) if no_place(&error) && again < AGAIN_MAX => {
                        again += 1;
                        if stopped(&mut stop, AGAIN_AFTER).await {
                            return Ok(false);
                        }
                        continue;
                    }
                    cleared => cleared.with_context(|| format!("the letters of {service}"))?,
                };
                again = 0;
                let heard = cleared.letters + cleared.kept.len();
                if let Some(done) = self.done.last_mut() {
                    done.letters += cleared.letters;
                    done.messages += cleared.messages;
                    done.kept.extend(cleared.kept);
                }
                let sum: usize = self.done.iter().map(|done| done.letters).sum();
                self.bar.set_message(format!("{sum} {}", self.word()));
                after = cleared.next;
                if after.is_none() {
                    break;
                }
                let pace = self.rate.map_or(0.0, |rate| heard as f64 / f64::from(rate));
                let rest = Duration::from_secs_f64(pace).saturating_sub(started.elapsed());
                if stopped(&mut stop, rest).await {
                    return Ok(false);
                }
            }
            if stop.recv().now_or_never().is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn limit(&self) -> usize {
        match self.clearing {
            Clearing::Discard => DISCARDED_AT_ONCE,
            Clearing::Replay => {
                let rate = self.rate.map_or(REPLAYED_AT_ONCE, |rate| rate as usize);
                rate.min(REPLAYED_AT_ONCE)
            }
        }
    }

    fn word(&self) -> &'static str {
        match self.clearing {
            Clearing::Replay => "replayed",
            Clearing::Discard => "discarded",
        }
    }
}

/// Waits so long, or until Ctrl-C, and answers whether it was that.
async fn stopped(stop: &mut Signal, rest: Duration) -> bool {
    tokio::select! {
        biased;
        _ = stop.recv() => true,
        () = tokio::time::sleep(rest) => false,
    }
}

fn tell(steps: &Steps, json: bool, whole: bool) -> Result<()> {
    if json {
        return out::json(&serde_json::json!({"services": steps.done, "whole": whole}));
    }
    for done in &steps.done {
        let Done {
            service,
            letters,
            messages,
            kept,
        } = done;
        let mut said = format!("{service}: {letters} {}", steps.word());
        let others = messages - i64::try_from(*letters).unwrap_or(i64::MAX);
        if others > 0 {
            said += &format!(" ({others} more messages like them had only been counted)");
        }
        if !kept.is_empty() {
            said += &format!(", {} stay, for they still cannot be heard", kept.len());
        }
        out::line(&said);
        for KeptLetter { id, why } in kept.iter().take(KEPT_SHOWN) {
            out::line(&format!("  {}: {}", short(id), visible(why)));
        }
        if kept.len() > KEPT_SHOWN {
            out::line(&format!("  and {} more", kept.len() - KEPT_SHOWN));
        }
    }
    if !whole {
        out::aside(
            "ended before all was done; what is said above is done, and asking again goes on",
        );
    }
    Ok(())
}
