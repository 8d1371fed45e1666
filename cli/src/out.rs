//! What commands print, and the one gate that all of it goes through: what others wrote reaches no terminal unseen. Not a log: that goes to
//! standard error.

use std::io::Write as _;

use anyhow::Result;
use client::paint::{Paint, visible, visible_json};
use comfy_table::{Table, presets};
use serde::Serialize;

/// A line on standard output. Nobody is told when nobody reads it any more.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", Paint::stdout().lines(text));
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
