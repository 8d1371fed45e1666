//! How a measurement goes, while it goes: a bar on a terminal, a line every few seconds otherwise. Not its result.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::out;
use bench::Going;

const SAY_EVERY: Duration = Duration::from_secs(5);

/// Tells of a run until it ends, beside it.
pub(super) fn follow(going: Going) {
    tokio::spawn(tell(going));
}

async fn tell(going: Going) {
    let Going {
        name,
        began,
        window,
        live,
    } = going;
    let all = window.until - began;
    let bar = ProgressBar::new(all.as_secs());
    if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {pos} of {len} s, {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(name.clone());
    let mut before = (began, 0);
    let every = if bar.is_hidden() {
        out::aside(&format!("{name}: begins"));
        SAY_EVERY
    } else {
        Duration::from_secs(1)
    };
    while let Some(left) = window.until.checked_duration_since(Instant::now()) {
        tokio::time::sleep(left.min(every)).await;
        let (now, trips) = (Instant::now(), live.trips());
        let rate = (trips - before.1) as f64 / (now - before.0).as_secs_f64();
        before = (now, trips);
        let passed = now.duration_since(began).min(all).as_secs();
        if bar.is_hidden() {
            let all = all.as_secs();
            out::aside(&format!("{name}: {passed} of {all} s, {rate:.0} trips/s"));
        } else {
            bar.set_position(passed);
            bar.set_message(format!("{rate:.0} trips/s"));
        }
    }
    bar.finish_and_clear();
}
