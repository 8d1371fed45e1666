//! On which line of a text a place is, as an editor counts: blank lines too, and however lines end. Not a reader of CSV.

/// Counts the lines of a text up to places that lie ever further on.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    /// At the beginning, on line 1.
    pub(crate) fn of(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    /// The line of the first thing at or behind this byte that ends no line. A byte that was passed already is on the line of the last one.
    pub(crate) fn line_at(&mut self, byte: u64) -> u64 {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX);
        while let Some(&here) = self.text.get(self.at)
            && (self.at < byte || is_end(here))
        {
            // A carriage return before a line feed is half of one end.
            let half = here == b'\r' && self.text.get(self.at + 1) == Some(&b'\n');
            if is_end(here) && !half {
                self.line += 1;
            }
            self.at += 1;
        }
        self.line
    }
}

fn is_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn lines_are_counted_however_they_end() {
        for end in ["\n", "\r\n", "\r"] {
            // "one", nothing, "two", "three"
            let text = format!("one{end}{end}two{end}three");
            let mut lines = Lines::of(text.as_bytes());
            assert_eq!(lines.line_at(0), 1);
            // Where a reader stands after the first line: at its end, or in the middle of that.
            assert_eq!(lines.line_at(4), 3);
            let three = text.len() - "three".len();
            assert_eq!(lines.line_at(three as u64), 4);
            assert_eq!(lines.line_at(u64::MAX), 4);
        }
    }
}
