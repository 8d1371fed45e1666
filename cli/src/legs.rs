//! `roundtrip legs`: which legs have joined, and which of them an operator has retired.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use client::Leg;
use client::paint::visible;

use super::address::Address;
use super::out;

/// List the legs that have joined, or retire one: no new trip is taken with it, and trips under way go on.
///
/// What a retired leg says of itself, when it starts again for one, changes nothing; only `restore` does. A trip under way that waits for a
/// leg that is gone for good is settled by hand: see `stuck` and `settle`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  roundtrip legs\n  roundtrip legs retire car --reason 'the garage is sold'\n  roundtrip legs restore car\n  roundtrip legs --json | jq -r '.[] | select(.retired) | .leg'"
)]
pub(crate) struct Legs {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the legs that have joined, and since when they are retired, if they are.
    List(Asked),
    /// Take no new trips with a leg.
    Retire(Retire),
    /// Take trips with a retired leg again.
    Restore(Restore),
}

#[derive(Debug, Args)]
struct Asked {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Address,
}

#[derive(Debug, Args)]
struct Retire {
    /// The leg's name.
    leg: String,
    /// Why, in your own words; callers whose trips are refused read it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Args)]
struct Restore {
    /// The leg's name.
    leg: String,
    #[command(flatten)]
    asked: Asked,
}

impl Legs {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self.what.unwrap_or(What::List(self.asked)) {
            What::List(Asked { json, place }) => {
                let legs = place.booking()?.all_legs().await?;
                if json {
                    out::json(&legs)?;
                } else if legs.is_empty() {
                    out::line("no leg has joined");
                } else {
                    out::line(&out::table(
                        ["leg", "last heard of", "state"],
                        legs.iter().map(row),
                    ));
                }
            }
            What::Retire(Retire { leg, reason, asked }) => {
                let leg = asked.place.booking()?.retire(&leg, &reason).await?;
                tell(&leg, asked.json)?;
            }
            What::Restore(Restore { leg, asked }) => {
                let leg = asked.place.booking()?.restore(&leg).await?;
                tell(&leg, asked.json)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn tell(leg: &Leg, json: bool) -> Result<()> {
    if json {
        return out::json(leg);
    }
    let [name, _, state] = row(leg);
    out::line(&visible(&format!("{name}: {state}")));
    Ok(())
}

fn row(leg: &Leg) -> [String; 3] {
    let state = match &leg.retired {
        None => String::from("can be booked"),
        Some(retired) => format!("retired since {:.0}: {}", retired.since, retired.reason),
    };
    [leg.leg.clone(), format!("{:.0}", leg.seen), state]
}
