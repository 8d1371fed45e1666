//! What to think of what was seen. Pure: it asks nobody, and says the same of the same facts.

mod broker;
mod connections;
mod consumers;
mod databases;
mod payments;
mod services;
#[cfg(test)]
mod tests;

use super::expected::Expected;
use super::observations::{Ahead, Letters, Seen};
use super::report::{Finding, Group, Report, Sheet};

pub(super) const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const DAY_US: i64 = 24 * 60 * MINUTE_US;
/// Clocks that differ by more are worth a word; by more than the second, deadlines and leases go wrong.
const CLOCK_WARNING_US: i64 = 2 * SECOND_US;
const CLOCK_WRONG_US: i64 = 30 * SECOND_US;
/// As the alarms have it: so many facts that wait are no longer a moment's work.
const MANY: u64 = 5_000;

pub(super) fn judge(seen: &Seen, expected: &Expected) -> Report {
    let mut findings = Vec::new();
    home(seen, &mut findings);
    services::judge(seen, expected, &mut findings);
    broker::judge(seen, expected, &mut findings);
    databases::judge(seen, expected, &mut findings);
    connections::judge(seen, &mut findings);
    Report::new(findings, reached(seen))
}

fn reached(seen: &Seen) -> bool {
    seen.services.iter().any(|service| service.alive.is_ok())
        || seen.broker.iter().any(|broker| broker.server.is_ok())
        || seen.databases.iter().any(|database| database.found.is_ok())
}

/// Whether the local stack runs at all.
fn home(seen: &Seen, findings: &mut Vec<Finding>) {
    let Some(home) = &seen.home else {
        return;
    };
    let mut sheet = Sheet {
        group: Group::Services,
        subject: "the stack",
        findings,
    };
    let (folder, me) = (home.folder.display(), client::invocation());
    if !home.runs {
        sheet.wrong(
            "runs",
            format!("the stack in {folder} does not run"),
            format!("start it with `{me} up`, or say with --url where another one is"),
        );
    } else if !home.up {
        sheet.warning(
            "runs",
            format!("the stack in {folder} is only starting"),
            "look again in a moment",
        );
    }
}

fn letters(sheet: &mut Sheet<'_>, service: &str, letters: &Letters, now_us: i64) {
    const NAME: &str = "dead-letters";
    let Letters {
        count,
        more,
        last_us,
        reason,
    } = letters;
    if *count == 0 {
        return sheet.fine(NAME, "no dead letters");
    }
    let or_more = if *more { " or more" } else { "" };
    let age = now_us.saturating_sub(*last_us);
    let reason: String = reason.chars().take(120).collect();
    let seen = format!(
        "{count}{or_more} dead letters, the newest {} ago: {reason}",
        span(age)
    );
    let todo = format!(
        "`{me} letters {service}` lists them, `{me} letters show ID` shows one whole: find who said it, or finish an upgrade, and \
         `{me} letters replay --of {service} --all`; `{me} letters discard` puts away what nobody needs; a trip does not hang for it",
        me = client::invocation()
    );
    if age > DAY_US {
        sheet.warning(NAME, seen, todo);
    } else {
        sheet.wrong(NAME, seen, todo);
    }
}

/// The clocks of one service or server: the one that is furthest off counts.
fn clock(sheet: &mut Sheet<'_>, clocks: &[Ahead]) {
    const NAME: &str = "clock";
    let worst = clocks.iter().map(|ahead| ahead.certain_us());
    let Some(off_us) = worst.max_by_key(|off_us| off_us.abs()) else {
        return;
    };
    if off_us.abs() <= CLOCK_WARNING_US {
        return sheet.fine(NAME, "its clock agrees with ours");
    }
    let word = if off_us > 0 { "ahead of" } else { "behind" };
    let seen = format!(
        "its clock is at least {} {word} this machine's",
        span(off_us.abs())
    );
    let todo = "find which of the two is wrong and have it set over the network (NTP, chrony): deadlines and leases go by these clocks";
    if off_us.abs() > CLOCK_WRONG_US {
        sheet.wrong(NAME, seen, todo);
    } else {
        sheet.warning(NAME, seen, todo);
    }
}

/// A length of time as people say it.
fn span(us: i64) -> String {
    let seconds = us.max(0) / SECOND_US;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
