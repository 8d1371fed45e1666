//! What came of it all, for people, for programs and for CI servers. It judges nothing.

use std::fmt;
use std::io::Write;

use anyhow::Result;
use client::paint::visible;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use serde::Serialize;

use crate::promise::Promise;
use crate::verdict::{Break, Verdicts};

/// What became of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Whenever it was tried.
    Kept,
    /// At least once.
    Broken,
    /// Nothing is known of it.
    NotTried,
}

/// One promise and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Its name.
    pub promise: Promise,
    /// What is promised.
    pub sentence: &'static str,
    /// What breaks where it is not kept.
    pub reason: &'static str,
    /// What became of it.
    pub state: State,
    /// How often it was tried.
    pub tried: u64,
    /// How often it was broken.
    pub broken: u64,
    /// The first breaks.
    pub breaks: Vec<Break>,
    /// What was left out, and why.
    pub not_tried: Option<String>,
}

/// What became of every promise.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The leg.
    pub leg: String,
    /// Whether no promise is broken. Some may not have been tried.
    pub kept: bool,
    /// How many trips were played in all.
    pub trips: u64,
    /// How long it took.
    pub seconds: f64,
    /// The seed of what was left to chance.
    pub seed: u64,
    /// Every promise.
    pub promises: Vec<Line>,
}

impl Report {
    pub(crate) fn of(leg: &str, verdicts: &Verdicts, trips: u64, seconds: f64, seed: u64) -> Self {
        let line = |promise: &Promise| {
            let found = verdicts.of(*promise);
            let state = match (found.broken, found.kept) {
                (1.., _) => State::Broken,
                (0, 1..) => State::Kept,
                (0, 0) => State::NotTried,
            };
            let unknown = || String::from("what was played did not come to it");
            Line {
                promise: *promise,
                sentence: promise.sentence(),
                reason: promise.reason(),
                state,
                tried: found.kept + found.broken,
                broken: found.broken,
                breaks: found.shown,
                not_tried: match state {
                    State::NotTried => Some(found.not_tried.unwrap_or_else(unknown)),
                    State::Kept | State::Broken => found.not_tried,
                },
            }
        };
        let promises: Vec<Line> = Promise::ALL.iter().map(line).collect();
        Self {
            leg: leg.to_owned(),
            kept: promises.iter().all(|line| line.state != State::Broken),
            trips,
            seconds,
            seed,
            promises,
        }
    }

    /// The promises that became that.
    pub fn those(&self, state: State) -> impl Iterator<Item = &Line> {
        self.promises.iter().filter(move |line| line.state == state)
    }

    /// As the XML that CI servers read: a test case for each promise.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn junit(&self, to: &mut impl Write) -> Result<()> {
        let mut xml = Writer::new_with_indent(to, b' ', 2);
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let count = |state| self.those(state).count().to_string();
        let time = format!("{:.3}", self.seconds);
        let suite = visible(&self.leg).into_owned();
        let counts = [
            ("name", suite.clone()),
            ("tests", self.promises.len().to_string()),
            ("failures", count(State::Broken)),
            ("errors", String::from("0")),
            ("skipped", count(State::NotTried)),
            ("time", time),
        ];
        let counts = || counts.iter().map(|(name, value)| (*name, value.as_str()));
        // The outer one has no number of what was skipped.
        let outer = counts().filter(|(name, _)| *name != "skipped");
        xml.create_element("testsuites")
            .with_attributes(outer)
            .write_inner_content(|xml| {
                let inner = xml.create_element("testsuite").with_attributes(counts());
                inner.write_inner_content(|xml| {
                    self.promises
                        .iter()
                        .try_for_each(|line| line.case(&suite, xml))
                })?;
                Ok(())
            })?;
        xml.get_mut().write_all(b"\n")?;
        Ok(())
    }
}

impl Line {
    fn case<W: Write>(&self, suite: &str, xml: &mut Writer<W>) -> std::io::Result<()> {
        let case = xml.create_element("testcase").with_attributes([
            ("name", self.promise.name()),
            ("classname", suite),
            ("time", "0"),
        ]);
        match self.state {
            State::Kept => case.write_empty()?,
            State::NotTried => case.write_inner_content(|xml| {
                let why = visible(self.not_tried.as_deref().unwrap_or_default()).into_owned();
                let skipped = xml.create_element("skipped");
                skipped
                    .with_attribute(("message", why.as_str()))
                    .write_empty()?;
                Ok(())
            })?,
            State::Broken => case.write_inner_content(|xml| {
                let mut text = format!("{}\n{}\n", self.sentence, self.reason);
                for broken in &self.breaks {
                    text += &broken.to_string();
                }
                let text: Vec<String> = text
                    .lines()
                    .map(|line| visible(line).into_owned())
                    .collect();
                let first = self
                    .breaks
                    .first()
                    .map_or("", |broken| broken.what.as_str());
                let message = visible(first).into_owned();
                let failure = xml.create_element("failure").with_attributes([
                    ("message", message.as_str()),
                    ("type", self.promise.name()),
                ]);
                failure.write_text_content(BytesText::new(&text.join("\n")))?;
                Ok(())
            })?,
        };
        Ok(())
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "             {}", visible(&self.what))?;
        for fact in &self.facts {
            writeln!(f, "             | {fact}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.promises {
            let (word, times) = match line.state {
                State::Kept => ("kept", format!("  ({} times)", line.tried)),
                State::Broken => (
                    "BROKEN",
                    format!("  ({} of {} times)", line.broken, line.tried),
                ),
                State::NotTried => ("not tried", String::new()),
            };
            let times = if line.tried > 1 { times } else { String::new() };
            writeln!(
                f,
                "{word:<11}  {}: {}{times}",
                line.promise.name(),
                line.sentence
            )?;
            if line.state == State::Broken {
                writeln!(f, "             Why it matters: {}", line.reason)?;
            }
            line.breaks
                .iter()
                .try_for_each(|broken| write!(f, "{broken}"))?;
            if let Some(why) = &line.not_tried {
                let some = if line.state == State::NotTried {
                    ""
                } else {
                    "not all of it tried: "
                };
                writeln!(f, "             {some}{}", visible(why))?;
            }
        }
        let count = |state| self.those(state).count();
        let word = if self.kept { "keeps" } else { "does NOT keep" };
        write!(
            f,
            "{} {word} the promises of a leg: {} kept, {} broken, {} not tried; {} trips in {:.1} s (seed {})",
            self.leg,
            count(State::Kept),
            count(State::Broken),
            count(State::NotTried),
            self.trips,
            self.seconds,
            self.seed
        )
    }
}
