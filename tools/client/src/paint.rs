//! What a terminal is given: colours, where they help and only where somebody sees them (on a terminal, unless `NO_COLOR` is set), and
//! nothing else that it would obey. What others wrote is shown, never followed, and never dropped either.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{IsTerminal, stderr, stdout};
use std::path::Path;

/// Our own codes: those of [`Tone`], and those in which the command line's help is set.
const CODES: [&str; 7] = [
    "\u{1b}[0m",
    "\u{1b}[1m",
    "\u{1b}[2m",
    "\u{1b}[4m",
    "\u{1b}[31m",
    "\u{1b}[32m",
    "\u{1b}[33m",
];

/// A value that somebody else wrote, in one line: what a terminal would obey, and what would hide or turn the text around it, is written
/// out, such as `\u{1b}`. The same text where there is nothing of it.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    written_out(text, |_| 0)
}

/// A file's name in one line, as [`visible`] has it.
#[must_use]
pub fn visible_path(path: &Path) -> String {
    visible(&path.to_string_lossy()).into_owned()
}

/// The same for JSON, in JSON's own way of writing: what a program reads is the same as before.
#[must_use]
pub fn visible_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // Within a value, JSON has none of these; between values they are space.
            '\n' => text.push(c),
            '\t' | '\r' => text.push(' '),
            c if is_hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
            c => text.push(c),
        }
    }
    text
}

/// Control characters, and what turns or hides the text around it.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `kept` says how many bytes may stay as they are, from where something hidden stands.
fn written_out(text: &str, kept: impl Fn(&str) -> usize) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let stays = if is_hidden(c) {
            kept(rest)
        } else {
            c.len_utf8()
        };
        let (stays, after) = rest.split_at(stays);
        shown.push_str(stays);
        rest = after;
        if stays.is_empty() {
            shown.extend(c.escape_unicode());
            rest = rest.strip_prefix(c).unwrap_or_default();
        }
    }
    Cow::Owned(shown)
}

/// What a word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// It goes through.
    Good,
    /// It does not.
    Bad,
    /// It comes back, or somebody should look.
    Back,
    /// Less important than what stands beside it.
    Quiet,
    /// A heading.
    Loud,
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// No colours.
    pub const OFF: Self = Self(false);

    /// As standard output wants them.
    #[must_use]
    pub fn stdout() -> Self {
        Self::on(&stdout())
    }

    /// As standard error wants them.
    #[must_use]
    pub fn stderr() -> Self {
        Self::on(&stderr())
    }

    fn on(stream: &impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(stream.is_terminal() && !refused)
    }

    /// Whether there are any.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.0
    }

    /// Lines as they may be written: each stays a line, our own codes stay where there are colours, and the rest is made [`visible`],
    /// whoever forgot to.
    #[must_use]
    pub fn lines(self, text: &str) -> Cow<'_, str> {
        written_out(text, |rest| {
            let code = CODES.iter().find(|code| self.0 && rest.starts_with(**code));
            match code {
                Some(code) => code.len(),
                None => usize::from(rest.starts_with('\n')),
            }
        })
    }

    /// A text in its tone.
    #[must_use]
    pub fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Back => "33",
            Tone::Quiet => "2",
            Tone::Loud => "1",
            Tone::Plain => return text.to_owned(),
        };
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CODES, Paint, Tone, visible, visible_json};

    #[test]
    fn colours_are_left_out_where_nobody_sees_them() {
        assert_eq!(Paint::OFF.tone(Tone::Bad, "no"), "no");
        assert_eq!(Paint(true).tone(Tone::Bad, "no"), "\u{1b}[31mno\u{1b}[0m");
        assert_eq!(Paint(true).tone(Tone::Plain, "no"), "no");
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        for plain in ["", "Ada L.", "Zoë → 東京 🛫", "\\u{1b}"] {
            assert_eq!(visible(plain), plain);
        }
        for (said, shown) in [
            ("\u{1b}]0;owned\u{7}", r"\u{1b}]0;owned\u{7}"),
            ("a\r\n\tb\0", r"a\u{d}\u{a}\u{9}b\u{0}"),
            (
                "\u{7f}\u{80}\u{9b}31m\u{9f}",
                r"\u{7f}\u{80}\u{9b}31m\u{9f}",
            ),
            ("\u{61c}\u{200e}\u{200f}", r"\u{61c}\u{200e}\u{200f}"),
            (
                "\u{2028}\u{202e}.\u{2066}\u{2069}",
                r"\u{2028}\u{202e}.\u{2066}\u{2069}",
            ),
            ("\u{feff}é", r"\u{feff}é"),
        ] {
            assert_eq!(visible(said), shown);
        }
    }

    #[test]
    fn lines_and_our_own_colours_pass_and_nothing_else() {
        let said = "\u{1b}[31mno\u{1b}[0m\n\u{1b}[2Jé\r";
        assert_eq!(
            Paint(true).lines(said),
            "\u{1b}[31mno\u{1b}[0m\n\\u{1b}[2Jé\\u{d}"
        );
        assert_eq!(
            Paint::OFF.lines(said),
            "\\u{1b}[31mno\\u{1b}[0m\n\\u{1b}[2Jé\\u{d}"
        );
        for tone in [Tone::Good, Tone::Bad, Tone::Back, Tone::Quiet, Tone::Loud] {
            let painted = Paint(true).tone(tone, "word");
            assert_eq!(Paint(true).lines(&painted), painted);
        }
        assert_eq!(Paint(true).lines(&CODES.concat()), CODES.concat());
    }

    #[test]
    fn json_means_what_it_meant() {
        let said = serde_json::json!({"\u{9b}\u{7f}": ["\u{1b}\r\n\t", "\u{202e}🛫\u{feff}", "\\\u{2028}"]});
        let raw = format!("[{said},\r\n\t1]");
        let shown = visible_json(&raw);
        assert!(
            !shown.contains(|c| c != '\n' && super::is_hidden(c)),
            "{shown}"
        );
        assert!(
            shown.contains(r"\u009b\u007f") && shown.contains(r"\u202e🛫\ufeff"),
            "{shown}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).ok(),
            serde_json::from_str(&raw).ok()
        );
    }
}
