//! What commands print, and the one gate that all of it goes through: what others wrote reaches no terminal unseen. Not a log: that goes to
//! standard error.

use std::io::{ErrorKind, Write as _};
use std::sync::OnceLock;

use anyhow::{Result, bail};
use client::paint::{Paint, visible, visible_json};
use client::{Page, TOTAL_MAX};
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

/// The answer of a command: as JSON where that was asked for, else in words.
///
/// # Errors
/// When it cannot be JSON.
pub(crate) fn answer(
    as_json: bool,
    value: &impl Serialize,
    words: impl FnOnce() -> String,
) -> Result<()> {
    if as_json {
        return json(value);
    }
    line(&words());
    Ok(())
}

/// What this program itself is made of, byte for byte, for another program to read.
pub(crate) fn verbatim(bytes: &[u8]) {
    keep(std::io::stdout().write_all(bytes));
}

/// That a list is not all, of how many, and how to go on; None when it is all.
pub(crate) fn rest<T>(page: &Page<T>) -> Option<String> {
    let cursor = page.next_cursor.as_ref()?;
    let shown = page.items.len();
    let all = match page.total {
        Some(TOTAL_MAX) => format!("{shown} of {TOTAL_MAX} or more"),
        Some(total) => format!("{shown} of {total}"),
        None => format!("{shown}, and there are more"),
    };
    // What is to be typed is not for somebody else to say.
    let plain = cursor.chars().all(|c| c.is_ascii_alphanumeric());
    let on = plain.then(|| format!("; the same with --after {cursor} goes on"));
    Some(all + &on.unwrap_or_default())
}

/// Rows under a header, in columns without lines, as `ps` prints them. A row stays a row, whoever wrote what is in it.
#[must_use]
pub(crate) fn table<'a, Row: IntoIterator<Item = String>>(
    header: impl IntoIterator<Item = &'a str>,
    rows: impl IntoIterator<Item = Row>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.into_iter().map(visible));
    let shown = |row: Row| row.into_iter().map(|cell| visible(&cell).into_owned());
    for row in rows {
        table.add_row(shown(row));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}
