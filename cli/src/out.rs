//! What commands print. Not a log: that goes to standard error.

use std::io::Write as _;

use anyhow::Result;
use comfy_table::{Table, presets};
use serde::Serialize;

/// A line on standard output. Nobody is told when nobody reads it any more.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The same on standard error, for what is not the answer itself.
pub(crate) fn aside(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Anything as JSON, for programs that read it.
///
/// # Errors
/// When it cannot be JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Rows under a header, in columns without lines, as `ps` prints them.
#[must_use]
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}
