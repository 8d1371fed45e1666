//! How a command says that it failed: in words for people, as one line of JSON for programs that asked for JSON. Not what failed.

use std::process::ExitCode;

use anyhow::Error;
use clap::error::{ContextKind, ContextValue};
use serde_json::{Value, json};

use super::out;
use client::Refused;
use client::paint::{Paint, visible, visible_json};

/// Says on standard error why a command could not do what it was to do, and gives the exit code back.
pub(crate) fn tell(error: &Error, code: ExitCode) -> ExitCode {
    if !as_json() {
        out::aside(&format!("roundtrip: {error:#}"));
        return code;
    }
    match error.downcast_ref::<Refused>() {
        Some(refused) => line(
            &refused.kind,
            &refused.title,
            &refused.detail,
            refused.status,
        ),
        None => line(
            "urn:roundtrip:problem:command",
            "The command failed",
            &format!("{error:#}"),
            None,
        ),
    }
    code
}

/// What clap says, help or error, through the same gate as all else: it quotes what was typed, and a file's name may be somebody else's.
/// An address that cannot be taken may have a password in it all the same, and may come from the environment.
pub(crate) fn misread(mut error: clap::Error) -> ExitCode {
    let quoted = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) if kind == ContextKind::InvalidValue && is_address(text) => {
            let (scheme, rest) = text.split_once(':').unwrap_or_default();
            let slashes = if rest.starts_with("//") { "//" } else { "" };
            Some((kind, format!("{}:{slashes}…", visible(scheme))))
        }
        ContextValue::String(text) => Some((kind, visible(text).into_owned())),
        _ => None,
    });
    for (kind, text) in quoted.collect::<Vec<_>>() {
        error.insert(kind, ContextValue::String(text));
    }
    let text = error.render();
    if error.use_stderr() && as_json() {
        let text = text.to_string();
        let text = text.trim_end().trim_start_matches("error: ");
        let kind = "urn:roundtrip:problem:usage";
        line(kind, "The command is not understood", text, None);
    } else if error.use_stderr() {
        out::aside(text.ansi().to_string().trim_end());
    } else if Paint::stdout().is_on() {
        out::line(text.ansi().to_string().trim_end());
    } else {
        out::line(text.to_string().trim_end());
    }
    match out::whole() {
        Ok(()) => u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => tell(&error, ExitCode::FAILURE),
    }
}

/// Or was meant to be one.
fn is_address(text: &str) -> bool {
    text.contains("://") || text.rfind('@').is_some_and(|at| at > 0)
}

/// Looked for in what was typed, for an error may come before anything of it is understood.
fn as_json() -> bool {
    let mut typed = std::env::args_os().take_while(|arg| arg != "--");
    typed.any(|arg| arg == "--json")
}

/// The members of problem details (RFC 9457); no status where no service was asked.
fn line(kind: &str, title: &str, detail: &str, status: impl Into<Option<u16>>) {
    let status: Value = status.into().into();
    let error = json!({"type": kind, "title": title, "detail": detail, "status": status});
    out::aside(&visible_json(&json!({ "error": error }).to_string()));
}
