//! The leg in Python of `examples`, started by `up` with the file that lies beside it, as its README says.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use stack::fetch;
use stack::skip::{self, Need};

use super::{DAY, Up, nothing_to_stand_on, pid};

#[test]
fn insurance_in_python_is_started_booked_killed_and_drained() {
    const NAME: &str = "insurance_in_python_is_started_booked_killed_and_drained";
    if nothing_to_stand_on(NAME) {
        return;
    }
    let library = fetch::unpacked(&fetch::NATS_PY, &|line| eprintln!("{line}"));
    let Some(library) = skip::unless(Need::Python, NAME, library) else {
        return;
    };
    let above = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = file.join("../examples/legs/insurance/roundtrip.toml");
    let env = [
        ("PYTHONPATH", library.to_str().unwrap()),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ];
    let up = Up::start_with(above.path(), &["--config", file.to_str().unwrap()], &env);
    let all = json!(["flight", "hotel", "insurance"]);
    let seen = up.until("up", |seen| seen["ready"] == true && seen["legs"] == all);
    let book = |plan: &str| {
        let leg = json!({"leg": "insurance", "plan": plan, "travellers": 2, "day": DAY});
        up.run(&["book", "--itinerary", &json!([leg]).to_string(), "--json"])
    };
    let booked = book("full").exits(0).json();
    assert_eq!(booked["state"], "confirmed");
    let refused = book("none").json();
    assert_eq!(refused["reason"]["code"], "unknown-stock", "{refused:#}");

    // What can be read of it is fine, and what cannot is named.
    let audit = up.run(&["audit", "--json"]).exits(0).json();
    assert_eq!(audit["not_looked_at"], json!(["insurance"]), "{audit:#}");
    assert_eq!(up.found("wrong", &[]), [""; 0]);
    assert_eq!(up.found("warning", &[]), [""; 0]);

    let killed = pid(&seen, "insurance");
    kill(killed, Signal::SIGKILL).unwrap();
    up.until("it is back", |seen| {
        seen["ready"] == true && ![killed, Pid::from_raw(0)].contains(&pid(seen, "insurance"))
    });
    let trip = booked["trip"].as_str().unwrap();
    let back = up.run(&["cancel", trip, "--json"]).exits(0).json();
    assert_eq!(
        back["settled"],
        json!(["released"]),
        "it knows what it held"
    );
    up.run(&["down"]).exits(0);
    let said = up.said();
    assert!(said.ends_with("stopped\n"), "{said}");
}
