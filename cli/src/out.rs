//! What commands print, and the one gate that all of it goes through: what others wrote reaches no terminal unseen. Not a log: that goes to
//! standard error.

use std::io::{ErrorKind, Write as _};
use std::sync::OnceLock;

use anyhow::{Result, bail};
use client::paint::{Paint, visible, visible_json};
use comfy_table::{Table, presets};
use serde::Serialize;

/// Why standard output is not whole: the first failure.
static LOST: OnceLock<std::io::Error> = OnceLock::new();

/// A line on standard output.
pub(crate) fn line(text: &str) {
    let text = Paint::stdout().lines(text);
    keep(writeln!(std::io::stdout(), "{text}"));
}

/// Whether all that was to be on standard output is there. Nobody is told when nobody reads it any more.
///
/// # Errors
/// When some of it could not be written, such as on a disk that is full.
pub(crate) fn whole() -> Result<()> {
    keep(std::io::stdout().flush());
    match LOST.get() {
        Some(error) => bail!("what it says could not be written: {error}"),
        None => Ok(()),
    }
}

fn keep(written: std::io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error);
    }
}

/// The same on standard error, for what is not the answer itself.
pub(crate) fn aside(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", Paint::stderr().lines(text));
}

/// Anything as JSON, for programs that read it.
///
/// # Errors
/// When it cannot be JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    line(&visible_json(&serde_json::to_string_pretty(value)?));
    Ok(())
}

/// Rows under a header, in columns without lines, as `ps` prints them. A row stays a row, whoever wrote what is in it.
#[must_use]
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    let shown = |row: [String; N]| row.map(|cell| visible(&cell).into_owned());
    table.add_rows(rows.into_iter().map(shown));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}
