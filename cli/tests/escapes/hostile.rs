//! What a hostile neighbour writes, and one that answers at an address. Not a service: whatever it is asked, it answers with that.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::{Value, json};

/// A title for the window, a bell, a line of its own, a colour by C1, text that runs backwards, and more that nobody sees.
pub(crate) const EVIL: &str = "\u{1b}]0;owned\u{7}\r\nFORGED\t\u{9b}31m\u{7f}\u{85}\u{202e}\u{2028}\u{2066}\u{61c}\u{200f}\u{feff}";
/// What of it is not a control character.
pub(crate) const HIDDEN: &str = "\u{202e}\u{2028}\u{2066}\u{61c}\u{200f}\u{feff}";
/// No line may begin with it.
pub(crate) const FORGED: &str = "FORGED";
/// A trip that there is not.
pub(crate) const TRIP: &str = "0190aaaa-0000-7000-8000-000000000000";

/// Written anew, and not taken from the code that is tested.
pub(crate) fn is_hidden(c: char) -> bool {
    let c = u32::from(c);
    matches!(c, 0..=0x1f | 0x7f..=0x9f | 0x61c | 0x200e..=0x200f | 0x2028..=0x202e | 0x2066..=0x2069 | 0xfeff)
}

/// The ways in which it answers, each below a path of its own.
const WAYS: [&str; 4] = ["friendly", "refusing", "raw", "odd"];

/// Listens until the test ends.
pub(crate) struct Neighbour {
    at: SocketAddr,
}

impl Neighbour {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || stream.map(answer));
            }
        });
        Self { at }
    }

    pub(crate) fn url(&self, way: &str) -> String {
        format!("http://{}/{way}", self.at)
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        WAYS.iter().map(|way| self.url(way)).collect()
    }
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut asked = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    asked.read_line(&mut first)?;
    let (mut line, mut length, mut chunked) = (String::new(), 0, false);
    while asked.read_line(&mut line)? > 2 {
        let header = line.to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        chunked |= header.starts_with("transfer-encoding:");
        line.clear();
    }
    if chunked {
        while asked.read_line(&mut line)? > 0 && line != "0\r\n" {
            line.clear();
        }
    }
    asked.take(length).read_to_end(&mut Vec::new())?;
    let books = first.starts_with("POST ");
    let path = first.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let (way, path) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or_default();
    let (status, body) = match way {
        "friendly" => friendly(path, books),
        "refusing" => ("503 Not Now", problem().to_string()),
        "raw" => ("502 Bad Gateway", EVIL.to_owned()),
        _ => ("200 OK", odd(path).to_string()),
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn problem() -> Value {
    json!({"type": EVIL, "title": EVIL, "status": 503, "detail": EVIL, "bad_lines": 2, "lines": [{"line": 1, "reason": EVIL}]})
}

/// As a service answers, with something hostile in every place that can hold it.
fn friendly(path: &str, books: bool) -> (&'static str, String) {
    let page = |item: Value| json!({"items": [item], "next_cursor": null}).to_string();
    let body = match path {
        "livez" => String::new(),
        "readyz" => return ("503 Not Now", problem().to_string()),
        "metrics" => format!(
            "roundtrip_anomalies_total{{kind=\"{}\"}} 3\n",
            EVIL.replace(['\r', '\n'], "")
        ),
        "openapi.json" => {
            let row = format!("/flights/{{{EVIL}}}");
            json!({"info": {"title": EVIL, "version": EVIL}, "paths": {"/flights/import": {}, row: {}}})
                .to_string()
        }
        "flights" => page(row()),
        "legs" => json!([
            {"leg": EVIL, "seen": "2026-11-22T12:30:00Z"},
            {"leg": EVIL, "seen": "2026-11-22T12:30:00Z", "retired": {"since": "2026-11-22T12:30:00Z", "reason": EVIL}},
        ])
        .to_string(),
        "letters" => page(letter()),
        "letters/past" => page(past_letter()),
        "letters/replay" | "letters/discard" => {
            json!({"letters": 1, "messages": 2, "kept": [{"id": EVIL, "why": EVIL}], "next": null})
                .to_string()
        }
        _ if path.ends_with("/replay") || path.ends_with("/discard") => past_letter().to_string(),
        _ if path.starts_with("letters/") => letter().to_string(),
        "bookings" if !books => page(trip()),
        "bookings/stuck" => page(trip()),
        "flights/import" => return ("422 No", problem().to_string()),
        _ => trip().to_string(),
    };
    ("200 OK", body)
}

/// What no service answers: words in the place of states, which a reader's complaint quotes.
fn odd(path: &str) -> Value {
    let mut trip = trip();
    trip["state"] = EVIL.into();
    match path {
        "bookings" | "bookings/stuck" | "letters" | "letters/past" => {
            json!({"items": [trip], "next_cursor": EVIL})
        }
        "legs" => json!([{"leg": "flight", "seen": EVIL}]),
        _ => trip,
    }
}

fn trip() -> Value {
    let at = "2026-11-22T12:30:00Z";
    json!({"trip": TRIP, "state": "closed", "outcome": "rejected", "reason": {"code": EVIL, "message": EVIL},
        "needs_attention": true, "waiting_for": [{"position": 0, "leg": EVIL}], "settled": ["rejected"],
        "itinerary": [{"leg": EVIL, EVIL: EVIL, "more": [EVIL]}], "budget": null, "total": [], "traveller": EVIL,
        "deadline": at, "created": at, "changed": at})
}

fn row() -> Value {
    json!({EVIL: EVIL, "total": 3, "held": 1, "confirmed": 1, "free": 1, "price": {"amount_minor": 1, "currency": "EUR"}})
}

fn letter() -> Value {
    json!({"id": EVIL, "aggregateid": EVIL, "type": EVIL, "reason": EVIL, "subject": EVIL, "headers": EVIL, "payload": EVIL,
        "last_id": EVIL, "count": 1, "first_us": 1, "last_us": 1})
}

fn past_letter() -> Value {
    let mut past = letter();
    for (name, value) in [("outcome", "discarded"), ("by", EVIL), ("why", EVIL)] {
        past[name] = value.into();
    }
    past["at_us"] = 1.into();
    past
}
