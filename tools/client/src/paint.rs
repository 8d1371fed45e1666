//! Colours, where they help and only where somebody sees them: on a terminal, unless `NO_COLOR` is set.

use std::io::IsTerminal as _;

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
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(std::io::stdout().is_terminal() && !refused)
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
    use super::{Paint, Tone};

    #[test]
    fn colours_are_left_out_where_nobody_sees_them() {
        assert_eq!(Paint::OFF.tone(Tone::Bad, "no"), "no");
        assert_eq!(Paint(true).tone(Tone::Bad, "no"), "\u{1b}[31mno\u{1b}[0m");
        assert_eq!(Paint(true).tone(Tone::Plain, "no"), "no");
    }
}
