//! `roundtrip import flights FILE.csv`, or `-` for standard input: inventory of any leg, all of the file or none of it.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};
use leg::inventory::{BadLine, IMPORT_MAX};
use stack::catalogue::inventories;

use super::address::Addresses;
use super::out;
use client::Refused;
use client::paint::{visible, visible_path};

/// So much goes out between two steps of the progress bar.
const STEP: usize = 64 << 10;

/// Import inventory from a CSV file: all of it, or nothing when any line is bad.
#[derive(Debug, Args)]
#[command(
    after_help = "The first line names the columns:\n  flights  flight,date,seats,price_minor,currency\n  hotels   hotel,room_type,night,rooms,price_minor,currency\nA date may be a range with both ends: 2026-12-01..2026-12-31. What is there already is set to what the file says; what trips\nhold of it stays.\n\nExamples:\n  roundtrip import flights flights.csv\n  roundtrip import hotels hotels.csv --service hotel=http://127.0.0.1:8082\n  zcat flights.csv.gz | roundtrip import flights -"
)]
pub(crate) struct Import {
    /// What the file is the inventory of.
    #[arg(value_parser = PossibleValuesParser::new(inventories().map(|(name, _)| name)))]
    what: String,
    /// The file, a CSV; `-` is standard input.
    file: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Addresses,
}

impl Import {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let found = inventories().find(|(name, _)| *name == self.what);
        let (path, entry) = found.context("no service has such an inventory")?;
        let client = self.places.service(entry.name)?;
        let shown = self.shown();
        let csv = self.csv().with_context(|| format!("cannot read {shown}"))?;
        if csv.len() > IMPORT_MAX {
            bail!(
                "{shown} has more than {IMPORT_MAX} bytes, the most that is taken at once: split it"
            );
        }
        let bar = bar(csv.len())?;
        let done = client.import(path, body(csv, &bar)).await;
        bar.finish_and_clear();
        match done {
            Ok(imported) if self.json => out::json(&imported)?,
            Ok(imported) => out::line(&format!(
                "{shown}: {} lines, {} rows of inventory",
                imported.lines, imported.rows
            )),
            Err(error) => return self.refused(error),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn is_standard_input(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    /// Its name, for people.
    fn shown(&self) -> String {
        if self.is_standard_input() {
            return String::from("standard input");
        }
        visible_path(&self.file)
    }

    /// All of it, or a byte more than is taken: what comes in need not end.
    fn csv(&self) -> std::io::Result<Vec<u8>> {
        let mut csv = Vec::new();
        let source: Box<dyn Read> = if self.is_standard_input() {
            Box::new(std::io::stdin().lock())
        } else {
            Box::new(File::open(&self.file)?)
        };
        source.take(IMPORT_MAX as u64 + 1).read_to_end(&mut csv)?;
        Ok(csv)
    }

    /// Names every bad line that the service named.
    fn refused(&self, error: anyhow::Error) -> Result<ExitCode> {
        let Some(refused) = error.downcast_ref::<Refused>() else {
            return Err(error);
        };
        let Some(lines) = refused.more.get("lines") else {
            return Err(error);
        };
        let lines: Vec<BadLine> = serde_json::from_value(lines.clone()).unwrap_or_default();
        let count = refused
            .more
            .get("bad_lines")
            .and_then(serde_json::Value::as_u64);
        let count = count.unwrap_or(lines.len() as u64);
        if self.json {
            out::json(&serde_json::json!({"imported": false, "bad_lines": count, "lines": lines}))?;
            return Ok(ExitCode::FAILURE);
        }
        let file = self.shown();
        for BadLine { line, reason } in &lines {
            out::line(&format!("{file}:{line}: {}", visible(reason)));
        }
        if count > lines.len() as u64 {
            out::line(&format!("and {} more", count - lines.len() as u64));
        }
        out::aside(&format!(
            "nothing was imported: {count} lines cannot be taken"
        ));
        Ok(ExitCode::FAILURE)
    }
}

fn bar(bytes: usize) -> Result<ProgressBar> {
    // Draws on standard error, and only on a terminal.
    let bar = ProgressBar::new(bytes as u64);
    let style = "{msg:<10} [{bar:40}] {bytes}/{total_bytes} {elapsed}";
    bar.set_style(ProgressStyle::with_template(style)?.progress_chars("=> "));
    bar.set_message("sending");
    bar.enable_steady_tick(Duration::from_millis(100));
    Ok(bar)
}

/// The file in pieces, each of which moves the bar when it goes out.
fn body(csv: Vec<u8>, bar: &ProgressBar) -> reqwest::Body {
    let bar = bar.clone();
    let pieces: Vec<Vec<u8>> = csv.chunks(STEP).map(<[u8]>::to_vec).collect();
    reqwest::Body::wrap_stream(futures::stream::iter(pieces.into_iter().map(
        move |piece| -> Result<Vec<u8>, std::io::Error> {
            bar.inc(piece.len() as u64);
            if bar.length() == Some(bar.position()) {
                bar.set_message("saving");
            }
            Ok(piece)
        },
    )))
}
